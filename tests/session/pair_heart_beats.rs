//! Heart-beats between both ends, on a clock of their own (row C4).

use std::time::Duration;

use stompbox::frame::Version;
use stompbox::session::{
    ClientError, ConnectOptions, HeartBeat, ServerFault, SessionError, SessionSettings,
};

use crate::client::settings;
use crate::pair::{Pair, options};

const SECOND: Duration = Duration::from_secs(1);

fn beating(
    client: (Duration, Duration),
    server: (Duration, Duration),
) -> (ConnectOptions, SessionSettings) {
    let (mut options, mut settings) = (options(Version::V1_2), settings());
    options.heart_beat = HeartBeat::new(client.0, client.1);
    settings.heart_beat = HeartBeat::new(server.0, server.1);
    (options, settings)
}

fn connected((options, settings): (ConnectOptions, SessionSettings)) -> Pair {
    let mut pair = Pair::new(options, settings);
    pair.rests();
    assert_eq!(pair.tells(), ["connected 1.2"]);
    pair
}

#[test]
fn c4_beats_keep_an_idle_connection_for_as_long_as_it_takes() {
    for latency in [0, 10, 900] {
        let mut pair = connected(beating((SECOND, 2 * SECOND), (SECOND, 3 * SECOND)));
        pair.up.latency = Duration::from_millis(latency);
        pair.down.latency = Duration::from_millis(latency);
        pair.passes(Duration::from_secs(24 * 60 * 60));
        assert!(!pair.is_closed() && pair.client.is_connected());
        assert_eq!((&pair.failure, &pair.node.refusal), (&None, &None));
    }
}

#[test]
fn c4_nothing_is_sent_where_one_side_says_zero() {
    let mut pair = connected(beating((Duration::ZERO, SECOND), (Duration::ZERO, SECOND)));
    pair.up.carries = Some(0);
    pair.down.latency = Duration::from_secs(60 * 60);
    assert_eq!((pair.client.next_deadline(), pair.node.next_deadline()), (None, None));
}

#[test]
fn c4_a_silent_client_is_noticed_after_two_periods_and_told() {
    let mut pair = connected(beating((SECOND, Duration::ZERO), (Duration::ZERO, 2 * SECOND)));
    // Nothing arrives any more, and nobody says so.
    pair.up.latency = Duration::from_secs(60 * 60);
    let start = pair.now;
    pair.passes(Duration::from_millis(3_989));
    assert!(pair.node.refusal.is_none());
    pair.passes(Duration::from_millis(11));
    let refusal = pair.node.refusal.as_ref().expect("it is overdue");
    assert!(matches!(refusal.error(), Some(SessionError::HeartBeatMissed { .. })));
    pair.passes(SECOND);
    assert_eq!(pair.tells(), ["error: heart-beat missed"], "after {:?}", pair.now - start);
}

#[test]
fn c4_a_silent_server_is_noticed_after_two_periods() {
    let mut pair = connected(beating((Duration::ZERO, SECOND), (2 * SECOND, Duration::ZERO)));
    pair.down.latency = Duration::from_secs(60 * 60);
    pair.passes(Duration::from_millis(3_999));
    assert!(pair.failure.is_none());
    pair.passes(Duration::from_millis(1));
    let silence = 4 * SECOND;
    let missed = ClientError::Server(ServerFault::HeartBeatMissed { silence });
    assert_eq!(pair.failure, Some(missed));
}

#[test]
fn c4_whatever_else_is_sent_takes_the_place_of_beats() {
    let mut pair = connected(beating((SECOND, Duration::ZERO), (Duration::ZERO, SECOND)));
    for _ in 0..10 {
        pair.passes(Duration::from_millis(900));
        pair.send("/topic/a", "x");
        pair.rests();
    }
    assert!(pair.node.refusal.is_none());
    assert!(pair.client.next_deadline().unwrap() >= pair.now + Duration::from_millis(900));
}

#[test]
fn c4_a_byte_at_a_time_is_a_sign_of_life() {
    let mut pair = connected(beating((SECOND, SECOND), (SECOND, SECOND)));
    (pair.up.chunk, pair.down.chunk) = (1, 1);
    pair.passes(60 * SECOND);
    assert!(!pair.is_closed());
}

#[test]
fn a_server_that_never_answers_connect_is_given_up() {
    let mut pair = Pair::new(options(Version::V1_2), settings());
    pair.down.latency = Duration::from_secs(60 * 60);
    pair.passes(11 * SECOND);
    let limit = 10 * SECOND;
    assert_eq!(pair.failure, Some(ServerFault::ConnectTimeout { limit }.into()));
}

#[test]
fn a_server_that_never_answers_disconnect_is_given_up() {
    let mut pair = Pair::connected(Version::V1_2);
    pair.down.latency = Duration::from_secs(60 * 60);
    pair.client.disconnect(pair.now).unwrap();
    pair.passes(6 * SECOND);
    let limit = 5 * SECOND;
    assert_eq!(pair.failure, Some(ServerFault::DisconnectTimeout { limit }.into()));
}
