//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha1::{Digest, Sha1};

/// What RFC 6455 §1.3 appends to every key before it is hashed.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The length of 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// The decoded length of a key.
const NONCE_LENGTH: usize = 16;

/// A `Sec-WebSocket-Key` that is known to be 16 bytes in base64.
#[derive(Clone, Copy)]
pub(super) struct Key<'a>(&'a [u8]);

impl<'a> Key<'a> {
    /// Takes exactly 16 bytes in canonical base64: padded, no unused bits set, nothing else in it.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        // Room for what 24 characters could decode to if they were not padded.
        let mut nonce = [0; KEY_LENGTH / 4 * 3];
        let decoded = (value.len() == KEY_LENGTH)
            .then(|| STANDARD.decode_slice(value, &mut nonce).ok())
            .flatten();
        (decoded == Some(NONCE_LENGTH)).then_some(Self(value))
    }

    /// The value of `Sec-WebSocket-Accept`: base64(SHA-1(key + GUID)), RFC 6455 §4.2.2 item 5.4.
    #[expect(clippy::expect_used, reason = "base64 is ASCII, whatever the key")]
    pub(super) fn accept(self) -> HeaderValue {
        let digest = Sha1::new().chain_update(self.0).chain_update(GUID).finalize();
        HeaderValue::try_from(STANDARD.encode(digest)).expect("base64 is a header value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_section_1_3() {
        let key = Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_sixteen_bytes_in_canonical_base64_are_a_key() {
        for bad in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",     // not padded
            "dGhlIHNhbXBsZSBub25jZR==",   // an unused bit is set
            "dGhlIHNhbXBsZSBub25jZQ==\n", // more than base64
            "dGhlIHNhbXBsZSBub25jZTE=",   // 17 bytes
            "dGhlIHNhbXBsZSBub25jZTEy",   // 18 bytes
            "dGhlIHNhbXBsZSBub25j",       // 15 bytes
            "dGhlIHNhbXBsZSBub-_jZQ==",   // base64url
            "dGhl IHNhbXBsZSBub25jZQ=",   // a space
        ] {
            assert!(Key::parse(bad.as_bytes()).is_none(), "{bad:?} was taken");
        }
    }
}
