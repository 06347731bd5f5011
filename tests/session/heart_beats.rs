//! Heart-beats in both directions (row C4), on instants that the test makes up.

use std::time::Duration;

use stompbox::session::{HeartBeat, SessionError, SessionSettings};

use crate::client::{Client, settings};

fn ours(sends: u64, wants: u64) -> SessionSettings {
    let mut settings = settings();
    settings.heart_beat =
        HeartBeat::new(Duration::from_millis(sends), Duration::from_millis(wants));
    settings
}

/// A client that has connected with this `heart-beat` header.
fn connected(settings: SessionSettings, header: &str) -> Client {
    let mut client = Client::new(settings);
    let answer = client.says(&format!("CONNECT\naccept-version:1.2\n{header}\n^@"));
    assert!(answer.starts_with("CONNECTED\n"), "{answer}");
    client
}

/// In how many milliseconds the server sends a beat, and counts the client as silent.
fn periods(client: &Client) -> (Option<u128>, Option<u128>) {
    let until = |instant: std::time::Instant| (instant - client.now).as_millis();
    (client.leaving.next_beat().map(until), client.session.next_deadline().map(until))
}

#[test]
fn c4_each_direction_is_negotiated() {
    for (header, expected) in [
        ("heart-beat:4000,5000\n", (Some(10_000), Some(2 * 20_000))),
        ("heart-beat:30000,40000\n", (Some(40_000), Some(2 * 30_000))),
        ("heart-beat:0,5000\n", (Some(10_000), None)),
        ("heart-beat:5000,0\n", (None, Some(2 * 20_000))),
        ("heart-beat:0,0\n", (None, None)),
        ("", (None, None)),
    ] {
        assert_eq!(periods(&connected(ours(10_000, 20_000), header)), expected, "{header}");
    }
    assert_eq!(periods(&connected(ours(0, 0), "heart-beat:1,1\n")), (None, None));
    assert_eq!(periods(&connected(ours(0, 10), "heart-beat:1,1\n")), (None, Some(20)));
}

#[test]
fn c4_connected_always_has_the_header() {
    for (version, header) in [("1.0", "0,0"), ("1.1", "7,8"), ("1.2", "7,8")] {
        let mut client = Client::new(ours(7, 8));
        let answer = client.says(&format!("CONNECT\naccept-version:{version}\n\n^@"));
        assert!(answer.contains(&format!("\nheart-beat:{header}\n")), "{answer}");
    }
}

/// stompjs and webstomp-client send the header whatever they offer, and do not beat in 1.0.
#[test]
fn c4_in_1_0_there_are_no_heart_beats_whatever_the_client_says() {
    for version in ["", "accept-version:1.0\n"] {
        for header in ["heart-beat:4000,5000\n", "heart-beat:none\n"] {
            let mut client = Client::new(ours(10_000, 20_000));
            let answer = client.says(&format!("CONNECT\n{version}{header}\n^@"));
            assert!(answer.starts_with("CONNECTED\nversion:1.0\n"), "{answer}");
            assert_eq!(periods(&client), (None, None), "{version}{header}");
        }
    }
}

#[test]
fn c4_a_malformed_header_is_an_error() {
    for value in ["", "1", "1,", "1,2,3", "a,b", "-1,0", "1.5,2", "1 ,2"] {
        let mut client = Client::new(ours(1, 1));
        let answer = client.says(&format!("CONNECT\naccept-version:1.2\nheart-beat:{value}\n\n^@"));
        assert!(answer.starts_with("ERROR\nmessage:invalid header\n"), "{value:?}: {answer}");
        assert!(matches!(client.error(), SessionError::InvalidHeader { header: "heart-beat", .. }));
    }
}

#[test]
fn c4_a_beat_is_sent_only_if_nothing_else_was() {
    let mut client = connected(ours(1_000, 0), "heart-beat:0,1000\n");
    client.passes(999);
    client.leaving.beat(client.now);
    assert_eq!(client.reads(), "", "not due");
    client.says("SEND\ndestination:/a\nreceipt:1\n\n^@");
    client.passes(1);
    client.leaving.beat(client.now);
    assert_eq!(client.reads(), "", "the RECEIPT was as good");
    assert_eq!(periods(&client).0, Some(999));
    client.passes(999);
    client.leaving.beat(client.now);
    client.leaving.beat(client.now);
    assert_eq!(client.reads(), "\n", "one, not two");
    assert_eq!(periods(&client).0, Some(1_000));

    for direct in [false, true] {
        client.direct = direct;
        let subscribe = format!("SUBSCRIBE\nid:{direct}\ndestination:/queue/a\n\n^@");
        client.says(&subscribe);
        client.passes(600);
        client.delivers(&direct.to_string(), "x");
        assert_eq!(periods(&client).0, Some(1_000), "a MESSAGE is as good too");
    }
}

#[test]
fn c4_no_beat_goes_out_behind_what_waits_nor_after_the_end() {
    let mut client = connected(ours(1_000, 0), "heart-beat:0,1000\n");
    client.leaving.raw(b"waits for the socket");
    assert_eq!(client.leaving.next_beat(), None);
    client.passes(5_000);
    client.leaving.beat(client.now);
    assert_eq!(client.reads(), "waits for the socket");
    client.says("DISCONNECT\n\n^@");
    assert_eq!(client.leaving.next_beat(), None);
    client.passes(5_000);
    client.leaving.beat(client.now);
    assert_eq!(client.reads(), "");
}

#[test]
fn c4_any_byte_is_a_sign_of_life() {
    let mut client = connected(ours(0, 1_000), "heart-beat:1000,0\n");
    for bytes in ["\n", "S", "END\ndestination:/a\n\nhalf a bo"] {
        client.passes(1_999);
        client.says(bytes);
        assert_eq!(periods(&client).1, Some(2_000), "{bytes:?}");
        assert_eq!(client.session.handle_deadline(client.now), None);
    }
    client.passes(1_999);
    client.session.heard(client.now);
    assert_eq!(periods(&client).1, Some(2_000), "a Pong");
}

#[test]
fn c4_silence_is_an_error_after_another_period() {
    let mut client = connected(ours(0, 1_000), "heart-beat:1000,0\n");
    client.passes(1_999);
    assert_eq!(client.session.handle_deadline(client.now), None);
    client.passes(1);
    let missed = |milliseconds| {
        Some(SessionError::HeartBeatMissed { silence: Duration::from_millis(milliseconds) })
    };
    assert_eq!(client.session.handle_deadline(client.now), missed(2_000));
    assert!(client.session.is_connected(), "the transport asks for a sign of life first");
    client.session.grant_period(client.now);
    assert_eq!(periods(&client).1, Some(1_000));
    assert_eq!(client.session.handle_deadline(client.now), None);
    client.passes(1_000);
    assert_eq!(client.session.handle_deadline(client.now), missed(3_000));

    client.session.end();
    assert_eq!(client.session.next_deadline(), None);
    assert_eq!(client.session.handle_deadline(client.now), None);
}

#[test]
fn c4_the_margin_is_a_setting() {
    let mut settings = ours(0, 1_000);
    settings.heart_beat_margin = 5;
    assert_eq!(periods(&connected(settings, "heart-beat:500,0\n")).1, Some(5_000));
}
