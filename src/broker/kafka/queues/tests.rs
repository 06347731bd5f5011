use super::super::super::{BrokerError, Message, Outlet, Settlement, Taken};
use super::super::keeping::LONGEST;
use super::super::queue::LINGER;
use super::*;
use crate::session::{Delivery, SubscriptionKey};
use rdkafka::Offset;

/// A connection that takes everything.
#[derive(Default)]
struct Connection {
    delivered: Mutex<Vec<(u64, u32)>>,
    refused: Mutex<Vec<String>>,
}

impl Outlet for Connection {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        self.delivered.lock().extend(deliveries.iter().map(|it| (it.tag(), it.attempt())));
        Taken::Written
    }

    fn refuse(&self, _: SubscriptionKey, error: &BrokerError) {
        self.refused.lock().push(error.to_string());
    }
}

impl Connection {
    fn tags(&self) -> Vec<u64> {
        self.delivered.lock().iter().map(|(tag, _)| *tag).collect()
    }
}

fn work() -> Destination {
    "/queue/work".parse().unwrap()
}

fn id() -> SubscriberId {
    SubscriberId { connection: 1, subscription: SubscriptionKey::new(0, 0) }
}

/// One consumer that settles.
fn queues(prefetch: usize) -> (Queues, Arc<Connection>) {
    let (queues, connection) = (Queues::default(), Arc::new(Connection::default()));
    let subscriber = Subscriber::new(id(), connection.clone()).with_settles(true);
    queues.join(&work(), "work", subscriber.with_prefetch(Some(prefetch)));
    queues.assigned(&partitions());
    (queues, connection)
}

/// Records come of a partition of which nothing may have been delivered before.
fn arrive(queues: &Queues, offsets: std::ops::Range<i64>) {
    arrive_again(queues, offsets, 0);
}

/// As above, but what stands before an offset may have been delivered.
fn arrive_again(queues: &Queues, offsets: std::ops::Range<i64>, doubtful: i64) {
    let queue = queues.receiving("work").unwrap();
    for offset in offsets {
        let message = Message::builder(work()).body(offset.to_string());
        queues.arrived(&queue, Place { partition: 3, offset }, message.into_shared());
        for question in queues.take_questions() {
            queues.answer(&question, doubtful);
            queues.committed(&queues.to_commit().unwrap(), |_| Kept::Yes, Instant::now());
        }
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
    let (queues, connection) = queues(10);
    arrive(&queues, 0..5);
    let tags = connection.tags();
    acknowledge(&queues, &[tags[0], tags[1], tags[3]]);
    let queue = queues.of_topic("work").unwrap();
    assert!(queues.to_commit().is_none(), "nobody has looked");
    queues.note_settled(&queue);
    assert_eq!(place(&queues.to_commit().unwrap()), (Offset::Offset(2), "open".to_owned()));
    assert!(queues.to_commit().is_none());
    queues.take_touched();
    queues.committed(&partitions(), |_| Kept::No, Instant::now());
    assert_eq!(queues.take_touched().len(), 1);
    assert_eq!(place(&queues.to_commit().unwrap()).0, Offset::Offset(2));
}

#[test]
fn what_is_given_back_says_what_may_have_been_delivered() {
    let (queues, connection) = queues(3);
    arrive_again(&queues, 0..6, 1);
    assert_eq!(*connection.delivered.lock(), [(1, 2), (2, 1), (3, 1)]);
    acknowledge(&queues, &connection.tags()[..1]);
    // The fourth was delivered now, and two wait.
    let list = queues.give_back(&partitions());
    assert_eq!(place(&list), (Offset::Offset(1), "seen=4".to_owned()));
    assert_eq!(queues.of_topic("work").unwrap().consumers.ready(), 0);
    // It is others' now.
    acknowledge(&queues, &connection.tags());
    assert!(queues.to_commit().is_none());
    assert_eq!(queues.give_back(&partitions()).count(), 0);
}

#[test]
fn a_queue_is_left_a_while_after_its_last_consumer() {
    let (queues, now) = (queues(3).0, Instant::now());
    assert_eq!(queues.wanted(now), (BTreeSet::from(["work".to_owned()]), None));
    assert!(queues.take_others() && !queues.take_others());
    arrive(&queues, 0..1);
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
    let (queues, connection) = queues(20);
    let queue = queues.receiving("work").unwrap();
    arrive(&queues, 0..31);
    assert_eq!(queues.note_settled(&queue), (false, vec![]), "11 wait");
    arrive(&queues, 31..40);
    assert_eq!(queues.note_settled(&queue), (true, vec![3]));
    queues.paused(&queue, &[3], true);
    assert_eq!(queues.note_settled(&queue), (true, vec![]));
    acknowledge(&queues, &connection.tags()[..5]);
    assert_eq!(queues.note_settled(&queue), (false, vec![]), "15 wait");

    // Another partition comes, which is not paused: the first one is not forgotten.
    let mut another = TopicPartitionList::new();
    another.add_partition("work", 4);
    queues.assigned(&another);
    acknowledge(&queues, &connection.tags()[5..10]);
    assert_eq!(queues.note_settled(&queue), (false, vec![3]));
    queues.paused(&queue, &[3], false);
    queues.leave(&work(), id());
    assert_eq!(queues.note_settled(&queue), (true, vec![3, 4]));
}

#[test]
fn what_comes_waits_until_it_is_known_and_noted_that_this_node_begins() {
    let (queues, connection) = queues(10);
    let queue = queues.receiving("work").unwrap();
    let arrive = |offset| {
        let message = Message::builder(work()).body("");
        queues.arrived(&queue, Place { partition: 3, offset }, message.into_shared());
    };
    (0..2).for_each(arrive);
    let questions = queues.take_questions();
    assert_eq!(questions.len(), 1);
    assert!(queues.asks(&questions[0]) && queues.to_commit().is_none());

    // The partition goes, and comes again: what was asked before is no answer.
    assert_eq!(queues.give_back(&partitions()).count(), 0);
    queues.assigned(&partitions());
    arrive(2);
    assert!(!queues.asks(&questions[0]));
    queues.answer(&questions[0], 0);
    assert!(queues.to_commit().is_none());

    let question = queues.take_questions().remove(0);
    queues.answer(&question, 3);
    assert!(queues.take_answered() && !queues.take_answered());
    assert_eq!(place(&queues.to_commit().unwrap()), (Offset::Offset(2), "open".to_owned()));
    arrive(3);
    queues.committed(&partitions(), |_| Kept::No, Instant::now());
    assert!(queue.consumers.ready() == 0, "it is not noted");
    let list = queues.to_commit().unwrap();
    queues.committed(&list, |_| Kept::Yes, Instant::now());
    queue.consumers.dispatch(Instant::now());
    assert_eq!(*connection.delivered.lock(), [(1, 2), (2, 1)]);
    assert!(queues.take_questions().is_empty());
}

#[test]
fn what_waits_to_be_delivered_is_bounded_as_well() {
    let queues = queues(20).0;
    let queue = queues.receiving("work").unwrap();
    for offset in 0..20 {
        assert_eq!(queues.note_settled(&queue), (false, vec![]));
        let message = Message::builder(work()).body("");
        queues.arrived(&queue, Place { partition: 3, offset }, message.into_shared());
    }
    assert_eq!(queues.note_settled(&queue), (true, vec![3]));
}

/// What is committed of one record that waits until this node may deliver it.
fn begin(queues: &Queues) -> TopicPartitionList {
    let queue = queues.receiving("work").unwrap();
    let message = Message::builder(work()).body("");
    queues.arrived(&queue, Place { partition: 3, offset: 5 }, message.into_shared());
    queues.answer(&queues.take_questions()[0], 0);
    queues.to_commit().unwrap()
}

#[test]
fn an_engine_that_loses_notes_is_consumed_from() {
    let (queues, connection) = queues(10);
    let list = begin(&queues);
    let mut found = TopicPartitionList::new();
    found.add_partition_offset("work", 3, Offset::Offset(5)).unwrap();
    queues.committed(
        &list,
        |it| Kept::of(it, found.find_partition("work", 3).as_ref()),
        Instant::now(),
    );
    queues.of_topic("work").unwrap().consumers.dispatch(Instant::now());
    assert_eq!(connection.tags().len(), 1);
}

#[test]
fn where_nothing_is_kept_for_long_the_consumers_are_told() {
    let (queues, connection) = queues(10);
    let (list, now) = (begin(&queues), Instant::now());
    for (kept, at) in [
        (Kept::No, now),
        (Kept::Unknown, now + LONGEST / 2),
        (Kept::No, now + LONGEST),
        (Kept::No, now + LONGEST * 3 / 2),
    ] {
        queues.committed(&list, |_| kept, at);
        assert!(queues.to_commit().is_some(), "it is tried again");
        assert_eq!(*connection.refused.lock(), [""; 0]);
    }
    queues.committed(&list, |_| Kept::No, now + LONGEST * 2);
    let said = "Kafka refuses /queue/work: it does not keep the offsets that are committed";
    assert_eq!(*connection.refused.lock(), [said]);
    assert!(connection.tags().is_empty());
}
