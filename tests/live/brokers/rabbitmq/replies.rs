//! Requests and their replies, over `/temp-queue/…`.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use stompbox::testkit::Mailbox;

use crate::client::{Client, header};
use crate::engine::{plugin, url};
use crate::node::{Node, PATIENCE, bodies, unique, until};
use crate::program::Program;

/// What one asks and another answers.
struct Requests {
    queue: String,
    asking: Client,
    answering: Client,
}

impl Requests {
    /// With the addresses of who asks and who answers.
    fn new(asking: &str, answering: &str) -> Self {
        let queue = unique("/queue").replace("/queue/", "/queue/requests-");
        let (asking, mut answering) = (Client::connect(asking), Client::connect(answering));
        answering.subscribe(&queue, "");
        Self { queue, asking, answering }
    }

    /// Asks. Returns where to send the reply to.
    fn ask(&mut self, body: &str) -> String {
        let queue = &self.queue;
        let reply_to = "reply-to:/temp-queue/prices";
        self.asking.send(&format!("SEND\ndestination:{queue}\n{reply_to}\n\n{body}"));
        let request = self.answering.expect(body, &[]);
        header(&request, "reply-to").to_owned()
    }

    fn ask_and_answer(&mut self) -> String {
        let reply_to = self.ask("what does it cost?");
        self.answering.publish(&reply_to, "correlation-id:c-1\n", "five");
        let came = ["subscription:/temp-queue/prices", "correlation-id:c-1"];
        self.asking.expect("five", &came);
        reply_to
    }
}

#[test]
#[ignore = "needs rabbitmq"]
fn who_answers_may_be_on_another_node() {
    let (here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let mut requests = Requests::new(&here.tcp, &there.tcp);
    let reply_to = requests.ask_and_answer();
    assert!(reply_to.starts_with("/temp-queue/") && reply_to.ends_with("/prices"), "{reply_to}");
    assert_eq!(requests.ask_and_answer(), reply_to);
}

#[test]
#[ignore = "needs rabbitmq"]
fn who_answers_may_be_a_client_of_the_plugin() {
    let program = Program::start(&url(), &[]);
    let reply_to = Requests::new(&program.tcp, &plugin()).ask_and_answer();
    assert!(reply_to.starts_with("/reply-queue/stompbox/temp-queue/"), "{reply_to}");
}

#[test]
#[ignore = "needs rabbitmq"]
fn who_asks_may_be_a_client_of_the_plugin() {
    let program = Program::start(&url(), &[]);
    let reply_to = Requests::new(&plugin(), &program.tcp).ask_and_answer();
    assert!(reply_to.starts_with("/reply-queue/"), "{reply_to}");
}

#[test]
#[ignore = "needs rabbitmq"]
fn a_reply_at_once_finds_its_queue() {
    let (here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    for _ in 0..50 {
        Requests::new(&here.tcp, &there.tcp).ask_and_answer();
    }
}

#[test]
#[ignore = "needs rabbitmq"]
fn nobody_else_reads_the_replies() {
    let (here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let mut requests = Requests::new(&here.tcp, &there.tcp);
    let reply_to = requests.ask_and_answer();
    let queue = format!("stompbox{reply_to}");
    for (address, name) in [
        (&here.tcp, &reply_to),
        (&here.tcp, &format!("/amq/queue/{queue}")),
        (&here.tcp, &format!("/queue/{queue}")),
        (&there.tcp, &reply_to),
        (&plugin(), &format!("/amq/queue/{}", queue.replace('/', "%2F"))),
    ] {
        let mut curious = Client::connect(address);
        curious.send(&format!("SUBSCRIBE\nid:0\nreceipt:r\ndestination:{name}\n\n"));
        let answer = curious.receive();
        assert!(answer.starts_with("ERROR\n"), "{name}: {answer}");
    }
    requests.ask_and_answer();
}

#[test]
#[ignore = "needs rabbitmq"]
fn a_late_reply_is_dropped() {
    let (here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let mut requests = Requests::new(&here.tcp, &there.tcp);
    let reply_to = requests.ask("never mind");
    let Requests { mut asking, mut answering, .. } = requests;
    asking.send("UNSUBSCRIBE\nid:/temp-queue/prices\nreceipt:u\n\n");
    assert_eq!(asking.receive(), "RECEIPT\nreceipt-id:u\n\n");
    for _ in 0..2 {
        answering.publish(&reply_to, "", "too late");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_queue_for_replies_goes_with_its_client() {
    let program = Program::start(&url(), &[]);
    let queue = tokio::task::block_in_place(|| {
        let reply_to = Requests::new(&program.tcp, &plugin()).ask_and_answer();
        reply_to.trim_start_matches("/reply-queue/").to_owned()
    });
    let engine = lapin::Connection::connect(&url(), <_>::default()).await.expect("a RabbitMQ");
    let gone = async {
        loop {
            let channel = engine.create_channel().await.expect("a channel");
            let options = QueueDeclareOptions { passive: true, ..<_>::default() };
            let asked = channel.queue_declare((&*queue).into(), options, <_>::default()).await;
            // While it is there, it is exclusive to the connection of the node.
            if asked.expect_err("it is nobody else's").to_string().contains("NOT_FOUND") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it goes");
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn what_a_lost_connection_still_holds_is_waited_for() {
    let node = Node::start(&url()).await;
    let replies = unique("/temp-queue/0f");
    // It stands for the connection that the node had.
    let before = lapin::Connection::connect(&url(), <_>::default()).await.expect("a RabbitMQ");
    let channel = before.create_channel().await.expect("a channel");
    let options = QueueDeclareOptions { exclusive: true, ..<_>::default() };
    let queue = format!("stompbox{replies}");
    let declared = channel.queue_declare((&*queue).into(), options, <_>::default()).await;
    declared.expect("a queue");
    let mailbox = Mailbox::new();
    let subscribed = node.subscribe(&replies, &mailbox);
    tokio::pin!(subscribed);
    tokio::select! {
        _ = &mut subscribed => panic!("it is exclusive to another connection"),
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    before.close(200, "".into()).await.expect("it closes");
    subscribed.await;
    node.publish(&replies, "five").await;
    assert_eq!(bodies(&until(&mailbox, "five").await), ["five"]);
}
