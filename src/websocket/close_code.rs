use std::fmt;

/// Why a server closes a WebSocket (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum CloseCode {
    /// The session ended as it should: after DISCONNECT.
    Normal = 1000,
    /// The client broke a rule of WebSocket or of STOMP.
    Protocol = 1002,
    /// A text message was not UTF-8.
    InvalidPayload = 1007,
    /// The client was refused: authentication, authorization, a limit, reading too slowly.
    Policy = 1008,
    /// A message or frame larger than is allowed.
    TooBig = 1009,
    /// The server failed.
    Internal = 1011,
    /// The server is going down and may be back: reconnect, after a random delay.
    Restart = 1012,
}

impl CloseCode {
    /// The number that is sent.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}
