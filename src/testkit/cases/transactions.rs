use crate::broker::{Destination, Operation, Settlement, TransactionGuarantee};

use super::super::Mailbox;
use super::super::fixture::{CaseResult, Failure, Fixture, bodies, ensure, message, settle};

pub(super) async fn a_commit_takes_effect_in_its_order(fixture: Fixture) -> CaseResult {
    let (one, other) = (fixture.topic("one")?, fixture.topic("other")?);
    let mailboxes = [Mailbox::new(), Mailbox::new()];
    fixture.listen(&one, &mailboxes[0]).await?;
    fixture.listen(&other, &mailboxes[1]).await?;
    let publish = |to: &Destination, body| Operation::Publish(message(to, body));
    let operations = vec![publish(&one, "1"), publish(&other, "2"), publish(&one, "3")];
    committed(&fixture, operations).await?;
    let received = bodies(&fixture.expect(&mailboxes[0], 2).await?);
    ensure(received == ["1", "3"], || format!("there came {received:?}"))?;
    let received = bodies(&fixture.expect(&mailboxes[1], 1).await?);
    ensure(received == ["2"], || format!("there came {received:?}"))
}

pub(super) async fn a_commit_settles(fixture: Fixture) -> CaseResult {
    let (from, to) = (fixture.queue("from")?, fixture.queue("to")?);
    let (mailbox, end) = (Mailbox::new(), Mailbox::new());
    let consumer = fixture.consume(&from, &mailbox, 10).await?;
    fixture.listen(&to, &end).await?;
    fixture.publish(&from, "work").await?;
    let received = fixture.expect(&mailbox, 1).await?;
    let operations = vec![
        Operation::Publish(message(&to, "done")),
        Operation::Settle(settle(&from, consumer, &received, Settlement::Acknowledged)),
    ];
    committed(&fixture, operations).await?;
    fixture.expect(&end, 1).await?;
    fixture.leave(&from, consumer).await?;
    let next = Mailbox::new();
    fixture.listen(&from, &next).await?;
    fixture.publish(&from, "next").await?;
    let received = bodies(&fixture.expect_body(&next, "next").await?);
    ensure(received == ["next"], || format!("there came {received:?}"))
}

pub(super) async fn an_atomic_commit_that_fails_changes_nothing(fixture: Fixture) -> CaseResult {
    if fixture.capabilities().transactions != TransactionGuarantee::Atomic {
        return Ok(());
    }
    let topic = fixture.topic("room")?;
    let mailbox = Mailbox::new();
    fixture.listen(&topic, &mailbox).await?;
    let nowhere = Destination::new("/no-such-prefix/a").map_err(|it| Failure(it.to_string()))?;
    let operations = vec![
        Operation::Publish(message(&topic, "never")),
        Operation::Publish(message(&nowhere, "never")),
    ];
    let answer = fixture.commit(operations).await?;
    ensure(answer.is_err(), || "the commit succeeded".to_owned())?;
    fixture.publish(&topic, "next").await?;
    let received = bodies(&fixture.expect(&mailbox, 1).await?);
    ensure(received == ["next"], || format!("there came {received:?}"))
}

async fn committed(fixture: &Fixture, operations: Vec<Operation>) -> CaseResult {
    let answer = fixture.commit(operations).await?;
    answer.map_err(|error| Failure(format!("COMMIT: {error}")))
}
