//! The cases, by subject.

mod capabilities;
mod history;
mod leaks;
mod patterns;
mod queues;
mod topics;
mod transactions;

use std::future::Future;
use std::pin::Pin;

use crate::broker::{Capabilities, Capability};

use super::fixture::{CaseResult, Fixture};

type Running = Pin<Box<dyn Future<Output = CaseResult>>>;

/// One case: what a broker has to do, as a sentence in its name.
pub(super) struct Case {
    pub(super) name: &'static str,
    needs: &'static [Capability],
    pub(super) run: fn(Fixture) -> Running,
}

impl Case {
    pub(super) fn applies_to(&self, capabilities: Capabilities) -> bool {
        self.needs.iter().all(|needed| capabilities.supports(*needed))
    }
}

macro_rules! cases {
    ($($subject:ident::$case:ident $(needs $($needed:ident),+)?;)*) => {
        /// All of them.
        pub(super) const ALL: &[Case] = &[$(Case {
            name: concat!(stringify!($subject), ": ", stringify!($case)),
            needs: &[$($(Capability::$needed),+)?],
            run: |fixture| Box::pin($subject::$case(fixture)),
        }),*];
    };
}

cases! {
    topics::every_subscriber_gets_every_message_once_and_in_its_publishers_order;
    topics::what_was_published_before_a_subscription_is_not_delivered;
    topics::nothing_is_delivered_after_unsubscribing;
    topics::a_message_without_subscribers_is_taken;
    topics::a_subscriber_that_is_gone_disturbs_nobody;
    topics::one_that_is_full_holds_publishers_until_it_is_resumed;
    topics::one_that_is_full_holds_publishers_until_it_leaves;
    topics::two_subscriptions_of_one_connection_get_a_copy_each;
    topics::headers_and_body_arrive_as_they_were_sent;
    queues::a_message_waits_for_a_consumer needs Queues;
    queues::each_message_goes_to_one_consumer needs Queues, Settle;
    queues::delivery_pauses_at_the_prefetch needs Queues, Settle;
    queues::what_is_acknowledged_is_gone needs Queues, Settle;
    queues::what_a_consumer_leaves_unsettled_comes_again_in_order needs Queues, Settle;
    queues::what_is_rejected_comes_again needs Queues, Settle;
    queues::in_mode_auto_what_is_written_is_gone needs Queues;
    queues::in_mode_auto_what_is_not_written_comes_again needs Queues;
    queues::a_consumer_that_is_blocked_is_passed_over_until_it_resumes needs Queues, Settle;
    transactions::a_commit_takes_effect_in_its_order needs Transactions;
    transactions::a_commit_settles needs Transactions, Queues, Settle;
    transactions::an_atomic_commit_that_fails_changes_nothing needs Transactions;
    history::the_last_messages_come_first_and_in_order needs History;
    history::it_goes_on_after_a_token needs History;
    history::nothing_is_missing_or_double_while_others_publish needs History;
    history::an_unknown_token_is_answered_with_a_gap needs History;
    history::a_history_larger_than_a_connection_takes_waits_for_it needs History;
    patterns::a_star_is_one_segment needs Patterns;
    patterns::two_stars_are_the_rest needs Patterns;
    patterns::nothing_is_delivered_after_unsubscribing needs Patterns;
    capabilities::what_is_not_supported_is_refused;
    capabilities::an_unknown_prefix_is_refused;
    capabilities::nobody_publishes_to_a_pattern;
    leaks::nothing_stays_of_connections_that_come_and_go;
}
