//! Looking for octets.

use super::parse::visits;

/// Octets in a machine word.
const WORD: usize = 8;

/// Octets in a vector register.
const LANES: usize = 16;

const LOW_BITS: u64 = u64::from_ne_bytes([0x01; WORD]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; WORD]);

/// Where in `text` the first `octet` stands, which is expected to be near: word by word, without
/// a call. Most lines of a head are shorter than what it takes to set up a search of vectors.
#[inline]
pub(super) fn near(octet: u8, text: &[u8]) -> Option<usize> {
    let found = in_words(octet, text);
    visits::count(found.map_or(text.len(), |at| at + 1));
    found
}

/// Where in `text` the first `octet` stands, which is expected to be far.
#[inline]
pub(super) fn far(octet: u8, text: &[u8]) -> Option<usize> {
    let found = memchr::memchr(octet, text);
    visits::count(found.map_or(text.len(), |at| at + 1));
    found
}

/// `text` without the words of nothing but `octet` that it begins with.
#[inline]
pub(super) fn behind(octet: u8, mut text: &[u8]) -> &[u8] {
    while let Some((word, rest)) = text.split_first_chunk::<WORD>()
        && *word == [octet; WORD]
    {
        visits::count(WORD);
        text = rest;
    }
    text
}

#[inline]
fn in_words(octet: u8, text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<WORD>();
    for (index, word) in words.iter().enumerate() {
        if let Some(at) = in_word(octet, *word) {
            return Some(index * WORD + at);
        }
    }
    // The last octets as a word that overlaps the one before it, in which nothing was found.
    if let Some(last) = text.last_chunk::<WORD>() {
        return in_word(octet, *last).map(|at| text.len() - WORD + at);
    }
    rest.iter().position(|other| *other == octet)
}

/// Where in a word the first `octet` stands: the borrow of a subtraction sets the high bit of each
/// octet that was zero, up to the first one exactly.
#[inline]
fn in_word(octet: u8, word: [u8; WORD]) -> Option<usize> {
    let zero_where_found = u64::from_le_bytes(word) ^ u64::from_ne_bytes([octet; WORD]);
    let found = zero_where_found.wrapping_sub(LOW_BITS) & !zero_where_found & HIGH_BITS;
    (found != 0).then(|| found.trailing_zeros() as usize / WORD)
}

/// Whether `special` is not zero for any octet of `text`.
///
/// All of them are looked at, many at once: lengths are fixed and there is no early way out, and
/// what `special` tests is put together with `|`, so that the compiler makes vector instructions of
/// it.
#[inline]
pub(super) fn any(text: &[u8], special: impl Fn(u8) -> u8 + Copy) -> bool {
    visits::count(text.len());
    if text.len() < WORD {
        return text.iter().any(|octet| special(*octet) != 0);
    }
    if text.len() < LANES {
        return any_in::<WORD>(text, special);
    }
    any_in::<LANES>(text, special)
}

/// As [`any`], for a text of `N` octets at least.
#[inline]
fn any_in<const N: usize>(text: &[u8], special: impl Fn(u8) -> u8 + Copy) -> bool {
    let (chunks, _) = text.as_chunks::<N>();
    let mut found = [0; N];
    // What is left over behind the chunks is looked at together with octets in front of it.
    for chunk in chunks.iter().chain(text.last_chunk::<N>()) {
        for (found, octet) in found.iter_mut().zip(chunk) {
            *found |= special(*octet);
        }
    }
    found != [0; N]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found() {
        for len in 0..5 * WORD {
            // Octets that differ from what is sought in one bit, or would borrow.
            for filling in [0, 1, b'\n' - 1, b'\n' + 1, b'\n' | 0x80, 0xff] {
                let mut text = vec![filling; len];
                assert_eq!(near(b'\n', &text), None, "{len} of {filling}");
                for at in (0..len).rev() {
                    text[at] = b'\n';
                    assert_eq!(near(b'\n', &text), Some(at), "{len} of {filling}");
                    assert_eq!(near(b'\n', &text), far(b'\n', &text));
                }
            }
        }
    }

    #[test]
    fn any_looks_at_every_place() {
        for len in 0..5 * LANES {
            let mut text = vec![b'a'; len];
            assert!(!any(&text, |octet| u8::from(octet == 0)), "{len}");
            for at in 0..len {
                text[at] = 0;
                assert!(any(&text, |octet| u8::from(octet == 0)), "{at} of {len}");
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn behind_is_what_differs() {
        for len in 0..3 * WORD {
            let text = [vec![b'\n'; len], b"a\n\n\n\n\n\n\n\n".to_vec()].concat();
            let rest = behind(b'\n', &text);
            assert!(rest.len() < text.len() - len + WORD && text.ends_with(rest));
            assert!(rest.ends_with(&text[len..]), "{len}");
        }
    }
}
