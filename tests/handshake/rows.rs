//! The table "The Upgrade request" of PROTOCOL.md, row by row.

use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, Version};
use stompbox::handshake::{Head, HeadLimits, HeadPart, OriginPolicy, Rejection, Upgrade};

use super::requests::{
    KEY, accepted_text, check, check_bytes, is_accepted, rejected_text, rejection, to_bytes, valid,
    with,
};

/// The status and the headers of the response, after its bytes were checked against it.
fn answer(rejection: &Rejection) -> (u16, HeaderMap) {
    rejected_text(rejection);
    let (parts, body) = rejection.response().into_parts();
    assert_eq!(body, format!("{rejection}\n"));
    assert_eq!(parts.status, rejection.status());
    (parts.status.as_u16(), parts.headers)
}

#[test]
fn a_valid_request_is_answered_by_101() {
    let accepted = check(&Upgrade::new(), &valid()).unwrap();
    assert_eq!(
        accepted_text(&accepted),
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         \r\n"
    );
    assert_eq!(accepted.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(accepted.response().status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(accepted.response().headers().len(), 3);
}

#[test]
fn the_accepted_request_can_be_looked_at_later() {
    let mut request = with("authorization", &["Bearer abc"]);
    *request.uri_mut() = "/ws?token=1".parse().unwrap();
    let accepted = check(&Upgrade::new().path("/ws"), &request).unwrap();
    assert_eq!(accepted.request().uri.query(), Some("token=1"));
    assert_eq!(accepted.into_parts().headers["authorization"], "Bearer abc");
}

#[test]
fn not_get_is_405_with_allow() {
    for method in [Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT] {
        let mut request = valid();
        *request.method_mut() = method.clone();
        let rejection = rejection(&request);
        assert_eq!(rejection, Rejection::MethodNotAllowed(method));
        let mut response = rejection.response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers_mut().remove("allow").unwrap(), "GET");
    }
}

#[test]
fn the_answer_to_head_has_no_body() {
    let mut out = bytes::BytesMut::new();
    Rejection::MethodNotAllowed(Method::HEAD).write_response(&mut out);
    assert!(out.ends_with(b"\r\n\r\n"), "{out:?}");
}

#[test]
fn http_1_0_is_505_and_close() {
    let mut request = valid();
    *request.version_mut() = Version::HTTP_10;
    let (status, headers) = answer(&rejection(&request));
    assert_eq!((status, &headers["connection"]), (505, &"close".parse().unwrap()));
}

#[test]
fn another_version_in_the_request_line_is_505() {
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/11", "HTTP/3\r\n\r\n"] {
        let bytes = format!("GET /ws {version}\r\nHost: a\r\n\r\n");
        let rejection = check_bytes(&Upgrade::new(), bytes.as_bytes()).unwrap_err();
        assert_eq!(rejection, Rejection::HttpVersion, "{version}");
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(check_bytes(&Upgrade::new(), preface).unwrap_err(), Rejection::HttpVersion);
}

#[test]
fn http_2_and_http_3_are_501_without_connection_headers() {
    for version in [Version::HTTP_2, Version::HTTP_3] {
        for method in [Method::CONNECT, Method::GET] {
            let mut request = Request::new(());
            *request.uri_mut() = "https://example.com/ws".parse().unwrap();
            *request.method_mut() = method;
            *request.version_mut() = version;
            let rejection = Upgrade::new().check(request).unwrap_err();
            assert_eq!(rejection, Rejection::Multiplexed(version));
            let response = rejection.response();
            assert_eq!(response.status(), 501);
            // RFC 9113 §8.2.2: there is no such header in HTTP/2.
            assert!(!response.headers().contains_key("connection"));
        }
    }
}

#[test]
fn no_upgrade_is_426_with_upgrade_and_connection() {
    for values in [&[][..], &["h2c"], &["websockets"], &["websocket/13"], &[""]] {
        let rejection = rejection(&with("upgrade", values));
        assert_eq!(rejection, Rejection::MissingUpgrade);
        let (status, headers) = answer(&rejection);
        assert_eq!(status, 426);
        assert_eq!(headers["upgrade"], "websocket");
        assert_eq!(headers["connection"], "Upgrade");
        assert!(rejected_text(&rejection).contains("\r\nConnection: Upgrade, close\r\n"));
    }
}

#[test]
fn upgrade_may_be_a_list_in_any_case_and_repeated() {
    for values in
        [&["WebSocket"][..], &["h2c, websocket"], &["h2c", "WEBSOCKET"], &[",,websocket ,"]]
    {
        assert!(is_accepted(&with("upgrade", values)), "{values:?}");
    }
}

#[test]
fn connection_may_be_a_list_in_any_case_and_repeated() {
    for values in
        [&["keep-alive, Upgrade"][..], &["upgrade"], &["UPGRADE,close"], &["a", "b,upgrade"]]
    {
        assert!(is_accepted(&with("connection", values)), "{values:?}");
    }
}

#[test]
fn no_connection_upgrade_is_400() {
    for values in [&[][..], &["keep-alive"], &["close"], &["upgraded"], &["\"upgrade\""]] {
        let rejection = rejection(&with("connection", values));
        assert_eq!(rejection, Rejection::MissingConnectionUpgrade, "{values:?}");
        assert_eq!(answer(&rejection).0, 400);
    }
}

#[test]
fn another_websocket_version_is_426_with_ours() {
    for values in [&["8"][..], &["7"], &["14"], &["013"], &["13, 8"], &["+13"], &[""], &[]] {
        let rejection = rejection(&with("sec-websocket-version", values));
        assert_eq!(rejection, Rejection::UnsupportedWebSocketVersion, "{values:?}");
        let (status, headers) = answer(&rejection);
        assert_eq!(status, 426);
        assert_eq!(headers["sec-websocket-version"], "13");
        assert_eq!(headers["upgrade"], "websocket");
    }
}

#[test]
fn a_missing_key_is_400() {
    let rejection = rejection(&with("sec-websocket-key", &[]));
    assert_eq!(rejection, Rejection::MissingKey);
    assert_eq!(answer(&rejection).0, 400);
}

#[test]
fn a_bad_key_is_400() {
    let too_short = &KEY[..KEY.len() - 4];
    let list = format!("{KEY}, {KEY}");
    for key in ["", "x", too_short, &list, "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZTEy"] {
        let rejection = rejection(&with("sec-websocket-key", &[key]));
        assert_eq!(rejection, Rejection::InvalidKey, "{key:?}");
        assert_eq!(answer(&rejection).0, 400);
    }
}

#[test]
fn a_missing_host_is_400() {
    assert_eq!(rejection(&with("host", &[])), Rejection::MissingHost);
    assert_eq!(answer(&Rejection::MissingHost).0, 400);
}

#[test]
fn a_bad_host_is_400() {
    for host in ["", "a b", "user@a", "a:b", "a:70000", "http://a", "[::1", "\u{e4}"] {
        assert_eq!(rejection(&with("host", &[host])), Rejection::InvalidHost, "{host:?}");
    }
    assert_eq!(answer(&Rejection::InvalidHost).0, 400);
}

#[test]
fn a_repeated_single_value_header_is_400_and_the_body_says_which() {
    for (name, value) in [
        ("host", "example.com"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
        ("origin", "https://example.com"),
    ] {
        let rejection = rejection(&with(name, &[value, value]));
        assert_eq!(rejection, Rejection::RepeatedHeader(name.parse().unwrap()));
        assert_eq!(answer(&rejection).0, 400);
        assert_eq!(rejection.response().into_body(), format!("`{name}` is repeated\n"));
    }
}

#[test]
fn a_repeated_origin_is_refused_where_any_is_let_in() {
    let upgrade = Upgrade::new().origin(OriginPolicy::any());
    let rejection = check(&upgrade, &with("origin", &["null", "null"])).unwrap_err();
    assert_eq!(rejection, Rejection::RepeatedHeader(http::header::ORIGIN));
}

#[test]
fn an_origin_that_is_not_allowed_is_403() {
    let rejection = rejection(&with("origin", &["https://evil.example"]));
    let origin = "https://evil.example".to_owned();
    assert_eq!(rejection, Rejection::OriginNotAllowed { origin });
    assert_eq!(answer(&rejection).0, 403);
}

#[test]
fn a_body_is_400() {
    for (name, values) in [
        ("content-length", &["1"][..]),
        ("content-length", &["0", "5"]),
        ("content-length", &["0, 0"]),
        ("content-length", &["-1"]),
        ("content-length", &[""]),
        ("transfer-encoding", &["chunked"]),
        ("transfer-encoding", &["identity"]),
    ] {
        let rejection = rejection(&with(name, values));
        assert_eq!(rejection, Rejection::UnexpectedBody(name.parse().unwrap()), "{values:?}");
        assert_eq!(answer(&rejection).0, 400);
    }
    assert!(is_accepted(&with("content-length", &["0"])));
}

#[test]
fn a_path_that_is_not_ours_is_404() {
    let upgrade = Upgrade::new().path("/ws").path("/chat/ws");
    for (path, served) in [
        ("/ws", true),
        ("/ws?a=b", true),
        ("/chat/ws", true),
        ("/", false),
        ("/ws/", false),
        ("/WS", false),
        ("//ws", false),
        ("/%77s", false),
    ] {
        let mut request = valid();
        *request.uri_mut() = path.parse().unwrap();
        let result = check(&upgrade, &request);
        assert_eq!(result.is_ok(), served, "{path}");
        assert!(served || result.unwrap_err() == Rejection::NotFound);
    }
    assert_eq!(answer(&Rejection::NotFound).0, 404);
}

#[test]
fn without_paths_every_path_is_ours_but_a_target_that_has_none_is_400() {
    for (target, accepted) in [("/", true), ("/any/thing", true), ("*", false), ("a:80", false)] {
        let mut request = valid();
        *request.uri_mut() = target.parse().unwrap();
        let result = check(&Upgrade::new(), &request);
        assert_eq!(result.is_ok(), accepted, "{target}");
        assert!(accepted || result.unwrap_err() == Rejection::Malformed(HeadPart::Target));
    }
}

#[test]
fn a_head_that_is_too_large_is_431_and_close() {
    for rejection in
        [Rejection::HeadTooLarge { limit: 16_384 }, Rejection::TooManyHeaders { limit: 100 }]
    {
        let (status, headers) = answer(&rejection);
        assert_eq!((status, &headers["connection"]), (431, &"close".parse().unwrap()));
    }
}

#[test]
fn a_head_that_is_not_complete_in_time_is_408_and_close() {
    let (status, headers) = answer(&Rejection::HeadTimeout);
    assert_eq!((status, &headers["connection"]), (408, &"close".parse().unwrap()));
}

#[test]
fn too_many_connections_and_draining_are_503_with_retry_after_in_whole_seconds() {
    for (milliseconds, seconds) in [(0, "0"), (1, "1"), (5_000, "5"), (5_001, "6")] {
        let retry_after = Duration::from_millis(milliseconds);
        for rejection in
            [Rejection::TooManyConnections { retry_after }, Rejection::Draining { retry_after }]
        {
            let (status, headers) = answer(&rejection);
            assert_eq!((status, &headers["retry-after"]), (503, &seconds.parse().unwrap()));
        }
    }
}

#[test]
fn white_space_around_a_value_is_not_part_of_it() {
    for (name, value) in [
        ("host", " example.com\t"),
        ("sec-websocket-version", "\t13 "),
        ("sec-websocket-key", " dGhlIHNhbXBsZSBub25jZQ== "),
        ("origin", " http://example.com "),
        ("content-length", " 0 "),
    ] {
        assert!(is_accepted(&with(name, &[value])), "{name}");
    }
}

#[test]
fn the_bytes_of_a_rejection_are_a_whole_response() {
    assert_eq!(
        rejected_text(&Rejection::MissingHost),
        "HTTP/1.1 400 Bad Request\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Content-Length: 18\r\n\
         Connection: close\r\n\
         \r\n\
         `host` is missing\n"
    );
}

#[test]
fn what_follows_the_head_is_left_alone() {
    let mut bytes = to_bytes(&valid());
    let length = bytes.len();
    bytes.extend_from_slice(b"\x81\x05hello");
    let head = Head::parse(&bytes, HeadLimits::default()).unwrap().unwrap();
    assert_eq!(head.length, length);
    assert!(Upgrade::new().check(head.request).is_ok());
}
