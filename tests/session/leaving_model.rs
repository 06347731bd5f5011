//! The leaving half against a naive model, whatever is done in whichever order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::sample::Index;
use stompbox::frame::{Command, Decoder, Leniency, Limits};
use stompbox::session::{
    Bare, Delivery, Leaving, MessageName, Receipt, SettleFrame, Settlement, SubscriptionKey,
};

use crate::client::{delivery, settings, subscribe_frame};

#[derive(Debug, Clone)]
enum Step {
    Subscribe {
        settles: bool,
    },
    Activate(Index),
    Deliver(Index, usize),
    DeliverInto(Index, usize),
    Unsubscribe(Index),
    /// Takes about so many bytes, of which the socket takes a part.
    Take(usize, Index),
    /// Acknowledges one that the client has.
    Settle(Index),
    Receipt,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let step = prop_oneof![
        2 => any::<bool>().prop_map(|settles| Step::Subscribe { settles }),
        2 => index().prop_map(Step::Activate),
        4 => (index(), 1..4usize).prop_map(|(which, count)| Step::Deliver(which, count)),
        2 => (index(), 1..4usize).prop_map(|(which, count)| Step::DeliverInto(which, count)),
        1 => index().prop_map(Step::Unsubscribe),
        4 => (1..400usize, index()).prop_map(|(most, part)| Step::Take(most, part)),
        2 => index().prop_map(Step::Settle),
        1 => Just(Step::Receipt),
    ];
    prop::collection::vec(step, 0..80)
}

/// One subscription of the model.
struct Subscribed {
    key: SubscriptionKey,
    settles: bool,
    confirmed: bool,
    live: bool,
    /// The bodies that it is to be sent, in order.
    expected: VecDeque<String>,
}

const UNSETTLED: usize = 4;

struct Model {
    leaving: Leaving<Bare>,
    now: Instant,
    subscriptions: Vec<Subscribed>,
    receipts: VecDeque<String>,
    /// What the socket took and the client has not read yet.
    decoder: Decoder,
    /// What the client has to settle: the subscription, and the value of `ack`.
    unsettled: Vec<(usize, String)>,
    /// Whether the socket has taken all that it was given.
    caught_up: bool,
    bodies: usize,
}

impl Model {
    fn new() -> Self {
        let mut settings = settings();
        settings.unsettled = UNSETTLED;
        let now = Instant::now();
        Self {
            leaving: Leaving::new(Bare, Arc::new(settings), now),
            now,
            subscriptions: Vec::new(),
            receipts: VecDeque::new(),
            decoder: Decoder::new(Limits::default(), Leniency::strict()),
            unsettled: Vec::new(),
            caught_up: true,
            bodies: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Subscribe { settles } => self.subscribe(settles),
            Step::Activate(which) => self.activate(which),
            // An outlet writes directly only if nothing waits for the socket.
            Step::DeliverInto(which, count) if self.caught_up => self.deliver_into(which, count),
            Step::Deliver(which, count) | Step::DeliverInto(which, count) => {
                self.deliver(which, count);
            }
            Step::Unsubscribe(which) => self.unsubscribe(which),
            Step::Take(most, part) => {
                let mut out = BytesMut::new();
                self.leaving.take(&mut out, most, self.now);
                self.write(&out, part.index(out.len() + 1));
            }
            Step::Settle(which) => self.settle(which),
            Step::Receipt => {
                let id = self.next_body();
                self.leaving.receipt(&Receipt::new(&id));
                self.receipts.push_back(id);
            }
        }
    }

    fn subscribe(&mut self, settles: bool) {
        let number = self.subscriptions.len();
        let it = subscribe_frame(number, settles);
        let key = self.leaving.subscribe(&it).unwrap();
        let (confirmed, live, expected) = (false, true, VecDeque::new());
        self.subscriptions.push(Subscribed { key, settles, confirmed, live, expected });
    }

    fn activate(&mut self, which: Index) {
        if self.subscriptions.is_empty() {
            return;
        }
        let subscribed = which.get(&self.subscriptions);
        if !subscribed.confirmed {
            let key = subscribed.key;
            let id = self.next_body();
            self.leaving.activate(key, Some(&Receipt::new(&id)));
            self.receipts.push_back(id);
            let place = which.index(self.subscriptions.len());
            self.subscriptions[place].confirmed = true;
        }
    }

    fn deliveries(&mut self, place: usize, count: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for _ in 0..count {
            let body = self.next_body();
            deliveries.push(delivery("/queue/a", &body));
            if self.subscriptions[place].live {
                self.subscriptions[place].expected.push_back(body);
            }
        }
        deliveries
    }

    fn deliver(&mut self, which: Index, count: usize) {
        if !self.subscriptions.is_empty() {
            let place = which.index(self.subscriptions.len());
            let deliveries = self.deliveries(place, count);
            let Subscribed { key, live, .. } = self.subscriptions[place];
            assert_eq!(self.leaving.deliver(key, &deliveries, self.now), Ok(live));
        }
    }

    fn deliver_into(&mut self, which: Index, count: usize) {
        if self.subscriptions.is_empty() {
            return;
        }
        let place = which.index(self.subscriptions.len());
        let Subscribed { key, live, .. } = self.subscriptions[place];
        if self.leaving.holds(key, count) {
            self.deliver(which, count);
        } else {
            let deliveries = self.deliveries(place, count);
            let mut out = BytesMut::new();
            let encoded =
                self.leaving.deliver_into(key, &deliveries, &mut out, usize::MAX, self.now);
            assert_eq!(encoded, if live { deliveries.len() } else { 0 });
            self.write(&out, which.index(out.len() + 1));
        }
    }

    fn unsubscribe(&mut self, which: Index) {
        if self.subscriptions.is_empty() {
            return;
        }
        let place = which.index(self.subscriptions.len());
        let subscribed = &mut self.subscriptions[place];
        assert_eq!(self.leaving.unsubscribe(subscribed.key).is_some(), subscribed.live);
        subscribed.live = false;
        self.unsettled.retain(|(holder, _)| *holder != place);
    }

    fn settle(&mut self, which: Index) {
        if self.unsettled.is_empty() {
            return;
        }
        let (place, ack) = self.unsettled.remove(which.index(self.unsettled.len()));
        let settle = SettleFrame {
            message: MessageName::Ack(ack.into()),
            settlement: Settlement::Acknowledged,
            receipt: None,
        };
        let settled = self.leaving.settle(&settle).unwrap().expect("it was unsettled");
        assert_eq!(settled.key, self.subscriptions[place].key);
    }

    /// The socket takes `took` of these bytes; the client reads them.
    fn write(&mut self, bytes: &[u8], took: usize) {
        let (taken, rest) = bytes.split_at(took);
        self.leaving.put_back(rest);
        self.caught_up = !self.leaving.is_waiting();
        self.decoder.feed_slice(taken);
        while let Some(frame) = self.decoder.next_frame().expect("whole frames, in their order") {
            if frame.command() == Command::Receipt {
                let id = frame.header("receipt-id").unwrap().into_owned();
                assert_eq!(self.receipts.pop_front(), Some(id));
                continue;
            }
            assert_eq!(frame.command(), Command::Message);
            let place: usize = frame.header("subscription").unwrap().parse().unwrap();
            let subscribed = &mut self.subscriptions[place];
            let body = String::from_utf8(frame.body().to_vec()).unwrap();
            assert!(subscribed.confirmed, "not before its RECEIPT was decided");
            if subscribed.live {
                assert_eq!(subscribed.expected.pop_front(), Some(body));
                let ack = frame.header("ack").map(|ack| (place, ack.into_owned()));
                assert_eq!(ack.is_some(), subscribed.settles);
                self.unsettled.extend(ack);
            } else {
                // It was encoded while the subscription was live, and the socket was slow.
                assert!(subscribed.expected.contains(&body));
            }
        }
        assert!(self.unsettled.len() <= UNSETTLED);
    }

    fn next_body(&mut self) -> String {
        self.bodies += 1;
        self.bodies.to_string()
    }

    /// Confirms, reads and settles until nothing is left, and looks at what remains.
    fn finish(mut self) {
        for place in 0..self.subscriptions.len() {
            if !self.subscriptions[place].confirmed {
                self.subscriptions[place].confirmed = true;
                let key = self.subscriptions[place].key;
                self.leaving.activate(key, None);
            }
        }
        loop {
            let mut out = BytesMut::new();
            self.leaving.take(&mut out, usize::MAX, self.now);
            self.write(&out, out.len());
            if self.unsettled.is_empty() {
                break;
            }
            while let Some((_, ack)) = self.unsettled.pop() {
                let message = MessageName::Ack(ack.into());
                let settlement = Settlement::Acknowledged;
                let settle = SettleFrame { message, settlement, receipt: None };
                self.leaving.settle(&settle).unwrap().expect("it was unsettled");
            }
        }
        assert!(self.receipts.is_empty());
        for subscribed in &self.subscriptions {
            assert!(!subscribed.live || subscribed.expected.is_empty(), "all of it was sent");
        }
        assert_eq!((self.leaving.waiting_bytes(), self.leaving.held_bytes()), (0, 0));
        assert!(!self.leaving.is_waiting());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_leaves_is_what_was_decided(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }
}
