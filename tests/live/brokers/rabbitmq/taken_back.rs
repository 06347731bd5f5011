//! Subscriptions that RabbitMQ had confirmed and then takes back.

use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use stompbox::broker::BrokerError;
use stompbox::testkit::Mailbox;

use crate::engine::{ctl, url};
use crate::node::{Node, PATIENCE, bodies, unique, until};
use crate::program::Program;

/// Who may do everything with a queue.
pub(crate) struct Admin(lapin::Connection);

impl Admin {
    pub(crate) async fn connect() -> Self {
        Self(lapin::Connection::connect(&url(), <_>::default()).await.expect("a RabbitMQ"))
    }

    async fn declare(&self, queue: &str) -> lapin::Result<()> {
        declare_other(&self.0.create_channel().await?, queue).await
    }

    /// Puts another queue in the place of one, both at once: a node that is told of the end of the
    /// first declares its own again in no time.
    async fn replace(&self, queue: &str) -> lapin::Result<()> {
        let channel = self.0.create_channel().await?;
        let at_once = QueueDeleteOptions { nowait: true, ..QueueDeleteOptions::default() };
        channel.queue_delete(queue.into(), at_once).await?;
        declare_other(&channel, queue).await
    }

    /// Waits until a node consumes from a queue.
    async fn until_consumed(&self, queue: &str) {
        let channel = self.0.create_channel().await.expect("a channel");
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let consumed = async {
            loop {
                let found = channel.queue_declare(queue.into(), passive, FieldTable::default());
                if found.await.expect("the queue is there").consumer_count() > 0 {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, consumed).await.expect("the node consumes from it");
    }

    pub(crate) async fn delete(&self, queue: &str) {
        let channel = self.0.create_channel().await.expect("a channel");
        let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await;
        deleted.expect("it is deleted");
    }
}

/// Declares a queue that holds few messages and is not durable: another one than stompbox does.
async fn declare_other(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(10));
    let options = QueueDeclareOptions::default();
    channel.queue_declare(queue.into(), options, arguments).await.map(|_| ())
}

async fn refusal(mailbox: &Mailbox) -> String {
    match mailbox.wait_for_refusal(PATIENCE).await {
        Some(BrokerError::Refused { reason, .. }) => reason,
        other => panic!("it is not told: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_queue_that_is_deleted_ends_its_consumers_only() {
    let (admin, node) = (Admin::connect().await, Node::start(&url()).await);
    let queue = unique("queue").replace('/', "-");
    admin.declare(&queue).await.expect("a queue");
    let destination = format!("/amq/queue/{queue}");
    let (one, other, elsewhere) = (Mailbox::new(), Mailbox::new(), Mailbox::new());
    let topic = unique("/topic/room");
    node.subscribe(&destination, &one).await;
    node.subscribe(&destination, &other).await;
    node.subscribe(&topic, &elsewhere).await;
    admin.delete(&queue).await;
    for mailbox in [one, other] {
        let reason = refusal(&mailbox).await;
        assert!(reason.contains("NOT_FOUND") || reason.contains("no queue"), "{reason}");
    }
    node.publish(&topic, "end").await;
    assert_eq!(bodies(&until(&elsewhere, "end").await), ["end"]);
    assert!(!elsewhere.received()[0].gap, "the connection was lost");
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_queue_that_is_another_one_now_ends_its_consumers() {
    let (admin, node) = (Admin::connect().await, Node::start(&url()).await);
    let destination = unique("/queue").replace("/queue/", "/queue/changed-");
    let queue = destination.trim_start_matches("/queue/");
    let mailbox = Mailbox::new();
    node.subscribe(&destination, &mailbox).await;
    let replaced = async {
        loop {
            admin.until_consumed(queue).await;
            // The node may be quicker to declare it again.
            if admin.replace(queue).await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, replaced).await.expect("the queue is replaced");
    let reason = refusal(&mailbox).await;
    assert!(reason.contains("inequivalent arg"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn what_the_login_may_read_no_longer_ends() {
    let login = unique("login").replace('/', "-");
    let permit = |read: &str| {
        let host = "127.0.0.1";
        tokio::task::block_in_place(|| {
            ctl(&["set_permissions", "--vhost", host, &login, ".*", ".*", read]);
        });
    };
    tokio::task::block_in_place(|| ctl(&["add_user", &login, "secret"]));
    permit(".*");
    let node = Node::start(&url().replace("guest:guest@", &format!("{login}:secret@"))).await;
    let destinations = [
        unique("/topic/room"),
        unique("/exchange/amq.direct"),
        unique("/queue").replace("/queue/", "/queue/secret-"),
    ];
    let mailboxes = [Mailbox::new(), Mailbox::new(), Mailbox::new()];
    for (destination, mailbox) in destinations.iter().zip(&mailboxes) {
        node.subscribe(destination, mailbox).await;
    }
    // Only what it has made itself.
    permit("^amq\\.gen");
    tokio::task::block_in_place(|| ctl(&["close_all_user_connections", &login, "a test"]));
    for (destination, mailbox) in destinations.iter().zip(&mailboxes) {
        let reason = refusal(mailbox).await;
        assert!(reason.contains("ACCESS_REFUSED"), "{destination}: {reason}");
        assert!(!reason.contains("secret@"), "{reason}");
        let again = node.try_subscribe(destination, &Mailbox::new()).await;
        assert!(matches!(again, Err(BrokerError::Refused { .. })), "{destination}: {again:?}");
    }
    node.publish(&destinations[0], "it may still write").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_client_is_told_by_an_error_that_names_its_subscription() {
    let admin = Admin::connect().await;
    let queue = unique("queue").replace('/', "-");
    admin.declare(&queue).await.expect("a queue");
    let program = Program::start(&url(), &[]);
    let mut client = program.connect();
    client.subscribe(&format!("/amq/queue/{queue}"), "");
    admin.delete(&queue).await;
    let error = tokio::task::block_in_place(|| client.receive());
    assert!(error.starts_with("ERROR\n"), "{error}");
    for line in ["message:refused by the engine", "subscription:0"] {
        assert!(error.lines().any(|it| it == line), "{line}: {error}");
    }
}

/// Where queues are quorum queues a consumer cannot ask to be told of the end of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn queues_that_are_quorum_queues_are_consumed_too() {
    let host = unique("quorum").replace('/', "-");
    tokio::task::block_in_place(|| {
        ctl(&["add_vhost", &host, "--default-queue-type", "quorum"]);
        ctl(&["set_permissions", "--vhost", &host, "guest", ".*", ".*", ".*"]);
    });
    let url = url();
    let (server, _) = url.rsplit_once('/').expect("a virtual host");
    let node = Node::start(&format!("{server}/{host}")).await;
    for queue in ["/queue/one", "/queue/other"] {
        let consumer = node.consume(queue, 1).await;
        node.publish(queue, queue).await;
        let received = consumer.wait_for(1).await;
        assert_eq!(bodies(&received), [queue]);
        node.answer(node.acknowledge(&consumer, &received)).await.expect("acknowledged");
    }
    tokio::task::block_in_place(|| ctl(&["delete_vhost", &host]));
}
