use std::time::Duration;

use crate::broker::{Destination, Settlement};

use super::super::fixture::{CaseResult, Failure, Fixture, bodies, ensure, numbers};
use super::super::{Mailbox, Received};

pub(super) async fn a_message_waits_for_a_consumer(fixture: Fixture) -> CaseResult {
    let queue = fixture.queue("waits")?;
    fixture.publish_all(&queue, numbers(0..10)).await?;
    let mailbox = Mailbox::new();
    fixture.listen(&queue, &mailbox).await?;
    let received = bodies(&fixture.expect(&mailbox, 10).await?);
    ensure(received == numbers(0..10), || format!("there came {received:?}"))
}

pub(super) async fn each_message_goes_to_one_consumer(fixture: Fixture) -> CaseResult {
    const MESSAGES: usize = 200;
    let queue = fixture.queue("shared")?;
    let mailboxes = [Mailbox::new(), Mailbox::new()];
    let consumers = [
        fixture.consume(&queue, &mailboxes[0], 10).await?,
        fixture.consume(&queue, &mailboxes[1], 10).await?,
    ];
    fixture.publish_all(&queue, numbers(0..MESSAGES)).await?;
    let mut settled = [0, 0];
    // Each acknowledges what it has, until all is acknowledged.
    while settled.iter().sum::<usize>() < MESSAGES {
        let [one, other] = &mailboxes;
        let more = |settled: usize| move |received: &[Received]| received.len() > settled;
        tokio::select! {
            _ = one.wait_until(Duration::MAX, more(settled[0])) => {}
            _ = other.wait_until(Duration::MAX, more(settled[1])) => {}
            () = tokio::time::sleep(fixture.patience()) => {
                return Err(Failure(format!("{settled:?} of {MESSAGES} came")));
            }
        }
        for ((mailbox, consumer), settled) in mailboxes.iter().zip(consumers).zip(&mut settled) {
            let received = mailbox.received();
            let fresh = received.get(*settled..).unwrap_or_default();
            fixture.settle(&queue, consumer, mailbox, fresh, Settlement::Acknowledged).await?;
            *settled += fresh.len();
        }
    }
    let mut all = bodies(&mailboxes[0].received());
    all.extend(bodies(&mailboxes[1].received()));
    all.sort_by_key(|body| body.parse::<usize>().unwrap_or(usize::MAX));
    ensure(all == numbers(0..MESSAGES), || format!("there came {all:?}"))?;
    ensure(settled.iter().all(|count| *count > 0), || format!("one got all: {settled:?}"))
}

pub(super) async fn delivery_pauses_at_the_prefetch(fixture: Fixture) -> CaseResult {
    let queue = fixture.queue("prefetch")?;
    fixture.publish_all(&queue, numbers(0..20)).await?;
    let mailbox = Mailbox::new();
    let consumer = fixture.consume(&queue, &mailbox, 3).await?;
    for settled in 0..20 {
        let received = fixture.expect(&mailbox, settled + 1).await?;
        let next = received.get(settled..=settled).unwrap_or_default();
        fixture.settle(&queue, consumer, &mailbox, next, Settlement::Acknowledged).await?;
    }
    let most = mailbox.most_unsettled();
    ensure(most <= 3, || format!("{most} were unsettled at once, 3 was the prefetch"))?;
    let received = bodies(&mailbox.received());
    ensure(received == numbers(0..20), || format!("there came {received:?}"))
}

pub(super) async fn what_is_acknowledged_is_gone(fixture: Fixture) -> CaseResult {
    let queue = fixture.queue("gone")?;
    let mailbox = Mailbox::new();
    let consumer = fixture.consume(&queue, &mailbox, 10).await?;
    fixture.publish_all(&queue, numbers(0..3)).await?;
    let received = fixture.expect(&mailbox, 3).await?;
    fixture.settle(&queue, consumer, &mailbox, &received, Settlement::Acknowledged).await?;
    fixture.leave(&queue, consumer).await?;
    only_the_next_comes(&fixture, &queue).await
}

pub(super) async fn what_a_consumer_leaves_unsettled_comes_again_in_order(
    fixture: Fixture,
) -> CaseResult {
    let queue = fixture.queue("again")?;
    let mailbox = Mailbox::new();
    let consumer = fixture.consume(&queue, &mailbox, 10).await?;
    fixture.publish_all(&queue, numbers(0..5)).await?;
    let received = fixture.expect(&mailbox, 5).await?;
    let middle = received.get(2..3).unwrap_or_default();
    fixture.settle(&queue, consumer, &mailbox, middle, Settlement::Acknowledged).await?;
    fixture.leave(&queue, consumer).await?;
    let next = Mailbox::new();
    fixture.consume(&queue, &next, 10).await?;
    let again = fixture.expect(&next, 4).await?;
    let came = bodies(&again);
    ensure(came == ["0", "1", "3", "4"], || format!("there came {came:?}"))?;
    ensure(again.iter().all(|it| it.attempt > 1), || "they do not say redelivered".to_owned())
}

pub(super) async fn what_is_rejected_comes_again(fixture: Fixture) -> CaseResult {
    let queue = fixture.queue("rejected")?;
    let mailbox = Mailbox::new();
    let consumer = fixture.consume(&queue, &mailbox, 10).await?;
    fixture.publish(&queue, "1").await?;
    let received = fixture.expect(&mailbox, 1).await?;
    fixture.settle(&queue, consumer, &mailbox, &received, Settlement::Rejected).await?;
    let again = fixture.expect(&mailbox, 2).await?;
    let Some(last) = again.last() else { return Ok(()) };
    ensure(last.body == b"1" && last.attempt > 1, || format!("there came {last:?}"))?;
    fixture
        .settle(&queue, consumer, &mailbox, std::slice::from_ref(last), Settlement::Acknowledged)
        .await?;
    fixture.leave(&queue, consumer).await?;
    only_the_next_comes(&fixture, &queue).await
}

pub(super) async fn in_mode_auto_what_is_written_is_gone(fixture: Fixture) -> CaseResult {
    let queue = fixture.queue("auto")?;
    let mailbox = Mailbox::new();
    let consumer = fixture.listen(&queue, &mailbox).await?;
    fixture.publish_all(&queue, numbers(0..3)).await?;
    fixture.expect(&mailbox, 3).await?;
    fixture.leave(&queue, consumer).await?;
    only_the_next_comes(&fixture, &queue).await
}

pub(super) async fn in_mode_auto_what_is_not_written_comes_again(fixture: Fixture) -> CaseResult {
    let queue = fixture.queue("unwritten")?;
    let mailbox = Mailbox::new();
    mailbox.block();
    let consumer = fixture.listen(&queue, &mailbox).await?;
    fixture.publish(&queue, "1").await?;
    fixture.expect(&mailbox, 1).await?;
    fixture.leave(&queue, consumer).await?;
    let next = Mailbox::new();
    fixture.listen(&queue, &next).await?;
    let again = fixture.expect(&next, 1).await?;
    ensure(bodies(&again) == ["1"], || format!("there came {:?}", bodies(&again)))
}

pub(super) async fn a_consumer_that_is_blocked_is_passed_over_until_it_resumes(
    fixture: Fixture,
) -> CaseResult {
    let queue = fixture.queue("blocked")?;
    let (blocked, free) = (Mailbox::new(), Mailbox::new());
    blocked.block();
    let stuck = fixture.consume(&queue, &blocked, 100).await?;
    fixture.publish(&queue, "0").await?;
    fixture.expect(&blocked, 1).await?;
    fixture.consume(&queue, &free, 100).await?;
    fixture.publish_all(&queue, numbers(1..21)).await?;
    let received = bodies(&fixture.expect(&free, 20).await?);
    ensure(received == numbers(1..21), || format!("there came {received:?}"))?;
    blocked.unblock();
    fixture.resume(&queue, stuck);
    fixture.publish_all(&queue, numbers(21..61)).await?;
    let took_part = |all: &[_]| all.len() > 1;
    let came = blocked.wait_until(fixture.patience(), took_part).await;
    ensure(came.is_ok(), || "it got nothing after it resumed".to_owned())
}

/// Sees by a message that is sent now that nothing else is in the queue.
async fn only_the_next_comes(fixture: &Fixture, queue: &Destination) -> CaseResult {
    let next = Mailbox::new();
    fixture.listen(queue, &next).await?;
    fixture.publish(queue, "next").await?;
    let received = bodies(&fixture.expect_body(&next, "next").await?);
    ensure(received == ["next"], || format!("there came {received:?}"))
}
