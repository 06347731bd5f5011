//! The resumable scan of one frame: finds delimiters and hands what lies between them to nom, once.

use super::error::quote;
use super::escape::Escaping;
use super::layout::{HeaderLine, Layout, offset};
use super::parse::{self, Expected, visits};
use super::{Command, DecodeError, Fault, HeaderName, Leniency, Limits, Version};

/// How much of a first line is waited for and quoted: the longest command has 11 octets. A peer
/// that speaks another protocol gets its error without an end of line.
const COMMAND_LINE: usize = 16;

/// What a frame has to obey.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) version: Version,
    pub(super) limits: Limits,
    pub(super) leniency: Leniency,
}

impl Rules {
    /// Whether CR LF ends a line (STOMP 1.2, "STOMP Frames").
    pub(super) fn cr_lf(&self) -> bool {
        self.version == Version::V1_2 || self.leniency.cr_lf()
    }
}

/// How far a scan got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The frame goes on behind the bytes there are.
    Incomplete,
    /// There was only an end of line of so many octets, where a frame could begin.
    EndOfLine(usize),
    /// The frame is complete and takes so many octets, its NUL included.
    Complete(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    CommandLine,
    HeaderLines,
    /// The body ends at the first NUL.
    OpenBody,
    /// The body has the length that `content-length` says.
    SizedBody,
}

/// The scan of one frame, from the first octet of its command line.
///
/// [`advance`](Self::advance) is called with all bytes of the frame that there are, and goes on
/// where it stopped.
#[derive(Debug)]
pub(super) struct Scan {
    layout: Layout,
    stage: Stage,
    /// Where the line that is being searched for begins.
    line: usize,
    /// In front of it no delimiter is left.
    position: usize,
    has_content_length: bool,
}

impl Scan {
    pub(super) fn new() -> Self {
        Self {
            layout: Layout::new(Command::Send),
            stage: Stage::CommandLine,
            line: 0,
            position: 0,
            has_content_length: false,
        }
    }

    /// What was found; of meaning once the frame is complete.
    pub(super) fn into_layout(self) -> Layout {
        self.layout
    }

    /// Goes on in `bytes`, which begin with the frame's command line.
    pub(super) fn advance(&mut self, bytes: &[u8], rules: &Rules) -> Result<Progress, DecodeError> {
        if self.stage == Stage::CommandLine {
            let Some(line) = self.next_line(bytes, rules)? else {
                return Ok(Progress::Incomplete);
            };
            if line.is_empty() {
                return Ok(Progress::EndOfLine(self.line));
            }
            self.command_line(line)?;
        }
        while self.stage == Stage::HeaderLines {
            let start = self.line;
            let Some(line) = self.next_line(bytes, rules)? else {
                return Ok(Progress::Incomplete);
            };
            if line.is_empty() {
                self.layout.lines_end = offset(start);
                self.end_of_head(bytes, rules)?;
            } else {
                self.header_line(line, start, rules)?;
            }
        }
        self.body(bytes, rules)
    }

    /// How many octets of `chunk`, which follows `held` octets that the scan has seen, to hand to
    /// the next [`advance`](Self::advance): up to the next delimiter and never past a limit.
    pub(super) fn claim(&mut self, held: usize, chunk: &[u8], limits: &Limits) -> usize {
        let window = self.reach(limits).saturating_sub(held).min(chunk.len());
        let chunk = chunk.get(..window).unwrap_or_default();
        let found = match self.stage {
            Stage::SizedBody => return window,
            Stage::OpenBody => parse::body(chunk),
            Stage::CommandLine | Stage::HeaderLines => parse::line(chunk),
        };
        let (before, claimed) = match found {
            Ok((_, before)) => (before.len(), before.len() + 1),
            Err(_) => (window, window),
        };
        self.position = held + before;
        claimed
    }

    /// Whether all octets that were claimed have been advanced over, `held` in all.
    pub(super) fn has_seen(&self, held: usize) -> bool {
        self.stage == Stage::SizedBody || self.position == held
    }

    /// Ends the frame behind `held` octets although its NUL is missing; `false` if something else
    /// is missing too.
    pub(super) fn end_without_nul(&mut self, held: usize) -> bool {
        match self.stage {
            Stage::OpenBody => self.layout.body_end = offset(held),
            Stage::SizedBody if self.layout.body_end as usize == held => {}
            _ => return false,
        }
        true
    }

    /// How many octets of the frame can be of use at this stage.
    fn reach(&self, limits: &Limits) -> usize {
        match self.stage {
            Stage::CommandLine => COMMAND_LINE + 1,
            Stage::HeaderLines => limits.head(),
            Stage::OpenBody => self.layout.body_start as usize + limits.body() + 1,
            Stage::SizedBody => self.layout.body_end as usize + 1,
        }
    }

    /// The next line without its end, and `self.line` behind it.
    fn next_line<'a>(
        &mut self,
        bytes: &'a [u8],
        rules: &Rules,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        let reach = self.reach(&rules.limits);
        let window = bytes.get(..reach).unwrap_or(bytes);
        let unsearched = window.get(self.position..).unwrap_or_default();
        let Ok((_, found)) = parse::line(unsearched) else {
            self.position = window.len();
            if window.len() < reach {
                return Ok(None);
            }
            return Err(self.too_long(window, reach));
        };
        let end = self.position + found.len();
        let line = bytes.get(self.line..end).unwrap_or_default();
        self.line = end + 1;
        self.position = end + 1;
        Ok(Some(match line.strip_suffix(b"\r") {
            Some(line) if rules.cr_lf() => line,
            _ => line,
        }))
    }

    #[cold]
    fn too_long(&self, window: &[u8], reach: usize) -> DecodeError {
        if self.stage == Stage::CommandLine {
            unknown_command(window)
        } else {
            DecodeError::new(reach, self.line_number(), Fault::HeadTooLong { limit: reach })
        }
    }

    fn command_line(&mut self, line: &[u8]) -> Result<(), DecodeError> {
        let (_, command) = parse::command_line(line).map_err(|_| unknown_command(line))?;
        self.layout.command = command;
        self.layout.lines_start = offset(self.line);
        self.stage = Stage::HeaderLines;
        Ok(())
    }

    fn header_line(&mut self, line: &[u8], start: usize, rules: &Rules) -> Result<(), DecodeError> {
        let limit = rules.limits.headers();
        if self.layout.lines.len() >= limit {
            return Err(self.error(start, Fault::TooManyHeaders { limit }));
        }
        let name = match parse::header_line(line) {
            Ok((_, (name, _))) => name,
            Err(nom::Err::Error(Expected::HeaderName)) => {
                return Err(self.error(start, Fault::EmptyHeaderName));
            }
            Err(_) => {
                return Err(self.error(start, Fault::MissingColon { found: quote(line) }));
            }
        };
        let known = HeaderName::from_bytes(name);
        self.has_content_length |= known == Some(HeaderName::ContentLength);
        self.layout.lines.push(HeaderLine {
            start: offset(start),
            colon: offset(start + name.len()),
            end: offset(start + line.len()),
            known,
        });
        Ok(())
    }

    /// Checks the head as a whole, once it is complete, and finds out how the body ends.
    fn end_of_head(&mut self, bytes: &[u8], rules: &Rules) -> Result<(), DecodeError> {
        let head = bytes.get(..self.line).unwrap_or_default();
        let contents = Contents::of(head);
        if contents.nul {
            let at = memchr::memchr(0, head).unwrap_or_default();
            return Err(fault_at(head, at, Fault::NulInHead));
        }
        if !contents.ascii
            && let Err(error) = std::str::from_utf8(head)
        {
            return Err(fault_at(head, error.valid_up_to(), Fault::InvalidUtf8));
        }
        if contents.backslash {
            self.layout.escaping = Escaping::of(rules.version, self.layout.command);
            self.check_escapes(head, rules)?;
        }
        if rules.leniency.padding() && self.version_of_head(rules) == Version::V1_0 {
            self.trim_padding(head);
        }
        self.layout.body_start = offset(self.line);
        self.stage = Stage::OpenBody;
        if self.has_content_length {
            self.layout.body_end = offset(self.line + self.content_length(head, rules)?);
            self.stage = Stage::SizedBody;
        }
        Ok(())
    }

    /// The version that the frame is written in. The frames that settle the version say it
    /// themselves: those of 1.0 do so by leaving the header out.
    fn version_of_head(&self, rules: &Rules) -> Version {
        let header = match self.layout.command {
            Command::Connect | Command::Stomp => HeaderName::AcceptVersion,
            Command::Connected => HeaderName::Version,
            _ => return rules.version,
        };
        self.layout.find(header).map_or(Version::V1_0, |_| rules.version)
    }

    #[cold]
    fn trim_padding(&mut self, head: &[u8]) {
        self.layout.padded = true;
        self.layout.lines.update(|line| {
            line.known = HeaderName::from_bytes(line.name(head, true));
        });
        self.has_content_length = self.layout.find(HeaderName::ContentLength).is_some();
    }

    #[cold]
    fn check_escapes(&self, head: &[u8], rules: &Rules) -> Result<(), DecodeError> {
        if self.layout.escaping == Escaping::None || rules.leniency.raw_backslash() {
            return Ok(());
        }
        for line in self.layout.lines.iter() {
            for (text, start) in
                [(line.name(head, false), line.start), (line.value(head, false), line.colon + 1)]
            {
                if let Some(at) = self.layout.escaping.undefined_in(text) {
                    let found = text.get(at..text.len().min(at + 2)).unwrap_or_default();
                    let found = String::from_utf8_lossy(found).escape_debug().to_string();
                    let fault = Fault::UndefinedEscape { found, version: rules.version };
                    return Err(fault_at(head, start as usize + at, fault));
                }
            }
        }
        Ok(())
    }

    /// The length of the body as `content-length` has it. Several must agree: where one reader
    /// takes the first and another the last, they see different frames.
    fn content_length(&self, head: &[u8], rules: &Rules) -> Result<usize, DecodeError> {
        let mut first = None;
        for line in self.layout.lines.iter() {
            if line.known != Some(HeaderName::ContentLength) {
                continue;
            }
            let value = line.value(head, self.layout.padded);
            let at = line.start as usize;
            let Ok((_, length)) = parse::content_length(value) else {
                let fault = Fault::InvalidContentLength { found: quote(value) };
                return Err(fault_at(head, at, fault));
            };
            match first {
                Some(first) if first != length => {
                    let fault = Fault::ConflictingContentLength { first, other: length };
                    return Err(fault_at(head, at, fault));
                }
                _ => first = Some(length),
            }
        }
        let limit = rules.limits.body();
        match usize::try_from(first.unwrap_or_default()) {
            Ok(length) if length > 0 && !self.may_have_body(rules) => {
                let fault = Fault::UnexpectedBody { command: self.layout.command };
                Err(self.error(self.line, fault))
            }
            Ok(length) if length <= limit => Ok(length),
            _ => Err(self.error(self.line, Fault::BodyTooLong { limit })),
        }
    }

    fn may_have_body(&self, rules: &Rules) -> bool {
        self.layout.command.carries_body() || rules.leniency.any_body()
    }

    fn body(&mut self, bytes: &[u8], rules: &Rules) -> Result<Progress, DecodeError> {
        if self.stage == Stage::SizedBody {
            return self.sized_body(bytes);
        }
        let start = self.layout.body_start as usize;
        let reach = self.reach(&rules.limits);
        let window = bytes.get(..reach).unwrap_or(bytes);
        if !self.may_have_body(rules) && window.get(start).is_some_and(|octet| *octet != 0) {
            let fault = Fault::UnexpectedBody { command: self.layout.command };
            return Err(self.error(start, fault));
        }
        match parse::body(window.get(self.position..).unwrap_or_default()) {
            Ok((rest, _)) => {
                let end = window.len() - rest.len();
                self.layout.body_end = offset(end - 1);
                Ok(Progress::Complete(end))
            }
            Err(_) if window.len() < reach => {
                self.position = window.len();
                Ok(Progress::Incomplete)
            }
            Err(_) => {
                let limit = rules.limits.body();
                Err(self.error(reach - 1, Fault::BodyTooLong { limit }))
            }
        }
    }

    fn sized_body(&self, bytes: &[u8]) -> Result<Progress, DecodeError> {
        let end = self.layout.body_end as usize;
        let Some(behind) = bytes.get(end..).filter(|behind| !behind.is_empty()) else {
            return Ok(Progress::Incomplete);
        };
        if parse::nul(behind).is_ok() {
            return Ok(Progress::Complete(end + 1));
        }
        let content_length = end - self.layout.body_start as usize;
        let found = behind.first().copied().unwrap_or_default();
        Err(self.error(end, Fault::MissingNul { content_length, found }))
    }

    /// The number of the line behind those that are done.
    fn line_number(&self) -> usize {
        let behind_head = matches!(self.stage, Stage::OpenBody | Stage::SizedBody);
        self.layout.lines.len() + 2 + usize::from(behind_head)
    }

    #[cold]
    fn error(&self, at: usize, fault: Fault) -> DecodeError {
        DecodeError::new(at, self.line_number(), fault)
    }
}

/// What there is in a head, found in one pass that the compiler turns into vector instructions.
struct Contents {
    ascii: bool,
    nul: bool,
    backslash: bool,
}

impl Contents {
    fn of(head: &[u8]) -> Self {
        visits::count(head.len());
        let (mut all, mut nul, mut backslash) = (0_u8, 0_u8, 0_u8);
        for octet in head {
            all |= octet;
            nul |= u8::from(*octet == 0);
            backslash |= u8::from(*octet == b'\\');
        }
        Self { ascii: all.is_ascii(), nul: nul != 0, backslash: backslash != 0 }
    }
}

#[cold]
fn unknown_command(line: &[u8]) -> DecodeError {
    let shown = line.get(..COMMAND_LINE).unwrap_or(line);
    let mut found = quote(shown);
    if shown.len() < line.len() {
        found.push('…');
    }
    DecodeError::new(0, 1, Fault::UnknownCommand { found })
}

/// An error at an offset of a head whose lines are to be counted.
#[cold]
fn fault_at(head: &[u8], at: usize, fault: Fault) -> DecodeError {
    let before = head.get(..at).unwrap_or_default();
    DecodeError::new(at, 1 + memchr::memchr_iter(b'\n', before).count(), fault)
}
