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
        if let Ok(unsure) = answer_by_notes(&node, &member, &questions).await
            && !unsure.is_empty()
        {
            // Whoever had these may not have heard yet that it has them no more.
            sleep_until(calm.into()).await;
            // Those that are not answered now are asked again.
            drop(answer_by_ends(&node, unsure).await);
        }
        questions.retain(|question| node.queues.asks(question));
        if !questions.is_empty() {
            sleep(backoff.delay()).await;
        }
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
        // Of one that has an error it is asked again.
        let Some(place) = place.filter(|place| place.error().is_ok()) else { continue };
        let doubtful = match place.offset() {
            Offset::Offset(_) => Note::read(place.metadata()),
            // Nothing was ever committed.
            _ => Some(0),
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

/// Sees whether Kafka has what was just committed: rdkafka does not tell, if it is not waited for. It
/// may have been refused while partitions were being given to members, or lost with the connection.
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
