//! Which pages may open a WebSocket here.

use thiserror::Error;

use super::authority::Authority;

/// Which values of `Origin` are let in (RFC 6455 §4.2.2 item 4, §10.2).
///
/// Browsers send the origin of the page that opens the WebSocket, and nothing else keeps a foreign
/// page from using the cookies of a visitor here. A request without `Origin` is always let in: it
/// does not come from a browser, and such a client could write what it likes.
///
/// **Same origin** compares the host and the port of `Origin` with those of the `Host` header; where
/// one of them names no port, it is the default one of the origin's scheme. The scheme itself is
/// not compared, because behind a proxy that ends TLS this side does not know its own: where a page
/// loaded over plain `http` must not be let in, list the `https` origin with [`only`]. Listing is
/// also what protects a server in a private network against DNS rebinding, where the attacker's
/// name is in both headers.
///
/// A page that a development server serves on another port is of another origin, so its WebSocket is
/// answered 403 until its origin is listed: `http://localhost:5173`, or `http://localhost:*` for any
/// port.
///
/// ```
/// use stompbox::handshake::OriginPolicy;
///
/// let policy = OriginPolicy::same_origin_or(["https://*.example.com", "http://localhost:*"])?;
/// assert!(policy.allows("https://chat.example.com", "api.example.net"));
/// assert!(policy.allows("https://api.example.net", "api.example.net"));
/// assert!(!policy.allows("https://example.org", "api.example.net"));
/// # Ok::<(), stompbox::handshake::InvalidOrigin>(())
/// ```
///
/// [`only`]: Self::only
#[derive(Clone, Debug)]
pub struct OriginPolicy {
    rule: Rule,
}

impl OriginPolicy {
    /// Pages from this host and port only: the default.
    pub fn same_origin() -> Self {
        Self { rule: Rule::Listed { same_origin: true, patterns: Vec::new() } }
    }

    /// Every page there is: for a public service that does not authenticate by cookies.
    pub fn any() -> Self {
        Self { rule: Rule::Any }
    }

    /// Pages of the listed origins only; the same origin too has to be listed.
    ///
    /// A pattern is
    /// - an origin, `scheme://host[:port]`; the default port of its scheme may be left out;
    /// - one with `*.` in front of the host, which stands for one or more labels:
    ///   `https://*.example.com` is `https://a.b.example.com`, but not `https://example.com`;
    /// - one with `*` as the port, for any port;
    /// - `null`, which is what sandboxed frames and local files send, of whichever site;
    /// - a scheme alone, such as the `file://` of some web views.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`], if a pattern is none of these, such as a URL with a path.
    pub fn only<I>(patterns: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::listed(false, patterns)
    }

    /// Pages from this host and port and from the listed origins, written as for [`only`].
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`], as for [`only`].
    ///
    /// [`only`]: Self::only
    pub fn same_origin_or<I>(patterns: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::listed(true, patterns)
    }

    /// Whether a page of `origin` is let in by a server that was addressed as `host[:port]`.
    pub fn allows(&self, origin: &str, host: &str) -> bool {
        self.allows_at(origin, Authority::parse(host))
    }

    pub(super) fn allows_at(&self, origin: &str, host: Option<Authority<'_>>) -> bool {
        match &self.rule {
            Rule::Any => true,
            Rule::Listed { same_origin, patterns } => Origin::parse(origin).is_some_and(|origin| {
                (*same_origin && host.is_some_and(|host| origin.is_same(host)))
                    || patterns.iter().any(|pattern| pattern.matches(origin))
            }),
        }
    }

    fn listed<I>(same_origin: bool, patterns: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let patterns = patterns
            .into_iter()
            .map(|pattern| Pattern::parse(pattern.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { rule: Rule::Listed { same_origin, patterns } })
    }
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self::same_origin()
    }
}

/// A pattern that [`OriginPolicy`] was given and that no origin could match.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{pattern:?} is no origin: `scheme://host[:port]` without a path, with `*.` in front of the \
     host for its subdomains and `*` as the port for any, or `null`"
)]
pub struct InvalidOrigin {
    pattern: String,
}

impl InvalidOrigin {
    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

#[derive(Clone, Debug)]
enum Rule {
    Any,
    Listed { same_origin: bool, patterns: Vec<Pattern> },
}

/// The serialization of an origin (RFC 6454 §6.2).
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// `null`, or a scheme with no host: `file://`.
    Opaque(&'a str),
    /// `scheme://host[:port]`.
    Tuple { scheme: &'a str, authority: Authority<'a> },
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Opaque(text));
        }
        let (scheme, rest) = text.split_once("://")?;
        match (is_scheme(scheme), rest.is_empty()) {
            (false, _) => None,
            (true, true) => Some(Self::Opaque(text)),
            (true, false) => Some(Self::Tuple { scheme, authority: Authority::parse(rest)? }),
        }
    }

    fn is_same(self, host: Authority<'_>) -> bool {
        let Self::Tuple { scheme, authority: origin } = self else { return false };
        // Only for these is it known what a `Host` without a port means.
        let Some(default_port) = default_port(scheme) else { return false };
        origin.host.eq_ignore_ascii_case(host.host)
            && origin.port.unwrap_or(default_port) == host.port.unwrap_or(default_port)
    }
}

#[derive(Clone, Debug)]
enum Pattern {
    Opaque(String),
    Tuple { scheme: String, host: HostPattern, port: PortPattern },
}

#[derive(Clone, Debug)]
enum HostPattern {
    Exact(String),
    /// What comes after the `*`: `.example.com`.
    Below(String),
}

#[derive(Clone, Debug)]
enum PortPattern {
    Any,
    /// `None` is the default port of a scheme of which we do not know it.
    Exact(Option<u16>),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let (origin, any_port) = match text.strip_suffix(":*") {
            Some(origin) => (origin, true),
            None => (text, false),
        };
        let invalid = || InvalidOrigin { pattern: text.to_owned() };
        match Origin::parse(origin).ok_or_else(invalid)? {
            Origin::Opaque(_) if any_port => Err(invalid()),
            Origin::Opaque(opaque) => Ok(Self::Opaque(opaque.to_owned())),
            Origin::Tuple { authority, .. } if any_port && authority.port.is_some() => {
                Err(invalid())
            }
            Origin::Tuple { scheme, authority } => Ok(Self::Tuple {
                scheme: scheme.to_owned(),
                host: HostPattern::parse(authority.host).ok_or_else(invalid)?,
                port: if any_port {
                    PortPattern::Any
                } else {
                    PortPattern::Exact(authority.port.or(default_port(scheme)))
                },
            }),
        }
    }

    fn matches(&self, origin: Origin<'_>) -> bool {
        match (self, origin) {
            (Self::Opaque(ours), Origin::Opaque(theirs)) => ours.eq_ignore_ascii_case(theirs),
            (Self::Tuple { scheme, host, port }, Origin::Tuple { scheme: theirs, authority }) => {
                scheme.eq_ignore_ascii_case(theirs)
                    && host.matches(authority.host)
                    && match port {
                        PortPattern::Any => true,
                        PortPattern::Exact(port) => {
                            *port == authority.port.or(default_port(theirs))
                        }
                    }
            }
            _ => false,
        }
    }
}

impl HostPattern {
    /// `*` is a valid character of a registered name, so it has to be looked for.
    fn parse(host: &str) -> Option<Self> {
        let (below, rest) = match host.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, host),
        };
        match (below, rest.contains('*')) {
            (_, true) => None,
            (false, false) => Some(Self::Exact(rest.to_owned())),
            (true, false) => {
                (rest.starts_with('.') && rest.len() > 1).then(|| Self::Below(rest.to_owned()))
            }
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => exact.eq_ignore_ascii_case(host),
            // Something has to stand in front of the dot.
            Self::Below(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .filter(|length| *length > 0)
                .and_then(|start| host.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
        }
    }
}

/// `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`, RFC 3986 §3.1.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Clients that are no browsers send the scheme of the WebSocket itself.
fn default_port(scheme: &str) -> Option<u16> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}
