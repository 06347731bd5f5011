//! A naive decoder to compare the real one with: it has all bytes at once, copies everything, looks
//! at octets one by one, and knows no state but where it is.

use stompbox::frame::{self, Command, DecodeError, Fault, Leniency, Limits, Version};

/// A frame as the reference sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) command: Command,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// What the reference should see in `frame`.
    pub(crate) fn of(frame: &frame::Frame) -> Self {
        let headers = frame.headers();
        Self {
            command: frame.command(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            body: frame.body().to_vec(),
        }
    }
}

/// The rules to decode by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) version: Version,
    pub(crate) limits: Limits,
    pub(crate) leniency: Leniency,
}

/// The complete frames of `wire`, and the name of the fault that ends them, if one does.
pub(crate) fn decode(mut wire: &[u8], rules: Rules) -> (Vec<Frame>, Option<&'static str>) {
    let mut frames = Vec::new();
    loop {
        wire = match wire {
            [b'\n', rest @ ..] => rest,
            [b'\r', b'\n', rest @ ..] if rules.cr_lf() => rest,
            _ => match rules.frame(wire) {
                Ok(Some((frame, len))) => {
                    frames.push(frame);
                    &wire[len..]
                }
                Ok(None) => return (frames, None),
                Err(fault) => return (frames, Some(fault)),
            },
        };
    }
}

/// The name that the reference has for a fault.
pub(crate) fn fault_name(error: &DecodeError) -> &'static str {
    match error.fault() {
        Fault::UnknownCommand { .. } => "unknown command",
        Fault::MissingColon { .. } => "missing colon",
        Fault::CrLf { .. } => "CR LF",
        Fault::EmptyHeaderName => "empty name",
        Fault::InvalidUtf8 => "not UTF-8",
        Fault::NulInHead => "NUL",
        Fault::UndefinedEscape { .. } => "undefined escape",
        Fault::InvalidContentLength { .. } => "invalid content-length",
        Fault::ConflictingContentLength { .. } => "conflicting content-length",
        Fault::MissingNul { .. } => "missing NUL",
        Fault::UnexpectedBody { .. } => "unexpected body",
        Fault::HeadTooLong { .. } => "head too long",
        Fault::TooManyHeaders { .. } => "too many headers",
        Fault::BodyTooLong { .. } => "body too long",
        other => panic!("no name for {other:?}"),
    }
}

/// `None` means incomplete.
type Outcome<T> = Result<Option<T>, &'static str>;

impl Rules {
    fn cr_lf(&self) -> bool {
        self.version == Version::V1_2 || self.leniency.cr_lf()
    }

    fn frame(&self, wire: &[u8]) -> Outcome<(Frame, usize)> {
        let Some((command, mut at)) = self.command(wire)? else {
            return Ok(None);
        };
        let mut lines = Vec::new();
        loop {
            let line_end = wire.iter().skip(at).position(|octet| *octet == b'\n');
            let end = line_end.map_or(wire.len(), |len| at + len);
            if end >= self.limits.head() {
                return Err("head too long");
            }
            if line_end.is_none() {
                return Ok(None);
            }
            let line = self.without_cr(&wire[at..end]);
            at = end + 1;
            if line.is_empty() {
                break;
            }
            if lines.len() == self.limits.headers() {
                return Err("too many headers");
            }
            match line.iter().position(|octet| *octet == b':') {
                None if line == b"\r" && !self.cr_lf() => return Err("CR LF"),
                None => return Err("missing colon"),
                Some(0) => return Err("empty name"),
                Some(colon) => lines.push((line[..colon].to_vec(), line[colon + 1..].to_vec())),
            }
        }
        if std::str::from_utf8(&wire[..at]).is_err() {
            return Err("not UTF-8");
        }
        if wire[..at].contains(&0) {
            return Err("NUL");
        }
        let headers = self.headers(command, lines)?;
        let Some((body, len)) = self.body(command, &headers, &wire[at..])? else {
            return Ok(None);
        };
        Ok(Some((Frame { command, headers, body }, at + len)))
    }

    fn command(&self, wire: &[u8]) -> Outcome<(Command, usize)> {
        match wire.iter().position(|octet| *octet == b'\n') {
            Some(end) if end <= 16 => {
                let line = self.without_cr(&wire[..end]);
                let find = |line: &[u8]| {
                    Command::ALL.into_iter().find(|command| command.as_str().as_bytes() == line)
                };
                let refused_cr = line.strip_suffix(b"\r").filter(|_| !self.cr_lf());
                match (find(line), refused_cr) {
                    (Some(command), _) => Ok(Some((command, end + 1))),
                    (None, Some(line)) if line.is_empty() || find(line).is_some() => Err("CR LF"),
                    (None, _) => Err("unknown command"),
                }
            }
            None if wire.len() <= 16 => Ok(None),
            _ => Err("unknown command"),
        }
    }

    fn without_cr<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        match line {
            [line @ .., b'\r'] if self.cr_lf() => line,
            _ => line,
        }
    }

    fn headers(
        &self,
        command: Command,
        lines: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<Vec<(String, String)>, &'static str> {
        let mut headers = Vec::new();
        for (name, value) in lines {
            let text = |octets| self.unescape(command, &String::from_utf8_lossy(octets));
            headers.push((text(&name)?, text(&value)?));
        }
        let settles = match command {
            Command::Connect | Command::Stomp => Some("accept-version"),
            Command::Connected => Some("version"),
            _ => None,
        };
        let is_1_0 = match settles {
            Some(settling) => headers.iter().all(|(name, _)| name != settling),
            None => self.version == Version::V1_0,
        };
        if is_1_0 && self.leniency.padding() {
            for (name, value) in &mut headers {
                *name = name.trim_matches([' ', '\t']).to_owned();
                *value = value.trim_matches([' ', '\t']).to_owned();
            }
            if headers.iter().any(|(name, _)| name.is_empty()) {
                return Err("empty name");
            }
        }
        Ok(headers)
    }

    fn unescape(&self, command: Command, text: &str) -> Result<String, &'static str> {
        let connects = [Command::Connect, Command::Stomp, Command::Connected].contains(&command);
        if self.version == Version::V1_0 || connects {
            return Ok(text.to_owned());
        }
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let meaning = match rest.clone().next() {
                _ if c != '\\' => Some(c),
                Some('n') => Some('\n'),
                Some('c') => Some(':'),
                Some('\\') => Some('\\'),
                Some('r') if self.version == Version::V1_2 => Some('\r'),
                _ if self.leniency.raw_backslash() => None,
                _ => return Err("undefined escape"),
            };
            plain.push(meaning.unwrap_or('\\'));
            if c == '\\' && meaning.is_some() {
                rest.next();
            }
        }
        Ok(plain)
    }

    fn body(
        &self,
        command: Command,
        headers: &[(String, String)],
        rest: &[u8],
    ) -> Outcome<(Vec<u8>, usize)> {
        let allowed = [Command::Send, Command::Message, Command::Error].contains(&command)
            || self.leniency.any_body();
        let mut length = None;
        for (_, value) in headers.iter().filter(|(name, _)| name == "content-length") {
            if value.is_empty() || value.bytes().any(|octet| !octet.is_ascii_digit()) {
                return Err("invalid content-length");
            }
            // What is too large is as good as the largest, and over every limit.
            let number: u64 = value.parse().unwrap_or(u64::MAX);
            if length.is_some_and(|length| length != number) {
                return Err("conflicting content-length");
            }
            length = Some(number);
        }
        if let Some(length) = length {
            if length > 0 && !allowed {
                return Err("unexpected body");
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > self.limits.body() {
                return Err("body too long");
            }
            return match rest.get(length) {
                None => Ok(None),
                Some(0) => Ok(Some((rest[..length].to_vec(), length + 1))),
                Some(_) => Err("missing NUL"),
            };
        }
        if !allowed && rest.first().is_some_and(|octet| *octet != 0) {
            return Err("unexpected body");
        }
        let end = rest.iter().position(|octet| *octet == 0);
        if end.unwrap_or(rest.len()) > self.limits.body() {
            return Err("body too long");
        }
        Ok(end.map(|end| (rest[..end].to_vec(), end + 1)))
    }
}
