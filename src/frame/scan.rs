//! The resumable scan of one frame: finds delimiters and hands what lies between them to nom, once.

use super::error::quote;
use super::head::Head;
use super::layout::{Layout, offset};
use super::parse::{self, Expected};
use super::rules::Rules;
use super::{DecodeError, Fault, HeaderName, Limits};

/// How much of a first line is waited for and quoted: the longest command has 11 octets. A peer
/// that speaks another protocol gets its error without an end of line.
const COMMAND_LINE: usize = 16;

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

/// The state of the scan of one frame, from the first octet of its command line.
///
/// [`advance`](Self::advance) is called with all bytes of the frame that there are, and goes on
/// where it stopped. What it finds goes into the [`Layout`] of the frame, where that already lies:
/// moving one would cost more than the scan of a line.
#[derive(Debug)]
pub(super) struct Scan {
    stage: Stage,
    /// Where the line that is being searched for begins, in the head.
    line: usize,
    /// In front of it no delimiter is left.
    position: usize,
}

impl Scan {
    pub(super) fn new() -> Self {
        Self { stage: Stage::CommandLine, line: 0, position: 0 }
    }

    /// Goes on in `bytes`, which begin with the frame's command line.
    pub(super) fn advance(
        &mut self,
        layout: &mut Layout,
        bytes: &[u8],
        rules: &Rules,
    ) -> Result<Progress, DecodeError> {
        Pass { scan: self, layout, bytes, rules }.advance()
    }

    /// How many octets of `chunk`, which follows `held` octets that the scan has seen, to hand to
    /// the next [`advance`](Self::advance): up to the next delimiter and never past a limit.
    pub(super) fn claim(
        &mut self,
        layout: &Layout,
        held: usize,
        chunk: &[u8],
        limits: &Limits,
    ) -> usize {
        let window = self.reach(layout, limits).saturating_sub(held).min(chunk.len());
        let chunk = chunk.get(..window).unwrap_or_default();
        let found = match self.stage {
            Stage::SizedBody => return window,
            Stage::OpenBody => parse::body(chunk),
            Stage::CommandLine | Stage::HeaderLines => parse::line(0)(chunk),
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

    /// Whether the `held` octets that there are leave nothing to do but to wait for more: they neither
    /// end what is searched for, nor reach a limit, nor are a body where there must be none.
    pub(super) fn waits(&self, layout: &Layout, held: usize, rules: &Rules) -> bool {
        let awaited = self.stage != Stage::OpenBody || rules.may_have_body(layout.command);
        awaited && self.has_seen(held) && held < self.reach(layout, &rules.limits)
    }

    /// Ends the frame behind `held` octets although its NUL is missing; `false` if something else
    /// is missing too.
    pub(super) fn end_without_nul(&self, layout: &mut Layout, held: usize) -> bool {
        match self.stage {
            Stage::OpenBody => layout.body_end = offset(held),
            Stage::SizedBody if layout.body_end as usize == held => {}
            _ => return false,
        }
        true
    }

    /// How many octets of the frame can be of use at this stage.
    pub(super) fn reach(&self, layout: &Layout, limits: &Limits) -> usize {
        match self.stage {
            Stage::CommandLine => COMMAND_LINE + 1,
            Stage::HeaderLines => limits.head(),
            Stage::OpenBody => layout.body_start as usize + limits.body() + 1,
            Stage::SizedBody => layout.body_end as usize + 1,
        }
    }
}

/// One pass of a scan over the bytes that there are.
struct Pass<'a> {
    scan: &'a mut Scan,
    layout: &'a mut Layout,
    bytes: &'a [u8],
    rules: &'a Rules,
}

impl<'a> Pass<'a> {
    /// Goes on in `bytes`, which begin with the frame's command line.
    fn advance(&mut self) -> Result<Progress, DecodeError> {
        if self.scan.stage == Stage::CommandLine {
            let window = self.window();
            let Ok((behind, line)) = parse::line(self.scan.position)(window) else {
                return self.no_line(window).map(|()| Progress::Incomplete);
            };
            let line = self.without_cr(line);
            let end = window.len() - behind.len();
            if line.is_empty() {
                return Ok(Progress::EndOfLine(end));
            }
            self.command_line(line, end)?;
        }
        if self.scan.stage == Stage::HeaderLines && !self.header_lines()? {
            return Ok(Progress::Incomplete);
        }
        self.body()
    }

    /// What can be of use of the bytes that there are.
    #[inline]
    fn window(&self) -> &'a [u8] {
        let reach = self.scan.reach(self.layout, &self.rules.limits);
        self.bytes.get(..reach).unwrap_or(self.bytes)
    }

    /// The header lines and the blank line behind them; `false` if they go on.
    fn header_lines(&mut self) -> Result<bool, DecodeError> {
        let window = self.window();
        let mut rest = window.get(self.scan.line..).unwrap_or_default();
        // Only the first line can have been searched before.
        let mut next = parse::line(self.scan.position.saturating_sub(self.scan.line))(rest);
        while let Ok((behind, line)) = next {
            let start = window.len() - rest.len();
            let line = self.without_cr(line);
            rest = behind;
            if line.is_empty() {
                self.layout.headers.end = offset(start);
                return self.end_of_head(window.len() - rest.len()).map(|()| true);
            }
            self.header_line(line, start)?;
            next = parse::line(0)(rest);
        }
        self.scan.line = window.len() - rest.len();
        self.no_line(window).map(|()| false)
    }

    /// A line without the CR in front of its LF, where that belongs to the end of the line.
    #[inline]
    fn without_cr(&self, line: &'a [u8]) -> &'a [u8] {
        match line {
            [line @ .., b'\r'] if self.rules.cr_lf() => line,
            _ => line,
        }
    }

    /// There is no end of line yet: all of `window` is searched.
    #[cold]
    fn no_line(&mut self, window: &[u8]) -> Result<(), DecodeError> {
        self.scan.position = window.len();
        let reach = self.scan.reach(self.layout, &self.rules.limits);
        if window.len() < reach { Ok(()) } else { Err(self.too_long(window, reach)) }
    }

    #[cold]
    fn too_long(&self, window: &[u8], reach: usize) -> DecodeError {
        if self.scan.stage == Stage::CommandLine {
            unknown_command(window)
        } else {
            DecodeError::new(reach, self.line_number(), Fault::HeadTooLong { limit: reach })
        }
    }

    /// What is wrong with a first line that is no command: it may be one but for the CR at its end.
    #[cold]
    fn no_command(&self, line: &[u8]) -> DecodeError {
        match self.without_refused_cr(line) {
            Some(line) if line.is_empty() || parse::command_line(line).is_ok() => {
                DecodeError::new(0, 1, self.cr_lf())
            }
            _ => unknown_command(line),
        }
    }

    /// What stands in front of a CR LF that ends no line here; `None` where CR LF does end lines.
    fn without_refused_cr<'line>(&self, line: &'line [u8]) -> Option<&'line [u8]> {
        line.strip_suffix(b"\r").filter(|_| !self.rules.cr_lf())
    }

    fn cr_lf(&self) -> Fault {
        Fault::CrLf { version: self.rules.version }
    }

    /// A command line that ends in front of octet `end`.
    fn command_line(&mut self, line: &[u8], end: usize) -> Result<(), DecodeError> {
        let (_, command) = parse::command_line(line).map_err(|_| self.no_command(line))?;
        self.layout.command = command;
        self.layout.headers.start_at(end);
        self.scan.line = end;
        self.scan.position = end;
        self.scan.stage = Stage::HeaderLines;
        Ok(())
    }

    #[inline]
    fn header_line(&mut self, line: &[u8], start: usize) -> Result<(), DecodeError> {
        let limit = self.rules.limits.headers();
        if self.layout.headers.len() >= limit {
            return Err(self.error(start, Fault::TooManyHeaders { limit }));
        }
        let name = match parse::header_line(line) {
            Ok((_, (name, _))) => name,
            Err(nom::Err::Error(Expected::HeaderName)) => {
                return Err(self.error(start, Fault::EmptyHeaderName));
            }
            Err(_) => {
                let fault = match self.without_refused_cr(line) {
                    Some(b"") => self.cr_lf(),
                    _ => Fault::MissingColon { found: quote(line) },
                };
                return Err(self.error(start, fault));
            }
        };
        let known = HeaderName::from_bytes(name);
        self.layout.headers.push(name.len(), start + line.len(), known);
        Ok(())
    }

    /// The head ends in front of octet `start`: checks it as a whole, and finds out how the body
    /// ends.
    fn end_of_head(&mut self, start: usize) -> Result<(), DecodeError> {
        self.scan.position = start;
        let octets = self.bytes.get(..start).unwrap_or_default();
        let head = Head { octets, layout: self.layout, rules: self.rules };
        let content_length = head.check()?;
        self.layout.body_start = offset(start);
        match content_length {
            Some(length) => {
                self.layout.body_end = offset(start + length);
                self.scan.stage = Stage::SizedBody;
            }
            None => self.scan.stage = Stage::OpenBody,
        }
        Ok(())
    }

    fn body(&mut self) -> Result<Progress, DecodeError> {
        if self.scan.stage == Stage::SizedBody {
            return self.sized_body();
        }
        let start = self.layout.body_start as usize;
        let reach = self.scan.reach(self.layout, &self.rules.limits);
        let window = self.bytes.get(..reach).unwrap_or(self.bytes);
        if !self.rules.may_have_body(self.layout.command)
            && window.get(start).is_some_and(|octet| *octet != 0)
        {
            let fault = Fault::UnexpectedBody { command: self.layout.command };
            return Err(self.error(start, fault));
        }
        match parse::body(window.get(self.scan.position..).unwrap_or_default()) {
            Ok((rest, _)) => {
                let end = window.len() - rest.len();
                self.layout.body_end = offset(end - 1);
                Ok(Progress::Complete(end))
            }
            Err(_) if window.len() < reach => {
                self.scan.position = window.len();
                Ok(Progress::Incomplete)
            }
            Err(_) => {
                let limit = self.rules.limits.body();
                Err(self.error(reach - 1, Fault::BodyTooLong { limit }))
            }
        }
    }

    fn sized_body(&self) -> Result<Progress, DecodeError> {
        let end = self.layout.body_end as usize;
        let Some(behind) = self.bytes.get(end..).filter(|behind| !behind.is_empty()) else {
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
        let behind_head = matches!(self.scan.stage, Stage::OpenBody | Stage::SizedBody);
        self.layout.headers.len() + 2 + usize::from(behind_head)
    }

    #[cold]
    fn error(&self, at: usize, fault: Fault) -> DecodeError {
        DecodeError::new(at, self.line_number(), fault)
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
