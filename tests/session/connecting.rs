//! CONNECT, versions, and the end of a session (rows C1 to C3, C7, C8).

use std::time::Duration;

use stompbox::frame::{Leniency, Version};
use stompbox::session::{Refusal, SessionError, SessionSettings};

use crate::client::{Client, connected, settings};

const ENDS: &str = "server:test/1\nheart-beat:0,0\n\n^@";

#[test]
fn c1_connect_and_stomp_are_equal() {
    for command in ["CONNECT", "STOMP"] {
        let mut client = Client::new(settings());
        let answer = client.says(&format!("{command}\naccept-version:1.2\nhost:h\n\n^@"));
        assert_eq!(answer, format!("CONNECTED\nversion:1.2\nsession:s1\n{ENDS}"));
        assert!(client.session.is_connected());
    }
}

#[test]
fn c1_the_highest_common_version_is_chosen() {
    for (accepts, version) in [
        ("accept-version:1.0,1.1,1.2\n", "1.2"),
        ("accept-version:1.2,1.1,1.0\n", "1.2"),
        ("accept-version:1.0,1.1\n", "1.1"),
        ("accept-version:1.1, 1.0\n", "1.1"),
        ("accept-version:1.0\n", "1.0"),
        ("accept-version:2.0,1.1,9\n", "1.1"),
        ("", "1.0"),
    ] {
        let mut client = Client::new(settings());
        let answer = client.says(&format!("CONNECT\n{accepts}\n^@"));
        assert!(answer.starts_with(&format!("CONNECTED\nversion:{version}\n")), "{accepts:?}");
        assert_eq!(client.session.version().as_str(), version);
    }
}

#[test]
fn c1_without_a_common_version_the_error_lists_ours() {
    let mut settings = settings();
    settings.versions = vec![Version::V1_2, Version::V1_1];
    for accepts in ["accept-version:1.0,3.0\n", "accept-version:\n", ""] {
        let mut client = Client::new(settings.clone());
        let answer = client.says(&format!("CONNECT\n{accepts}\n^@SEND\ndestination:/a\n\n^@"));
        assert!(answer.starts_with("ERROR\nmessage:unsupported version\nversion:1.1,1.2\n"));
        assert!(answer.contains("this server speaks 1.1,1.2"), "{answer}");
        assert!(matches!(client.error(), SessionError::Version { .. }));
        assert!(!client.session.is_connected() && client.leaving.is_over());
    }
}

#[test]
fn c1_frames_behind_connect_are_read_by_the_rules_of_its_version() {
    let mut strict = settings();
    strict.leniency = Leniency::strict();
    let behind = |version: &str| {
        let mut client = Client::new(strict.clone());
        client.says(&format!(
            "CONNECT\naccept-version:{version}\nhost:h\n\n^@SEND\ndestination:/a\\cb\n\n^@"
        ));
        client.done
    };
    assert_eq!(behind("1.0"), [r"send /a\cb "]);
    assert_eq!(behind("1.1"), ["send /a:b "]);
}

#[test]
fn c2_a_missing_host_is_accepted() {
    let mut client = Client::new(settings());
    assert!(client.says("CONNECT\naccept-version:1.2\n\n^@").starts_with("CONNECTED\n"));
}

#[test]
fn c2_a_host_is_refused_only_where_virtual_hosts_are_configured() {
    let mut virtual_hosts = settings();
    virtual_hosts.hosts = vec!["chat.example".to_owned(), "/".to_owned()];
    let connect = |settings: &SessionSettings, host: &str| {
        let mut client = Client::new(settings.clone());
        let answer = client.says(&format!("CONNECT\naccept-version:1.2\n{host}\n^@"));
        (answer, client.refusal.as_ref().and_then(Refusal::error).cloned())
    };
    for host in ["host:chat.example\n", "host:Chat.Example\n", "host:/\n", ""] {
        let (answer, _) = connect(&virtual_hosts, host);
        assert!(answer.starts_with("CONNECTED\n"), "{host:?}: {answer}");
    }
    for host in ["other.example", "", "chat.example:80"] {
        let (answer, error) = connect(&virtual_hosts, &format!("host:{host}\n"));
        assert!(answer.starts_with("ERROR\nmessage:unknown host\n"), "{host:?}: {answer}");
        assert_eq!(error, Some(SessionError::UnknownHost { host: host.to_owned() }));
        let (answer, _) = connect(&settings(), &format!("host:{host}\n"));
        assert!(answer.starts_with("CONNECTED\n"), "any host will do where none is configured");
    }
}

#[test]
fn c3_connected_names_the_user_where_there_is_one() {
    let mut client = Client::new(settings());
    client.session.receive("CONNECT\naccept-version:1.2\n\n\0", client.now);
    let Ok(Some(stompbox::session::Event::Connect(connect))) = client.session.next_event() else {
        panic!("a CONNECT came")
    };
    let connected = client.session.accept(&connect, client.now);
    client.leaving.connected(&connected, "s1", Some("ada"));
    let start = "CONNECTED\nversion:1.2\nsession:s1\nserver:test/1\nheart-beat:0,0\n";
    assert_eq!(client.reads(), format!("{start}user-name:ada\n\n^@"));
}

#[test]
fn nothing_is_done_before_a_connect_is_accepted() {
    let mut client = Client::new(settings());
    client.session.receive("CONNECT\n\n\0SEND\ndestination:/a\n\n\0", client.now);
    assert!(matches!(client.session.next_event(), Ok(Some(_))));
    for _ in 0..3 {
        assert!(matches!(client.session.next_event(), Ok(None)), "it was not accepted yet");
    }
    // Deciding has the time that CONNECT has: the client may be gone, and nobody would notice.
    let deadline = client.session.next_deadline().expect("there is a limit");
    let overdue = client.session.handle_deadline(deadline);
    assert!(matches!(overdue, Some(SessionError::ConnectTimeout { .. })), "{overdue:?}");
    assert!(matches!(client.session.next_event(), Ok(None)), "the session is over");
}

#[test]
fn c8_anything_before_connect_is_an_error() {
    for frame in [
        "SEND\ndestination:/a\n\nx^@",
        "SUBSCRIBE\nid:1\ndestination:/a\n\n^@",
        "UNSUBSCRIBE\nid:1\n\n^@",
        "ACK\nid:1\n\n^@",
        "NACK\nid:1\n\n^@",
        "BEGIN\ntransaction:1\n\n^@",
        "COMMIT\ntransaction:1\n\n^@",
        "ABORT\ntransaction:1\n\n^@",
        "DISCONNECT\nreceipt:1\n\n^@",
    ] {
        let mut client = Client::new(settings());
        let answer = client.says(frame);
        assert!(answer.starts_with("ERROR\nmessage:not connected\n"), "{answer}");
        assert!(matches!(client.error(), SessionError::NotConnected { .. }));
        assert_eq!(client.says("CONNECT\n\n^@"), "", "the session is over");
    }
}

#[test]
fn c8_a_second_connect_is_an_error() {
    for command in ["CONNECT", "STOMP"] {
        let mut client = connected("1.2");
        let answer = client.says(&format!("{command}\naccept-version:1.2\nhost:h\n\n^@"));
        assert!(answer.starts_with("ERROR\nmessage:already connected\n"), "{answer}");
    }
}

#[test]
fn frames_that_servers_send_are_errors() {
    for command in ["CONNECTED", "MESSAGE", "RECEIPT", "ERROR"] {
        let mut client = connected("1.2");
        let answer = client.says(&format!("{command}\n\n^@"));
        assert!(answer.starts_with("ERROR\nmessage:unexpected command\n"), "{answer}");
    }
}

#[test]
fn bytes_that_are_no_frame_are_an_error_and_the_end() {
    let mut client = connected("1.2");
    let answer = client.says("GET / HTTP/1.1\n\n^@SEND\ndestination:/a\n\n^@");
    assert!(answer.starts_with("ERROR\nmessage:malformed frame\n"), "{answer}");
    assert!(answer.contains("unknown command"), "{answer}");
    assert!(matches!(client.error(), SessionError::Frame(_)));
    assert_eq!(client.says("SEND\ndestination:/a\n\n^@"), "");
    assert!(client.done.is_empty());
}

#[test]
fn c7_an_error_says_what_why_and_about_which_frame() {
    let mut client = connected("1.2");
    let answer = client.says("SEND\nreceipt:r\\c\n\nhello^@");
    let body = "SEND needs a destination header";
    let length = body.len();
    assert_eq!(
        answer,
        format!(
            "ERROR\nmessage:missing header\nreceipt-id:r\\c\n\
             content-type:text/plain;charset=utf-8\ncontent-length:{length}\n\n{body}^@"
        )
    );
}

#[test]
fn c7_an_error_names_the_subscription_that_it_is_about() {
    for (version, text, summary) in [
        ("1.2", "SUBSCRIBE\nid:a\ndestination:/b\n\n^@", "duplicate subscription"),
        ("1.2", "SUBSCRIBE\nid:a\n\n^@", "missing header"),
        ("1.2", "SUBSCRIBE\nid:a\ndestination:/b\nack:all\n\n^@", "invalid header"),
        ("1.1", "ACK\nsubscription:a\nmessage-id:7\n\n^@", "unknown message"),
        ("1.1", "NACK\nsubscription:a\n\n^@", "missing header"),
        ("1.1", "ACK\nsubscription:a\nmessage-id:7\ntransaction:t\n\n^@", "transaction error"),
        ("1.0", "SUBSCRIBE\nid:a\ndestination:/b\n\n^@", "duplicate subscription"),
    ] {
        let mut client = connected(version);
        client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
        let answer = client.says(text);
        let start = format!("ERROR\nmessage:{summary}\nsubscription:a\ncontent-type:");
        assert!(answer.starts_with(&start), "{version} {text}: {answer}");
    }
    let answer = connected("1.2").says("UNSUBSCRIBE\nid:a\\cb\nreceipt:r\n\n^@");
    let start = "ERROR\nmessage:unknown subscription\nreceipt-id:r\nsubscription:a\\cb\n";
    assert!(answer.starts_with(start), "{answer}");
    for (version, text) in [
        ("1.2", "ACK\nid:7\n\n^@"),
        ("1.2", "SEND\nid:a\nsubscription:a\n\n^@"),
        ("1.0", "UNSUBSCRIBE\ndestination:/b\n\n^@"),
    ] {
        let answer = connected(version).says(text);
        let (head, _) = answer.split_once("\n\n").unwrap();
        assert!(!head.contains("subscription:"), "{answer}");
    }
}

#[test]
fn c7_nothing_follows_an_error() {
    for direct in [false, true] {
        let mut client = connected("1.2");
        client.direct = direct;
        client.confirms = false;
        client.says("SUBSCRIBE\nid:held\ndestination:/queue/a\n\n^@");
        client.confirms = true;
        client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
        client.delivers("held", "held back");
        assert!(client.says("SEND\n\n^@").starts_with("ERROR\n"));

        assert_eq!(client.delivers("a", "too late"), "");
        assert_eq!(client.confirm(), "", "nor is what was held sent");
        assert_eq!(client.says("SEND\ndestination:/a\nreceipt:1\n\n^@"), "");
        client.leaving.refuse(&Refusal::new("a second one", "is not sent"));
        client.leaving.disconnected(None);
        assert_eq!(client.reads(), "");
        client.leaving.raw(b"pong");
        client.leaving.end(b"close");
        client.leaving.end(b"close again");
        client.leaving.raw(b"pong");
        assert_eq!(client.reads(), "pongclose", "only the transport's own words");
    }
}

#[test]
fn c7_an_error_overtakes_the_messages_that_wait() {
    let mut client = connected("1.2");
    client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
    let key = client.key("a");
    let message = crate::client::delivery("/queue/a", "x");
    client.leaving.deliver(key, std::slice::from_ref(&message), client.now).unwrap();
    let mut out = bytes::BytesMut::new();
    client.leaving.take(&mut out, usize::MAX, client.now);
    client.leaving.deliver(key, &[message], client.now).unwrap();
    // The socket took a part of the first one. The rest of it has to go out, the other does not.
    client.leaving.put_back(&out[10..]);
    client.leaving.refuse(&Refusal::new("too slow", "read faster"));
    let rest = crate::client::shown(&out[10..]);
    let answer = client.reads();
    assert!(answer.starts_with(&format!("{rest}ERROR\nmessage:too slow\n")), "{answer}");
}

#[test]
fn a_client_that_never_connects_is_turned_away() {
    let mut settings = settings();
    settings.connect_timeout = Duration::from_secs(3);
    let mut client = Client::new(settings.clone());
    client.passes(2_999);
    client.says("\n\n");
    assert_eq!(client.session.handle_deadline(client.now), None);
    client.passes(1);
    assert_eq!(client.session.next_deadline(), Some(client.now), "beats do not prolong it");
    let error = client.session.handle_deadline(client.now).unwrap();
    assert_eq!(error, SessionError::ConnectTimeout { limit: Duration::from_secs(3) });
    assert_eq!(client.says("CONNECT\n\n^@"), "");
    assert_eq!(client.session.next_deadline(), None);

    settings.connect_timeout = Duration::MAX;
    assert_eq!(Client::new(settings).session.next_deadline(), None, "as good as never");
}

#[test]
fn disconnect_ends_the_session() {
    let mut client = connected("1.2");
    client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
    let answer = client.says("DISCONNECT\nreceipt:bye\n\n^@SEND\ndestination:/a\n\n^@");
    assert_eq!(answer, "RECEIPT\nreceipt-id:bye\n\n^@");
    assert!(!client.session.is_connected());
    assert!(client.done.is_empty(), "what comes behind it is ignored");
    assert_eq!(client.delivers("a", "too late"), "");
    assert!(client.leaving.is_over());
}
