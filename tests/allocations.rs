//! What the frame layer and the queues allocate, and what a session keeps for a slow consumer, by an
//! allocator that counts on each thread.

#![allow(clippy::expect_used, clippy::panic, reason = "what helps a test is a test too")]

use std::sync::Arc;
use std::time::Instant;

use allocation_counter::{AllocationInfo, measure};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use stompbox::broker::{
    Broker, Destination, MemoryBroker, Message, Outlet, Settle, Settlement, Subscriber,
    SubscriberId, Taken, Turn,
};
use stompbox::frame::{
    Command, Decoder, Encoder, Frame, FrameRef, HeaderName, Leniency, Limits, SharedMessage,
    Version,
};
use stompbox::session::{
    Bare, Delivery, Event, Leaving, ServerSession, SessionSettings, SlowConsumer,
    SlowConsumerAction, SubscriptionKey,
};

const MESSAGE: &[u8] = b"MESSAGE\nsubscription:0\nmessage-id:17-204\ndestination:/topic/room/5\n\
    content-length:63\n\n{\"type\":\"MESSAGE\",\"writer\":\"client2\",\"text\":\"hello you, hello\"}\0";

/// How many small messages are kept.
const KEPT: usize = 100_000;

/// What an allocator may add to what is asked for, and a count of references, in octets.
const OVERHEAD: u64 = 64;

fn decoder() -> Decoder {
    Decoder::new(Limits::default(), Leniency::strict())
}

/// What one read of a busy socket brings. It is shared already, as that of a server is.
fn read(wire: &[u8], frames: usize) -> (Bytes, Bytes) {
    let buffer = BytesMut::from(&wire.repeat(frames)[..]).freeze();
    (buffer.clone(), buffer)
}

#[track_caller]
fn assert_none(allocated: AllocationInfo) {
    assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0));
}

#[test]
fn decoding_allocates_nothing_but_the_shared_buffer() {
    let (buffer, _shared) = read(MESSAGE, 1000);
    let mut decoder = decoder();
    let mut frames = 0;
    let allocated = measure(|| {
        decoder.feed(buffer);
        while let Some(frame) = decoder.next_frame().expect("no error") {
            assert_eq!(frame.header(HeaderName::Destination).as_deref(), Some("/topic/room/5"));
            assert_eq!(frame.header("message-id").as_deref(), Some("17-204"));
            assert_eq!(frame.headers().iter().count(), 4);
            assert_eq!(frame.body().len(), 63);
            frames += 1;
        }
    });
    assert_eq!(frames, 1000);
    assert_none(allocated);
}

#[test]
fn a_slice_is_copied_into_one_buffer_for_all_of_its_frames() {
    let wire = MESSAGE.repeat(1000);
    let mut decoder = decoder();
    let mut frames = Vec::with_capacity(1000);
    let allocated = measure(|| {
        decoder.feed_slice(&wire);
        while let Some(frame) = decoder.next_frame().expect("no error") {
            frames.push(frame);
        }
    });
    assert_eq!(frames.len(), 1000);
    assert!(allocated.count_total <= 2, "the buffer and its count of references: {allocated:?}");
    assert!(allocated.bytes_total <= wire.len() as u64 + OVERHEAD, "{allocated:?}");
}

#[test]
fn heart_beats_allocate_nothing() {
    let (buffer, _shared) = read(b"\n", 1000);
    let mut decoder = decoder();
    assert_none(measure(|| {
        decoder.feed(buffer);
        assert_eq!(decoder.next_frame(), Ok(None));
    }));
}

#[test]
fn looking_at_a_borrowed_frame_allocates_nothing() {
    let limits = Limits::default();
    assert_none(measure(|| {
        let parsed = FrameRef::parse(MESSAGE, Version::V1_2, &limits, Leniency::strict());
        let (frame, consumed) = parsed.expect("no error").expect("a frame");
        assert_eq!(consumed, MESSAGE.len());
        assert_eq!(frame.header("subscription").as_deref(), Some("0"));
    }));
}

#[test]
fn only_what_holds_an_escape_is_copied() {
    let (buffer, _shared) = read(b"MESSAGE\nplain:a\nescaped:a\\cb\n\n\0", 1);
    let mut decoder = decoder();
    decoder.feed(buffer);
    let frame = decoder.next_frame().expect("no error").expect("a frame");
    assert_none(measure(|| assert_eq!(frame.header("plain").as_deref(), Some("a"))));
    let allocated = measure(|| assert_eq!(frame.header("escaped").as_deref(), Some("a:b")));
    assert_eq!(allocated.count_total, 1);
}

#[test]
fn encoding_allocates_nothing_where_there_is_room() {
    let (buffer, _shared) = read(MESSAGE, 1);
    let mut decoder = decoder();
    decoder.feed(buffer);
    let frame = decoder.next_frame().expect("no error").expect("a frame");
    let escaped = Frame::new(Command::Send).with_header("a:b", "c\nd").with_body("hello");
    let mut out = BytesMut::with_capacity(4096);
    for version in Version::ALL {
        assert_none(measure(|| {
            frame.encode_into(version, &mut out);
            let mut encoder = Encoder::new(&mut out, version, Command::Message);
            encoder.header(HeaderName::Subscription, "0").header("note", "a:b");
            encoder.finish(b"hello");
        }));
        // An escape is written straight from the text, too.
        let len = escaped.encoded_len(version);
        assert_none(measure(|| {
            escaped.encode_into(version, &mut out);
        }));
        assert!(len <= out.len());
        out.clear();
    }
}

#[test]
fn a_kept_frame_pins_nothing_but_itself() {
    // Each comes with much else in a read of its own, as from 100,000 clients.
    let read = [MESSAGE, &MESSAGE.repeat(30)[..]].concat();
    let mut kept = Vec::with_capacity(KEPT);
    let allocated = measure(|| {
        for _ in 0..KEPT {
            let mut decoder = decoder();
            decoder.feed_slice(&read);
            kept.extend(decoder.next_frame().expect("no error").map(Frame::compact));
        }
    });
    assert_eq!(kept.len(), KEPT);
    assert_bytes_each(&allocated, MESSAGE.len() as u64 + OVERHEAD);
    assert!(size_of::<Frame>() <= 128, "beside its bytes: {}", size_of::<Frame>());
}

#[test]
fn a_kept_message_takes_what_it_says() {
    let mut decoder = decoder();
    decoder.feed_slice(MESSAGE);
    let frame = decoder.next_frame().expect("no error").expect("a frame");
    let mut kept = Vec::with_capacity(KEPT);
    let allocated = measure(|| {
        for _ in 0..KEPT {
            let headers = [("message-id", "17-204")];
            kept.push(SharedMessage::new("/topic/room/5", headers, frame.body()));
        }
    });
    let size = kept.first().map_or(0, SharedMessage::size) as u64;
    assert_bytes_each(&allocated, size + OVERHEAD);
    assert!(size <= 2 * MESSAGE.len() as u64 + OVERHEAD, "{size}");
}

/// A session with a subscription to which this is done when its client is slow.
fn subscribed(action: SlowConsumerAction, bytes: usize) -> (Leaving<Bare>, SubscriptionKey) {
    let (settings, now) = (Arc::new(SessionSettings::default()), Instant::now());
    let mut session = ServerSession::new(Arc::clone(&settings), now);
    let frames = "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0";
    session.receive(frames, now);
    let Ok(Some(Event::Connect(connect))) = session.next_event() else { panic!("a CONNECT") };
    let _connected = session.accept(&connect, now);
    let Ok(Some(Event::Subscribe(subscribe))) = session.next_event() else { panic!("a SUBSCRIBE") };
    let mut leaving = Leaving::new(Bare, settings, now);
    let key = leaving.subscribe(&subscribe).expect("a subscription");
    let mut slow = SlowConsumer::new(action);
    slow.bytes = bytes;
    leaving.set_slow_consumer(key, Arc::new(slow));
    leaving.activate(key, None);
    (leaving, key)
}

/// The way of a connection that keeps up, from the message that all subscribers share to the buffer
/// that is written; its socket takes everything.
#[test]
fn a_delivery_is_encoded_without_an_allocation() {
    let (mut leaving, key) = subscribed(SlowConsumerAction::Close, 1 << 20);
    let now = Instant::now();
    let message = SharedMessage::new("/topic/a", [("symbol", "x")], &[b'x'; 100]);
    let deliveries = [Delivery::new(message.clone()), Delivery::new(message).with_gap(true)];
    let mut out = BytesMut::with_capacity(4096);
    let mut deliver = || {
        out.clear();
        leaving.deliver_into(key, &deliveries, &mut out, usize::MAX, now)
    };
    assert_eq!(deliver(), 2);
    let allocated = measure(|| (0..1_000).for_each(|_| assert_eq!(deliver(), 2)));
    assert_none(allocated);
}

#[test]
fn what_is_dropped_for_a_slow_consumer_is_freed() {
    const BYTES: usize = 64 * 1024;
    let latest = SlowConsumerAction::KeepLatest { key: "symbol".into() };
    for action in [SlowConsumerAction::DropOldest, SlowConsumerAction::DropNewest, latest] {
        let (mut leaving, key) = subscribed(action.clone(), BYTES);
        let now = Instant::now();
        let allocated = measure(|| {
            for n in 0..KEPT / 10 {
                let headers = [("symbol", (n % 1_000).to_string())];
                let message = SharedMessage::new("/topic/a", headers, &[b'x'; 100]);
                leaving.deliver(key, &[Delivery::new(message)], now).expect("room");
            }
        });
        let kept = usize::try_from(allocated.bytes_current).unwrap_or_default();
        let counted = leaving.waiting_bytes();
        assert!(counted <= BYTES + 1_000, "{counted} for {action:?}");
        // A queue has room for up to twice what is in it.
        assert!((counted / 2..2 * BYTES).contains(&kept), "{kept} for {counted} with {action:?}");
    }
}

/// An outlet that notes what is to be settled, in room that it has.
struct Tags(Mutex<Vec<u64>>);

impl Outlet for Tags {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        self.0.lock().extend(deliveries.iter().map(Delivery::tag));
        Taken::Written
    }
}

#[test]
fn a_queue_that_is_consumed_as_it_fills_allocates_nothing() {
    const BATCH: usize = 40;
    let queue: Destination = "/queue/a".parse().expect("a destination");
    let broker = MemoryBroker::new();
    let outlets = [(); 4].map(|()| Arc::new(Tags(Mutex::new(Vec::with_capacity(2 * BATCH)))));
    let id = |connection| SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) };
    for (connection, outlet) in (0..).zip(&outlets) {
        let subscriber = Subscriber::new(id(connection), outlet.clone()).with_settles(true);
        drop(broker.subscribe(&queue, subscriber, &mut Turn::new(Instant::now())));
    }
    let message = Message::builder(queue.clone()).body("hello");
    let batch = || {
        let mut turn = Turn::new(Instant::now());
        for _ in 0..BATCH {
            drop(broker.publish(message.clone(), &mut turn));
        }
    };
    // The tags are the caller's, who has room for them.
    let settle = || {
        let mut turn = Turn::new(Instant::now());
        for (connection, outlet) in (0..).zip(&outlets) {
            let tags = std::mem::take(&mut *outlet.0.lock());
            let (destination, subscriber) = (queue.clone(), id(connection));
            let settlement = Settlement::Acknowledged;
            let settle = Settle { destination, subscriber, tags, settlement };
            drop(broker.settle(settle, &mut turn));
            *outlet.0.lock() = Vec::with_capacity(2 * BATCH);
        }
    };
    // Rings and tables grow to what is needed.
    for _ in 0..3 {
        batch();
        settle();
    }
    for _ in 0..100 {
        assert_none(measure(batch));
        let allocated = measure(settle);
        assert_eq!(allocated.count_total, outlets.len() as u64, "the next tags of each consumer");
    }
    assert_eq!(broker.queued(&queue), 0);
}

#[test]
fn consumers_that_came_and_went_leave_no_room_behind() {
    let queue: Destination = "/queue/a".parse().expect("a destination");
    let broker = MemoryBroker::new();
    let outlet = Arc::new(Tags(Mutex::default()));
    let id = |connection| SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) };
    let join = |connection| {
        let subscriber = Subscriber::new(id(connection), outlet.clone());
        drop(broker.subscribe(&queue, subscriber, &mut Turn::new(Instant::now())));
    };
    join(0);
    let allocated = measure(|| {
        (1..=100_000).for_each(join);
        for connection in 1..=100_000 {
            drop(broker.unsubscribe(&queue, id(connection), &mut Turn::new(Instant::now())));
        }
    });
    assert!(allocated.bytes_current < 64 * 1024, "{allocated:?}");
}

/// What is still allocated, for each of the kept ones.
#[track_caller]
fn assert_bytes_each(allocated: &AllocationInfo, most: u64) {
    let each = u64::try_from(allocated.bytes_current).unwrap_or_default() / KEPT as u64;
    assert!(each <= most, "{each} instead of {most}");
}
