//! The conformance suite against the broker built in, and against brokers with a fault each: a suite
//! that passes anything proves nothing.
#![allow(clippy::expect_used, reason = "a helper of a test fails by panicking")]

mod faulty;

use std::time::Duration;

use stompbox::broker::MemoryBroker;
use stompbox::testkit::BrokerSuite;

use faulty::{Fault, Faulty};

#[tokio::test]
async fn the_memory_broker_conforms() {
    let make = async || {
        let rule = "/topic/**,history=1000,slow=hold".parse().expect("a rule");
        MemoryBroker::builder().rule(rule).build()
    };
    let report = BrokerSuite::new().run(make).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test]
async fn without_history_that_is_refused() {
    let suite = BrokerSuite::new().with_connections(100);
    let report = suite.run(async || MemoryBroker::new()).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.skipped().iter().all(|case| case.starts_with("history: ")), "{report}");
    assert!(!report.skipped().is_empty(), "{report}");
}

/// The clock is paused, so that no patience is lost on what never comes.
#[tokio::test(start_paused = true)]
async fn every_fault_is_found() {
    let rows = [
        (Fault::LosesAMessage, "every_subscriber_gets_every_message_once"),
        (Fault::DeliversTwice, "every_subscriber_gets_every_message_once"),
        (Fault::TurnsOrderAround, "every_subscriber_gets_every_message_once"),
        (Fault::NeverAnswers, "a_message_without_subscribers_is_taken"),
        (Fault::KeepsSubscribers, "topics: nothing_is_delivered_after_unsubscribing"),
        (Fault::KeepsSubscribers, "nothing_stays_of_connections"),
        (Fault::KeepsSubscribers, "what_a_consumer_leaves_unsettled_comes_again"),
        (Fault::ForgetsSettlements, "what_is_acknowledged_is_gone"),
        (Fault::TakesRejectedForDone, "what_is_rejected_comes_again"),
        (Fault::IgnoresPrefetch, "delivery_pauses_at_the_prefetch"),
        (Fault::ForgetsToResume, "a_consumer_that_is_blocked_is_passed_over"),
        (Fault::ForgetsToResume, "one_that_is_full_holds_publishers_until_it_is_resumed"),
        (Fault::HoldsNobody, "one_that_is_full_holds_publishers_until_it_is_resumed"),
        (Fault::HoldsNobody, "one_that_is_full_holds_publishers_until_it_leaves"),
        (Fault::KeepsSubscribers, "one_that_is_full_holds_publishers_until_it_leaves"),
        (Fault::CommitsOnlyHalf, "a_commit_takes_effect_in_its_order"),
        (Fault::CommitsOnlyHalf, "a_commit_settles"),
        (Fault::ClaimsHistory, "history: the_last_messages_come_first"),
        (Fault::TakesEveryPrefix, "an_unknown_prefix_is_refused"),
    ];
    let suite = BrokerSuite::new().with_connections(100).with_patience(Duration::from_secs(1));
    for (fault, expected) in rows {
        let report = suite.run(async || Faulty::new(fault)).await;
        let found = report.failures().iter().any(|(case, _)| case.contains(expected));
        assert!(found, "{fault:?}: {report}");
    }
}
