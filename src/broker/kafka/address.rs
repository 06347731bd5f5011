use rdkafka::ClientConfig;

use super::super::ConnectError;
use super::super::prefixes::Prefixes;
use super::super::url::redacted;
use super::mapping::{Mapping, Rule};

/// Where Kafka is, how one logs in there, and what is there: what a URL says.
pub(super) struct Address {
    /// The servers that are asked first for all the others.
    servers: String,
    login: Option<Login>,
    topic: String,
    rules: Vec<Rule>,
    pub(super) partitions: i32,
    pub(super) tail: i64,
}

/// A login, which no log shows.
#[derive(PartialEq, Eq)]
struct Login {
    name: String,
    password: String,
}

/// The topic of what no rule names, unless the URL says another one.
const TOPIC: &str = "stompbox";

/// How many partitions a topic gets that is made here, unless the URL says so.
const PARTITIONS: i32 = 8;

/// How many records of each partition are looked through at the start for history.
const TAIL: i64 = 10_000;

/// The port of Kafka.
const PORT: u16 = 9092;

impl Address {
    /// Reads `kafka://[login:password@]host[:port][,host[:port]…][?setting&…]`.
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        Self::read(url).map_err(|reason| invalid(url, reason))
    }

    fn read(url: &str) -> Result<Self, &'static str> {
        let rest = url.strip_prefix("kafka://").ok_or("it does not begin with kafka://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
        if login.contains(['@', ',']) {
            return Err("a login stands once, before the first host, and its @ and , are escaped");
        }
        let hosts = hosts.trim_end_matches('/').split(',').map(server);
        let mut address = Self {
            servers: hosts.collect::<Result<Vec<_>, _>>()?.join(","),
            login: Login::parse(login)?,
            topic: TOPIC.to_owned(),
            rules: Vec::new(),
            partitions: PARTITIONS,
            tail: TAIL,
        };
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            address
                .set(name, &decoded(value).ok_or("a % is followed by two hexadecimal digits")?)?;
        }
        Ok(address)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "topic" => value.clone_into(&mut self.topic),
            "map" => self.rules.push(Rule::parse(value)?),
            "partitions" => {
                let number = value.parse().ok().filter(|number| *number > 0);
                self.partitions = number.ok_or("partitions= is a number from 1 on")?;
            }
            "tail" => {
                let number = value.parse().ok().filter(|number| *number >= 0);
                self.tail = number.ok_or("tail= is a number")?;
            }
            "tls" | "ssl" | "security" | "sasl" => {
                return Err("librdkafka is built without TLS: it can do neither TLS nor a SASL \
                            mechanism but PLAIN, for which the login stands before the host");
            }
            _ => return Err("of settings only topic=, map=, partitions= and tail= are known"),
        }
        Ok(())
    }

    /// Which destination is which topic and key.
    pub(super) fn mapping(&self, prefixes: Prefixes, url: &str) -> Result<Mapping, ConnectError> {
        let (topic, rules) = (self.topic.clone(), self.rules.clone());
        Mapping::new(prefixes, topic, rules).map_err(|reason| invalid(url, reason))
    }

    /// What all clients of a node are told.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("client.id", "stompbox")
            .set("socket.timeout.ms", "10000")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "10000");
        if let Some(login) = &self.login {
            config
                .set("security.protocol", "sasl_plaintext")
                .set("sasl.mechanism", "PLAIN")
                .set("sasl.username", &login.name)
                .set("sasl.password", &login.password);
        }
        config
    }
}

impl Login {
    fn parse(login: &str) -> Result<Option<Self>, &'static str> {
        if login.is_empty() {
            return Ok(None);
        }
        let (name, password) = login.split_once(':').ok_or("a login has a password")?;
        let decoded = |text| decoded(text).ok_or("a % is followed by two hexadecimal digits");
        Ok(Some(Self { name: decoded(name)?, password: decoded(password)? }))
    }
}

fn invalid(url: &str, reason: &str) -> ConnectError {
    ConnectError::InvalidUrl { url: redacted(url), reason: reason.to_owned() }
}

/// A host with its port.
fn server(host: &str) -> Result<String, &'static str> {
    let behind_address = host.rsplit(']').next().unwrap_or_default();
    let (name, port) = match behind_address.rsplit_once(':') {
        Some((_, port)) => {
            let name = host.get(..host.len() - port.len() - 1).unwrap_or_default();
            (name, port.parse::<u16>().map_err(|_| "a port is no number up to 65535")?)
        }
        None => (host, PORT),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err("a host is no host");
    }
    Ok(format!("{name}:{port}"))
}

/// A part of a URL without its percent-encoding (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_login_and_what_is_there() {
        let address = Address::parse(
            "kafka://a:p%2Fw@one:4333,two,[::1]:9,[::1]/?topic=chat&partitions=3&tail=0\
             &map=/topic/orders/%7Bkey%7D:orders",
        );
        let address = address.unwrap();
        assert_eq!(address.servers, "one:4333,two:9092,[::1]:9,[::1]:9092");
        let config = address.config();
        assert_eq!(config.get("sasl.password"), Some("p/w"));
        assert_eq!((address.partitions, address.tail), (3, 0));
        let mapping = address.mapping(Prefixes::default(), "").unwrap();
        assert!(mapping.topics().into_iter().eq(["chat", "orders"]));
        let plain = Address::parse("kafka://h").unwrap();
        assert_eq!(plain.config().get("security.protocol"), None);
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for bad in [
            "kafka:host",
            "redis://a:secret@h",
            "kafka://",
            "kafka://a:secret@",
            "kafka://secret@h",
            "kafka://a:secret@h,",
            "kafka://a:secret@h:port",
            "kafka://a:secret@h b",
            "kafka://a:secret@h?partitions=0",
            "kafka://a:secret@h?tail=-1",
            "kafka://a:secret@h?map=x",
            "kafka://a:secret@h?map=%4",
            "kafka://a:secret@h?stream=x",
            "kafka://a:secret@h?tls=true",
            "kafka://a:secret@h,a:secret@other",
        ] {
            let error = Address::parse(bad).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains("is no URL of a broker"), "{error}");
        }
        let bad = "kafka://h?topic=a/b";
        let address = Address::parse(bad).unwrap();
        assert!(address.mapping(Prefixes::default(), bad).is_err());
    }
}
