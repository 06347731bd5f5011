//! Frames in logs and fixtures (feature `serde`).
//!
//! A frame is its command, its headers as pairs (a name may be repeated) and its body: as text, or
//! in Base64 if it is not UTF-8.
//!
//! ```
//! use stompbox::frame::{Command, Frame};
//!
//! let frame = Frame::new(Command::Send).with_header("destination", "/topic/a").with_body("hello");
//! let json = serde_json::to_string(&frame)?;
//! assert_eq!(
//!     json,
//!     r#"{"command":"SEND","headers":[["destination","/topic/a"]],"body":"hello"}"#,
//! );
//! assert_eq!(serde_json::from_str::<Frame>(&json)?, frame);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Secrets are hidden as they are in `Debug`: what is serialized mostly ends in a log, and who wants
//! a secret in a fixture can write it there. All else comes back as it was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Command, Frame, Headers};

/// As on the wire: `SEND`.
impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// From what stands on the wire; anything else is an error.
impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text.as_bytes())
            .ok_or_else(|| D::Error::custom(format_args!("{text:?} is no command of STOMP")))
    }
}

/// Pairs of name and value, in their order, without escapes. Secrets are hidden.
impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.entries().map(|header| (header.name(), header.shown())))
    }
}

/// `command`, `headers`, and `body` or `body_base64` where there is a body. Secrets are hidden.
impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = self.body();
        let fields = if body.is_empty() { 2 } else { 3 };
        let mut frame = serializer.serialize_struct("Frame", fields)?;
        frame.serialize_field("command", &self.command())?;
        frame.serialize_field("headers", &self.headers())?;
        match std::str::from_utf8(body) {
            Ok("") => {}
            Ok(text) => frame.serialize_field("body", text)?,
            Err(_) => frame.serialize_field("body_base64", &STANDARD.encode(body))?,
        }
        frame.end()
    }
}

/// From what [`Serialize`] writes; `headers` may be missing.
impl<'de> Deserialize<'de> for Frame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::deserialize(deserializer)?;
        let body = match (parts.body, parts.body_base64) {
            (Some(_), Some(_)) => return Err(D::Error::custom("both `body` and `body_base64`")),
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(D::Error::custom)?,
            (None, None) => Vec::new(),
        };
        let headers = parts.headers.into_iter();
        let frame = headers
            .fold(Self::new(parts.command), |frame, (name, value)| frame.with_header(name, value));
        Ok(if body.is_empty() { frame } else { frame.with_body(body) })
    }
}

/// A frame as it is written.
#[derive(Deserialize)]
#[serde(rename = "Frame", deny_unknown_fields)]
struct Parts {
    command: Command,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(frame: &Frame) -> String {
        serde_json::to_string(frame).unwrap()
    }

    #[test]
    fn a_frame_comes_back() {
        for frame in [
            Frame::new(Command::Disconnect),
            Frame::new(Command::Send).with_header("a:b\\", "c\nd").with_body("é\0"),
            Frame::new(Command::Message).with_header("a", "1").with_header("a", "2"),
            Frame::new(Command::Error).with_body([0xff, 0, b'\n']),
        ] {
            let json = json(&frame);
            assert_eq!(serde_json::from_str::<Frame>(&json).unwrap(), frame, "{json}");
        }
    }

    #[test]
    fn secrets_are_hidden() {
        let secrets = ["passcode", "Authorization", "x-authorization"];
        let frame = secrets
            .iter()
            .fold(Frame::new(Command::Connect), |frame, name| frame.with_header(*name, "s3cret"));
        assert!(!json(&frame.with_header("login", "me")).contains("s3cret"));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for (json, reason) in [
            (r#"{"command":"send"}"#, "\"send\" is no command of STOMP"),
            (r#"{"headers":[]}"#, "missing field `command`"),
            (r#"{"command":"SEND","body":"a","body_base64":"YQ=="}"#, "both"),
            (r#"{"command":"SEND","body_base64":"?"}"#, "symbol"),
            (r#"{"command":"SEND","text":"a"}"#, "unknown field"),
        ] {
            let error = serde_json::from_str::<Frame>(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(
            serde_json::from_str::<Frame>(r#"{"command":"BEGIN"}"#).unwrap(),
            Frame::new(Command::Begin)
        );
    }
}
