use std::collections::HashSet;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures_util::TryStreamExt;
use stompbox::broker::{
    Broker, BrokerError, BrokerOptions, Message, NatsBroker, Settle, Settlement, Turn,
};
use stompbox::testkit::Received;

use crate::engine::Engine;
use crate::listener::{Listener, PATIENCE, publish, send, texts};
use crate::{node, url};

fn queue() -> String {
    crate::rooms::room().replace("/topic/", "/queue/")
}

fn acknowledge(node: &NatsBroker, consumer: &Listener, received: &[Received]) {
    let settle = Settle {
        destination: consumer.destination.clone(),
        subscriber: consumer.id,
        tags: received.iter().map(|it| it.tag).collect(),
        settlement: Settlement::Acknowledged,
    };
    drop(node.settle(settle, &mut Turn::new(Instant::now())));
}

/// Acknowledges what comes until each of so many bodies has come. Returns all that came.
async fn work(node: &NatsBroker, consumer: &Listener, bodies: usize) -> Vec<Received> {
    let mut done = 0;
    loop {
        let more = |all: &[Received]| all.len() > done;
        let all = consumer.mailbox.wait_until(PATIENCE, more).await;
        let all = all.unwrap_or_else(|all| panic!("there came only {:?}", texts(&all)));
        acknowledge(node, consumer, &all[done..]);
        done = all.len();
        if texts(&all).into_iter().collect::<HashSet<_>>().len() >= bodies {
            return all;
        }
    }
}

#[tokio::test]
#[ignore = "needs nats"]
async fn a_queue_is_one_queue_on_two_nodes() {
    let (one, other) = (node(&url()).await, node(&url()).await);
    let queue = queue();
    let here = Listener::consumer(&one, &queue, 5).await;
    let there = Listener::consumer(&other, &queue, 5).await;
    let sent: Vec<_> =
        (0..200).map(|number: u32| send(&one, &queue, &number.to_string())).collect();
    for outcome in sent {
        outcome.await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    let mut done = [0, 0];
    while done.iter().sum::<usize>() < 200 {
        assert!(Instant::now() < deadline, "there came only {done:?}");
        for ((node, consumer), done) in [(&one, &here), (&other, &there)].into_iter().zip(&mut done)
        {
            let all = consumer.mailbox.received();
            acknowledge(node, consumer, &all[*done..]);
            *done = all.len();
        }
        tokio::task::yield_now().await;
    }
    assert!(done.iter().all(|count| *count > 0), "one got all: {done:?}");
    let all = [here.mailbox.received(), there.mailbox.received()].concat();
    assert!(all.iter().all(|it| it.attempt == 1));
    assert_eq!(texts(&all).into_iter().collect::<HashSet<_>>().len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_was_confirmed_survives_a_crash_of_the_engine() {
    let engine = Engine::start("queue-crash");
    let node = node(&engine.url).await;
    let queue = queue();
    let consumer = Listener::consumer(&node, &queue, 10).await;
    for number in 0..100 {
        publish(&node, &queue, &number.to_string()).await.unwrap();
    }
    let first = consumer.mailbox.wait_for(10, PATIENCE).await.unwrap();
    acknowledge(&node, &consumer, &first[..5]);
    engine.kill();
    engine.start_again();
    let all = work(&node, &consumer, 100).await;
    let mut known = HashSet::new();
    for it in all {
        let new = known.insert(it.text());
        assert!(new || it.attempt > 1, "{} came twice and does not say so", it.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_a_node_that_is_gone_had_comes_to_another() {
    let (dies, lives) = (node(&url()).await, node(&url()).await);
    let queue = queue();
    let first = Listener::consumer(&dies, &queue, 3).await;
    for number in 0..3 {
        publish(&lives, &queue, &number.to_string()).await.unwrap();
    }
    first.mailbox.wait_for(3, PATIENCE).await.unwrap();
    drop(dies);
    let second = Listener::consumer(&lives, &queue, 3).await;
    let all = work(&lives, &second, 3).await;
    assert!(all.iter().all(|it| it.attempt > 1), "{all:?}");
}

#[tokio::test]
#[ignore = "needs nats"]
async fn a_message_that_is_worked_on_for_long_stays_with_its_consumer() {
    let (one, other) = (node(&url()).await, node(&url()).await);
    let queue = queue();
    let works = Listener::consumer(&one, &queue, 1).await;
    publish(&one, &queue, "long").await.unwrap();
    let received = works.mailbox.wait_for(1, PATIENCE).await.unwrap();
    let waits = Listener::consumer(&other, &queue, 1).await;
    // Longer than JetStream waits for a node that says nothing.
    tokio::time::sleep(Duration::from_secs(25)).await;
    acknowledge(&one, &works, &received);
    publish(&one, &queue, "next").await.unwrap();
    publish(&one, &queue, "and next").await.unwrap();
    assert_eq!(texts(&waits.mailbox.wait_for(1, PATIENCE).await.unwrap()).len(), 1);
    let all = [works.mailbox.received(), waits.mailbox.received()].concat();
    assert!(all.iter().all(|it| it.attempt == 1), "{all:?}");
}

#[tokio::test]
#[ignore = "needs nats"]
async fn a_consumer_that_comes_back_at_once_is_served() {
    let node = node(&url()).await;
    let queue = queue();
    for number in 0..5 {
        let consumer = Listener::consumer(&node, &queue, 10).await;
        publish(&node, &queue, &number.to_string()).await.unwrap();
        let received = consumer.until(&number.to_string()).await;
        assert_eq!(texts(&received), [number.to_string()]);
        acknowledge(&node, &consumer, &received);
        consumer.leave(&node);
    }
}

/// Somebody deletes what hands out the messages, and then the stream that they are in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn a_queue_that_was_deleted_at_the_engine_goes_on() {
    let engine = Engine::start("queue-deleted");
    let (node, queue) = (node(&engine.url).await, queue());
    let consumer = Listener::consumer(&node, &queue, 10).await;
    publish(&node, &queue, "0").await.unwrap();
    consumer.until("0").await;
    let context = jetstream::new(async_nats::connect(&engine.url).await.unwrap());
    let stream = context.get_stream("stompbox-queues").await.unwrap();
    let names: Vec<_> = stream.consumer_names().try_collect().await.unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    stream.delete_consumer(&names[0]).await.unwrap();
    publish(&node, &queue, "1").await.unwrap();
    let received = consumer.until("1").await;
    assert_eq!(texts(&received), ["0", "0", "1"]);
    assert!(received[1].attempt > 1, "it comes again, and does not say so");
    acknowledge(&node, &consumer, &received);

    context.delete_stream("stompbox-queues").await.unwrap();
    publish(&node, &queue, "2").await.unwrap();
    let received = consumer.until("2").await;
    assert_eq!(texts(&received), ["0", "0", "1", "2"]);
}

/// However much one has not settled, there is something for another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn one_who_settles_nothing_holds_up_nobody_else() {
    let (node, queue) = (node(&url()).await, queue());
    let idle = Listener::consumer(&node, &queue, 2_500).await;
    let sent: Vec<_> =
        (0..2_500).map(|number: u32| send(&node, &queue, &number.to_string())).collect();
    for outcome in sent {
        outcome.await.unwrap();
    }
    idle.until("2499").await;
    let busy = Listener::consumer(&node, &queue, 1).await;
    publish(&node, &queue, "one more").await.unwrap();
    busy.until("one more").await;
    assert_eq!(idle.mailbox.count(), 2_500);
}

#[tokio::test]
#[ignore = "needs nats"]
async fn what_has_expired_is_not_delivered() {
    let options = BrokerOptions::default().rule("/queue/brief/**,expiration=1ms".parse().unwrap());
    let node = NatsBroker::connect(&url(), options).await.unwrap();
    let (own, by_rule) = (queue(), queue().replace("/queue/", "/queue/brief/"));
    let send = |to: &str, expiration: &str, body: &str| {
        let message = Message::builder(to.parse().unwrap());
        let message = message.header("expiration", expiration).body(body);
        node.publish(message, &mut Turn::new(Instant::now()))
    };
    send(&own, "1", "brief").await.unwrap();
    send(&own, "3600000", "long").await.unwrap();
    send(&by_rule, "3600000", "brief").await.unwrap();
    let refused = send(&own, "tomorrow", "never").await;
    assert!(matches!(refused, Err(BrokerError::InvalidHeader { .. })), "{refused:?}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let consumers =
        [Listener::consumer(&node, &own, 10).await, Listener::consumer(&node, &by_rule, 10).await];
    assert_eq!(texts(&consumers[0].until("long").await), ["long"]);
    // Nothing is left of it in the stream.
    let context = jetstream::new(async_nats::connect(&url()).await.unwrap());
    let stream = context.get_stream("stompbox-queues").await.unwrap();
    let subject = by_rule.trim_start_matches('/').replace('/', ".");
    let deadline = Instant::now() + PATIENCE;
    while stream.get_last_raw_message_by_subject(&subject).await.is_ok() {
        assert!(Instant::now() < deadline, "it is in the stream still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(consumers[1].mailbox.received().is_empty());
}

#[tokio::test]
#[ignore = "needs nats"]
async fn only_a_queue_waits_for_who_is_away() {
    let node = node(&url()).await;
    Listener::durable(&node, &queue()).await.expect("it waits in JetStream");
    for name in ["/topic/a", "/topic/*"] {
        let refused = Listener::durable(&node, name).await.err();
        assert!(matches!(refused, Some(BrokerError::Unsupported { .. })), "{name}: {refused:?}");
    }
}

#[tokio::test]
#[ignore = "needs nats"]
async fn what_could_not_be_consumed_is_refused() {
    let node = node(&url()).await;
    let refused = publish(&node, &format!("/queue/{}", "ü".repeat(50)), "never").await;
    assert!(matches!(refused, Err(BrokerError::NameTooLong { .. })), "{refused:?}");
}
