//! `host[:port]`, as it stands in `Host` and in an origin.

use std::net::Ipv6Addr;

/// `uri-host [ ":" port ]` of RFC 9110 §7.2, borrowed from the header that it stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authority<'a> {
    /// A registered name, an IPv4 address, or an IPv6 address in brackets; never empty.
    pub(super) host: &'a str,
    /// The port, if one is named.
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads the whole of `text`; user information, an empty host and a port above 65535 are none.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        // An IPv6 address has colons of its own, inside its brackets.
        let host_end = text.find(']').map_or(0, |bracket| bracket + 1);
        let colon = text.get(host_end..)?.find(':').map(|colon| host_end + colon);
        let (host, port) = match colon {
            None => (text, ""),
            Some(colon) => (text.get(..colon)?, text.get(colon + 1..)?),
        };
        // An empty port after the colon is the default one (RFC 3986 §3.2.3).
        let port = if port.is_empty() { None } else { Some(parse_port(port)?) };
        is_host(host).then_some(Self { host, port })
    }
}

/// `u16::from_str` alone would take a leading `+`.
fn parse_port(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => {
            rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        None => !host.is_empty() && host.bytes().all(is_name_byte),
    }
}

/// The characters of `reg-name` (RFC 3986 §3.2.2): unreserved, sub-delims and percent-encoding.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_told_apart() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("example.com:", "example.com", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[::1]:8080", "[::1]", Some(8080)),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host, authority.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for text in [
            "",
            ":80",
            "a:65536",
            "a:+80",
            "a:80:80",
            "user@host",
            "a b",
            "a/b",
            "ä",
            "::1",
            "[::1",
            "[::1]a",
            "[nonsense]",
            "a]:80",
        ] {
            assert!(Authority::parse(text).is_none(), "{text:?} was taken");
        }
    }
}
