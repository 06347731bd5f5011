use crate::listener::{Listener, publish, room, send, texts};
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
async fn however_many_listen_there_is_one_subscription_at_the_engine() {
    let node = node(&url()).await;
    let room = room();
    let mut listeners = Vec::new();
    for _ in 0..1000 {
        listeners.push(Listener::new(&node, &room).await);
    }
    assert_eq!(node.upstreams(), 1);
    publish(&node, &room, "hello").await.unwrap();
    for listener in &listeners {
        assert_eq!(texts(&listener.until("hello").await), ["hello"]);
        listener.leave(&node);
    }
    // What was sent later is confirmed later: by then the engine knows that nobody listens.
    publish(&node, &room, "nobody hears").await.unwrap();
    assert_eq!((node.upstreams(), node.router().destinations()), (0, 0));
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
