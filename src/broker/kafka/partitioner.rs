/// The partition in which Kafka's own producers put a record with this key, of so many: so that what
/// a node publishes stands where other programs look for it, and a node knows where its own stands.
pub(super) fn partition(key: &[u8], count: usize) -> i32 {
    let hash = murmur2(key) & 0x7fff_ffff;
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    i32::try_from(hash % count).unwrap_or_default()
}

/// `MurmurHash2`, as Kafka uses it: of 32 bits, with a seed of its own.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const FACTOR: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(FACTOR);
        (word ^ (word >> 24)).wrapping_mul(FACTOR)
    };
    // Keys are far shorter than 4 GiB.
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let word = word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(FACTOR) ^ mix(word);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let rest = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ rest).wrapping_mul(FACTOR);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kafka's Java client says.
    #[test]
    fn keys_hash_as_in_kafkas_own_producers() {
        let rows: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, expected) in rows {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
        assert!((0..8).contains(&partition(b"foobar", 8)));
        assert_eq!(partition(b"foobar", 0), 0);
    }
}
