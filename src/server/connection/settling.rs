use std::task::Context;

use crate::broker::{Destination, Outcome, Settle, Settlement, Turn};
use crate::session::{Leaving, Receipt, Refusal, SessionError, SettleFrame, SubscriptionKey};

use super::super::wire::Wire;
use super::Connection;
use super::work::Then;

/// ACKs and NACKs that came one behind the other.
///
/// A consumer that keeps up answers many messages in one read. What they settle is found under one
/// lock, and told to the broker by one call, before anything else that the client asks for.
#[derive(Default)]
pub(super) struct Gathered(Vec<SettleFrame>);

/// What some of them settle at one subscription.
struct Run {
    key: SubscriptionKey,
    settlement: Settlement,
    tags: Vec<u64>,
    destination: Box<str>,
}

impl Gathered {
    /// Finds what each of them settles, up to the first that is wrong.
    fn find(self, leaving: &mut Leaving<Wire>) -> (Vec<Run>, Result<(), Refusal>) {
        let mut runs = Vec::new();
        let mut tags = Vec::new();
        for settle in self.0 {
            if let Err(error) = find(&settle, leaving, &mut tags, &mut runs) {
                return (runs, Err(settle.refused(error)));
            }
        }
        (runs, Ok(()))
    }
}

fn find(
    settle: &SettleFrame,
    leaving: &mut Leaving<Wire>,
    tags: &mut Vec<u64>,
    runs: &mut Vec<Run>,
) -> Result<(), SessionError> {
    let Some(key) = leaving.settle_into(settle, tags)? else { return Ok(()) };
    let settlement = settle.settlement;
    match runs.last_mut() {
        Some(run) if run.key == key && run.settlement == settlement => run.tags.append(tags),
        _ => {
            let destination = leaving.destination(key).unwrap_or_default().into();
            let tags = std::mem::take(tags);
            runs.push(Run { key, settlement, tags, destination });
        }
    }
    Ok(())
}

impl Connection {
    /// Takes an ACK or a NACK. One that asks for a receipt is settled at once, with those before it.
    pub(super) fn on_settle(
        &mut self,
        mut settle: SettleFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let Some(receipt) = settle.receipt.take() else {
            self.gathered.0.push(settle);
            return Ok(());
        };
        self.settle_gathered(None, context, turn)?;
        let refused = |refusal: Refusal| refusal.with_receipt(Some(receipt.clone()));
        self.gathered.0.push(settle);
        self.settle_gathered(Some(receipt.clone()), context, turn).map_err(refused)
    }

    /// Settles what was gathered; the receipt is for the last of it, which there must be then.
    pub(super) fn settle_gathered(
        &mut self,
        receipt: Option<Receipt>,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        if self.gathered.0.is_empty() {
            return Ok(());
        }
        let (settles, found) = self.take_gathered();
        let mut last = Outcome::done();
        for settle in settles {
            let outcome = self.shared.broker.settle(settle, turn);
            let before = std::mem::replace(&mut last, outcome);
            self.begin(before, Then::Receipt(None), 0, context)?;
        }
        let receipt = found.is_ok().then_some(receipt).flatten();
        self.begin(last, Then::Receipt(receipt), 0, context)?;
        found
    }

    /// Settles what was gathered of a client that is told nothing more.
    pub(super) fn settle_rest(&mut self, turn: &mut Turn) {
        for settle in self.take_gathered().0 {
            drop(self.shared.broker.settle(settle, turn));
        }
    }

    fn take_gathered(&mut self) -> (Vec<Settle>, Result<(), Refusal>) {
        if self.gathered.0.is_empty() {
            return (Vec::new(), Ok(()));
        }
        let gathered = std::mem::take(&mut self.gathered);
        let (runs, found) = self.outlet.leaving(|leaving| gathered.find(leaving));
        let settle = |run: Run| {
            // The subscription was opened with it, so that it is a valid name.
            let destination = Destination::new(&run.destination).ok()?;
            let subscriber = self.subscriber(run.key);
            Some(Settle { destination, subscriber, tags: run.tags, settlement: run.settlement })
        };
        (runs.into_iter().filter_map(settle).collect(), found)
    }
}
