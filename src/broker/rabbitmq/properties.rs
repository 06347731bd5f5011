use std::collections::HashSet;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::frame::SharedMessage;

use super::super::{Destination, is_withheld};
use super::address::{Address, temporary_of};

/// Whether a message survives a restart of the engine, where its sender does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// As on a queue: unless it says `persistent:false`.
    Unless,
    /// As on a topic, and as the plugin has it everywhere: if it says `persistent:true`.
    If,
}

/// Marks a message that may have been sent before, over a connection that was lost. It is no string,
/// so the plugin shows it to nobody.
const AGAIN: &str = "x-stompbox-again";

/// What a client writes for the delivery mode of persistent messages.
const PERSISTENT: u8 = 2;

/// The properties of a message: those headers that the STOMP plugin maps to one of them, and all
/// others in the table of headers.
///
/// A value that its property cannot hold stays a header of that name. So does `user-id` always:
/// RabbitMQ closes the channel, which is everybody's here, unless it names the login of the
/// connection. `CC` and `BCC` are left out: to RabbitMQ they are lists of further routing keys, and
/// it closes the channel over any other value.
pub(super) fn properties_of(
    message: &SharedMessage,
    persistence: Persistence,
    again: bool,
) -> BasicProperties {
    let mut properties = BasicProperties::default();
    let mut others = FieldTable::default();
    let mut persistent = None;
    let mut seen = HashSet::new();
    let frame = message.frame();
    for (name, value) in frame.iter().flat_map(|frame| frame.headers().iter()) {
        match &*name {
            "destination" | "content-length" | "CC" | "BCC" => {}
            "persistent" => {
                persistent.get_or_insert(value.eq_ignore_ascii_case("true"));
            }
            name => {
                // The first of headers with one name counts (STOMP 1.2, "Repeated Header Entries").
                if !seen.insert(name.to_owned()) {
                    continue;
                }
                if !set(&mut properties, name, &value)
                    && let Ok(name) = ShortString::try_new(name)
                {
                    others.insert(name, AMQPValue::LongString((&*value).into()));
                }
            }
        }
    }
    if again {
        others.insert(AGAIN.into(), AMQPValue::Boolean(true));
    }
    if persistent.unwrap_or(persistence == Persistence::Unless) {
        properties = properties.with_delivery_mode(PERSISTENT);
    }
    if others.inner().is_empty() { properties } else { properties.with_headers(others) }
}

/// A message of the engine as it is delivered here, whoever has sent it. What only a server may say
/// to a subscriber is left out.
pub(super) fn message_of(
    destination: &Destination,
    properties: &BasicProperties,
    body: &[u8],
) -> SharedMessage {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    let short = [
        ("content-type", properties.content_type()),
        ("content-encoding", properties.content_encoding()),
        ("correlation-id", properties.correlation_id()),
        ("expiration", properties.expiration()),
        ("amqp-message-id", properties.message_id()),
        ("type", properties.kind()),
        ("user-id", properties.user_id()),
        ("app-id", properties.app_id()),
    ];
    for (name, value) in short {
        if let Some(value) = value {
            add(name, value.to_string());
        }
    }
    if *properties.delivery_mode() == Some(PERSISTENT) {
        add("persistent", "true".to_owned());
    }
    if let Some(priority) = properties.priority() {
        add("priority", priority.to_string());
    }
    if let Some(timestamp) = properties.timestamp() {
        add("timestamp", timestamp.to_string());
    }
    if let Some(reply_to) = properties.reply_to() {
        add("reply-to", reply_to_of(reply_to.as_str()));
    }
    for (name, value) in properties.headers().iter().flatten() {
        if let Some(value) = text(value).filter(|_| !is_withheld(name.as_str())) {
            add(name.as_str(), value);
        }
    }
    SharedMessage::new(destination.as_str(), headers, body)
}

/// How often a message was delivered before, as far as the engine says: a quorum queue counts, a
/// classic one says only whether.
pub(super) fn earlier_deliveries(properties: &BasicProperties, redelivered: bool) -> u32 {
    let headers = properties.headers().as_ref();
    let header = |name: &str| headers.and_then(|headers| headers.inner().get(name));
    let counted = header("x-delivery-count").and_then(text).and_then(|count| count.parse().ok());
    let again = redelivered || header(AGAIN).is_some();
    counted.unwrap_or(0).max(again.into())
}

/// Sets the property that a header is. Returns whether there is one that can hold the value.
fn set(properties: &mut BasicProperties, name: &str, value: &str) -> bool {
    let mut apply = |set: &dyn Fn(BasicProperties) -> BasicProperties| {
        *properties = set(std::mem::take(properties));
        true
    };
    let setter: fn(BasicProperties, ShortString) -> BasicProperties = match name {
        "priority" => {
            let priority = value.parse();
            return priority.is_ok_and(|priority| apply(&|it| it.with_priority(priority)));
        }
        "timestamp" => {
            let time = value.parse();
            return time.is_ok_and(|time| apply(&|it| it.with_timestamp(time)));
        }
        // Anything but milliseconds makes RabbitMQ close the channel.
        "expiration" if is_milliseconds(value) => BasicProperties::with_expiration,
        "content-type" => BasicProperties::with_content_type,
        "content-encoding" => BasicProperties::with_content_encoding,
        "correlation-id" => BasicProperties::with_correlation_id,
        "reply-to" => {
            let queue = ShortString::try_new(queue_of_replies(value));
            return queue.is_ok_and(|queue| apply(&|it| it.with_reply_to(queue.clone())));
        }
        "amqp-message-id" => BasicProperties::with_message_id,
        "type" => BasicProperties::with_type,
        "app-id" => BasicProperties::with_app_id,
        _ => return false,
    };
    ShortString::try_new(value).is_ok_and(|text| apply(&|it| setter(it, text.clone())))
}

fn is_milliseconds(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u32>().is_ok()
}

/// A value of the table of headers as the plugin shows it: texts and whole numbers.
fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::ShortShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortShortUInt(number) => Some(number.to_string()),
        AMQPValue::ShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortUInt(number) => Some(number.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::LongUInt(number) => Some(number.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A `reply-to` as it is for others: that of a client's queue for replies is the name of the queue, by
/// which every client of RabbitMQ sends.
fn queue_of_replies(value: &str) -> String {
    match value.parse().map(|destination| Address::of(&destination)) {
        Ok(Ok(Address::Temporary(queue))) => queue.to_string(),
        _ => value.to_owned(),
    }
}

/// A `reply-to` as a destination. Other clients name a queue.
fn reply_to_of(value: &str) -> String {
    if let Some(temporary) = temporary_of(value) {
        return temporary.to_owned();
    }
    let prefixes = ["/exchange", "/topic", "/queue", "/amq/queue", "/reply-queue"];
    if prefixes.iter().any(|prefix| value.starts_with(prefix)) {
        value.to_owned()
    } else {
        format!("/reply-queue/{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)]) -> SharedMessage {
        SharedMessage::new("/queue/a", headers.iter().copied(), b"body")
    }

    fn properties(headers: &[(&str, &str)]) -> BasicProperties {
        properties_of(&message(headers), Persistence::Unless, false)
    }

    /// The headers of a message that went to the engine and came back.
    fn returned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let properties = properties_of(&message(headers), Persistence::If, false);
        headers_of(&message_of(&"/queue/a".parse().unwrap(), &properties, b"body"))
    }

    fn headers_of(message: &SharedMessage) -> Vec<(String, String)> {
        let frame = message.frame().unwrap();
        let all = frame.headers().iter().map(|(name, value)| (name.into(), value.into()));
        let mut all: Vec<_> = all.collect();
        all.retain(|(name, _): &(String, String)| {
            name != "destination" && name != "content-length"
        });
        all.sort();
        all
    }

    #[test]
    fn every_property_of_the_plugin_goes_both_ways() {
        let mut headers = [
            ("amqp-message-id", "m-1"),
            ("app-id", "shop"),
            ("content-encoding", "gzip"),
            ("content-type", "application/json"),
            ("correlation-id", "c-1"),
            ("expiration", "60000"),
            ("persistent", "true"),
            ("priority", "7"),
            ("reply-to", "/queue/answers"),
            ("timestamp", "1700000000"),
            ("type", "order"),
            ("user-id", "guest"),
            ("x-colour", "blue: \\ deep\nsea"),
            ("räume", "größer"),
        ];
        headers.sort_unstable();
        let expected = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(returned(&headers), expected);

        let properties = properties(&headers);
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string).unwrap();
        assert_eq!(text(properties.content_type()), "application/json");
        assert_eq!(text(properties.content_encoding()), "gzip");
        assert_eq!(text(properties.correlation_id()), "c-1");
        assert_eq!(text(properties.reply_to()), "/queue/answers");
        assert_eq!(text(properties.expiration()), "60000");
        assert_eq!(text(properties.message_id()), "m-1");
        assert_eq!(text(properties.kind()), "order");
        assert_eq!(text(properties.app_id()), "shop");
        assert_eq!(
            (*properties.priority(), *properties.timestamp()),
            (Some(7), Some(1_700_000_000))
        );
        // Not the property, which must be the login of the connection.
        assert_eq!(*properties.user_id(), None);
        let table = properties.headers().clone().unwrap();
        let names: Vec<_> = table.inner().keys().map(ShortString::as_str).collect();
        assert_eq!(names, ["räume", "user-id", "x-colour"]);
    }

    #[test]
    fn what_a_property_cannot_hold_is_a_header() {
        let long = "x".repeat(256);
        let headers = [
            ("content-type", &*long),
            ("expiration", "tomorrow"),
            ("priority", "256"),
            ("timestamp", "now"),
        ];
        let properties = properties(&headers);
        assert_eq!(*properties.content_type(), None);
        assert_eq!((properties.expiration(), *properties.priority()), (&None, None));
        let expected = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(returned(&headers), expected);
    }

    #[test]
    fn what_would_close_the_channel_is_left_out() {
        assert_eq!(returned(&[("CC", "other"), ("BCC", "other"), (&"n".repeat(256), "1")]), []);
    }

    #[test]
    fn the_first_of_equal_names_counts() {
        let headers = [("type", "1"), ("type", "2"), ("x", "1"), ("x", "2")];
        let expected = [("type", "1"), ("x", "1")].map(|(name, it)| (name.into(), it.into()));
        assert_eq!(returned(&headers), expected);
    }

    #[test]
    fn a_queue_persists_unless_and_a_topic_if() {
        let rows = [
            (Persistence::Unless, None, true),
            (Persistence::Unless, Some("false"), false),
            (Persistence::Unless, Some("true"), true),
            (Persistence::If, None, false),
            (Persistence::If, Some("false"), false),
            (Persistence::If, Some("true"), true),
        ];
        for (persistence, header, persists) in rows {
            let headers: Vec<_> = header.iter().map(|value| ("persistent", *value)).collect();
            let mode = *properties_of(&message(&headers), persistence, false).delivery_mode();
            assert_eq!(mode, persists.then_some(2), "{persistence:?} {header:?}");
        }
    }

    #[test]
    fn what_others_send_is_shown_as_the_plugin_does() {
        let mut table = FieldTable::default();
        let text = |text: &str| AMQPValue::LongString(text.into());
        for (name, value) in [
            ("number", AMQPValue::LongInt(-5)),
            ("large", AMQPValue::LongLongInt(1 << 40)),
            ("flag", AMQPValue::Boolean(true)),
            ("bytes", AMQPValue::LongString(vec![0xFF].into())),
            ("token", text("forged")),
            ("redelivered", text("forged")),
            ("content-length", text("99")),
            ("receipt", text("forged")),
        ] {
            table.insert(name.into(), value);
        }
        let properties = BasicProperties::default()
            .with_headers(table)
            .with_user_id("guest".into())
            .with_reply_to("amq.gen-1".into());
        let shown = headers_of(&message_of(&"/queue/a".parse().unwrap(), &properties, b""));
        let expected = [
            ("large", "1099511627776"),
            ("number", "-5"),
            ("reply-to", "/reply-queue/amq.gen-1"),
            ("user-id", "guest"),
        ];
        assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn replies_are_asked_for_by_the_name_of_their_queue() {
        let properties = properties(&[("reply-to", "/temp-queue/0f/prices")]);
        let queue = properties.reply_to().as_ref().map(ShortString::as_str);
        assert_eq!(queue, Some("stompbox/temp-queue/0f/prices"));
        let headers = [("reply-to", "/temp-queue/0f/prices")];
        assert_eq!(returned(&headers), headers.map(|(name, it)| (name.into(), it.into())));
    }

    #[test]
    fn what_may_come_twice_says_so() {
        let again = properties_of(&message(&[]), Persistence::If, true);
        assert_eq!(earlier_deliveries(&again, false), 1);
        assert_eq!(headers_of(&message_of(&"/queue/a".parse().unwrap(), &again, b"")), []);
        assert_eq!(earlier_deliveries(&BasicProperties::default(), false), 0);
        assert_eq!(earlier_deliveries(&BasicProperties::default(), true), 1);
        let mut table = FieldTable::default();
        table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(3));
        let counted = BasicProperties::default().with_headers(table);
        assert_eq!(earlier_deliveries(&counted, true), 3);
    }
}
