//! The bytes of an owned frame.

use std::ops::Deref;

use bytes::Bytes;

/// Room for what is likely to be added to a frame once something is, in octets: a few headers.
const ROOM: usize = 256;

/// The bytes of a frame: shared with the buffer they were read into, or its own while it is built.
///
/// Its own are a vector, as [`Bytes`] can only be added to by way of a reference count.
#[derive(Clone)]
pub(super) enum Octets {
    Shared(Bytes),
    Own(Vec<u8>),
}

impl Octets {
    /// Its own, which begin with `line` and have room for some more.
    pub(super) fn begun(line: &[u8]) -> Self {
        let mut own = Vec::with_capacity(line.len() + ROOM);
        own.extend_from_slice(line);
        Self::Own(own)
    }

    /// Its own, with room for `more`; a copy becomes its own if they are shared.
    #[inline]
    pub(super) fn own(&mut self, more: usize) -> &mut Vec<u8> {
        match self {
            Self::Own(own) => {
                own.reserve(more);
                own
            }
            Self::Shared(shared) => {
                let mut own = Vec::with_capacity(shared.len() + more + ROOM);
                own.extend_from_slice(shared);
                *self = Self::Own(own);
                self.own(more)
            }
        }
    }

    /// A part of these bytes, shared if they are.
    pub(super) fn share(&self, part: &[u8]) -> Bytes {
        match self {
            Self::Shared(shared) => shared.slice_ref(part),
            Self::Own(_) => Bytes::copy_from_slice(part),
        }
    }
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Shared(shared) => shared,
            Self::Own(own) => own,
        }
    }
}
