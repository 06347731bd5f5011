//! The `stompbox` program: a STOMP server to try out, to test clients against and to measure.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use stompbox::broker::{self, BrokerOptions, DestinationRule, TransactionGuarantee};
use stompbox::server::{
    Authenticate, Authenticating, AuthenticationError, ConnectRequest, Principal, Server,
    ServerSettings, WebSocketPaths,
};
use stompbox::session::{HeartBeat, SessionSettings};

/// How long connections may take to close when the program is to stop.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What topics keep unless it is said otherwise: enough for a client that lost its connection.
const TOPICS: &str = "/topic/**,history=100,history-bytes=64KiB,history-age=10m";

/// STOMP over WebSocket.
#[derive(Parser)]
#[command(version, about)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves STOMP until Ctrl-C or SIGTERM.
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// The address to listen on for WebSockets; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    ws: String,
    /// The path of the STOMP endpoint.
    #[arg(long, default_value = "/ws")]
    path: String,
    /// Where messages go: memory: for this server alone, or an engine that several servers share,
    /// such as `redis://127.0.0.1:6379`. A URL with a password is better given by the environment,
    /// as `STOMPBOX_BROKER`, which other users of the machine cannot read.
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// An address to listen on for STOMP over plain TCP as well.
    #[arg(long, value_name = "ADDRESS")]
    tcp: Option<String>,
    /// The only login that may connect. Without it anybody may.
    #[arg(long, requires = "passcode")]
    login: Option<String>,
    /// The passcode of that login.
    #[arg(long, requires = "login")]
    passcode: Option<String>,
    /// The path of a plain WebSocket echo, for conformance suites.
    #[arg(long, value_name = "PATH")]
    echo: Option<String>,
    /// How many seconds a connection may take to send CONNECT.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    connect_timeout: u64,
    /// Refuse what the specifications do not allow, though clients in use send it, and a COMMIT where
    /// the engine cannot do all of it or nothing.
    #[arg(long)]
    strict: bool,
    /// What is done at a destination or a pattern of them, such as
    /// '/topic/**,history=1000,history-bytes=1MiB,history-age=1h,slow=drop-oldest'. Of several that
    /// match the first counts; behind all of them stands one by which topics keep 100 messages, of
    /// 64 KiB at the most, for ten minutes.
    #[arg(long, value_name = "RULE")]
    destination: Vec<DestinationRule>,
    /// How often heart-beats are sent at most, and how often they are wanted, in milliseconds; 0 is
    /// never.
    #[arg(long, value_name = "SENDS,WANTS", default_value = "10000,10000", value_parser = heart_beat)]
    heart_beat: HeartBeat,
}

fn main() -> ExitCode {
    let Command::Serve(serve) = Program::parse().command;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve.run()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stompbox: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Serve {
    async fn run(self) -> Result<(), Box<dyn Error>> {
        let mut settings = ServerSettings::default();
        if self.strict {
            settings.session = SessionSettings::strict();
            settings.transactions = TransactionGuarantee::Atomic;
        }
        settings.session.connect_timeout = Duration::from_secs(self.connect_timeout);
        settings.session.heart_beat = self.heart_beat;
        let given = self.broker.or_else(|| std::env::var("STOMPBOX_BROKER").ok());
        let url = given.as_deref().unwrap_or("memory:");
        let rules = self.destination.into_iter().chain([TOPICS.parse()?]);
        let options = rules.fold(BrokerOptions::default(), BrokerOptions::rule);
        let broker = broker::connect(url, options).await?;
        let mut builder = Server::builder().settings(settings).shared_broker(broker);
        if let (Some(login), Some(passcode)) = (self.login, self.passcode) {
            builder = builder.authenticate(OneLogin { login, passcode });
        }
        let server = builder.build();

        let mut paths = WebSocketPaths::new(&self.path);
        if let Some(echo) = &self.echo {
            paths = paths.echo(echo);
        }
        let address = server.listen_websocket(&self.ws, paths).await?;
        println!("ws: ws://{address}{}", self.path);
        if let Some(echo) = &self.echo {
            println!("echo: ws://{address}{echo}");
        }
        if let Some(tcp) = &self.tcp {
            println!("tcp: {}", server.listen_tcp(tcp).await?);
        }

        asked_to_stop().await?;
        server.shutdown(SHUTDOWN).await;
        Ok(())
    }
}

/// Waits for Ctrl-C, or for what service managers and containers send (SIGTERM).
async fn asked_to_stop() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// A heart-beat as in the header: two numbers of milliseconds with a comma between them.
fn heart_beat(argument: &str) -> Result<HeartBeat, &'static str> {
    HeartBeat::parse(argument).ok_or("two numbers with a comma between them are needed")
}

/// Lets one login in.
struct OneLogin {
    login: String,
    passcode: String,
}

impl Authenticate for OneLogin {
    fn authenticate(&self, request: ConnectRequest) -> Authenticating {
        let login = request.login().is_some_and(|login| equal(&login, &self.login));
        let passcode = request.passcode().is_some_and(|passcode| equal(&passcode, &self.passcode));
        let decision = if login & passcode {
            Ok(Principal::new(self.login.clone()))
        } else {
            Err(AuthenticationError::refused())
        };
        Box::pin(std::future::ready(decision))
    }
}

/// Whether two texts are the same, in a time that does not tell how far they are.
fn equal(given: &str, expected: &str) -> bool {
    let mut different = u8::from(given.len() != expected.len());
    for (given, expected) in given.bytes().chain(std::iter::repeat(0)).zip(expected.bytes()) {
        different |= given ^ expected;
    }
    different == 0
}
