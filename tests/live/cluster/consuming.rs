//! What the consumers of a queue have got, all together.

use std::collections::HashMap;

use crate::client::Client;
use crate::cluster::until;

/// Waits until all of these have come to one of the consumers.
pub(crate) async fn all_come(words: &[String], consumers: &[Client]) {
    until("confirmed messages are missing", || {
        let came = count(consumers);
        let missing: Vec<_> = words.iter().filter(|word| !came.contains_key(*word)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
}

/// What comes again says so: no word has come twice as if it were new.
pub(crate) fn none_is_new_twice(consumers: &[Client]) {
    for (word, new) in count(consumers) {
        assert!(new < 2, "{word} came {new} times without `redelivered`");
    }
}

/// How often each word came without being marked as redelivered.
fn count(consumers: &[Client]) -> HashMap<String, usize> {
    let mut count = HashMap::new();
    for consumer in consumers {
        for message in &consumer.diary().messages {
            *count.entry(message.word.to_string()).or_default() +=
                usize::from(!message.redelivered);
        }
    }
    count
}
