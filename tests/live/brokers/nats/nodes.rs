use stompbox::broker::BrokerError;

use crate::engine::Engine;
use crate::listener::{Listener, publish, send, texts};
use crate::rooms::room;
use crate::{node, url};

#[tokio::test]
#[ignore = "needs nats"]
async fn a_room_is_one_room_on_two_nodes() {
    let (one, other) = (node(&url()).await, node(&url()).await);
    let room = room();
    let listeners = [Listener::new(&one, &room).await, Listener::new(&other, &room).await];
    let mut sent = Vec::new();
    for number in 0..500 {
        sent.push(send(&one, &room, &format!("one-{number}")));
        sent.push(send(&other, &room, &format!("other-{number}")));
    }
    for outcome in sent {
        outcome.await.unwrap();
    }
    for listener in &listeners {
        let received = listener.mailbox.wait_for(1000, crate::listener::PATIENCE).await.unwrap();
        let came = texts(&received);
        for publisher in ["one-", "other-"] {
            let numbers = came.iter().filter_map(|body| body.strip_prefix(publisher));
            let expected = (0..500).map(|number: u32| number.to_string());
            assert!(numbers.eq(expected), "{publisher}: {came:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs nats"]
async fn however_many_listen_the_engine_sends_a_message_once() {
    let engine = Engine::start("once");
    let (listening, publishing) = (node(&engine.url).await, node(&engine.url).await);
    let room = room();
    let mut listeners = Vec::new();
    for _ in 0..1000 {
        listeners.push(Listener::new(&listening, &room).await);
    }
    let subject = room.trim_start_matches('/').replace('/', ".");
    assert_eq!(engine.connections().matches(&subject).count(), 1);
    let before = sent_by(&engine);
    for number in 0..100 {
        publish(&publishing, &room, &number.to_string()).await.unwrap();
    }
    for listener in &listeners {
        listener.until("99").await;
        listener.leave(&listening);
    }
    // Each node was also answered: the one that published at most once a message, each once a second.
    let sent = sent_by(&engine) - before;
    assert!((200..=300).contains(&sent), "{sent} messages were sent");
    // What is published later is confirmed later: by then the engine knows that nobody listens.
    publish(&listening, &room, "nobody hears").await.unwrap();
    assert_eq!((listening.upstreams(), listening.router().destinations()), (0, 0));
}

/// How many messages the engine has sent to all of its clients.
fn sent_by(engine: &Engine) -> u64 {
    let answer = engine.connections();
    let counts = answer.lines().filter_map(|line| line.trim().strip_prefix("\"out_msgs\": "));
    counts.map(|count| count.trim_end_matches(',').parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_the_engine_does_not_permit_is_refused() {
    let configuration = r#"
        authorization {
            users = [{
                user: node, password: "s3cret/",
                permissions: { publish: ["topic.open", "_INBOX.>"], subscribe: ["topic.open", "_INBOX.>"] }
            }]
        }
    "#;
    let engine = Engine::start_with("denied", configuration);
    let node = node(&engine.url.replace("nats://", "nats://node:s3cret%2F@")).await;
    let open = Listener::new(&node, "/topic/open").await;
    // The first ones may be taken, since the client tells of a denial a moment late.
    let mut refused = Ok(());
    for _ in 0..1_000 {
        refused = publish(&node, "/topic/closed", "0").await;
        if refused.is_err() {
            break;
        }
    }
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    for closed in ["/topic/closed", "/topic/**"] {
        for _ in 0..1_000 {
            match Listener::try_new(&node, closed).await {
                Ok(taken) => taken.leave(&node),
                Err(error) => {
                    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
                    break;
                }
            }
        }
    }
    for _ in 0..20 {
        let refused = publish(&node, "/topic/closed", "1").await;
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
        for closed in ["/topic/closed", "/topic/**"] {
            let refused = Listener::try_new(&node, closed).await.err();
            assert!(matches!(refused, Some(BrokerError::Refused { .. })), "{refused:?}");
        }
        publish(&node, "/topic/open", "1").await.unwrap();
    }
    publish(&node, "/topic/open", "end").await.unwrap();
    assert_eq!(open.until("end").await.len(), 21);
}

#[tokio::test]
#[ignore = "needs nats"]
async fn other_programs_at_the_engine_take_part() {
    use futures_util::StreamExt;

    let node = node(&url()).await;
    let room = room();
    let subject = room.trim_start_matches('/').replace('/', ".");
    let client = async_nats::connect(url()).await.unwrap();
    let mut theirs = client.subscribe(subject.clone()).await.unwrap();
    client.flush().await.unwrap();
    let ours = Listener::new(&node, &room).await;

    let mut headers = async_nats::HeaderMap::new();
    headers.insert("content-type", "text/plain");
    client.publish_with_headers(subject.clone(), headers, "from them".into()).await.unwrap();
    let received = ours.until("from them").await;
    assert_eq!(received[0].header("content-type"), Some("text/plain"));
    assert_eq!(received[0].header("destination"), Some(room.as_str()));

    publish(&node, &room, "from us").await.unwrap();
    let bodies = [theirs.next().await, theirs.next().await].map(|it| it.unwrap().payload);
    assert_eq!(bodies, ["from them", "from us"]);
}
