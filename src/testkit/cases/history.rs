use std::sync::Arc;

use crate::broker::{Destination, HistoryRequest, SubscriberId};

use super::super::fixture::{CaseResult, Failure, Fixture, bodies, ensure, numbers};
use super::super::{Mailbox, Received};

pub(super) async fn the_last_messages_come_first_and_in_order(fixture: Fixture) -> CaseResult {
    let topic = fixture.topic("kept")?;
    fixture.publish_all(&topic, numbers(0..20)).await?;
    let mailbox = Mailbox::new();
    ask(&fixture, &topic, &mailbox, HistoryRequest::Last(5)).await?;
    fixture.publish_all(&topic, numbers(20..25)).await?;
    let received = fixture.expect(&mailbox, 10).await?;
    let came = bodies(&received);
    ensure(came == numbers(15..25), || format!("there came {came:?}"))?;
    ensure(received.iter().all(|it| it.token.is_some()), || "some have no token".to_owned())?;
    ensure(!received.iter().any(|it| it.gap), || "some say that there is a gap".to_owned())
}

pub(super) async fn it_goes_on_after_a_token(fixture: Fixture) -> CaseResult {
    let topic = fixture.topic("resumed")?;
    let first = Mailbox::new();
    let id = fixture.listen(&topic, &first).await?;
    fixture.publish_all(&topic, numbers(0..5)).await?;
    let received = fixture.expect(&first, 5).await?;
    fixture.leave(&topic, id).await?;
    fixture.publish_all(&topic, numbers(5..10)).await?;
    let last = token(received.get(2))?;
    let again = Mailbox::new();
    ask(&fixture, &topic, &again, HistoryRequest::After(last.into())).await?;
    fixture.publish(&topic, "10").await?;
    let received = fixture.expect(&again, 8).await?;
    let came = bodies(&received);
    ensure(came == numbers(3..11), || format!("after 2 there came {came:?}"))?;
    ensure(!received.iter().any(|it| it.gap), || "some say that there is a gap".to_owned())
}

pub(super) async fn nothing_is_missing_or_double_while_others_publish(
    fixture: Fixture,
) -> CaseResult {
    let topic = fixture.topic("busy")?;
    let publisher = async {
        for number in 0..400 {
            fixture.publish(&topic, &number.to_string()).await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    };
    let joiners = async {
        let mut mailboxes = Vec::new();
        for _ in 0..20 {
            let mailbox = Mailbox::new();
            ask(&fixture, &topic, &mailbox, HistoryRequest::Last(50)).await?;
            mailboxes.push(mailbox);
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(mailboxes)
    };
    let ((), mailboxes) = tokio::try_join!(publisher, joiners)?;
    fixture.publish(&topic, "400").await?;
    for mailbox in mailboxes {
        let received = fixture.expect_body(&mailbox, "400").await?;
        let came: Vec<usize> = received.iter().filter_map(|it| it.text().parse().ok()).collect();
        let first = came.first().copied().unwrap_or_default();
        ensure(came.iter().copied().eq(first..=400), || format!("there came {came:?}"))?;
    }
    Ok(())
}

pub(super) async fn an_unknown_token_is_answered_with_a_gap(fixture: Fixture) -> CaseResult {
    let topic = fixture.topic("elsewhere")?;
    let other = fixture.topic("other")?;
    let mailbox = Mailbox::new();
    fixture.listen(&topic, &mailbox).await?;
    fixture.publish_all(&topic, numbers(0..3)).await?;
    let received = fixture.expect(&mailbox, 3).await?;
    // It names a place in a history that is none of this destination's.
    let unknown = token(received.last())?;
    let again = Mailbox::new();
    ask(&fixture, &other, &again, HistoryRequest::After(unknown.into())).await?;
    fixture.publish(&other, "first").await?;
    let received = fixture.expect(&again, 1).await?;
    ensure(received.first().is_some_and(|it| it.gap), || "no gap is said".to_owned())
}

pub(super) async fn a_history_larger_than_a_connection_takes_waits_for_it(
    fixture: Fixture,
) -> CaseResult {
    let topic = fixture.topic("slow")?;
    fixture.publish_all(&topic, numbers(0..50)).await?;
    let mailbox = Mailbox::new();
    mailbox.block();
    let id = ask(&fixture, &topic, &mailbox, HistoryRequest::Last(50)).await?;
    fixture.publish_all(&topic, numbers(50..60)).await?;
    let mut count = 0;
    while count < 60 {
        count = fixture.expect(&mailbox, count + 1).await?.len();
        fixture.resume(&topic, id);
    }
    let received = bodies(&mailbox.received());
    ensure(received == numbers(0..60), || format!("there came {received:?}"))
}

async fn ask(
    fixture: &Fixture,
    topic: &Destination,
    mailbox: &Arc<Mailbox>,
    history: HistoryRequest,
) -> CaseResult<SubscriberId> {
    let subscriber = fixture.subscriber(mailbox).with_history(Some(history));
    fixture.subscribe(topic, subscriber).await
}

fn token(received: Option<&Received>) -> CaseResult<String> {
    let token = received.and_then(|received| received.token.clone());
    token.ok_or_else(|| Failure("a message has no token".to_owned()))
}
