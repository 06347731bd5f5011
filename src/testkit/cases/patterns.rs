use super::super::Mailbox;
use super::super::fixture::{CaseResult, Fixture, bodies, ensure};

pub(super) async fn a_star_is_one_segment(fixture: Fixture) -> CaseResult {
    let mailbox = Mailbox::new();
    fixture.listen(&fixture.topic("*/x")?, &mailbox).await?;
    for name in ["a/x", "a/y", "a/b/x", "x", "b/x"] {
        fixture.publish(&fixture.topic(name)?, name).await?;
    }
    let received = bodies(&fixture.expect_body(&mailbox, "b/x").await?);
    ensure(received == ["a/x", "b/x"], || format!("there came {received:?}"))
}

pub(super) async fn two_stars_are_the_rest(fixture: Fixture) -> CaseResult {
    let (rest, exact) = (Mailbox::new(), Mailbox::new());
    fixture.listen(&fixture.topic("a/**")?, &rest).await?;
    fixture.listen(&fixture.topic("a/b")?, &exact).await?;
    for name in ["a", "a/b", "b", "a/b/c/d", "ab"] {
        fixture.publish(&fixture.topic(name)?, name).await?;
    }
    fixture.publish(&fixture.topic("a/end")?, "a/end").await?;
    let mut received = bodies(&fixture.expect(&rest, 4).await?);
    // One publisher awaited each, yet only messages of one destination have an order.
    received.sort();
    ensure(received == ["a", "a/b", "a/b/c/d", "a/end"], || format!("there came {received:?}"))?;
    let received = bodies(&fixture.expect(&exact, 1).await?);
    ensure(received == ["a/b"], || format!("there came {received:?}"))
}

pub(super) async fn nothing_is_delivered_after_unsubscribing(fixture: Fixture) -> CaseResult {
    let pattern = fixture.topic("**")?;
    let (leaves, stays) = (Mailbox::new(), Mailbox::new());
    let id = fixture.listen(&pattern, &leaves).await?;
    fixture.listen(&pattern, &stays).await?;
    fixture.publish(&fixture.topic("a")?, "1").await?;
    fixture.expect(&leaves, 1).await?;
    fixture.leave(&pattern, id).await?;
    fixture.publish(&fixture.topic("a")?, "2").await?;
    fixture.expect(&stays, 2).await?;
    ensure(leaves.count() == 1, || format!("there came {:?}", bodies(&leaves.received())))
}
