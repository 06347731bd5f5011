//! What a codec has to do to take part, each behind a small adapter.

/// A run to be timed, once, with its input already made. Returns how many frames it handled. What
/// is left of the input is dropped with the run, when the time is over.
pub type Run = Box<dyn FnMut() -> usize>;

/// How a codec gets the bytes of a stream.
pub struct Stream<'a> {
    /// One frame as it stands on the wire, or ends of line.
    pub wire: &'a [u8],
    /// How often it comes.
    pub times: usize,
    /// How many octets come at once; all of them if not said.
    pub chunk: Option<usize>,
}

impl Stream<'_> {
    /// All octets, in the pieces in which they come.
    pub fn chunks(&self) -> Vec<Vec<u8>> {
        let whole = self.wire.repeat(self.times);
        whole.chunks(self.chunk.unwrap_or(whole.len())).map(<[u8]>::to_vec).collect()
    }
}

/// What a codec says that a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `MESSAGE`.
    pub command: String,
    /// Names and values without escapes, in alphabetical order; `content-length` and what a
    /// codec cannot tell are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// A frame as some codec sees it.
    pub fn new<N: Into<String>, V: Into<String>>(
        command: &str,
        headers: impl IntoIterator<Item = (N, V)>,
        body: &[u8],
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut headers: Vec<_> = headers.filter(|(name, _)| name != "content-length").collect();
        headers.sort();
        Self { command: command.to_owned(), headers, body: body.to_vec() }
    }
}

/// A SEND to be encoded.
#[derive(Clone)]
pub struct Outgoing {
    /// The `destination` header.
    pub destination: String,
    /// All other headers but `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// What its reader is to see.
    pub fn seen(&self) -> Seen {
        let destination = ("destination".to_owned(), self.destination.clone());
        Seen::new("SEND", self.headers.iter().cloned().chain([destination]), &self.body)
    }
}

/// A codec, as its users call it.
///
/// What is made beforehand (buffers to read, frames to encode) is no part of the time; what the
/// codec makes, it also drops within the time.
pub trait Codec {
    /// The crate and its version.
    fn name(&self) -> &'static str;

    /// Decodes a stream and tells what came out, or why it was refused.
    fn read(&self, stream: &Stream<'_>) -> Result<Vec<Seen>, String>;

    /// The decoding of a stream, ready to be timed; nothing if the codec cannot read it.
    fn decode(&self, stream: &Stream<'_>) -> Option<Run>;

    /// Encodes a frame.
    fn write(&self, frame: &Outgoing) -> Vec<u8>;

    /// The encoding of a frame some times, ready to be timed. The frames are built beforehand.
    fn encode(&self, frame: &Outgoing, times: usize) -> Run;

    /// The building and encoding of a frame some times, ready to be timed.
    fn build(&self, frame: &Outgoing, times: usize) -> Run;
}
