//! The language of the inputs: settings on the first line, and then operations, a letter each.
//!
//! It is read by [`Arbitrary`], octet by octet from the front, so that whatever a fuzzer makes of an
//! input is a script, and so that people can read and write the seeds. Space and end of line
//! separate, `#` begins a comment, and an octet that is no operation is passed over.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use stompbox::frame::{Command, Leniency, Limits, Version};
use stompbox::session::{AckMode, Confirm, ConnectOptions, HeartBeat};

use super::letters::{digit, milliseconds, name, octets, power, text};

/// The most operations of one script: longer ones find nothing that shorter ones do not.
const OPERATIONS: usize = 400;

/// What happens to one session.
#[derive(Debug)]
pub(crate) struct Script {
    pub(super) options: ConnectOptions,
    pub(super) operations: Vec<Operation>,
}

/// One thing that happens: in the program, in the server, on the way, or to the clock.
#[derive(Debug)]
pub(super) enum Operation {
    /// The program asks for something.
    Ask(Request),
    /// The server sends a frame.
    Say(ServerFrame),
    /// `r…|`: the server sends these bytes; `^` stands for NUL.
    Bytes(Vec<u8>),
    /// `%ab`: one octet of what is on the way, `a` from its end, is replaced by `b`.
    Corrupt { from_end: usize, octet: u8 },
    /// `=` all, `<n` so much: the client reads what is on the way.
    Read(usize),
    /// `wab`: at most `most` bytes are taken, of which the socket takes `took`. `W`: all of them.
    Write { most: usize, took: usize },
    /// `+n`: the clock goes on. `-`: an older reading of it is used.
    Clock { forward: bool, by: Duration },
    /// `*`: what is due is done. `j`: the clock goes on to what is due next, which is done.
    Deadline { jump: bool },
    /// `h`: a sign of life without bytes.
    Heard,
    /// `p`: the transport sends a Ping.
    Ping,
    /// `c`: the transport says its last word.
    Close,
    /// `E`: the transport has failed.
    End,
    /// The script is at its end.
    Nothing,
}

/// What the program asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: RequestKind,
    /// `?` in front of it: it asks for a receipt.
    pub(super) confirm: Confirm,
    /// `Tn` in front of it: it belongs to a transaction.
    pub(super) transaction: Option<String>,
    /// `Hname=value|` in front of it, as often as wanted: a header of SEND or SUBSCRIBE.
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(super) enum RequestKind {
    /// `Sida`: SUBSCRIBE with an `id`, a destination and an `ack` mode.
    Subscribe { id: String, destination: String, ack: AckMode },
    /// `Ui`: UNSUBSCRIBE.
    Unsubscribe { id: String },
    /// `Mdc`: SEND to a destination, with one of several bodies.
    Send { destination: String, body: &'static [u8] },
    /// `An`, `Nn`: ACK or NACK of the n-th last MESSAGE that was to be settled.
    Settle { command: Command, nth_last: usize },
    /// `Bn`, `Kn`, `Xn`: BEGIN, COMMIT or ABORT.
    Transaction { command: Command, id: String },
    /// `D`: DISCONNECT.
    Disconnect,
}

/// A frame of the server.
#[derive(Debug)]
pub(super) enum ServerFrame {
    /// `yvb`: CONNECTED with a `version` and a `heart-beat`.
    Connected { version: Option<&'static str>, heart_beat: Option<&'static str> },
    /// `dsdh`: MESSAGE to a subscription (`-` for none) from a destination, with an `ack` header
    /// (`a`), without one (`n`), or without a `message-id` as well (`x`).
    Message { subscription: Option<char>, destination: char, how: u8 },
    /// `on`: RECEIPT of the n-th of what waits for one, or of the number n if there is no such.
    Receipt { nth: usize },
    /// `zn`: ERROR about the n-th of what waits for a RECEIPT, or about nothing. `Zv`: with a
    /// `version`, which answers a CONNECT.
    Error { nth: usize, versions: Option<&'static str> },
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
        Ok(Self { options: options(&line), operations })
    }
}

/// | letter | option |
/// | --- | --- |
/// | `0` `1` `2` | STOMP 1.0, 1.1 or 1.2 is offered; without any, all are |
/// | `n` | no version is offered |
/// | `s` | the server's frames are read to the letter |
/// | `l` | small limits |
/// | `b` `B` | heart-beats of 100 ms, or none; by default of 10 s |
/// | `p` | a login and a passcode that would have to be escaped, if anything in CONNECT were |
/// | `t` | a header with a token |
/// | `r` | a header that the session writes itself |
/// | `x` | a `host` that CONNECT cannot represent |
fn options(line: &[u8]) -> ConnectOptions {
    let mut options = ConnectOptions::new("h:1");
    let versions = (b'0'..=b'2').zip(Version::ALL);
    let offered = versions.filter(|(digit, _)| line.contains(digit)).map(|(_, version)| version);
    let offered: Vec<_> = offered.collect();
    if !offered.is_empty() {
        options.versions = offered;
    }
    for letter in line {
        match letter {
            b'n' => options.versions = Vec::new(),
            b's' => options.leniency = Leniency::strict(),
            b'b' => {
                let period = Duration::from_millis(100);
                options.heart_beat = HeartBeat::new(period, period);
            }
            b'B' => options.heart_beat = HeartBeat::NONE,
            b'p' => {
                options.login = Some("ada".to_owned());
                options.passcode = Some("a:b\\c".to_owned());
            }
            b't' => options.headers.push(("authorization".to_owned(), "Bearer x:y".to_owned())),
            b'r' => options.headers.push(("receipt".to_owned(), "1".to_owned())),
            b'x' => options.host = String::from("a\nb"),
            b'l' => {
                options.frame_limits =
                    Limits::default().with_head(256).with_headers(8).with_body(64);
                options.waiting_bytes = 100;
                options.unconfirmed = 2;
            }
            _ => {}
        }
    }
    options
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let (mut confirm, mut transaction, mut headers) = (Confirm::No, None, Vec::new());
        while !input.is_empty() {
            let letter = input.arbitrary()?;
            if let Some(kind) = request_kind(letter, input)? {
                return Ok(Self::Ask(Request { kind, confirm, transaction, headers }));
            }
            if let Some(frame) = server_frame(letter, input)? {
                return Ok(Self::Say(frame));
            }
            match letter {
                b'#' => drop(text(input, b'\n')?),
                b'?' => confirm = Confirm::Receipt,
                b'T' => transaction = Some(name(input)?.to_string()),
                b'H' => {
                    let header = octets(input, b'|')?;
                    let header = String::from_utf8_lossy(&header).into_owned();
                    let (name, value) = header.split_once('=').unwrap_or((&header, ""));
                    headers.push((name.to_owned(), value.to_owned()));
                }
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

fn request_kind(letter: u8, input: &mut Unstructured<'_>) -> Result<Option<RequestKind>> {
    Ok(Some(match letter {
        b'S' => RequestKind::Subscribe {
            id: name(input)?.to_string(),
            destination: destination(name(input)?),
            ack: match name(input)? {
                'c' => AckMode::Client,
                'i' => AckMode::ClientIndividual,
                _ => AckMode::Auto,
            },
        },
        b'U' => RequestKind::Unsubscribe { id: name(input)?.to_string() },
        b'M' => RequestKind::Send {
            destination: destination(name(input)?),
            body: match digit(input)? {
                0 => b"hello",
                1 => b"\xFF\0\n",
                2 => &[b'x'; 700],
                _ => b"",
            },
        },
        b'A' => RequestKind::Settle { command: Command::Ack, nth_last: digit(input)? },
        b'N' => RequestKind::Settle { command: Command::Nack, nth_last: digit(input)? },
        b'B' | b'K' | b'X' => RequestKind::Transaction {
            command: match letter {
                b'B' => Command::Begin,
                b'K' => Command::Commit,
                _ => Command::Abort,
            },
            id: name(input)?.to_string(),
        },
        b'D' => RequestKind::Disconnect,
        _ => return Ok(None),
    }))
}

fn server_frame(letter: u8, input: &mut Unstructured<'_>) -> Result<Option<ServerFrame>> {
    Ok(Some(match letter {
        b'y' => ServerFrame::Connected {
            version: versions(input)?,
            heart_beat: match digit(input)? {
                0 => Some("0,0"),
                1 => Some("100,100"),
                2 => Some("0,50"),
                3 => Some("50,0"),
                4 => Some("99999999999,99999999999"),
                5 => Some("1,2,3"),
                _ => None,
            },
        },
        b'd' => ServerFrame::Message {
            subscription: Some(name(input)?).filter(|id| *id != '-'),
            destination: name(input)?,
            how: input.arbitrary()?,
        },
        b'o' => ServerFrame::Receipt { nth: digit(input)? },
        b'z' => ServerFrame::Error { nth: digit(input)?, versions: None },
        b'Z' => ServerFrame::Error { nth: usize::MAX, versions: versions(input)? },
        _ => return Ok(None),
    }))
}

fn versions(input: &mut Unstructured<'_>) -> Result<Option<&'static str>> {
    Ok(match digit(input)? {
        0 => Some("1.0"),
        1 => Some("1.1"),
        2 => Some("1.2"),
        3 => Some("2.0"),
        4 => Some("1.0, 1.1"),
        _ => None,
    })
}

fn operation(letter: u8, input: &mut Unstructured<'_>) -> Result<Option<Operation>> {
    Ok(Some(match letter {
        b'r' => Operation::Bytes(octets(input, b'|')?),
        b'%' => Operation::Corrupt { from_end: digit(input)?, octet: input.arbitrary()? },
        b'=' => Operation::Read(usize::MAX),
        b'<' => Operation::Read(digit(input)?),
        b'w' => Operation::Write { most: power(input)?, took: power(input)? },
        b'W' => Operation::Write { most: usize::MAX, took: usize::MAX },
        b'+' => Operation::Clock { forward: true, by: milliseconds(input)? },
        b'-' => Operation::Clock { forward: false, by: milliseconds(input)? },
        b'*' | b'j' => Operation::Deadline { jump: letter == b'j' },
        b'h' => Operation::Heard,
        b'p' => Operation::Ping,
        b'c' => Operation::Close,
        b'E' => Operation::End,
        _ => return Ok(None),
    }))
}

fn destination(name: char) -> String {
    format!("/topic/{name}")
}
