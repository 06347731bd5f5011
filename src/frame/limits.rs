//! How large a frame may be.

/// Octets in the command line and the headers: 16 KiB. A bearer token takes up to some 8 KiB (that
/// is what HTTP servers allow for a header), and real heads are a few hundred octets.
const DEFAULT_HEAD: usize = 16 * 1024;

/// Headers in a frame: 128. The busiest frames seen in the field carry about 30.
const DEFAULT_HEADERS: usize = 128;

/// Octets in a body: 1 MiB. Chat and event payloads are far below; larger ones belong elsewhere.
const DEFAULT_BODY: usize = 1024 * 1024;

/// Before CONNECT is accepted, headers and body are ten times tighter. The head is not, since the
/// bearer token stands in CONNECT and nowhere else; the frame as a whole is 13 times smaller.
const FIRST_HEADERS: usize = DEFAULT_HEADERS / 10;
const FIRST_BODY: usize = 64 * 1024;

/// No limit can be set above these: offsets in a frame are kept in 32 bits.
const MAX_HEAD: usize = 1 << 26;
const MAX_BODY: usize = 1 << 31;

/// How large a frame may be (STOMP 1.2, "Size Limits"); enforced before memory is taken for what
/// exceeds it.
///
/// ```
/// use stompbox::frame::Limits;
///
/// let limits = Limits::default().with_body(64 * 1024);
/// assert_eq!(limits.body(), 65_536);
/// assert_eq!(limits.head(), 16_384);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    head: usize,
    headers: usize,
    body: usize,
}

impl Limits {
    /// Octets before the body: the command line, the header lines and the blank line, with their
    /// ends of line. Default: 16 KiB.
    pub const fn head(&self) -> usize {
        self.head
    }

    /// Headers in a frame. Default: 128.
    pub const fn headers(&self) -> usize {
        self.headers
    }

    /// Octets in the body. Default: 1 MiB.
    pub const fn body(&self) -> usize {
        self.body
    }

    /// The limits of a peer that is not known yet: a head of 16 KiB with 12 headers, and a body of 64
    /// KiB.
    ///
    /// ```
    /// use stompbox::frame::Limits;
    ///
    /// let (first, later) = (Limits::before_connect(), Limits::default());
    /// assert!(10 * first.headers() <= later.headers());
    /// assert!(10 * (first.head() + first.body()) <= later.head() + later.body());
    /// ```
    pub const fn before_connect() -> Self {
        Self { head: DEFAULT_HEAD, headers: FIRST_HEADERS, body: FIRST_BODY }
    }

    /// Each limit, or that of `other` where it is tighter.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self {
            head: self.head.min(other.head),
            headers: self.headers.min(other.headers),
            body: self.body.min(other.body),
        }
    }

    /// Sets [`head`](Self::head), in octets. More than 64 MiB is taken as 64 MiB.
    #[must_use]
    pub const fn with_head(mut self, octets: usize) -> Self {
        self.head = if octets > MAX_HEAD { MAX_HEAD } else { octets };
        self
    }

    /// Sets [`headers`](Self::headers).
    #[must_use]
    pub const fn with_headers(mut self, count: usize) -> Self {
        self.headers = count;
        self
    }

    /// Sets [`body`](Self::body), in octets. More than 2 GiB is taken as 2 GiB.
    #[must_use]
    pub const fn with_body(mut self, octets: usize) -> Self {
        self.body = if octets > MAX_BODY { MAX_BODY } else { octets };
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: DEFAULT_HEAD, headers: DEFAULT_HEADERS, body: DEFAULT_BODY }
    }
}
