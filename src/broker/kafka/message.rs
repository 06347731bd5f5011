use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::{Message as _, Timestamp};

use super::super::{Destination, Message};

/// The headers that a message has as a record: its own, under their names and in their order.
pub(super) fn headers(message: &Message) -> OwnedHeaders {
    let frame = message.shared().frame();
    let all = frame.iter().flat_map(|frame| frame.headers().iter());
    let own = all.filter(|(name, _)| !matches!(&**name, "destination" | "content-length"));
    own.fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(Header { key: &name, value: Some(&*value) })
    })
}

/// The message that a record is. Whoever has written it, its value is the body and its headers are
/// the headers.
pub(super) fn message(destination: Destination, record: &BorrowedMessage<'_>) -> Message {
    let mut message = Message::builder(destination);
    // rdkafka panics at a name that is not UTF-8, which somebody may have written there all the same.
    let headers = catch_unwind(AssertUnwindSafe(|| read_headers(record)));
    for (name, value) in headers.unwrap_or_default() {
        message = message.header(name, value);
    }
    message.body(record.payload().unwrap_or_default())
}

fn read_headers(record: &BorrowedMessage<'_>) -> Vec<(String, String)> {
    let headers = record.headers().into_iter().flat_map(Headers::iter);
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into();
    headers.map(|header| (header.key.to_owned(), text(header.value))).collect()
}

/// When a record was written, by this node's clock.
pub(super) fn written(record: &BorrowedMessage<'_>) -> Instant {
    let now = Instant::now();
    let (Timestamp::CreateTime(at) | Timestamp::LogAppendTime(at)) = record.timestamp() else {
        return now;
    };
    let at = Duration::from_millis(u64::try_from(at).unwrap_or_default());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.checked_sub(since.saturating_sub(at)).unwrap_or(now)
}
