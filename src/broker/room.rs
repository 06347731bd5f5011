use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// The smallest table that is made smaller when it is nearly empty, in entries.
const KEPT: usize = 64;

/// Gives back most of the room of a table out of which nearly everything has gone: after a million
/// of them have come and gone, their room goes as well. To be called after an entry was removed,
/// which costs no more for it on the average.
pub(super) fn give_back<K: Eq + Hash, V>(table: &mut HashMap<K, V, impl BuildHasher>) {
    if table.capacity() > KEPT && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
}
