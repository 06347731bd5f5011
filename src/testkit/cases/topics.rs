use std::sync::Arc;

use crate::broker::{BrokerError, Destination, Message, Subscriber, SubscriberId};
use crate::session::SubscriptionKey;

use super::super::Mailbox;
use super::super::fixture::{CaseResult, Failure, Fixture, bodies, ensure};

const PUBLISHERS: usize = 4;
const MESSAGES: usize = 250;

pub(super) async fn every_subscriber_gets_every_message_once_and_in_its_publishers_order(
    fixture: Fixture,
) -> CaseResult {
    let topic = fixture.topic("room")?;
    let mailboxes = [Mailbox::new(), Mailbox::new(), Mailbox::new()];
    for mailbox in &mailboxes {
        fixture.listen(&topic, mailbox).await?;
    }
    let publisher = async |publisher: usize| {
        for batch in 0..10 {
            let numbers = batch * (MESSAGES / 10)..(batch + 1) * (MESSAGES / 10);
            let bodies = numbers.map(|number| format!("{publisher}-{number}"));
            fixture.publish_all(&topic, bodies).await?;
        }
        CaseResult::Ok(())
    };
    tokio::try_join!(publisher(0), publisher(1), publisher(2), publisher(3))?;
    for mailbox in &mailboxes {
        let received = bodies(&fixture.expect(mailbox, PUBLISHERS * MESSAGES).await?);
        for publisher in 0..PUBLISHERS {
            let prefix = format!("{publisher}-");
            let got = received.iter().filter_map(|body| body.strip_prefix(&prefix));
            let wanted = (0..MESSAGES).map(|number| number.to_string());
            ensure(got.eq(wanted), || format!("publisher {publisher}'s came as {received:?}"))?;
        }
    }
    Ok(())
}

pub(super) async fn what_was_published_before_a_subscription_is_not_delivered(
    fixture: Fixture,
) -> CaseResult {
    let topic = fixture.topic("room")?;
    fixture.publish(&topic, "before").await?;
    let mailbox = Mailbox::new();
    fixture.listen(&topic, &mailbox).await?;
    fixture.publish(&topic, "after").await?;
    let received = bodies(&fixture.expect(&mailbox, 1).await?);
    ensure(received == ["after"], || format!("there came {received:?}"))
}

pub(super) async fn nothing_is_delivered_after_unsubscribing(fixture: Fixture) -> CaseResult {
    let topic = fixture.topic("room")?;
    let (leaves, stays) = (Mailbox::new(), Mailbox::new());
    let id = fixture.listen(&topic, &leaves).await?;
    fixture.listen(&topic, &stays).await?;
    fixture.publish(&topic, "1").await?;
    fixture.expect(&leaves, 1).await?;
    fixture.leave(&topic, id).await?;
    fixture.publish(&topic, "2").await?;
    fixture.expect(&stays, 2).await?;
    ensure(leaves.count() == 1, || format!("there came {:?}", bodies(&leaves.received())))
}

pub(super) async fn a_message_without_subscribers_is_taken(fixture: Fixture) -> CaseResult {
    fixture.publish(&fixture.topic("empty")?, "nobody hears").await
}

pub(super) async fn a_subscriber_that_is_gone_disturbs_nobody(fixture: Fixture) -> CaseResult {
    let topic = fixture.topic("room")?;
    let (gone, stays) = (Mailbox::new(), Mailbox::new());
    fixture.listen(&topic, &gone).await?;
    fixture.listen(&topic, &stays).await?;
    gone.go();
    fixture.publish(&topic, "1").await?;
    fixture.publish(&topic, "2").await?;
    let received = bodies(&fixture.expect(&stays, 2).await?);
    ensure(received == ["1", "2"], || format!("there came {received:?}"))
}

pub(super) async fn one_that_is_full_holds_publishers_until_it_is_resumed(
    fixture: Fixture,
) -> CaseResult {
    full(&fixture, async |topic, mailbox, id| {
        mailbox.unblock();
        fixture.resume(topic, id);
        fixture.publish(topic, "after").await?;
        fixture.expect_body(mailbox, "after").await.map(drop)
    })
    .await
}

pub(super) async fn one_that_is_full_holds_publishers_until_it_leaves(
    fixture: Fixture,
) -> CaseResult {
    full(&fixture, async |topic, _, id| fixture.leave(topic, id).await).await
}

/// Publishes to a subscriber that is full until that is held up, and then until the subscriber has
/// done this. Where the broker does not say that publishers are held, no subscriber is ever full.
async fn full(
    fixture: &Fixture,
    then: impl AsyncFnOnce(&Destination, &Mailbox, SubscriberId) -> CaseResult,
) -> CaseResult {
    let (topic, other) = (fixture.topic("held")?, fixture.topic("other")?);
    if !fixture.holds_publishers(&topic) {
        return Ok(());
    }
    let mailbox = Mailbox::new();
    mailbox.fill();
    let id = fixture.listen(&topic, &mailbox).await?;
    let done = |done: Result<(), BrokerError>| {
        done.map_err(|error| Failure(format!("SEND {topic}: {error}")))
    };
    let mut held = None;
    // The first ones are perhaps taken before its answer is known.
    for number in 0..10 {
        let mut outcome = fixture.begin_publish(&topic, &number.to_string());
        fixture.expect(&mailbox, number + 1).await?;
        fixture.publish(&other, "others are not concerned").await?;
        match outcome.take_ready() {
            Some(taken) => done(taken)?,
            None => {
                held = Some(outcome);
                break;
            }
        }
    }
    let held = held.ok_or_else(|| Failure("publishers are not held".to_owned()))?;
    then(&topic, &mailbox, id).await?;
    done(fixture.outcome(held).await?)
}

pub(super) async fn two_subscriptions_of_one_connection_get_a_copy_each(
    fixture: Fixture,
) -> CaseResult {
    let topic = fixture.topic("room")?;
    let mailbox = Mailbox::new();
    let first = fixture.subscriber(&mailbox);
    let id = SubscriberId { subscription: SubscriptionKey::new(1, 0), ..first.id };
    let outlet = Arc::clone(&first.outlet);
    fixture.subscribe(&topic, first).await?;
    fixture.subscribe(&topic, Subscriber::new(id, outlet)).await?;
    fixture.publish(&topic, "hello").await?;
    let received = fixture.expect(&mailbox, 2).await?;
    let mut keys: Vec<_> = received.iter().map(|it| it.subscription).collect();
    keys.sort_by_key(|key| *key == SubscriptionKey::new(1, 0));
    let wanted = [SubscriptionKey::new(0, 0), SubscriptionKey::new(1, 0)];
    ensure(keys == wanted, || format!("copies came to {keys:?}"))
}

pub(super) async fn headers_and_body_arrive_as_they_were_sent(fixture: Fixture) -> CaseResult {
    let topic = fixture.topic("room")?;
    let mailbox = Mailbox::new();
    fixture.listen(&topic, &mailbox).await?;
    let body = b"NUL \0, LF \n, and no UTF-8 \xFF\xFE";
    let headers = [
        ("content-type", "application/octet-stream"),
        ("x-note", "a: colon, a \\ backslash, a \n line"),
        ("räume", "größer"),
    ];
    let mut message = Message::builder(topic.clone());
    for (name, value) in headers {
        message = message.header(name, value);
    }
    fixture.publish_message(message.body(body)).await?;
    let received = fixture.expect(&mailbox, 1).await?;
    let Some(received) = received.first() else { return Ok(()) };
    ensure(received.body == body, || format!("the body came as {:?}", received.body))?;
    let destination = received.header("destination");
    ensure(destination == Some(topic.as_str()), || format!("destination: {destination:?}"))?;
    for (name, value) in headers {
        let came = received.header(name);
        ensure(came == Some(value), || format!("{name}:{value:?} came as {came:?}"))?;
    }
    Ok(())
}
