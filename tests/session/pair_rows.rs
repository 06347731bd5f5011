//! What both ends make of each other, in all versions (rows C1 to C8 and S1 to S7).

use stompbox::frame::Version;
use stompbox::session::{
    AckMode, ClientError, Confirm, Incompatible, Misuse, NewMessage, NewSubscription, Request,
};

use crate::client::settings;
use crate::pair::{Pair, options};

const JOBS: &str = "/queue/jobs";

/// A pair of each version.
fn each(test: impl Fn(Pair, Version)) {
    for version in Version::ALL {
        test(Pair::connected(version), version);
    }
}

/// What the client was told, less the receipts.
fn messages(pair: &mut Pair) -> Vec<String> {
    pair.rests();
    pair.tells().into_iter().filter(|told| !told.starts_with("confirmed")).collect()
}

#[test]
fn c1_the_highest_version_that_both_know_is_chosen() {
    for (ours, theirs, chosen) in [
        (&Version::ALL[..], &Version::ALL[..], "1.2"),
        (&Version::ALL[..2], &Version::ALL[..], "1.1"),
        (&Version::ALL[..], &Version::ALL[..1], "1.0"),
        (&Version::ALL[1..], &Version::ALL[..2], "1.1"),
    ] {
        let (mut options, mut settings) = (options(Version::V1_2), settings());
        options.versions = ours.to_vec();
        settings.versions = theirs.to_vec();
        let mut pair = Pair::new(options, settings);
        pair.rests();
        assert_eq!(pair.tells(), [format!("connected {chosen}")]);
        assert_eq!(pair.client.version(), pair.node.session.version());
    }
}

#[test]
fn c1_without_a_common_version_the_two_are_incompatible() {
    let mut settings = settings();
    settings.versions = vec![Version::V1_1, Version::V1_2];
    let mut pair = Pair::new(options(Version::V1_0), settings);
    pair.rests();
    let incompatible =
        Incompatible::Version { offered: "1.0".to_owned(), answered: "1.1,1.2".to_owned() };
    assert_eq!(pair.failure, Some(ClientError::Incompatible(incompatible)));
    assert!(pair.is_closed() && pair.client.is_over());
}

#[test]
fn c6_every_request_is_confirmed_and_in_its_order() {
    each(|mut pair, version| {
        let mut asked = vec![pair.subscribe("a", JOBS, AckMode::Client)];
        asked.push(pair.send(JOBS, "1"));
        asked.push(pair.send(JOBS, "2"));
        asked.push(pair.client.begin("t", Confirm::Receipt).unwrap());
        asked.push(pair.send_in("t", JOBS, "3"));
        pair.rests();
        asked.push(pair.ack("1", Some("t")));
        asked.push(pair.client.commit("t", Confirm::Receipt).unwrap());
        asked.push(pair.client.begin("t", Confirm::Receipt).unwrap());
        asked.push(pair.client.abort("t", Confirm::Receipt).unwrap());
        if version != Version::V1_0 {
            asked.push(pair.nack("2"));
        }
        asked.push(pair.client.unsubscribe("a", Confirm::Receipt).unwrap());
        assert!(pair.client.unconfirmed().count() > 0);
        pair.rests();
        let confirmed: Vec<_> =
            pair.tells().into_iter().filter(|told| told.starts_with("confirmed")).collect();
        let expected: Vec<_> = asked.iter().map(|request| format!("confirmed {request}")).collect();
        assert_eq!(confirmed, expected, "{version}");
        assert_eq!(pair.client.unconfirmed().count(), 0);
    });
}

#[test]
fn c6_what_asks_for_no_receipt_gets_none() {
    each(|mut pair, _| {
        pair.client.send(&NewMessage::to("/topic/a"), Confirm::No).unwrap();
        pair.client.begin("t", Confirm::No).unwrap();
        pair.client.commit("t", Confirm::No).unwrap();
        pair.rests();
        assert!(pair.tells().is_empty());
    });
}

#[test]
fn c6_the_receipt_of_subscribe_goes_before_its_first_message() {
    each(|mut pair, _| {
        pair.send(JOBS, "1");
        let asked = pair.subscribe("a", JOBS, AckMode::Auto);
        pair.rests();
        assert_eq!(pair.tells()[1..], [format!("confirmed {asked}"), "a: 1".to_owned()]);
    });
}

#[test]
fn c6_disconnect_is_answered_when_all_before_it_is_done() {
    each(|mut pair, _| {
        let sent = pair.send(JOBS, "1");
        pair.client.disconnect(pair.now).unwrap();
        assert!(!pair.client.is_connected() && !pair.client.is_over());
        let late = pair.client.send(&NewMessage::to(JOBS), Confirm::No);
        assert_eq!(late, Err(Misuse::NotConnected));
        pair.rests();
        assert_eq!(pair.tells(), [format!("confirmed {sent}"), "disconnected".to_owned()]);
        assert!(pair.is_closed() && pair.failure.is_none());
        assert_eq!(pair.queued(JOBS), 1);
    });
}

#[test]
fn c7_an_error_names_the_request_and_is_the_last_word() {
    each(|mut pair, _| {
        let sent = pair.send("/nowhere/at/all", "1");
        pair.send(JOBS, "2");
        pair.rests();
        assert_eq!(pair.tells(), [format!("error of {sent}: refused")]);
        assert!(pair.client.is_over() && pair.is_closed());
        let unconfirmed: Vec<_> = pair.client.unconfirmed().map(Request::number).collect();
        assert_eq!(unconfirmed, [sent.number() + 1], "nobody knows what became of it");
        assert_eq!(pair.queued(JOBS), 0);
    });
}

#[test]
fn c7_an_error_about_a_subscription_names_it() {
    each(|mut pair, _| {
        let asked = pair.subscribe("a", "/nowhere/at/all", AckMode::Auto);
        pair.rests();
        assert_eq!(pair.tells(), [format!("error of {asked} in a: refused")]);
    });
}

#[test]
fn s1_an_id_may_be_used_again_once_its_end_is_confirmed() {
    each(|mut pair, _| {
        pair.subscribe("a", "/topic/a", AckMode::Auto);
        let twice = NewSubscription::new("a", "/topic/b");
        let twice = pair.client.subscribe(&twice, Confirm::No);
        assert_eq!(twice, Err(Misuse::DuplicateSubscription { id: "a".to_owned() }));
        pair.client.unsubscribe("a", Confirm::Receipt).unwrap();
        pair.rests();
        pair.subscribe("a", "/topic/b", AckMode::Auto);
        pair.send("/topic/a", "1");
        pair.send("/topic/b", "2");
        assert_eq!(messages(&mut pair), ["a: 2"]);
    });
}

#[test]
fn s2_client_mode_is_cumulative_in_its_subscription() {
    each(|mut pair, version| {
        pair.subscribe("a", JOBS, AckMode::Client);
        pair.subscribe("b", "/queue/b", AckMode::Client);
        for body in ["1", "2", "3"] {
            pair.send(JOBS, body);
        }
        pair.send("/queue/b", "other");
        let mut delivered = messages(&mut pair);
        delivered.sort_unstable();
        assert_eq!(delivered, ["a: 1", "a: 2", "a: 3", "b: other"]);
        pair.ack("2", None);
        pair.rests();
        assert_eq!((pair.queued(JOBS), pair.queued("/queue/b")), (1, 1), "{version}");
    });
}

#[test]
fn s2_individual_mode_settles_what_it_names() {
    for version in [Version::V1_1, Version::V1_2] {
        let mut pair = Pair::connected(version);
        pair.subscribe("a", JOBS, AckMode::ClientIndividual);
        for body in ["1", "2", "3"] {
            pair.send(JOBS, body);
        }
        pair.rests();
        pair.ack("3", None);
        pair.ack("2", None);
        pair.rests();
        assert_eq!(pair.queued(JOBS), 1);
        pair.client.unsubscribe("a", Confirm::Receipt).unwrap();
        pair.tells();
        pair.subscribe("b", JOBS, AckMode::ClientIndividual);
        assert_eq!(messages(&mut pair), ["b: 1 again"]);
    }
}

#[test]
fn s2_individual_mode_is_not_part_of_1_0() {
    let mut pair = Pair::connected(Version::V1_0);
    let individual = NewSubscription::new("a", JOBS).with_ack(AckMode::ClientIndividual);
    let refused = pair.client.subscribe(&individual, Confirm::No);
    assert!(matches!(refused, Err(Misuse::NotInVersion { .. })), "{refused:?}");
}

#[test]
fn s3_in_mode_auto_there_is_nothing_to_settle() {
    each(|mut pair, _| {
        pair.subscribe("a", JOBS, AckMode::Auto);
        pair.send(JOBS, "1");
        assert_eq!(messages(&mut pair), ["a: 1"]);
        assert!(pair.unsettled.is_empty());
        assert_eq!(pair.queued(JOBS), 0);
    });
}

#[test]
fn s4_nack_covers_all_before_it_and_they_come_again() {
    for version in [Version::V1_1, Version::V1_2] {
        let mut pair = Pair::connected(version);
        pair.subscribe("a", JOBS, AckMode::Client);
        for body in ["1", "2", "3"] {
            pair.send(JOBS, body);
        }
        pair.rests();
        pair.tells();
        pair.nack("2");
        assert_eq!(messages(&mut pair), ["a: 1 again", "a: 2 again"]);
        assert_eq!(pair.queued(JOBS), 3);
        pair.ack("2", None);
        pair.rests();
        assert_eq!(pair.queued(JOBS), 0, "3 was delivered before them");
    }
    let mut pair = Pair::connected(Version::V1_0);
    pair.subscribe("a", JOBS, AckMode::Client);
    pair.send(JOBS, "1");
    pair.rests();
    let unsettled = pair.unsettled["1"].clone();
    let refused = pair.client.nack(&unsettled, None, Confirm::No);
    assert_eq!(refused, Err(Misuse::NotInVersion { what: "NACK", version: Version::V1_0 }));
}

#[test]
fn s5_what_was_settled_before_is_no_harm() {
    each(|mut pair, version| {
        pair.subscribe("a", JOBS, AckMode::Client);
        pair.send(JOBS, "1");
        pair.rests();
        pair.ack("1", None);
        pair.ack("1", None);
        pair.rests();
        assert_eq!(pair.node.leaving().counters().settled_before, 1, "{version}");
        assert!(!pair.is_closed());
        pair.client.unsubscribe("a", Confirm::Receipt).unwrap();
        let unsettled = pair.unsettled["1"].clone();
        let late = pair.client.ack(&unsettled, None, Confirm::No);
        assert_eq!(late, Err(Misuse::UnknownSubscription { id: "a".to_owned() }));
    });
}

#[test]
fn s6_a_transaction_takes_effect_at_commit_and_not_before() {
    each(|mut pair, version| {
        pair.subscribe("a", JOBS, AckMode::Client);
        pair.subscribe("b", "/topic/b", AckMode::Auto);
        pair.send(JOBS, "1");
        pair.client.begin("t", Confirm::Receipt).unwrap();
        pair.send_in("t", "/topic/b", "2");
        pair.rests();
        pair.ack("1", Some("t"));
        pair.send_in("t", "/topic/b", "3");
        pair.send("/topic/b", "outside");
        assert_eq!(messages(&mut pair), ["a: 1", "b: outside"], "{version}");
        assert_eq!(pair.queued(JOBS), 1);
        pair.client.commit("t", Confirm::Receipt).unwrap();
        assert_eq!(messages(&mut pair), ["b: 2", "b: 3"], "{version}");
        assert_eq!(pair.queued(JOBS), 0);
    });
}

#[test]
fn s6_abort_and_the_end_of_the_connection_drop_it() {
    each(|mut pair, version| {
        pair.subscribe("a", JOBS, AckMode::Client);
        pair.send(JOBS, "1");
        pair.rests();
        for transaction in ["aborted", "left open"] {
            pair.client.begin(transaction, Confirm::Receipt).unwrap();
            pair.send_in(transaction, JOBS, transaction);
            pair.ack("1", Some(transaction));
        }
        pair.client.abort("aborted", Confirm::Receipt).unwrap();
        pair.client.disconnect(pair.now).unwrap();
        pair.rests();
        assert_eq!(pair.queued(JOBS), 1);
        pair.tells();
        pair.connects_again(options(version));
        pair.rests();
        pair.subscribe("a", JOBS, AckMode::Client);
        assert_eq!(messages(&mut pair)[1..], ["a: 1 again"]);
    });
}

#[test]
fn s6_transactions_that_are_not_open_are_the_callers_mistake() {
    each(|mut pair, _| {
        let unknown = || Misuse::UnknownTransaction { id: "t".to_owned() };
        assert_eq!(pair.client.commit("t", Confirm::No), Err(unknown()));
        assert_eq!(pair.client.abort("t", Confirm::No), Err(unknown()));
        let message = NewMessage::to(JOBS).in_transaction("t");
        assert_eq!(pair.client.send(&message, Confirm::No), Err(unknown()));
        pair.client.begin("t", Confirm::No).unwrap();
        let open = Misuse::TransactionOpen { id: "t".to_owned() };
        assert_eq!(pair.client.begin("t", Confirm::No), Err(open));
        pair.rests();
        assert!(!pair.is_closed());
    });
}

#[test]
fn s7_unsubscribe_puts_back_what_is_unsettled_and_nothing_follows_its_receipt() {
    each(|mut pair, version| {
        pair.subscribe("a", JOBS, AckMode::Client);
        pair.send(JOBS, "1");
        pair.rests();
        pair.tells();
        // The second is on its way to the client when the UNSUBSCRIBE sets out for the server.
        pair.send(JOBS, "2");
        pair.passes(pair.up.latency);
        let ended = pair.client.unsubscribe("a", Confirm::Receipt).unwrap();
        pair.send(JOBS, "3");
        pair.rests();
        let told = pair.tells();
        let receipt = format!("confirmed {ended}");
        let place = told.iter().position(|told| *told == receipt).unwrap();
        let stray = told.iter().position(|told| told == "stray a: 2").unwrap();
        assert!(stray < place, "{told:?}");
        assert!(told[place..].iter().all(|told| told.starts_with("confirmed")), "{told:?}");
        pair.subscribe("b", JOBS, AckMode::Client);
        let again = messages(&mut pair);
        assert_eq!(again, ["b: 1 again", "b: 2 again", "b: 3"], "{version}");
    });
}

#[test]
fn f1_whatever_a_version_can_say_arrives_as_it_was_said() {
    each(|mut pair, version| {
        pair.subscribe("a:1", "/topic/a", AckMode::Auto);
        let value = if version == Version::V1_0 { "a:b\\c" } else { "a:b\\c\nd" };
        let message = NewMessage::to("/topic/a").with_header("note", value).with_body(b"x\0y");
        pair.client.send(&message, Confirm::No).unwrap();
        assert_eq!(messages(&mut pair), ["a:1: x\0y"]);
        let unsayable = NewMessage::to("/topic/a").with_header("note", "x\0");
        let refused = pair.client.send(&unsayable, Confirm::No);
        assert!(matches!(refused, Err(Misuse::Unrepresentable { .. })), "{refused:?}");
    });
}
