//! Request and reply over queues that only one connection has.

use std::sync::Arc;

use stompbox::broker::MemoryBroker;
use stompbox::frame::{Command, Frame};
use stompbox::server::Server;

use super::peer::{Peer, listening};

const REQUESTS: &str = "/queue/requests";

/// A responder that has subscribed to the requests.
async fn responder(address: std::net::SocketAddr) -> Peer {
    let mut peer = Peer::connected(address).await;
    peer.subscribe("requests", REQUESTS).await;
    peer
}

async fn request(peer: &mut Peer, reply_to: &str, body: &str) {
    peer.send(&format!("SEND\ndestination:{REQUESTS}\nreply-to:{reply_to}\n\n{body}")).await;
}

fn text(frame: &Frame) -> String {
    assert_eq!(frame.command(), Command::Message, "{frame:?}");
    String::from_utf8(frame.body().to_vec()).unwrap()
}

fn reply_to(request: &Frame) -> String {
    request.header("reply-to").unwrap().into_owned()
}

#[tokio::test]
async fn a_reply_comes_by_the_name_that_the_client_chose() {
    let (_server, address) = listening(Server::builder()).await;
    let mut responder = responder(address).await;
    let mut requester = Peer::connected(address).await;
    for body in ["one", "two"] {
        request(&mut requester, "/temp-queue/prices", body).await;
        let request = responder.frame().await;
        assert_eq!(text(&request), body);
        let reply_to = reply_to(&request);
        let name = reply_to.strip_prefix("/temp-queue/").and_then(|it| it.strip_suffix("/prices"));
        assert_eq!(name.map(str::len), Some(32), "{reply_to}");
        responder.send(&format!("SEND\ndestination:{reply_to}\n\nre {body}")).await;
        let reply = requester.frame().await;
        assert_eq!(text(&reply), format!("re {body}"));
        assert_eq!(reply.header("subscription").as_deref(), Some("/temp-queue/prices"));
        assert_eq!(reply.header("ack"), None, "it settles itself");
    }
}

#[tokio::test]
async fn two_connections_may_choose_the_same_name() {
    let (_server, address) = listening(Server::builder()).await;
    let mut responder = responder(address).await;
    let mut requesters = [Peer::connected(address).await, Peer::connected(address).await];
    for (body, peer) in ["first", "second"].iter().zip(&mut requesters) {
        request(peer, "/temp-queue/a", body).await;
        let request = responder.frame().await;
        responder.send(&format!("SEND\ndestination:{}\n\nre {body}", reply_to(&request))).await;
    }
    for (body, peer) in ["first", "second"].iter().zip(&mut requesters) {
        assert_eq!(text(&peer.frame().await), format!("re {body}"));
    }
}

#[tokio::test]
async fn a_client_may_subscribe_itself_before_or_after() {
    let (_server, address) = listening(Server::builder()).await;
    let mut responder = responder(address).await;
    let mut requester = Peer::connected(address).await;
    for (name, before) in [("before", true), ("after", false)] {
        let queue = format!("/temp-queue/{name}");
        if before {
            requester.subscribe(name, &queue).await;
            request(&mut requester, &queue, name).await;
        } else {
            request(&mut requester, &queue, name).await;
            requester.subscribe(name, &queue).await;
        }
        let reply_to = reply_to(&responder.frame().await);
        for body in ["1", "2"] {
            responder.send(&format!("SEND\ndestination:{reply_to}\n\n{body}")).await;
            let reply = requester.frame().await;
            assert_eq!(text(&reply), body);
            assert_eq!(reply.header("subscription").as_deref(), Some(name));
        }
    }
    // It may send to itself as well.
    requester.send("SEND\ndestination:/temp-queue/after\n\n3").await;
    assert_eq!(text(&requester.frame().await), "3");
}

#[tokio::test]
async fn nobody_else_subscribes_to_the_replies() {
    let (_server, address) = listening(Server::builder()).await;
    let mut responder = responder(address).await;
    let mut requester = Peer::connected(address).await;
    request(&mut requester, "/temp-queue/a", "").await;
    let reply_to = reply_to(&responder.frame().await);
    responder.send(&format!("SUBSCRIBE\nid:1\ndestination:{reply_to}\n\n")).await;
    let error = responder.frame().await;
    assert_eq!(error.command(), Command::Error);
    assert_eq!(error.header("message").as_deref(), Some("not allowed"));
    // The one who asked may, by either name.
    requester.subscribe("mine", &reply_to).await;
}

#[tokio::test]
async fn a_reply_to_somebody_who_has_gone_is_dropped_and_counted() {
    let broker = Arc::new(MemoryBroker::new());
    let (server, address) = listening(Server::builder().shared_broker(broker.clone())).await;
    let mut responder = responder(address).await;
    let mut requester = Peer::connected(address).await;
    request(&mut requester, "/temp-queue/a", "").await;
    let reply_to = reply_to(&responder.frame().await);
    drop(requester);
    while server.connections() > 1 {
        tokio::task::yield_now().await;
    }
    responder.send(&format!("SEND\ndestination:{reply_to}\nreceipt:late\n\nre")).await;
    responder.expect_receipt("late").await;
    assert_eq!(broker.counters().undeliverable, 1);
    assert_eq!((broker.queues(), broker.queued_bytes()), (1, 0), "the requests' queue");
}

#[tokio::test]
async fn a_request_in_a_transaction_is_answered_as_well() {
    let (_server, address) = listening(Server::builder()).await;
    let mut responder = responder(address).await;
    let mut requester = Peer::connected(address).await;
    requester.send("BEGIN\ntransaction:t\n\n").await;
    let send = format!("SEND\ndestination:{REQUESTS}\nreply-to:/temp-queue/a\ntransaction:t\n\n?");
    requester.send(&send).await;
    requester.send("COMMIT\ntransaction:t\n\n").await;
    let reply_to = reply_to(&responder.frame().await);
    responder.send(&format!("SEND\ndestination:{reply_to}\n\n!")).await;
    assert_eq!(text(&requester.frame().await), "!");
}

#[tokio::test]
async fn the_prefix_is_the_brokers() {
    let broker = MemoryBroker::builder().temporary_queues("/replies/").build();
    let (_server, address) = listening(Server::builder().broker(broker)).await;
    let mut responder = responder(address).await;
    let mut requester = Peer::connected(address).await;
    // A name that means nothing here is passed on as it is.
    request(&mut requester, "/temp-queue/a", "").await;
    assert_eq!(reply_to(&responder.frame().await), "/temp-queue/a");
    request(&mut requester, "/replies/a", "").await;
    let reply_to = reply_to(&responder.frame().await);
    assert!(reply_to.starts_with("/replies/"), "{reply_to}");
    responder.send(&format!("SEND\ndestination:{reply_to}\n\nre")).await;
    assert_eq!(text(&requester.frame().await), "re");
}
