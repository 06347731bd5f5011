use std::error::Error;
use std::sync::Arc;

use thiserror::Error;

#[cfg(feature = "rabbitmq")]
use super::RabbitMqBroker;
#[cfg(feature = "redis")]
use super::RedisBroker;
use super::memory::MemoryBrokerBuilder;
use super::{Broker, BrokerOptions};

/// Why there is no broker for a URL. None of them shows the login or the query of the URL.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It has no scheme, or what follows the scheme is not understood.
    #[error("{url} is no URL of a broker: {reason}")]
    InvalidUrl {
        /// The URL, without login and query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its scheme is that of no broker.
    #[error("there is no broker for {scheme}:, only for memory:, {known}")]
    UnknownScheme {
        /// What stands before the first `:`.
        scheme: String,
        /// The schemes of the engines, in words.
        known: String,
    },
    /// The engine is known, but this program was built without it.
    #[error(
        "{scheme}: needs the feature `{feature}` of stompbox, which this program is built without"
    )]
    NotCompiledIn {
        /// What stands before the first `:`.
        scheme: String,
        /// The feature of this crate.
        feature: &'static str,
    },
    /// A [rule](super::DestinationRule) wants something of queues that the engine does not do.
    #[error("{engine} cannot do what {setting}= says for {destinations}")]
    UnsupportedRule {
        /// The destination or the pattern of the rule.
        destinations: String,
        /// The setting.
        setting: &'static str,
        /// The engine's name.
        engine: &'static str,
    },
    /// The engine did not answer, or refused.
    #[error("{url}: {source}")]
    Engine {
        /// The URL, without login and query.
        url: String,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The schemes of the engines, and the feature that each needs.
const ENGINES: [(&[&str], &str); 4] = [
    (&["redis", "rediss"], "redis"),
    (&["amqp", "amqps"], "rabbitmq"),
    (&["kafka"], "kafka"),
    (&["nats", "tls"], "nats"),
];

/// Makes the broker that a URL names, and connects it to its engine.
///
/// | URL | broker | feature |
/// | --- | --- | --- |
/// | `memory:` | [`MemoryBroker`](super::MemoryBroker), for one node | |
/// | `redis://[login[:password]@]host[:port][/database]`, `rediss://…` with TLS | `RedisBroker` | `redis` |
/// | `amqp://[login:password@]host[:port][/virtual-host]`, `amqps://…` with TLS | `RabbitMqBroker` | `rabbitmq` |
/// | `kafka://[login:password@]host[:port][,host[:port]…][?setting=…]` | `KafkaBroker` | `kafka` |
/// | `nats://[login[:password]@]host[:port][,host[:port]…][?prefix=subject]`, `tls://…` | `NatsBroker` | `nats` |
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use stompbox::broker::{BrokerOptions, Capability, ConnectError, connect};
///
/// let broker = connect("memory:", BrokerOptions::default()).await.unwrap();
/// assert!(broker.capabilities().supports(Capability::Queues));
///
/// let Err(unknown) = connect("carrier-pigeon:", BrokerOptions::default()).await else { panic!() };
/// assert!(matches!(unknown, ConnectError::UnknownScheme { .. }));
/// # }
/// ```
#[allow(clippy::unused_async)] // It waits for nothing only where no engine is compiled in.
pub async fn connect(url: &str, options: BrokerOptions) -> Result<Arc<dyn Broker>, ConnectError> {
    let Some((scheme, rest)) = url.split_once(':') else {
        let reason = "it has no scheme, such as redis://".to_owned();
        return Err(ConnectError::InvalidUrl { url: redacted(url), reason });
    };
    match scheme {
        "memory" if rest.is_empty() => {
            Ok(Arc::new(MemoryBrokerBuilder::with_options(options).build()))
        }
        "memory" => {
            let reason = "nothing follows memory:".to_owned();
            Err(ConnectError::InvalidUrl { url: redacted(url), reason })
        }
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => Ok(Arc::new(RabbitMqBroker::connect(url, options).await?)),
        #[cfg(feature = "kafka")]
        "kafka" => Ok(Arc::new(super::KafkaBroker::connect(url, options).await?)),
        #[cfg(feature = "nats")]
        "nats" | "tls" => Ok(Arc::new(super::NatsBroker::connect(url, options).await?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" => Ok(Arc::new(RedisBroker::connect(url, options).await?)),
        other => Err(not_served(other)),
    }
}

fn not_served(scheme: &str) -> ConnectError {
    let engine = ENGINES.iter().find(|(schemes, _)| schemes.contains(&scheme));
    let scheme = scheme.to_owned();
    match engine {
        Some((_, feature)) => ConnectError::NotCompiledIn { scheme, feature },
        None => {
            let known: Vec<_> = ENGINES.iter().filter_map(|(schemes, _)| schemes.first()).collect();
            let known = known.iter().map(|scheme| format!("{scheme}:")).collect::<Vec<_>>();
            ConnectError::UnknownScheme { scheme, known: known.join(", ") }
        }
    }
}

/// A URL without what may be secret: the login, and the query.
///
/// A password that holds an unescaped `/`, `?` or `@` is no part of a valid URL, and must not be shown
/// for that.
pub(super) fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit('@').next().unwrap_or_default();
    let host = host.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let rows = [
            ("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
            ("redis://:secret@host/2", "redis://host/2"),
            ("redis://login:se/cr?et@host", "redis://host"),
            ("redis://login:secret@other@host", "redis://host"),
            ("nats://token@host:4222,login:secret@other", "nats://other"),
            ("amqp://host/?password=secret", "amqp://host/"),
            ("secret@host", "host"),
        ];
        for (url, shown) in rows {
            assert_eq!(redacted(url), shown, "{url}");
        }
    }

    #[tokio::test]
    async fn what_is_unknown_and_what_is_not_compiled_in_are_told_apart() {
        let error = async |url: &str| connect(url, BrokerOptions::default()).await.err().unwrap();
        let text = error("memroy:").await.to_string();
        assert_eq!(
            text,
            "there is no broker for memroy:, only for memory:, redis:, amqp:, kafka:, nats:"
        );
        assert!(matches!(error("memory:x").await, ConnectError::InvalidUrl { .. }));
        assert!(matches!(error("host").await, ConnectError::InvalidUrl { .. }));
        for (schemes, engine) in ENGINES {
            for scheme in schemes {
                let ConnectError::NotCompiledIn { feature, .. } = not_served(scheme) else {
                    panic!("{scheme}");
                };
                assert_eq!(feature, engine);
            }
        }
    }
}
