//! The commands of STOMP.

use std::fmt;

macro_rules! commands {
    ($($variant:ident = $text:literal, $doc:literal;)+) => {
        /// The command of a frame: the fifteen of STOMP 1.0, 1.1 and 1.2.
        ///
        /// Commands are case-sensitive (STOMP 1.2, "STOMP Frames"); `send` is not a command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command {
            $(#[doc = $doc] $variant,)+
        }

        impl Command {
            /// Every command.
            pub const ALL: [Self; 15] = [$(Self::$variant),+];

            /// The command as it stands on the wire: `SEND`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The command line with its end.
            pub(super) const fn line(self) -> &'static [u8] {
                match self { $(Self::$variant => concat!($text, "\n").as_bytes(),)+ }
            }

            /// Reads a command line without its end of line; `None` for an unknown command.
            ///
            /// ```
            /// use stompbox::frame::Command;
            ///
            /// assert_eq!(Command::parse(b"SEND"), Some(Command::Send));
            /// assert_eq!(Command::parse(b"send"), None);
            /// ```
            pub fn parse(text: &[u8]) -> Option<Self> {
                // A chain of comparisons with constants: the lengths sort out nearly all of them.
                $(if text == $text.as_bytes() { return Some(Self::$variant); })+
                None
            }
        }
    };
}

commands! {
    Send = "SEND", "`SEND`: the client publishes to a destination.";
    Message = "MESSAGE", "`MESSAGE`: the server delivers to a subscription.";
    Ack = "ACK", "`ACK`: the client acknowledges a delivery.";
    Nack = "NACK", "`NACK` (since 1.1): the client did not consume a delivery.";
    Subscribe = "SUBSCRIBE", "`SUBSCRIBE`: the client registers to listen to a destination.";
    Unsubscribe = "UNSUBSCRIBE", "`UNSUBSCRIBE`: the client removes a subscription.";
    Receipt = "RECEIPT", "`RECEIPT`: the server has processed a frame that asked for it.";
    Connect = "CONNECT", "`CONNECT`: the client begins a session.";
    Stomp = "STOMP", "`STOMP` (since 1.1): the same as `CONNECT`.";
    Connected = "CONNECTED", "`CONNECTED`: the server accepts a session.";
    Begin = "BEGIN", "`BEGIN`: the client starts a transaction.";
    Commit = "COMMIT", "`COMMIT`: the client commits a transaction.";
    Abort = "ABORT", "`ABORT`: the client rolls a transaction back.";
    Disconnect = "DISCONNECT", "`DISCONNECT`: the client ends the session.";
    Error = "ERROR", "`ERROR`: the server reports an error and closes.";
}

impl Command {
    /// Whether a frame with this command may have a body: SEND, MESSAGE and ERROR only
    /// (STOMP 1.2, "Body").
    pub const fn carries_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// Whether headers of a frame with this command are escaped in a version that escapes.
    ///
    /// CONNECT and CONNECTED are not, for compatibility with 1.0 (STOMP 1.2, "Value Encoding");
    /// STOMP is CONNECT under another name.
    pub const fn is_escaped(self) -> bool {
        !matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }

    /// Whether clients send this command; the others are sent by servers.
    pub const fn is_from_client(self) -> bool {
        !matches!(self, Self::Connected | Self::Message | Self::Receipt | Self::Error)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_what_as_str_writes() {
        for command in Command::ALL {
            assert_eq!(Command::parse(command.as_str().as_bytes()), Some(command));
            assert_eq!(Command::parse(command.as_str().to_lowercase().as_bytes()), None);
        }
        for text in ["", "SEND ", " SEND", "SENDS", "SEN", "CONNECTE", "HELLO"] {
            assert_eq!(Command::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn servers_send_four_commands() {
        let from_server: Vec<_> =
            Command::ALL.into_iter().filter(|command| !command.is_from_client()).collect();
        assert_eq!(
            from_server,
            [Command::Message, Command::Receipt, Command::Connected, Command::Error]
        );
    }
}
