//! What every broker has to do, as tests that run against any [`Broker`]: for the author of one.
//!
//! ```
//! # use stompbox::broker::MemoryBroker;
//! // In a real test: #[tokio::test]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use stompbox::testkit::BrokerSuite;
//!
//! let make = || async {
//!     // A broker of its own for each case: here yours is made, and connected to its engine.
//!     MemoryBroker::builder().rule("/topic/**,history=1000".parse().unwrap()).build()
//! };
//! # let suite = BrokerSuite::new().with_connections(100);
//! # let _ = "
//! let suite = BrokerSuite::new();
//! # ";
//! let report = suite.run(make).await;
//! assert!(report.failures().is_empty(), "{report}");
//! # }
//! ```
//!
//! # What is expected of the broker
//!
//! - It serves topics below `/topic` and, if it can, queues below `/queue`, or below what
//!   [`with_topics`](BrokerSuite::with_topics) and [`with_queues`](BrokerSuite::with_queues) say. Each
//!   run uses new names, so an engine need not be emptied.
//! - If it can keep history, it keeps at least the last 100 messages of every topic.
//! - A queue puts back what is rejected.
//! - Where its [`slow_consumer`](Broker::slow_consumer) says of topics that publishers are held, they
//!   are: to have that looked at, make yours with such a policy.
//! - What its [`capabilities`](Broker::capabilities) do not name is refused; those cases look for
//!   the refusal instead.
//!
//! Nothing here sleeps to see whether something comes: that nothing came is known when a later
//! message has come. A case that waits longer than
//! [`with_patience`](BrokerSuite::with_patience) for something has failed.

mod cases;
mod fixture;
mod host;
mod mailbox;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;

use fixture::{Failure, Fixture};

pub use mailbox::{Mailbox, Received};

/// The cases, and how they are run.
#[derive(Debug, Clone)]
pub struct BrokerSuite {
    topics: String,
    queues: String,
    patience: Duration,
    connections: u64,
}

/// What became of the cases of a [`BrokerSuite`].
#[derive(Debug, Clone, Default)]
pub struct SuiteReport {
    passed: Vec<&'static str>,
    skipped: Vec<&'static str>,
    failures: Vec<(&'static str, String)>,
}

impl BrokerSuite {
    /// All cases, with topics below `/topic`, queues below `/queue`, 10 seconds of patience, and
    /// 10,000 connections that come and go.
    pub fn new() -> Self {
        Self {
            topics: "/topic".to_owned(),
            queues: "/queue".to_owned(),
            patience: Duration::from_secs(10),
            connections: 10_000,
        }
    }

    /// Sets the prefix below which topics are.
    #[must_use]
    pub fn with_topics(mut self, prefix: impl Into<String>) -> Self {
        self.topics = prefix.into();
        self
    }

    /// Sets the prefix below which queues are.
    #[must_use]
    pub fn with_queues(mut self, prefix: impl Into<String>) -> Self {
        self.queues = prefix.into();
        self
    }

    /// Sets how long a case waits for what has to come.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how many connections come and go to see whether anything of them stays.
    #[must_use]
    pub fn with_connections(mut self, connections: u64) -> Self {
        self.connections = connections;
        self
    }

    /// Runs all cases, each on a broker of its own that `make` makes, one after the other. Needs
    /// tokio's timers.
    pub async fn run<B, F, M>(&self, make: M) -> SuiteReport
    where
        B: Broker,
        F: Future<Output = B>,
        M: Fn() -> F,
    {
        let mut report = SuiteReport::default();
        for case in cases::ALL {
            let broker: Arc<dyn Broker> = Arc::new(make().await);
            let fixture = Fixture::new(Arc::clone(&broker), self.clone(), random());
            if !case.applies_to(broker.capabilities()) {
                report.skipped.push(case.name);
                continue;
            }
            match (case.run)(fixture).await {
                Ok(()) => report.passed.push(case.name),
                Err(Failure(why)) => report.failures.push((case.name, why)),
            }
        }
        report
    }
}

impl Default for BrokerSuite {
    fn default() -> Self {
        Self::new()
    }
}

impl SuiteReport {
    /// The names of the cases that passed.
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }

    /// The names of the cases that were not run, since the broker does not claim the capability.
    pub fn skipped(&self) -> &[&'static str] {
        &self.skipped
    }

    /// The names of the cases that failed, each with what was wrong.
    pub fn failures(&self) -> &[(&'static str, String)] {
        &self.failures
    }
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, skipped) = (self.passed.len(), self.skipped.len());
        writeln!(f, "{passed} passed, {skipped} skipped, {} failed", self.failures.len())?;
        for (name, why) in &self.failures {
            writeln!(f, "failed: {name}: {why}")?;
        }
        for name in &self.skipped {
            writeln!(f, "skipped: {name}")?;
        }
        Ok(())
    }
}

/// A number that no other run has: destinations of an engine outlive a run.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
