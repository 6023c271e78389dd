//! The chain: each entry's hash commits to its number, its text, and the hash of the entry before it. Pure.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// What the first entry follows.
pub const START: Hash = [0; 32];
/// Bytes of an entry's hash that are kept with it.
pub const MARK: usize = 4;

/// The hash of the entry with this number and text.
pub fn next(before: &Hash, seq: i64, line: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(seq.to_be_bytes());
    hash.update(line);
    hash.finalize().into()
}

/// The number that a name is found by. Two names may share one: what is found is looked at.
pub fn key(name: &str) -> i64 {
    let hash: Hash = Sha256::digest(name.as_bytes()).into();
    hash.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

pub fn hex(hash: &[u8]) -> String {
    use std::fmt::Write;
    hash.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_decides_the_hash() {
        let one = next(&START, 1, b"a");
        assert_eq!(one, next(&START, 1, b"a"));
        for other in [next(&one, 1, b"a"), next(&START, 2, b"a"), next(&START, 1, b"b")] {
            assert_ne!(one, other);
        }
        assert_eq!(hex(&[0, 255]), "00ff");
        assert_ne!(key("about Patient/a"), key("by Patient/a"));
    }
}
