//! Page links: where a page ended, sealed, so that a client can neither read nor make one, nor use it with
//! another query.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::sql::Key;
use crate::auth::access::Reach;
use crate::error::Error;
use crate::fhir::query::Query;

/// The row that a page ended with.
#[derive(Debug, PartialEq)]
pub(super) struct Cursor {
    pub seq: i64,
    /// Its sort keys, where the order has any.
    pub keys: Vec<Key>,
}

/// The key that page links are sealed with.
#[derive(Clone)]
pub(crate) struct Seal([u8; 32]);

const TAG: usize = 16;

impl Seal {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn tag(&self, payload: &[u8], fingerprint: u64) -> Result<Vec<u8>, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(Error::internal)?;
        mac.update(b"vigia page link");
        mac.update(&fingerprint.to_le_bytes());
        mac.update(payload);
        Ok(mac.finalize().into_bytes().iter().take(TAG).copied().collect())
    }

    pub(super) fn close(&self, cursor: &Cursor, fingerprint: u64) -> Result<String, Error> {
        let mut payload = cursor.seq.to_le_bytes().to_vec();
        for key in &cursor.keys {
            let (letter, content): (u8, Cow<'_, [u8]>) = match key {
                Key::Absent => (b'-', Cow::Borrowed(&[])),
                Key::Int(value) => (b'i', value.to_le_bytes().to_vec().into()),
                Key::Float(value) => (b'f', value.to_le_bytes().to_vec().into()),
                Key::Text(value) => (b't', value.as_bytes().into()),
                Key::Bytes(value) => (b'b', value.into()),
            };
            payload.push(letter);
            payload.extend_from_slice(&u32::try_from(content.len()).map_err(Error::internal)?.to_le_bytes());
            payload.extend_from_slice(&content);
        }
        let tag = self.tag(&payload, fingerprint)?;
        payload.extend_from_slice(&tag);
        Ok(URL_SAFE_NO_PAD.encode(payload))
    }

    /// A place in the log: what a page of a history ended with.
    pub(in crate::store) fn close_place(&self, seq: i64, fingerprint: u64) -> Result<String, Error> {
        let mut payload = seq.to_le_bytes().to_vec();
        let tag = self.tag(&payload, fingerprint)?;
        payload.extend_from_slice(&tag);
        Ok(URL_SAFE_NO_PAD.encode(payload))
    }

    pub(in crate::store) fn open_place(&self, text: &str, fingerprint: u64) -> Result<i64, Error> {
        let wrong = || Error::invalid("value", "http._cursor", "this page link was not made for this history");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let (seq, tag) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let own = self.tag(seq, fingerprint)?;
        // Compared in full whatever differs: nothing is learnt from how long it takes.
        let differs = own.iter().zip(tag).fold(own.len() ^ tag.len(), |acc, (a, b)| acc | usize::from(a ^ b));
        if differs == 0 { Ok(i64::from_le_bytes(*seq)) } else { Err(wrong()) }
    }

    pub(super) fn open(&self, text: &str, fingerprint: u64) -> Result<Cursor, Error> {
        self.try_open(text, fingerprint)?
            .ok_or_else(|| Error::invalid("value", "http._cursor", "this page link was not made for this search"))
    }

    fn try_open(&self, text: &str, fingerprint: u64) -> Result<Option<Cursor>, Error> {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else { return Ok(None) };
        let Some((payload, tag)) = bytes.len().checked_sub(TAG).and_then(|at| bytes.split_at_checked(at)) else {
            return Ok(None);
        };
        // Compared in full whatever differs: nothing is learnt from how long it takes.
        let wrong = self.tag(payload, fingerprint)?.iter().zip(tag).fold(0, |acc, (a, b)| acc | (a ^ b));
        if wrong != 0 {
            return Ok(None);
        }
        Ok(read(payload))
    }
}

fn read(payload: &[u8]) -> Option<Cursor> {
    let (seq, mut rest) = payload.split_first_chunk::<8>()?;
    let mut keys = Vec::new();
    while let Some((letter, after)) = rest.split_first() {
        let (length, after) = after.split_first_chunk::<4>()?;
        let (content, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        keys.push(match letter {
            b'-' => Key::Absent,
            b'i' => Key::Int(i64::from_le_bytes(content.try_into().ok()?)),
            b'f' => Key::Float(f64::from_le_bytes(content.try_into().ok()?)),
            b't' => Key::Text(std::str::from_utf8(content).ok()?.to_owned()),
            _ => Key::Bytes(content.to_vec()),
        });
        rest = after;
    }
    Some(Cursor { seq: i64::from_le_bytes(*seq), keys })
}

/// What a page link belongs to: the conditions, the order and the caller's reach, not the page size.
pub(super) fn fingerprint(query: &Query, reach: &Reach) -> u64 {
    let mut hasher = DefaultHasher::new();
    query.resource_type.hash(&mut hasher);
    format!("{:?} {:?} {:?} {reach:?}", query.filters, query.any, query.sort).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<Key> {
        vec![Key::Text("núñez".into()), Key::Absent, Key::Int(-3), Key::Float(0.1), Key::Bytes(vec![0, 255])]
    }

    #[test]
    fn a_link_opens_with_its_own_key_and_query_only() {
        let (seal, cursor) = (Seal::new([7; 32]), Cursor { seq: 5, keys: keys() });
        let text = seal.close(&cursor, 1).unwrap();
        assert_eq!(seal.open(&text, 1).unwrap(), cursor);
        for (other, fingerprint, text) in [
            (Seal::new([8; 32]), 1, text.clone()),
            (seal.clone(), 2, text.clone()),
            (seal, 1, format!("A{text}")),
            (Seal::new([7; 32]), 1, String::new()),
        ] {
            assert!(other.open(&text, fingerprint).is_err());
        }
    }
}
