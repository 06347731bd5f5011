//! What a decoder forgives.

/// Which deviations from the specifications a decoder accepts, a switch each.
///
/// [`strict`](Self::strict) is the default of the codec and follows the specifications;
/// [`field`](Self::field) is the default of the server and accepts what clients in wide use send.
///
/// ```
/// use stompbox::frame::Leniency;
///
/// assert_eq!(Leniency::default(), Leniency::strict());
/// assert!(Leniency::strict().with_cr_lf(true).cr_lf());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are independent switches")]
pub struct Leniency {
    padding: bool,
    raw_backslash: bool,
    missing_nul: bool,
    cr_lf: bool,
    any_body: bool,
}

impl Leniency {
    /// Nothing is forgiven: what the specification of the version in use says, to the letter but for
    /// what [the module](super#what-is-checked) lists.
    pub const fn strict() -> Self {
        Self {
            padding: false,
            raw_backslash: false,
            missing_nul: false,
            cr_lf: false,
            any_body: false,
        }
    }

    /// Everything is forgiven that a client in wide use needs.
    pub const fn field() -> Self {
        Self { padding: true, raw_backslash: true, missing_nul: true, cr_lf: true, any_body: true }
    }

    /// Spaces and tabs around names and values of STOMP 1.0 are no part of them.
    ///
    /// The examples of the 1.0 specification pad (`login: <username>`), and so do clients of its
    /// time. A CONNECT without `accept-version` and a CONNECTED without `version` are of 1.0.
    pub const fn padding(&self) -> bool {
        self.padding
    }

    /// A `\` that begins no escape of the version stands for itself.
    ///
    /// stompjs and webstomp-client escape nothing in 1.1, so that `C:\temp` arrives as it is. The
    /// specifications make it a fatal error (STOMP 1.2, "Value Encoding").
    pub const fn raw_backslash(&self) -> bool {
        self.raw_backslash
    }

    /// The last NUL of a text WebSocket message may be missing; see
    /// [`Decoder::end_of_message`](super::Decoder::end_of_message).
    ///
    /// React Native cuts the text messages that it sends at the first NUL.
    pub const fn missing_nul(&self) -> bool {
        self.missing_nul
    }

    /// A line may end in CR LF in every version, not only in 1.2.
    ///
    /// Spring and RabbitMQ accept it, and people type frames into terminals that send it.
    pub const fn cr_lf(&self) -> bool {
        self.cr_lf
    }

    /// A frame that carries no body (all but SEND, MESSAGE and ERROR) may have one.
    ///
    /// Most servers accept it, so clients were never told.
    pub const fn any_body(&self) -> bool {
        self.any_body
    }

    /// Switches [`padding`](Self::padding).
    #[must_use]
    pub const fn with_padding(mut self, accepted: bool) -> Self {
        self.padding = accepted;
        self
    }

    /// Switches [`raw_backslash`](Self::raw_backslash).
    #[must_use]
    pub const fn with_raw_backslash(mut self, accepted: bool) -> Self {
        self.raw_backslash = accepted;
        self
    }

    /// Switches [`missing_nul`](Self::missing_nul).
    #[must_use]
    pub const fn with_missing_nul(mut self, accepted: bool) -> Self {
        self.missing_nul = accepted;
        self
    }

    /// Switches [`cr_lf`](Self::cr_lf).
    #[must_use]
    pub const fn with_cr_lf(mut self, accepted: bool) -> Self {
        self.cr_lf = accepted;
        self
    }

    /// Switches [`any_body`](Self::any_body).
    #[must_use]
    pub const fn with_any_body(mut self, accepted: bool) -> Self {
        self.any_body = accepted;
        self
    }
}
