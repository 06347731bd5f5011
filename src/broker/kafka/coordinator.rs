use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{sleep, sleep_until};

use super::super::engine::Backoff;
use super::asking::blocking;
use super::consuming::{HEARTBEAT, Member};
use super::ledger::Note;
use super::node::Node;
use super::opening::Question;
use super::progress::Need;

/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Finds out up to where the messages of partitions may have been delivered by whoever had them before
/// this node. Meanwhile the member goes on, since the group may wait for it.
pub(super) async fn ask(node: Arc<Node>, member: Arc<Member>, mut questions: Vec<Question>) {
    let calm = Instant::now() + HEARTBEAT * 2;
    let mut backoff = Backoff::new();
    while !questions.is_empty() {
        let unsure = answer_by_notes(&node, &member, &questions).await;
        if unsure.as_ref().is_ok_and(|unsure| !unsure.is_empty()) {
            // Whoever had these may not have heard yet that it has them no more.
            sleep_until(calm.into()).await;
        }
        let answered = match unsure {
            Ok(unsure) => answer_by_ends(&node, unsure).await,
            Err(error) => Err(error),
        };
        if answered.is_err() {
            sleep(backoff.delay()).await;
        }
        questions.retain(|question| node.queues.asks(question));
    }
}

/// Answers for partitions that nobody has had, or whoever had them has given back. Returns the others.
async fn answer_by_notes(
    node: &Node,
    member: &Arc<Member>,
    questions: &[Question],
) -> KafkaResult<Vec<Question>> {
    let mut list = TopicPartitionList::with_capacity(questions.len());
    for Question { topic, place, .. } in questions {
        list.add_partition(topic, place.partition);
    }
    let member = Arc::clone(member);
    let committed = blocking(move || member.committed_offsets(list, ANSWER)).await?;
    let mut unsure = Vec::new();
    for question in questions {
        let place = committed.find_partition(&question.topic, question.place.partition);
        let doubtful = match place {
            Some(place) => {
                place.error()?;
                match place.offset() {
                    Offset::Offset(_) => Note::read(place.metadata()),
                    // Nothing was ever committed.
                    _ => Some(0),
                }
            }
            None => None,
        };
        match doubtful {
            Some(doubtful) => node.queues.answer(question, doubtful),
            None => unsure.push(question.clone()),
        }
    }
    Ok(unsure)
}

/// Answers that all that is there now may have been delivered.
async fn answer_by_ends(node: &Arc<Node>, questions: Vec<Question>) -> KafkaResult<()> {
    let place = |Question { topic, place, .. }: &Question| Need {
        topic: topic.clone(),
        partition: place.partition,
        offset: place.offset,
    };
    let (places, asks) = (questions.iter().map(place).collect::<Vec<_>>(), Arc::clone(node));
    let ends = blocking(move || asks.asking.offsets(&places, Offset::End)).await?;
    for question in questions {
        let end = ends
            .iter()
            .find(|end| (&end.topic, end.partition) == (&question.topic, question.place.partition));
        node.queues.answer(&question, end.map_or(i64::MAX, |end| end.offset));
    }
    Ok(())
}

/// Sees whether Kafka has what was just committed. librdkafka tells nobody: it may have been refused
/// while partitions were being given to members, or have been lost with a server of Kafka.
pub(super) async fn verify(node: Arc<Node>, member: Arc<Member>, list: TopicPartitionList) {
    let asked = list.clone();
    let committed = blocking(move || member.committed_offsets(asked, ANSWER)).await;
    node.queues.committed(&list, |place| {
        let found = committed.as_ref().ok();
        let found = found.and_then(|all| all.find_partition(place.topic(), place.partition()));
        found.is_some_and(|found| {
            found.offset() == place.offset() && found.metadata() == place.metadata()
        })
    });
}
