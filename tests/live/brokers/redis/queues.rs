//! Queues that several nodes share.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use stompbox::broker::{Broker, BrokerError, Message, Turn};
use stompbox::testkit::Mailbox;

use crate::engine::url;
use crate::node::{Node, bodies, destination, unique, until};

pub(crate) async fn redis(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("a Redis")
}

/// Whether there is anything of a queue at Redis.
async fn is_there(queue: &str) -> bool {
    let mut exists = redis::cmd("EXISTS");
    let exists = exists.arg(format!("stompbox:queue:{queue}"));
    exists.query_async(&mut redis(&url()).await).await.expect("an answer")
}

#[tokio::test]
#[ignore = "needs redis"]
async fn a_queue_is_one_queue_on_two_nodes_and_costs_nothing_afterwards() {
    let (one, other) = (Node::start(&url()).await, Node::start(&url()).await);
    let queue = unique("/queue");
    let here = one.consume(&queue, 5).await;
    let there = other.consume(&queue, 5).await;
    let sent: Vec<_> = (0..200).map(|number: u32| one.send(&queue, number.to_string())).collect();
    for outcome in sent {
        one.answer(outcome).await.expect("published");
    }
    let mut done = [0, 0];
    let deadline = Instant::now() + crate::node::PATIENCE;
    while done.iter().sum::<usize>() < 200 {
        assert!(Instant::now() < deadline, "there came only {done:?}");
        for ((node, consumer), done) in [(&one, &here), (&other, &there)].into_iter().zip(&mut done)
        {
            let all = consumer.mailbox.received();
            let outcome = node.acknowledge(consumer, &all[*done..]);
            node.answer(outcome).await.expect("acknowledged");
            *done = all.len();
        }
        tokio::task::yield_now().await;
    }
    assert!(done.iter().all(|count| *count > 0), "one got all: {done:?}");
    let all = [here.mailbox.received(), there.mailbox.received()];
    for received in &all {
        let numbers: Vec<u32> = received.iter().filter_map(|it| it.text().parse().ok()).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
    let all = all.concat();
    assert!(all.iter().all(|it| it.attempt == 1));
    assert_eq!(bodies(&all).into_iter().collect::<HashSet<_>>().len(), 200);

    one.unsubscribe(&queue, here.id).await;
    other.unsubscribe(&queue, there.id).await;
    while one.broker.upstreams() + other.broker.upstreams() > 0 || is_there(&queue).await {
        assert!(Instant::now() < deadline, "it is there still");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
#[ignore = "needs redis"]
async fn what_is_rejected_goes_back_to_its_old_place_for_any_node() {
    let (one, other) = (Node::start(&url()).await, Node::start(&url()).await);
    let queue = unique("/queue");
    for number in 0..4 {
        one.publish(&queue, number.to_string()).await;
    }
    let here = one.consume(&queue, 1).await;
    let first = here.wait_for(1).await;
    one.reject(&here, &first).await;
    let again = here.wait_for(2).await;
    assert_eq!((bodies(&again), again[1].attempt), (vec!["0".to_owned(); 2], 2));
    // Now somebody else may have it.
    let there = other.consume(&queue, 1).await;
    assert_eq!(bodies(&there.wait_for(1).await), ["1"]);
    one.reject(&here, &again[1..]).await;
    let third = here.wait_for(3).await;
    assert_eq!((third[2].text(), third[2].attempt), ("0".to_owned(), 3));
    one.unsubscribe(&queue, here.id).await;
    let received = there.wait_for(1).await;
    let outcome = other.acknowledge(&there, &received);
    other.answer(outcome).await.expect("acknowledged");
    let received = there.wait_for(2).await;
    // It is before what nobody had, unless the other node was asked before it was back.
    if received[1].text() == "0" {
        assert_eq!(received[1].attempt, 4);
    }
    let mut settled = 1;
    while there.mailbox.count() < 4 || settled < 4 {
        let received = there.wait_for(settled + 1).await;
        let outcome = other.acknowledge(&there, &received[settled..]);
        other.answer(outcome).await.expect("acknowledged");
        settled = received.len();
    }
    let all: HashSet<_> = bodies(&there.mailbox.received()).into_iter().collect();
    assert_eq!(all.len(), 4, "{all:?}");
}

#[tokio::test]
#[ignore = "needs redis"]
async fn what_a_node_that_is_gone_had_comes_to_another_in_bounded_time() {
    let (dies, lives) = (Node::start(&url()).await, Node::start(&url()).await);
    let queue = unique("/queue");
    let first = dies.consume(&queue, 3).await;
    for number in 0..4 {
        lives.publish(&queue, number.to_string()).await;
    }
    first.wait_for(3).await;
    let second = lives.consume(&queue, 10).await;
    drop(dies);
    let gone = Instant::now();
    let received = second.wait_for(4).await;
    assert!(gone.elapsed() < Duration::from_secs(30), "{:?}", gone.elapsed());
    // The last one was free at once.
    assert_eq!(bodies(&received), ["3", "0", "1", "2"]);
    assert!(received[1..].iter().all(|it| it.attempt == 2), "{received:?}");
}

#[tokio::test]
#[ignore = "needs redis"]
async fn a_message_that_is_worked_on_for_long_stays_with_its_consumer() {
    let (one, other) = (Node::start(&url()).await, Node::start(&url()).await);
    let queue = unique("/queue");
    let works = one.consume(&queue, 1).await;
    one.publish(&queue, "long").await;
    let received = works.wait_for(1).await;
    let waits = other.consume(&queue, 1).await;
    // Longer than it takes until a node that says nothing counts as dead.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let outcome = one.acknowledge(&works, &received);
    one.answer(outcome).await.expect("acknowledged");
    one.publish(&queue, "next").await;
    one.publish(&queue, "and next").await;
    waits.wait_for(1).await;
    let all = [works.mailbox.received(), waits.mailbox.received()].concat();
    assert!(all.iter().all(|it| it.attempt == 1), "{all:?}");
}

#[tokio::test]
#[ignore = "needs redis"]
async fn a_consumer_that_comes_back_at_once_is_served() {
    let node = Node::start(&url()).await;
    let queue = unique("/queue");
    for number in 0..20 {
        let consumer = node.consume(&queue, 10).await;
        node.publish(&queue, number.to_string()).await;
        let received = until(&consumer.mailbox, &number.to_string()).await;
        assert_eq!(bodies(&received), [number.to_string()]);
        let outcome = node.acknowledge(&consumer, &received);
        node.answer(outcome).await.expect("acknowledged");
        node.unsubscribe(&queue, consumer.id).await;
    }
}

#[tokio::test]
#[ignore = "needs redis"]
async fn what_has_expired_is_handed_to_nobody() {
    let node = Node::start(&url()).await;
    let queue = unique("/queue");
    let lasting = |body: &str, expiration: &str| {
        let message = Message::builder(destination(&queue)).header("expiration", expiration);
        node.broker.publish(message.body(body), &mut Turn::new(Instant::now()))
    };
    node.answer(lasting("short", "1")).await.expect("published");
    node.answer(lasting("long", "60000")).await.expect("published");
    assert!(node.answer(lasting("never", "soon")).await.is_err());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mailbox = Mailbox::new();
    node.subscribe(&queue, &mailbox).await;
    node.publish(&queue, "end").await;
    assert_eq!(bodies(&until(&mailbox, "end").await), ["long", "end"]);
}

#[tokio::test]
#[ignore = "needs redis"]
async fn another_program_may_add_messages_and_delete_the_queue() {
    let node = Node::start(&url()).await;
    let queue = unique("/queue");
    let consumer = node.consume(&queue, 10).await;
    let mut redis = redis(&url()).await;
    for body in ["one", "two"] {
        let mut add = redis::cmd("XADD");
        let add = add.arg(format!("stompbox:queue:{queue}")).arg("*").arg("body").arg(body);
        add.query_async::<String>(&mut redis).await.expect("added");
        let mut wake = redis::cmd("PUBLISH");
        let wake = wake.arg(format!("stompbox:{queue}")).arg("");
        wake.query_async::<u64>(&mut redis).await.expect("published");
        let came = until(&consumer.mailbox, body).await;
        assert_eq!(came[0].header("destination"), Some(queue.as_str()));
        let mut delete = redis::cmd("DEL");
        let delete = delete.arg(format!("stompbox:queue:{queue}"));
        delete.query_async::<u64>(&mut redis).await.expect("deleted");
    }
    node.publish(&queue, "three").await;
    until(&consumer.mailbox, "three").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn a_reply_that_comes_at_once_finds_its_queue() {
    let node = Node::start(&url()).await;
    let base = unique("/temp-queue");
    for number in 0..200 {
        let (mailbox, queue) = (Mailbox::new(), format!("{base}/{number}"));
        let (id, subscribed) = node.begin_subscribe(&queue, &mailbox);
        let sent = node.send(&queue, "so");
        node.answer(subscribed).await.expect("subscribed");
        node.answer(sent).await.expect("sent");
        until(&mailbox, "so").await;
        node.unsubscribe(&queue, id).await;
        // Nobody is there, and nobody minds.
        node.publish(&queue, "late").await;
    }
}

#[tokio::test]
#[ignore = "needs redis"]
async fn what_is_no_queue_is_refused() {
    let node = Node::start(&url()).await;
    let mailbox = Mailbox::new();
    for pattern in ["/queue/*", "/temp-queue/**"] {
        let refused = node.try_subscribe(pattern, &mailbox).await;
        assert!(matches!(refused, Err(BrokerError::Unsupported { .. })), "{refused:?}");
        let refused = node.answer(node.send(pattern, "never")).await;
        assert!(matches!(refused, Err(BrokerError::SentToPattern { .. })), "{refused:?}");
    }
    let mut redis = redis(&url()).await;
    let queue = unique("/queue");
    let mut set = redis::cmd("SET");
    let set = set.arg(format!("stompbox:queue:{queue}")).arg("no stream");
    set.query_async::<()>(&mut redis).await.expect("set");
    let refused = node.try_subscribe(&queue, &mailbox).await;
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    let refused = node.answer(node.send(&queue, "never")).await;
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");

    // One that is no queue any more ends with an ERROR, and disturbs no other.
    let (queue, other) = (unique("/queue"), unique("/queue/other"));
    let (ends, stays) = (node.consume(&queue, 1).await, node.consume(&other, 1).await);
    let mut set = redis::cmd("SET");
    let set = set.arg(format!("stompbox:queue:{queue}")).arg("no stream");
    set.query_async::<()>(&mut redis).await.expect("set");
    let mut wake = redis::cmd("PUBLISH");
    let wake = wake.arg(format!("stompbox:{queue}")).arg("");
    wake.query_async::<u64>(&mut redis).await.expect("published");
    let refusal = ends.mailbox.wait_for_refusal(crate::node::PATIENCE).await;
    assert!(matches!(refusal, Some(BrokerError::Refused { .. })), "{refusal:?}");
    node.publish(&other, "hello").await;
    assert_eq!(bodies(&stays.wait_for(1).await), ["hello"]);
}

/// Nothing is lost, nothing that is done comes again, and where each waits for the one before, all
/// comes in order.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn consumers_that_come_and_go_on_two_nodes_leave_all_in_its_place() {
    for wait in [true, false] {
        let nodes = [Node::start(&url()).await, Node::start(&url()).await];
        let queue = unique("/queue");
        let sent: Vec<_> =
            (0..100).map(|number: u32| nodes[0].send(&queue, number.to_string())).collect();
        for outcome in sent {
            nodes[0].answer(outcome).await.expect("published");
        }
        let mut done = HashSet::new();
        for node in nodes.iter().cycle() {
            let consumer = node.consume(&queue, 3).await;
            let received = consumer.wait_for((100 - done.len()).min(3)).await;
            let mut expected = (0..100).filter(|number: &u32| !done.contains(&number.to_string()));
            for it in &received {
                assert!(!done.contains(&it.text()), "{} is done already", it.text());
                if wait {
                    assert_eq!(it.text(), expected.next().expect("one").to_string());
                }
            }
            let some = &received[..received.len().min(2)];
            done.extend(bodies(some));
            let outcome = node.acknowledge(&consumer, some);
            node.unsubscribe(&queue, consumer.id).await;
            node.answer(outcome).await.expect("acknowledged");
            while wait && node.broker.upstreams() > 0 {
                tokio::task::yield_now().await;
            }
            if done.len() == 100 {
                break;
            }
        }
        while nodes.iter().any(|node| node.broker.upstreams() > 0) || is_there(&queue).await {
            tokio::task::yield_now().await;
        }
    }
}
