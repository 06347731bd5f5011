use super::super::ConnectError;
use super::super::url::redacted;
use super::subject::{Subjects, decoded};

/// Where NATS is, and how one logs in there: what a URL says.
#[derive(Clone)]
pub(super) struct Address {
    /// The servers of the cluster, without a login, so that no log shows it.
    pub(super) servers: Vec<async_nats::ServerAddr>,
    pub(super) login: Login,
    pub(super) subjects: Subjects,
}

/// How one logs in.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Login {
    None,
    Token(String),
    User { name: String, password: String },
}

impl Address {
    /// Reads `nats://[login@]host[:port][,host[:port]…][?prefix=subject]`.
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let invalid = |reason: &str| ConnectError::InvalidUrl {
            url: redacted(url),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it has no ://"))?;
        if !matches!(scheme, "nats" | "tls") {
            return Err(invalid("its scheme is neither nats nor tls"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
        if login.contains(['@', ',']) {
            return Err(invalid(
                "a login stands once, before the first host, and its @ and , are escaped",
            ));
        }
        let mut servers = Vec::new();
        for host in hosts.trim_end_matches('/').split(',') {
            let server: async_nats::ServerAddr =
                format!("{scheme}://{host}").parse().map_err(|_| invalid("a host is no host"))?;
            if server.host().is_empty() {
                return Err(invalid("a host is empty"));
            }
            servers.push(server);
        }
        let mut subjects = Subjects::default();
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=') {
                Some(("prefix", prefix)) => {
                    subjects = Subjects::new(&decoded(prefix)).map_err(invalid)?;
                }
                _ => return Err(invalid("of settings only prefix= is known")),
            }
        }
        Ok(Self { servers, login: Login::parse(login), subjects })
    }
}

impl Login {
    fn parse(login: &str) -> Self {
        match login.split_once(':') {
            None if login.is_empty() => Self::None,
            None => Self::Token(decoded(login)),
            Some((name, password)) => {
                Self::User { name: decoded(name), password: decoded(password) }
            }
        }
    }

    pub(super) fn auth(&self) -> async_nats::Auth {
        let mut auth = async_nats::Auth::new();
        match self.clone() {
            Self::None => {}
            Self::Token(token) => auth.token = Some(token),
            Self::User { name, password } => {
                auth.username = Some(name);
                auth.password = Some(password);
            }
        }
        auth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_login_and_prefix() {
        let address = Address::parse("nats://a:p%2Fw@one:4333,two/?prefix=chat").unwrap();
        let servers: Vec<_> =
            address.servers.iter().map(|it| (it.host().to_owned(), it.port())).collect();
        assert_eq!(servers, [("one".to_owned(), 4333), ("two".to_owned(), 4222)]);
        let user = Login::User { name: "a".to_owned(), password: "p/w".to_owned() };
        assert!(address.login == user);
        assert_eq!(address.subjects.of(&"/topic/a".parse().unwrap()), "chat.topic.a");
        assert!(address.servers.iter().all(|server| !server.has_user_pass()));

        assert_eq!(Address::parse("nats://s3cret@h").unwrap().login, Login::Token("s3cret".into()));
        assert_eq!(Address::parse("tls://h").unwrap().login, Login::None);
        assert!(Address::parse("tls://h").unwrap().servers[0].tls_required());
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for bad in [
            "nats:host",
            "redis://a:secret@h",
            "nats://",
            "nats://a:secret@",
            "nats://a:secret@h,",
            "nats://a:secret@h:port",
            "nats://a:secret@h?prefix=a.*",
            "nats://a:secret@h?stream=x",
            "nats://a:secret@h,a:secret@other",
        ] {
            let error = Address::parse(bad).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains("is no URL of a broker"), "{error}");
        }
    }
}
