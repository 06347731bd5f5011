use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem as Committed;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{sleep, sleep_until};

use super::super::engine::Backoff;
use super::asking::blocking;
use super::consuming::{HEARTBEAT, Member};
use super::keeping::{Kept, Patience};
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
    let (mut backoff, mut patience) = (Backoff::new(), Patience::default());
    loop {
        let answered = answer(&node, &member, &questions, calm).await;
        // Those that are not answered now are asked again.
        questions.retain(|question| node.queues.asks(question));
        if questions.is_empty() {
            return;
        }
        match answered.err().as_ref().and_then(said_by_kafka) {
            None => patience.begin_anew(),
            Some(code) if patience.is_over(Instant::now()) => {
                for question in &questions {
                    node.queues.refuse(&question.topic, &code.to_string());
                }
            }
            Some(_) => {}
        }
        sleep(backoff.delay()).await;
    }
}

/// Answers what can be. The error is why something cannot.
async fn answer(
    node: &Arc<Node>,
    member: &Arc<Member>,
    questions: &[Question],
    calm: Instant,
) -> KafkaResult<()> {
    let (unsure, failed) = answer_by_notes(node, member, questions).await?;
    if !unsure.is_empty() {
        // Whoever had these may not have heard yet that it has them no more.
        sleep_until(calm.into()).await;
        answer_by_ends(node, unsure).await?;
    }
    failed
}

/// What Kafka itself has said, and not librdkafka, which did not reach it.
fn said_by_kafka(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    error.rdkafka_error_code().filter(|code| *code as i32 > 0)
}

/// Answers for partitions that nobody has had, or whoever had them has given back. Returns the others,
/// and what is wrong with those of which it has to be asked again.
async fn answer_by_notes(
    node: &Node,
    member: &Arc<Member>,
    questions: &[Question],
) -> KafkaResult<(Vec<Question>, KafkaResult<()>)> {
    let mut list = TopicPartitionList::with_capacity(questions.len());
    for Question { topic, place, .. } in questions {
        list.add_partition(topic, place.partition);
    }
    let member = Arc::clone(member);
    let committed = blocking(move || member.committed_offsets(list, ANSWER)).await?;
    let (mut unsure, mut failed) = (Vec::new(), Ok(()));
    for question in questions {
        let place = committed.find_partition(&question.topic, question.place.partition);
        let Some(place) = place else { continue };
        if let Err(error) = place.error() {
            failed = Err(error);
            continue;
        }
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
    Ok((unsure, failed))
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
    let kept = |place: &Committed<'_>| match &committed {
        Ok(all) => Kept::of(place, all.find_partition(place.topic(), place.partition()).as_ref()),
        Err(_) => Kept::Unknown,
    };
    node.queues.committed(&list, kept, Instant::now());
}
