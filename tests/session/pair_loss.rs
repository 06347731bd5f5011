//! A connection that is lost at any byte: what was confirmed has happened, what happened has
//! happened once, and a transaction has happened whole or not at all.

use std::time::Duration;

use proptest::prelude::*;
use stompbox::frame::Version;
use stompbox::session::{AckMode, Confirm};

use crate::client::settings;
use crate::pair::{Pair, options};

const JOBS: &str = "/queue/jobs";

/// Where and how a connection is lost.
#[derive(Debug, Clone)]
struct Loss {
    version: Version,
    up: Option<usize>,
    down: Option<usize>,
    chunk: usize,
    window: usize,
}

fn losses() -> impl Strategy<Value = Loss> {
    let version = prop::sample::select(&Version::ALL[..]);
    let carries = || prop::option::weighted(0.7, 0..1_500_usize);
    (version, carries(), carries(), 1..60_usize, 60..400_usize)
        .prop_map(|(version, up, down, chunk, window)| Loss { version, up, down, chunk, window })
}

fn was_confirmed(told: &[String], request: stompbox::session::Request) -> bool {
    told.contains(&format!("confirmed {request}"))
}

/// Empties the queue over a new connection, and returns the bodies in their order.
fn drained(pair: &mut Pair, version: Version) -> Vec<String> {
    pair.connects_again(options(version));
    pair.rests();
    pair.tells();
    pair.subscribe("rest", JOBS, AckMode::Auto);
    pair.rests();
    let told = pair.tells();
    let bodies = told.iter().filter_map(|told| told.strip_prefix("rest: "));
    bodies.map(|body| body.trim_end_matches(" again").to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_lost_nothing_that_was_confirmed_is(loss in losses()) {
        let mut pair = Pair::new(options(loss.version), settings());
        for wire in [&mut pair.up, &mut pair.down] {
            (wire.chunk, wire.window) = (loss.chunk, loss.window);
        }
        (pair.up.carries, pair.down.carries) = (loss.up, loss.down);
        pair.rests();
        let mut told = pair.tells();
        let mut sent = Vec::new();
        let (mut commit, mut acked) = (None, None);
        if pair.client.is_connected() {
            pair.subscribe("a", JOBS, AckMode::Client);
            sent = ["1", "2", "3"].map(|body| (body, pair.send(JOBS, body))).to_vec();
            pair.rests();
        }
        if pair.client.is_connected() && pair.unsettled.len() == 3 {
            acked = Some(pair.ack("1", None));
            pair.client.begin("t", Confirm::Receipt).unwrap();
            pair.send_in("t", JOBS, "x");
            pair.ack("3", Some("t"));
            pair.send_in("t", JOBS, "y");
            commit = Some(pair.client.commit("t", Confirm::Receipt).unwrap());
            pair.rests();
        }
        told.extend(pair.tells());
        prop_assert!(pair.failure.is_none(), "{:?}", pair.failure);

        let left = drained(&mut pair, loss.version);
        let has = |body: &str| left.iter().any(|left| left == body);
        let mut unique = left.clone();
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(unique.len(), left.len(), "each once: {:?}", left);

        // The transaction sends x and y and settles all up to 3.
        prop_assert_eq!(has("x"), has("y"), "whole or not at all: {:?}", left);
        if commit.is_some_and(|commit| was_confirmed(&told, commit)) {
            prop_assert_eq!(&left, &["x", "y"]);
        } else {
            let committed = has("x");
            prop_assert!(!committed || left == ["x", "y"], "{left:?}");
            let settled = acked.is_some_and(|acked| was_confirmed(&told, acked));
            for (body, request) in sent {
                let kept = was_confirmed(&told, request) && !committed;
                if kept && body != "1" {
                    prop_assert!(has(body), "{body} was confirmed: {left:?}");
                }
                if body == "1" && settled {
                    prop_assert!(!has(body), "it was settled: {left:?}");
                }
            }
        }
        let mut in_order: Vec<_> = ["1", "2", "3", "x", "y"].into_iter().collect();
        in_order.retain(|body| has(body));
        prop_assert_eq!(left, in_order);
    }

    #[test]
    fn a_peer_that_vanishes_without_a_word_is_noticed(
        after in 0..1_000_u64,
        both in any::<bool>(),
    ) {
        let period = Duration::from_secs(1);
        let (mut options, mut settings) = (options(Version::V1_2), settings());
        options.heart_beat = stompbox::session::HeartBeat::new(period, period);
        settings.heart_beat = options.heart_beat;
        let mut pair = Pair::new(options, settings);
        pair.rests();
        pair.subscribe("a", JOBS, AckMode::Client);
        pair.send(JOBS, "1");
        pair.rests();
        prop_assert!(pair.client.is_connected());
        // Whatever sets out from then on is on its way for ever.
        pair.passes(Duration::from_millis(after));
        let for_ever = Duration::from_secs(1 << 30);
        pair.up.latency = for_ever;
        if both {
            pair.down.latency = for_ever;
        }
        pair.passes(2 * period + Duration::from_millis(20));
        prop_assert!(pair.node.refusal.is_some());
        if both {
            prop_assert!(pair.failure.is_some());
        } else {
            prop_assert!(pair.told.last().is_some_and(|told| told.starts_with("error")));
        }
    }
}
