//! Which origins are let in.

use stompbox::handshake::{OriginPolicy, Upgrade};

use super::requests::{check, is_accepted, valid, with};

fn only(patterns: &[&str]) -> OriginPolicy {
    OriginPolicy::only(patterns).unwrap()
}

#[test]
fn a_request_without_origin_is_let_in_by_every_policy() {
    for policy in [OriginPolicy::same_origin(), OriginPolicy::any(), only(&[])] {
        assert!(check(&Upgrade::new().origin(policy), &valid()).is_ok());
    }
}

#[test]
fn the_same_origin_is_the_same_host_and_port() {
    let policy = OriginPolicy::default();
    for (origin, host, same) in [
        ("http://example.com", "example.com", true),
        ("https://example.com", "example.com", true),
        ("https://EXAMPLE.com", "example.COM", true),
        ("HTTPS://example.com", "example.com:443", true),
        ("https://example.com:443", "example.com", true),
        ("http://example.com:80", "example.com", true),
        ("http://example.com", "example.com:80", true),
        ("http://localhost:8080", "localhost:8080", true),
        ("http://[::1]:8080", "[::1]:8080", true),
        ("ws://example.com:8080", "example.com:8080", true),
        ("wss://example.com", "example.com:443", true),
        ("https://example.com", "example.com:80", false),
        ("http://example.com:8080", "example.com", false),
        ("http://example.com", "example.com:8080", false),
        ("http://example.com", "www.example.com", false),
        ("http://example.com.", "example.com", false),
        ("http://example.com.evil.example", "example.com", false),
        ("http://127.0.0.1:8080", "localhost:8080", false),
        ("chrome-extension://example.com", "example.com", false),
        ("null", "null", false),
        ("file://", "example.com", false),
        ("", "example.com", false),
        ("example.com", "example.com", false),
        ("http://example.com/", "example.com", false),
        ("http://user@example.com", "example.com", false),
        ("http://example.com http://example.com", "example.com", false),
        ("://example.com", "example.com", false),
        ("http://example.com", "", false),
    ] {
        assert_eq!(policy.allows(origin, host), same, "{origin:?} at {host:?}");
    }
}

#[test]
fn the_host_of_a_target_that_is_a_url_replaces_the_header() {
    let mut request = with("origin", &["http://proxied.example"]);
    assert!(!is_accepted(&request));
    *request.uri_mut() = "http://proxied.example/ws".parse().unwrap();
    assert!(is_accepted(&request));
}

#[test]
fn a_listed_origin_is_compared_by_scheme_host_and_port() {
    let policy = only(&["https://example.com", "http://localhost:8080", "capacitor://localhost"]);
    for (origin, allowed) in [
        ("https://example.com", true),
        ("https://Example.com:443", true),
        ("http://localhost:8080", true),
        ("capacitor://localhost", true),
        ("http://example.com", false),
        ("https://example.com:8443", false),
        ("https://www.example.com", false),
        ("http://localhost", false),
        ("capacitor://localhost:80", false),
        ("null", false),
    ] {
        assert_eq!(policy.allows(origin, "elsewhere.example"), allowed, "{origin}");
    }
}

#[test]
fn a_star_in_front_of_the_host_is_one_or_more_labels() {
    let policy = only(&["https://*.example.com"]);
    for (origin, allowed) in [
        ("https://a.example.com", true),
        ("https://a.b.EXAMPLE.com", true),
        ("https://example.com", false),
        ("https://.example.com", false),
        ("https://evilexample.com", false),
        ("https://a.example.com.evil.example", false),
        ("https://a.example.com:8443", false),
        ("http://a.example.com", false),
    ] {
        assert_eq!(policy.allows(origin, "x"), allowed, "{origin}");
    }
}

#[test]
fn a_star_as_the_port_is_any_port() {
    let policy = only(&["http://localhost:*", "http://[::1]:*"]);
    for (origin, allowed) in [
        ("http://localhost", true),
        ("http://localhost:5173", true),
        ("http://[::1]:5173", true),
        ("https://localhost:5173", false),
        ("http://localhost.evil.example:5173", false),
    ] {
        assert_eq!(policy.allows(origin, "x"), allowed, "{origin}");
    }
}

#[test]
fn null_and_a_bare_scheme_are_let_in_where_they_are_listed() {
    let policy = only(&["null", "file://"]);
    assert!(policy.allows("null", "x"));
    assert!(policy.allows("file://", "x"));
    assert!(!policy.allows("blob://", "x"));
    assert!(OriginPolicy::any().allows("null", "x"));
}

#[test]
fn the_same_origin_is_let_in_beside_a_list_only_if_it_is_asked_for() {
    let patterns = ["https://example.org"];
    let beside = OriginPolicy::same_origin_or(patterns).unwrap();
    assert!(beside.allows("https://example.com", "example.com"));
    assert!(beside.allows("https://example.org", "example.com"));
    assert!(!only(&patterns).allows("https://example.com", "example.com"));
}

#[test]
fn a_pattern_that_no_origin_could_match_is_an_error() {
    for pattern in [
        "",
        "*",
        "example.com",
        "https://example.com/",
        "https://example.com/chat",
        "https://*",
        "https://*.",
        "https://*example.com",
        "https://a.*.com",
        "https://*.*.com",
        "https://example.com:80:*",
        "https://example.com:x",
        "null:*",
        "file://:*",
        "*://example.com",
    ] {
        let error = OriginPolicy::only([pattern]).expect_err(pattern);
        assert_eq!(error.pattern(), pattern);
    }
}
