use super::super::super::{Message, Outlet, Settlement, Taken};
use super::*;
use crate::session::{Delivery, SubscriptionKey};

/// A connection that takes everything.
#[derive(Default)]
struct Connection(Mutex<Vec<(u64, u32)>>);

impl Outlet for Connection {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        self.0.lock().extend(deliveries.iter().map(|it| (it.tag(), it.attempt())));
        Taken::Written
    }
}

impl Connection {
    fn tags(&self) -> Vec<u64> {
        self.0.lock().iter().map(|(tag, _)| *tag).collect()
    }
}

fn work() -> Destination {
    "/queue/work".parse().unwrap()
}

fn id() -> SubscriberId {
    SubscriberId { connection: 1, subscription: SubscriptionKey::new(0, 0) }
}

/// One consumer that settles, and a partition of which nothing came yet.
fn queues(prefetch: usize, doubtful: i64) -> (Queues, Arc<Connection>) {
    let (queues, connection) = (Queues::default(), Arc::new(Connection::default()));
    let subscriber = Subscriber::new(id(), connection.clone()).with_settles(true);
    queues.join(&work(), "work", subscriber.with_prefetch(Some(prefetch)));
    let queue = queues.of_topic("work").unwrap();
    queues.hold(&queue, 3, Ledger::new(0, doubtful));
    (queues, connection)
}

fn arrive(queues: &Queues, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        let place = Place { partition: 3, offset };
        let (queue, attempts) = queues.arrived("work", place).unwrap();
        let message = Message::builder(work()).body(offset.to_string());
        queue.consumers.arrived(place, message.into_shared(), attempts);
        queue.consumers.dispatch(Instant::now());
    }
}

fn acknowledge(queues: &Queues, tags: &[u64]) {
    let settlement = Settlement::Acknowledged;
    let settle = Settle { destination: work(), subscriber: id(), tags: tags.to_vec(), settlement };
    queues.settle(&settle, Instant::now());
}

/// The one place of a list: its offset, and what is noted there.
fn place(list: &TopicPartitionList) -> (Offset, String) {
    let all = list.elements();
    assert_eq!((all.len(), all[0].topic(), all[0].partition()), (1, "work", 3));
    (all[0].offset(), all[0].metadata().to_owned())
}

fn partitions() -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition("work", 3);
    list.add_partition("another", 3);
    list
}

#[test]
fn what_is_settled_is_committed_up_to_what_is_not() {
    let (queues, connection) = queues(10, 0);
    arrive(&queues, 0..5);
    let tags = connection.tags();
    acknowledge(&queues, &[tags[0], tags[1], tags[3]]);
    let queue = queues.of_topic("work").unwrap();
    assert!(queues.to_commit().is_none(), "nobody has looked");
    assert!(!queues.note_settled(&queue));
    assert_eq!(place(&queues.to_commit().unwrap()), (Offset::Offset(2), "open".to_owned()));
    assert!(queues.to_commit().is_none());
    queues.take_touched();
    queues.commit_again(&partitions());
    assert_eq!(queues.take_touched().len(), 1);
    assert_eq!(place(&queues.to_commit().unwrap()).0, Offset::Offset(2));
}

#[test]
fn what_is_given_back_says_what_may_have_been_delivered() {
    let (queues, connection) = queues(3, 1);
    arrive(&queues, 0..6);
    assert_eq!(*connection.0.lock(), [(1, 2), (2, 1), (3, 1)]);
    acknowledge(&queues, &connection.tags()[..1]);
    // The fourth was delivered now, and two wait.
    let list = queues.give_back(&partitions());
    assert_eq!(place(&list), (Offset::Offset(1), "seen=4".to_owned()));
    assert!(!queues.is_held("work", 3));
    assert_eq!(queues.of_topic("work").unwrap().consumers.ready(), 0);
    // It is others' now.
    acknowledge(&queues, &connection.tags());
    assert!(queues.to_commit().is_none());
    assert_eq!(queues.give_back(&partitions()).count(), 0);
}

#[test]
fn a_queue_is_left_a_while_after_its_last_consumer() {
    let (queues, now) = (queues(3, 0).0, Instant::now());
    assert_eq!(queues.wanted(now), (BTreeSet::from(["work".to_owned()]), None));
    assert!(queues.take_others() && !queues.take_others());
    queues.leave(&work(), id());
    assert!(queues.take_others());
    assert_eq!(queues.wanted(now).1, Some(now + LINGER));
    let (wanted, again) = queues.wanted(now + LINGER);
    assert!(wanted.is_empty() && again.is_none());
    assert!(queues.queue(&work()).is_some(), "its partitions are to be given back first");
    queues.give_back(&partitions());
    queues.wanted(now + LINGER);
    assert!(queues.queue(&work()).is_none());
}

#[test]
fn as_much_is_read_ahead_as_the_consumers_have_credit_for() {
    let queues = queues(20, 0).0;
    let queue = queues.of_topic("work").unwrap();
    assert_eq!(queue.wants_more(), Some(true));
    arrive(&queues, 0..31);
    assert_eq!(queue.wants_more(), None, "11 wait");
    arrive(&queues, 31..40);
    assert_eq!(queue.wants_more(), Some(false));
    queues.leave(&work(), id());
    assert_eq!(queue.wants_more(), Some(false));
}
