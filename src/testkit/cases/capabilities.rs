use crate::broker::{BrokerError, Capability, Destination, HistoryRequest};

use super::super::Mailbox;
use super::super::fixture::{CaseResult, Failure, Fixture, ensure, message};

pub(super) async fn what_is_not_supported_is_refused(fixture: Fixture) -> CaseResult {
    let mailbox = Mailbox::new();
    let capabilities = fixture.capabilities();
    let topic = fixture.topic("a")?;
    if !capabilities.supports(Capability::Patterns) {
        let subscriber = fixture.subscriber(&mailbox);
        let answer = fixture.try_subscribe(&fixture.topic("**")?, subscriber).await?;
        unsupported(&answer, Capability::Patterns)?;
    }
    if !capabilities.supports(Capability::History) {
        let history = Some(HistoryRequest::Last(1));
        let subscriber = fixture.subscriber(&mailbox).with_history(history);
        unsupported(&fixture.try_subscribe(&topic, subscriber).await?, Capability::History)?;
    }
    if !capabilities.supports(Capability::Queues) {
        let answer = fixture.try_publish(message(&fixture.queue("a")?, "1")).await?;
        ensure(answer.is_err(), || "a message to a queue was taken".to_owned())?;
    }
    Ok(())
}

pub(super) async fn an_unknown_prefix_is_refused(fixture: Fixture) -> CaseResult {
    let nowhere = Destination::new("/no-such-prefix/a").map_err(|it| Failure(it.to_string()))?;
    let answers = [
        fixture.try_publish(message(&nowhere, "1")).await?,
        fixture.try_subscribe(&nowhere, fixture.subscriber(&Mailbox::new())).await?,
    ];
    for answer in answers {
        let refused = matches!(answer, Err(BrokerError::UnknownDestination { .. }));
        ensure(refused, || format!("the answer was {answer:?}"))?;
    }
    Ok(())
}

pub(super) async fn nobody_publishes_to_a_pattern(fixture: Fixture) -> CaseResult {
    let answer = fixture.try_publish(message(&fixture.topic("**")?, "1")).await?;
    ensure(answer.is_err(), || "a message to a pattern was taken".to_owned())
}

fn unsupported(answer: &Result<(), BrokerError>, wanted: Capability) -> CaseResult {
    let refused = match answer {
        Err(BrokerError::Unsupported { capability, .. }) => *capability == wanted,
        Err(BrokerError::NoHistory { .. }) => wanted == Capability::History,
        _ => false,
    };
    ensure(refused, || format!("{wanted} is not claimed, and the answer was {answer:?}"))
}
