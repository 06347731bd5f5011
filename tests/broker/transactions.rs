//! COMMIT at the in-memory broker: all of it or nothing (PROTOCOL row S6).

use std::sync::Barrier;

use stompbox::broker::{
    Broker, BrokerError, MemoryBroker, Operation, Settlement, TransactionGuarantee,
};

use crate::recorder::{
    Calls, Recorder, destination, message, queue_of, settle, settling, subscriber,
};

fn publish(name: &str, body: &str) -> Operation {
    Operation::Publish(message(name, body))
}

#[test]
fn s6_operations_take_effect_in_their_order() {
    let broker = MemoryBroker::new();
    assert_eq!(broker.capabilities().transactions, TransactionGuarantee::Atomic);
    let (queue, topic) = (Recorder::new(), Recorder::new());
    broker.joins("/queue/a", settling(0, &queue, 1)).unwrap();
    broker.joins("/topic/a", subscriber(1, &topic)).unwrap();
    broker.sends("/queue/a", "0").unwrap();
    let ack = settle("/queue/a", 0, &[queue.tag_of("0")], Settlement::Acknowledged);
    let operations = vec![
        publish("/topic/a", "1"),
        publish("/queue/a", "2"),
        Operation::Settle(ack),
        publish("/topic/a", "3"),
        publish("/queue/a", "4"),
    ];
    broker.commits(operations).unwrap();
    assert_eq!(topic.bodies(), ["1", "3"]);
    assert_eq!(queue.bodies(), ["0", "2"]);
    assert_eq!(broker.queued(&destination("/queue/a")), 2);
}

#[test]
fn s6_nothing_is_applied_if_one_is_refused() {
    let room = message("/queue/a", "1").shared().size();
    let measured = MemoryBroker::new();
    measured.sends("/queue/a", "1").unwrap();
    let one_in_a_queue = measured.queued_bytes();
    let total = 2 * one_in_a_queue + room;
    let broker = MemoryBroker::builder().otherwise(queue_of(2 * room)).total_bytes(total).build();
    let topic = Recorder::new();
    broker.joins("/topic/a", subscriber(0, &topic)).unwrap();
    let queues = |names: &[&str]| {
        let first = publish("/topic/a", "never seen");
        std::iter::once(first).chain(names.iter().map(|name| publish(name, "1"))).collect()
    };
    let refused = broker.commits(queues(&["/queue/a", "/queue/a", "/queue/a"]));
    assert!(matches!(refused, Err(BrokerError::Full { .. })), "{refused:?}");
    let refused = broker.commits(queues(&["/queue/a", "/queue/b", "/queue/c", "/queue/d"]));
    assert!(matches!(refused, Err(BrokerError::AllFull { .. })), "{refused:?}");
    let refused = broker.commits(queues(&["/queue/a", "/nobody/handles/this"]));
    assert!(matches!(refused, Err(BrokerError::UnknownDestination { .. })), "{refused:?}");
    let refused = broker.commits(queues(&["/queue/a", "/topic/*"]));
    assert!(matches!(refused, Err(BrokerError::SentToPattern { .. })), "{refused:?}");

    assert!(topic.bodies().is_empty());
    assert_eq!((broker.queues(), broker.queued_bytes()), (0, 0), "nothing is left of them");
    broker.commits(queues(&["/queue/a", "/queue/a", "/queue/b"])).unwrap();
}

#[test]
fn s6_a_commit_holds_together_whoever_else_publishes() {
    const ROUNDS: usize = 200;
    let room = message("/queue/a", "x").shared().size();
    let broker = MemoryBroker::builder().otherwise(queue_of(3 * room)).build();
    for _ in 0..ROUNDS {
        let start = Barrier::new(2);
        let committed = std::thread::scope(|scope| {
            let (broker, start) = (&broker, &start);
            scope.spawn(move || {
                start.wait();
                while broker.sends("/queue/a", "x").is_ok() {}
            });
            start.wait();
            broker.commits(vec![publish("/queue/a", "T"), publish("/queue/a", "T")])
        });
        let outlet = Recorder::new();
        broker.joins("/queue/a", subscriber(0, &outlet)).unwrap();
        broker.leaves("/queue/a", 0);
        let of_it = outlet.bodies().iter().filter(|body| *body == "T").count();
        assert_eq!(of_it, if committed.is_ok() { 2 } else { 0 });
    }
}

#[test]
fn an_empty_commit_does_nothing() {
    MemoryBroker::new().commits(Vec::new()).unwrap();
}
