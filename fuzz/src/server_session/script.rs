//! The language of the inputs: settings on the first line, and then operations, a letter each.
//!
//! It is read by [`Arbitrary`], octet by octet from the front, so that whatever a fuzzer makes of an
//! input is a script, and so that people can read and write the seeds. Space and end of line
//! separate, `#` begins a comment, and an octet that is no operation is passed over.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use stompbox::frame::{Command, Leniency, Limits, Version};
use stompbox::session::{AckMode, HeartBeat, SessionSettings};

use super::letters::{digit, milliseconds, name, octets, power, text};

/// The most operations of one script: longer ones find nothing that shorter ones do not.
const OPERATIONS: usize = 400;

/// What happens to one session.
#[derive(Debug)]
pub(crate) struct Script {
    pub(super) settings: SessionSettings,
    /// Whether the broker confirms everything at once.
    pub(super) confirms_at_once: bool,
    pub(super) operations: Vec<Operation>,
}

/// One thing that happens: in the client, on the way, in the server, or to the clock.
#[derive(Debug)]
pub(super) enum Operation {
    /// The client sends a frame.
    Frame(Request),
    /// `r…|`: the client sends these bytes; `^` stands for NUL.
    Bytes(Vec<u8>),
    /// `%ab`: one octet of what is on the way, `a` from its end, is replaced by `b`.
    Corrupt { from_end: usize, octet: u8 },
    /// `=` all, `<n` so much: the server reads what is on the way.
    Read(usize),
    /// `.`: the WebSocket message that was read ends here.
    EndOfMessage,
    /// `y`: the CONNECT is accepted.
    Accept,
    /// `z`: the application refuses the client.
    Refuse,
    /// `o` the oldest, `O` the newest: the broker confirms what it was asked for.
    Confirm { newest: bool },
    /// `f`: the broker fails in the oldest that it was asked for.
    Fail,
    /// `d` kept, `e` written at once: a message is delivered to one subscription.
    /// `g`: to all of them.
    Deliver { to: Target, content: u8, how: How },
    /// `v`: the last message is delivered once more to one subscription.
    Redeliver { to: usize },
    /// `wab`: about `most` bytes are encoded, of which the socket takes `took`.
    Write { most: usize, took: usize },
    /// `W`: all is written.
    WriteAll,
    /// `+n`: the clock goes on. `-`: a thread with an older reading of it has its turn.
    Clock { forward: bool, by: Duration },
    /// `*`: what is due is done. `j`: the clock goes on to what is due next, which is done.
    Deadline { jump: bool },
    /// `h`: a sign of life without bytes.
    Heard,
    /// `p`: the transport sends a Ping.
    Ping,
    /// `q`: the client turns out to send binary messages.
    Binary,
    /// `Z`: the transport ends.
    End,
    /// The script is at its end.
    Nothing,
}

/// Whom a delivery is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// The subscription of this number, ended ones included.
    One(usize),
    All,
}

/// Which way deliveries take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Kept,
    Direct,
}

/// A frame that the client sends.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: RequestKind,
    /// `?` in front of it: it asks for a receipt.
    pub(super) receipt: bool,
    /// `Tn` in front of it: it belongs to a transaction.
    pub(super) transaction: Option<char>,
    /// `H…|` in front of it: a header line as it is.
    pub(super) line: Option<Vec<u8>>,
}

/// What a frame of the client asks for.
#[derive(Debug)]
pub(super) enum RequestKind {
    /// `Cvb`: CONNECT with an `accept-version` and a `heart-beat`.
    Connect { versions: Option<&'static str>, heart_beat: Option<&'static str> },
    /// `Sida`: SUBSCRIBE with an `id` (`-` for none), a destination and an `ack` mode.
    Subscribe { id: Option<char>, destination: char, ack: Option<AckMode> },
    /// `Ui`: UNSUBSCRIBE; `u` names the destination.
    Unsubscribe { by_id: bool, name: char },
    /// `Md`: SEND.
    Send { destination: char },
    /// `An`, `Nn`: ACK or NACK of the n-th last MESSAGE.
    Settle { command: Command, nth_last: usize },
    /// `Bn`, `Kn`, `Xn`: BEGIN, COMMIT or ABORT.
    Transaction { command: Command, id: char },
    /// `D`: DISCONNECT.
    Disconnect,
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut line = text(input, b'\n')?;
        let comment = line.iter().position(|octet| *octet == b'#');
        line.truncate(comment.unwrap_or(line.len()));
        let mut operations = Vec::new();
        while !input.is_empty() && operations.len() < OPERATIONS {
            operations.push(input.arbitrary()?);
        }
        Ok(Self { settings: settings(&line), confirms_at_once: line.contains(&b'i'), operations })
    }
}

/// | letter | setting |
/// | --- | --- |
/// | `0` `1` `2` | STOMP 1.0, 1.1 or 1.2 is spoken; without any, all are |
/// | `s` | strict; by default lenient as the server is; of it alone: |
/// | `f` | … the frames, to the letter |
/// | `h` | … CONNECT needs a `host` |
/// | `a` | … an ACK of what was settled before is refused |
/// | `c` | … `client-individual` is refused in 1.0 |
/// | `l` | small limits |
/// | `b` `B` | heart-beats of 100 ms, or none; by default of 10 s |
/// | `i` | the broker confirms at once |
fn settings(line: &[u8]) -> SessionSettings {
    let strict = line.contains(&b's');
    let mut settings = if strict { SessionSettings::strict() } else { SessionSettings::default() };
    let versions = (b'0'..=b'2').zip(Version::ALL);
    let spoken = versions.filter(|(digit, _)| line.contains(digit)).map(|(_, version)| version);
    let spoken: Vec<_> = spoken.collect();
    if !spoken.is_empty() {
        settings.versions = spoken;
    }
    for letter in line {
        match letter {
            b'f' => settings.leniency = Leniency::strict(),
            b'h' => settings.accepts_missing_host = false,
            b'a' => settings.accepts_settled_before = false,
            b'c' => settings.accepts_individual_in_1_0 = false,
            b'b' => {
                let period = Duration::from_millis(100);
                settings.heart_beat = HeartBeat::new(period, period);
            }
            b'B' => settings.heart_beat = HeartBeat::NONE,
            b'l' => {
                settings.frame_limits =
                    Limits::default().with_head(256).with_headers(8).with_body(64);
                settings.subscriptions = 2;
                settings.unsettled = 3;
                settings.transactions = 2;
                settings.transaction_frames = 3;
                settings.transaction_bytes = 4 * 1024;
                settings.waiting_bytes = 2 * 1024;
            }
            _ => {}
        }
    }
    settings
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut request = Modifiers::default();
        while !input.is_empty() {
            let letter = input.arbitrary()?;
            if let Some(kind) = request_kind(letter, input)? {
                let Modifiers { receipt, transaction, line } = request;
                return Ok(Self::Frame(Request { kind, receipt, transaction, line }));
            }
            match letter {
                b'#' => drop(text(input, b'\n')?),
                b'?' => request.receipt = true,
                b'T' => request.transaction = Some(name(input)?),
                b'H' => request.line = Some(text(input, b'|')?),
                _ => {
                    if let Some(operation) = operation(letter, input)? {
                        return Ok(operation);
                    }
                }
            }
        }
        Ok(Self::Nothing)
    }
}

/// What stands in front of a frame.
#[derive(Default)]
struct Modifiers {
    receipt: bool,
    transaction: Option<char>,
    line: Option<Vec<u8>>,
}

fn request_kind(letter: u8, input: &mut Unstructured<'_>) -> Result<Option<RequestKind>> {
    Ok(Some(match letter {
        b'C' => RequestKind::Connect {
            versions: match digit(input)? {
                0 => None,
                1 => Some("1.1"),
                2 => Some("1.2"),
                3 => Some("1.0"),
                4 => Some("2.0,x"),
                _ => Some("1.0,1.1, 1.2"),
            },
            heart_beat: match digit(input)? {
                0 => Some("0,0"),
                1 => Some("100,100"),
                2 => Some("0,50"),
                3 => Some("50,0"),
                4 => Some("99999999999,99999999999"),
                5 => Some("-1,0"),
                _ => None,
            },
        },
        b'S' => RequestKind::Subscribe {
            id: Some(name(input)?).filter(|id| *id != '-'),
            destination: name(input)?,
            ack: match name(input)? {
                'a' => Some(AckMode::Auto),
                'c' => Some(AckMode::Client),
                'i' => Some(AckMode::ClientIndividual),
                _ => None,
            },
        },
        b'U' | b'u' => RequestKind::Unsubscribe { by_id: letter == b'U', name: name(input)? },
        b'M' => RequestKind::Send { destination: name(input)? },
        b'A' => RequestKind::Settle { command: Command::Ack, nth_last: digit(input)? },
        b'N' => RequestKind::Settle { command: Command::Nack, nth_last: digit(input)? },
        b'B' => RequestKind::Transaction { command: Command::Begin, id: name(input)? },
        b'K' => RequestKind::Transaction { command: Command::Commit, id: name(input)? },
        b'X' => RequestKind::Transaction { command: Command::Abort, id: name(input)? },
        b'D' => RequestKind::Disconnect,
        _ => return Ok(None),
    }))
}

fn operation(letter: u8, input: &mut Unstructured<'_>) -> Result<Option<Operation>> {
    Ok(Some(match letter {
        b'r' => Operation::Bytes(octets(input, b'|')?),
        b'%' => Operation::Corrupt { from_end: digit(input)?, octet: input.arbitrary()? },
        b'=' => Operation::Read(usize::MAX),
        b'<' => Operation::Read(digit(input)?),
        b'.' => Operation::EndOfMessage,
        b'y' => Operation::Accept,
        b'z' => Operation::Refuse,
        b'o' | b'O' => Operation::Confirm { newest: letter == b'O' },
        b'f' => Operation::Fail,
        b'd' | b'e' => Operation::Deliver {
            to: Target::One(digit(input)?),
            content: input.arbitrary()?,
            how: if letter == b'd' { How::Kept } else { How::Direct },
        },
        b'g' => Operation::Deliver { to: Target::All, content: input.arbitrary()?, how: How::Kept },
        b'v' => Operation::Redeliver { to: digit(input)? },
        b'w' => Operation::Write { most: power(input)?, took: power(input)? },
        b'W' => Operation::WriteAll,
        b'+' => Operation::Clock { forward: true, by: milliseconds(input)? },
        b'-' => Operation::Clock { forward: false, by: milliseconds(input)? },
        b'*' | b'j' => Operation::Deadline { jump: letter == b'j' },
        b'h' => Operation::Heard,
        b'p' => Operation::Ping,
        b'q' => Operation::Binary,
        b'Z' => Operation::End,
        _ => return Ok(None),
    }))
}
