//! A transport that says of each payload what it is and how long, so that what a session sends can
//! be taken apart again.

use bytes::{BufMut, BytesMut};
use stompbox::session::{Envelope, PayloadKind};

/// The envelope of that transport: a mark and a length in four octets.
#[derive(Debug)]
pub(super) struct Marked;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Text,
    Binary,
    Ping,
    End,
}

/// A Ping and the last word of the transport.
pub(super) const PING: &[u8] = b"p\0\0\0\0";
pub(super) const END: &[u8] = b"e\0\0\0\0";

impl Envelope for Marked {
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut) {
        out.put_u8(if kind == PayloadKind::Text { b't' } else { b'b' });
        out.put_u32(u32::try_from(length).expect("a short frame"));
    }
}

/// Takes the first payload off `rest`, if all of it is there.
pub(super) fn split<'a>(rest: &mut &'a [u8]) -> Option<(Mark, &'a [u8])> {
    let ([mark, length @ ..], behind) = rest.split_first_chunk::<5>()?;
    let (payload, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = behind;
    let mark = match mark {
        b't' => Mark::Text,
        b'b' => Mark::Binary,
        b'p' => Mark::Ping,
        b'e' => Mark::End,
        _ => panic!("unknown mark {mark}"),
    };
    Some((mark, payload))
}
