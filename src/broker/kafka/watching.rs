use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::super::engine::Backoff;
use super::node::Node;
use super::progress::Need;
use super::reading::News;

/// How often it is seen whether there are more topics and partitions.
const LOOK: Duration = Duration::from_secs(5);

/// Notices new partitions and topics, records that are gone before they were read, and a producer
/// that has failed.
pub(super) async fn watch(node: Arc<Node>, news: mpsc::UnboundedSender<News>) {
    loop {
        tokio::select! {
            () = node.missing.notified() => {
                let asks = Arc::clone(&node);
                match spawn_blocking(move || asks.look_for_losses()).await {
                    Ok(Ok(missed)) if missed.is_empty() => {}
                    Ok(Ok(missed)) => drop(news.send(News::Missed(missed))),
                    // It is not seen twice that the reader has stopped there.
                    _ => {
                        sleep(Duration::from_secs(1)).await;
                        node.missing.notify_one();
                    }
                }
            }
            () = node.unknown.notified() => look(&node, &news).await,
            () = sleep(LOOK) => look(&node, &news).await,
        }
    }
}

async fn look(node: &Arc<Node>, news: &mpsc::UnboundedSender<News>) {
    let asks = Arc::clone(node);
    let looked = spawn_blocking(move || {
        asks.producing.renew_if_failed();
        asks.look_for_partitions(false)
    });
    if let Ok(Ok(true)) = looked.await {
        drop(news.send(News::Partitions));
    }
}

/// Finds out what stands in Kafka now, for those who ask for history: they join when it is read.
pub(super) async fn find_ends(node: Arc<Node>, mut asked: mpsc::UnboundedReceiver<u64>) {
    let mut backoff = Backoff::new();
    while let Some(first) = asked.recv().await {
        let mut numbers = vec![first];
        loop {
            numbers.extend(std::iter::from_fn(|| asked.try_recv().ok()));
            // Those who have waited too long, or have left, are not there any more.
            let topics: Vec<_> = numbers.iter().map(|number| topic(&node, *number)).collect();
            let wanted: BTreeSet<_> = topics.iter().flatten().cloned().collect();
            if wanted.is_empty() {
                break;
            }
            let places = node.progress.all().into_iter();
            let places: Vec<_> = places.filter(|it| wanted.contains(&it.topic)).collect();
            let asks = Arc::clone(&node);
            let ends = spawn_blocking(move || asks.asking.offsets(&places, Offset::End));
            if let Ok(Ok(ends)) = ends.await {
                backoff.reset();
                for (number, topic) in numbers.into_iter().zip(topics) {
                    let of_topic = |it: &&Need| Some(&it.topic) == topic.as_ref();
                    node.progress.wait(number, ends.iter().filter(of_topic).cloned().collect());
                }
                break;
            }
            sleep(backoff.delay()).await;
        }
    }
}

/// The topic of what somebody waits for.
fn topic(node: &Node, number: u64) -> Option<String> {
    let (destination, _) = node.progress.asked(number, Instant::now())?;
    Some(node.mapping.address(&destination).topic.to_owned())
}
