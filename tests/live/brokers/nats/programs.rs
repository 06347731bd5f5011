//! Two programs that share a room, as docs/brokers.md starts them.

use stompbox::broker::{BrokerError, BrokerOptions, NatsBroker};

use crate::engine::Engine;
use crate::listener::publish;
use crate::program::Program;
use crate::rooms::room;
use crate::sharing::two_programs_share;
use crate::{keeping_node, url};

#[test]
#[ignore = "needs nats"]
fn two_programs_share_a_room() {
    two_programs_share(&url(), &room());
}

#[test]
#[ignore = "needs nats"]
fn without_jetstream_a_room_is_shared_and_its_history_refused() {
    let engine = Engine::start_without_jetstream("programs-core");
    let program = Program::start(&engine.url, &[]);
    let (mut one, mut other) = (program.connect(), program.connect());
    one.subscribe("/topic/a", "");
    other.publish("/topic/a", "", "hello");
    assert!(one.receive().ends_with("\n\nhello"));
    other.send("SUBSCRIBE\nid:0\nreceipt:r\ndestination:/topic/a\nhistory:1\n\n");
    let error = other.receive();
    assert!(error.starts_with("ERROR\n") && error.contains("not supported"), "{error}");
}

const LOGIN: &str = r#"authorization { user: node, password: "s3cret/" }"#;

#[test]
#[ignore = "needs nats"]
fn they_may_speak_tls_and_log_in() {
    let engine = Engine::start_with_tls("programs-tls", LOGIN);
    let url = engine.url.replace("tls://", "tls://node:s3cret%2F@");
    let trusted = [("SSL_CERT_FILE", engine.certificate())];
    let (here, there) = (Program::start(&url, &trusted), Program::start(&url, &trusted));
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe("/topic/a", "");
    other.publish("/topic/a", "", "hello");
    assert!(one.receive().ends_with("\n\nhello"));
}

#[tokio::test]
#[ignore = "needs nats"]
async fn a_certificate_that_nobody_trusts_is_an_error_without_the_login() {
    let engine = Engine::start_with_tls("untrusted", LOGIN);
    let plain = engine.url.replace("tls://", "nats://");
    for (url, reason) in [(&engine.url, "ertificate"), (&plain, "")] {
        let url = url.replace("://", "://node:s3cret%2F@");
        let error = NatsBroker::connect(&url, BrokerOptions::default()).await.err().unwrap();
        let text = format!("{error} {error:?}");
        assert!(text.contains(reason) && !text.contains("s3cret"), "{text}");
    }
}

/// A login may be allowed to use JetStream, and not to have something kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_a_login_may_not_have_kept_is_refused() {
    let configuration = r#"
        authorization {
            users = [{
                user: node, password: secret,
                permissions: {
                    publish: ["stompbox-topics.topic.kept.open", "topic.>", "_INBOX.>", "$JS.API.>"]
                }
            }]
        }
    "#;
    let engine = Engine::start_with("kept-denied", configuration);
    let node = keeping_node(&engine.url.replace("nats://", "nats://node:secret@")).await;
    publish(&node, "/topic/kept/open", "0").await.unwrap();
    for _ in 0..3 {
        let refused = publish(&node, "/topic/kept/closed", "0").await;
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    }
    publish(&node, "/topic/kept/open", "1").await.unwrap();
    publish(&node, "/topic/live", "2").await.unwrap();
}
