//! How a resource lies on disk: its canonical JSON as accepted (member order, decimals and primitive
//! extensions kept), without what the row knows already (type, id, version, time), compressed. The first byte
//! names the format, so that formats can change. Reading sends the stored bytes with `id` and `meta` put back;
//! it never parses.

use std::cell::RefCell;
use std::io::Write;
use std::sync::LazyLock;

use serde_json::{Map, Value};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use super::samples;
use crate::error::Error;
use crate::fhir::time;

const PLAIN: u8 = 0;
/// zstd with the first trained dictionary.
const ZSTD_1: u8 = 1;
/// Waveforms, packed, and what is left without them in one of the formats above.
const WAVES: u8 = 2;

/// Larger bodies than this when decompressed are corrupt: nothing larger is accepted.
const MAX_PLAIN: usize = 64 << 20;
const LEVEL: i32 = 1;

/// Trained on vital-sign Observations (`benches/dictionary.rs`). It is part of the format: never replaced,
/// only followed by a second one.
static DICTIONARY_1: &[u8] = include_bytes!("observation-1.dict");
static ENCODER: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_1));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::with_prepared_dictionary(&ENCODER).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::with_prepared_dictionary(&DECODER).ok());
}

/// The stored bytes of a resource. Layout before compression: length of the sender's `meta` members (u32, little
/// endian), those members, all other members; both as JSON members without braces.
pub fn encode(resource: &Value) -> Result<Vec<u8>, Error> {
    Ok(compress(plain(resource)?))
}

/// The same before compression: what dictionaries are trained on.
pub fn plain(resource: &Value) -> Result<Vec<u8>, Error> {
    let mut plain = vec![0; 4];
    if let Some(meta) = resource.get("meta").and_then(Value::as_object) {
        write_members(&mut plain, meta, &["versionId", "lastUpdated"])?;
    }
    let meta_length = u32::try_from(plain.len() - 4).map_err(Error::internal)?;
    if let Some(members) = resource.as_object() {
        write_members(&mut plain, members, &["resourceType", "id", "meta"])?;
    }
    plain.splice(..4, meta_length.to_le_bytes());
    Ok(plain)
}

fn write_members(out: &mut Vec<u8>, members: &Map<String, Value>, without: &[&str]) -> Result<(), Error> {
    let mut first = true;
    for (name, value) in members.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        if !first {
            out.push(b',');
        }
        first = false;
        serde_json::to_writer(&mut *out, name).map_err(Error::internal)?;
        out.push(b':');
        serde_json::to_writer(&mut *out, value).map_err(Error::internal)?;
    }
    Ok(())
}

/// Layout of [`WAVES`]: how many rows (varint); of each where it belongs in what is left, its length (varints) and its
/// bytes; what is left.
pub(super) fn compress(plain: Vec<u8>) -> Vec<u8> {
    let (left, rows) = samples::take_out(&plain);
    if rows.is_empty() {
        return squeeze(plain);
    }
    let mut stored = vec![WAVES];
    samples::varint(&mut stored, rows.len());
    for row in rows {
        samples::varint(&mut stored, row.at);
        samples::varint(&mut stored, row.packed.len());
        stored.extend_from_slice(&row.packed);
    }
    stored.extend(squeeze(left));
    stored
}

fn squeeze(plain: Vec<u8>) -> Vec<u8> {
    let packed = COMPRESSOR.with_borrow_mut(|c| c.as_mut().and_then(|c| c.compress(&plain).ok()));
    let (format, bytes) = match packed {
        Some(packed) if packed.len() < plain.len() => (ZSTD_1, packed),
        _ => (PLAIN, plain),
    };
    let mut stored = Vec::with_capacity(bytes.len() + 1);
    stored.push(format);
    stored.extend_from_slice(&bytes);
    stored
}

pub(super) fn decompress(stored: &[u8]) -> Result<Vec<u8>, Error> {
    match stored.split_first() {
        Some((&PLAIN, plain)) => Ok(plain.to_vec()),
        Some((&ZSTD_1, packed)) => DECOMPRESSOR.with_borrow_mut(|d| {
            let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
            let size = size.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= MAX_PLAIN);
            let (Some(d), Some(size)) = (d.as_mut(), size) else {
                return Err(Error::internal("stored body is unreadable"));
            };
            d.decompress(packed, size).map_err(Error::internal)
        }),
        Some((&WAVES, packed)) => with_waves(packed)?.ok_or_else(|| Error::internal("a stored waveform is damaged")),
        Some((format, _)) => Err(Error::internal(format!("stored body has the unknown format {format}"))),
        None => Err(Error::internal("stored body is empty")),
    }
}

/// None when it is damaged.
fn with_waves(mut packed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let Some(rows) = waves(&mut packed) else { return Ok(None) };
    if packed.first() == Some(&WAVES) {
        return Ok(None);
    }
    let (left, mut out, mut done) = (decompress(packed)?, Vec::new(), 0);
    for (at, row) in rows {
        let Some(before) = left.get(done..at) else { return Ok(None) };
        out.extend_from_slice(before);
        if samples::write_out(row, &mut out, MAX_PLAIN).is_none() {
            return Ok(None);
        }
        done = at;
    }
    out.extend_from_slice(left.get(done..).unwrap_or_default());
    Ok(Some(out))
}

/// Where each row belongs, and its bytes.
fn waves<'a>(packed: &mut &'a [u8]) -> Option<Vec<(usize, &'a [u8])>> {
    let count = samples::read_varint(packed)?;
    let mut rows = Vec::new();
    for _ in 0..count {
        let (at, length) = (samples::read_varint(packed)?, samples::read_varint(packed)?);
        let (row, rest) = packed.split_at_checked(length)?;
        rows.push((at, row));
        *packed = rest;
    }
    Some(rows)
}

/// Who a stored body belongs to: what `render` puts back.
pub struct Head<'a> {
    pub resource_type: &'a str,
    pub id: &'a str,
    pub version: i32,
    /// µs UTC
    pub updated: i64,
}

/// The resource as FHIR JSON, `meta.versionId` and `meta.lastUpdated` included.
pub fn render(head: &Head<'_>, stored: &[u8]) -> Result<Vec<u8>, Error> {
    let plain = decompress(stored)?;
    let (meta, rest) = parts(&plain).ok_or_else(|| Error::internal("stored body is cut short"))?;
    let mut out = Vec::with_capacity(plain.len() + 160);
    write!(
        out,
        r#"{{"resourceType":"{}","id":"{}","meta":{{"versionId":"{}","lastUpdated":"{}""#,
        head.resource_type,
        head.id,
        head.version,
        time::instant(head.updated)
    )
    .map_err(Error::internal)?;
    for (members, end) in [(meta, b'}'), (rest, b'}')] {
        if !members.is_empty() {
            out.push(b',');
            out.extend_from_slice(members);
        }
        out.push(end);
    }
    Ok(out)
}

fn parts(plain: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, members) = plain.split_first_chunk::<4>()?;
    members.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// Do two stored bodies hold the same resource? Their format may differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one == other || matches!((decompress(one), decompress(other)), (Ok(a), Ok(b)) if a == b)
}

/// The same, but for these members.
pub(super) fn same_but(one: &[u8], other: &[u8], members: &[&str]) -> bool {
    let without = |stored| {
        let plain = decompress(stored).ok()?;
        let (meta, rest) = parts(&plain)?;
        let mut rest: Map<String, Value> = serde_json::from_slice(&[b"{", rest, b"}"].concat()).ok()?;
        for member in members {
            rest.shift_remove(*member);
        }
        Some((meta.to_vec(), rest))
    };
    one == other || without(one).is_some_and(|one| without(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> String {
        let stored = encode(&serde_json::from_str(text).unwrap()).unwrap();
        let head = Head { resource_type: "Observation", id: "o1", version: 3, updated: 1_767_225_600_123_000 };
        String::from_utf8(render(&head, &stored).unwrap()).unwrap()
    }

    #[test]
    fn bodies_come_back_digit_for_digit_with_meta_put_in() {
        let begin = r#"{"resourceType":"Observation","id":"o1","meta":{"versionId":"3","lastUpdated":"2026-01-01T00:00:00.123Z""#;
        let table = [
            (r#"{"resourceType":"Observation"}"#, "}}".to_owned()),
            (
                r#"{"resourceType":"Observation","id":"x","meta":{"versionId":"9","profile":["p"]},"valueQuantity":{"value":72.50}}"#,
                r#","profile":["p"]},"valueQuantity":{"value":72.50}}"#.to_owned(),
            ),
            (
                r#"{"status":"final","resourceType":"Observation","_status":{"id":"é"}}"#,
                r#"},"status":"final","_status":{"id":"é"}}"#.to_owned(),
            ),
        ];
        for (sent, end) in table {
            assert_eq!(round_trip(sent), format!("{begin}{end}"), "{sent}");
        }
        let wave = (0..3000).map(|n| (n * n % 77 - 20).to_string()).collect::<Vec<_>>().join(" ");
        let sampled =
            format!(r#","valueSampledData":{{"data":"{wave}","period":4.0}},"note":[{{"text":"{wave} E"}}]}}"#);
        assert_eq!(round_trip(&format!(r#"{{"resourceType":"Observation"{sampled}"#)), format!("{begin}}}{sampled}"));
        let long = format!(r#"{{"resourceType":"Observation","note":[{{"text":"{}"}}]}}"#, "a".repeat(100_000));
        assert!(round_trip(&long).contains(&"a".repeat(100_000)));
    }

    #[test]
    fn damaged_bodies_are_errors() {
        let head = Head { resource_type: "Patient", id: "1", version: 1, updated: 0 };
        let waves = [&[2, 0, 2, 0, 0][..], &[2, 1, 9, 1, 0, 0], &[2, 255, 255, 255, 255, 127], &[2, 1, 0, 200]];
        for stored in [&[][..], &[0], &[0, 255, 0, 0, 0], &[1, 2, 3], &[9, 1]].into_iter().chain(waves) {
            assert!(render(&head, stored).is_err());
        }
        assert!(same(&encode(&Value::Null).unwrap(), &[0, 0, 0, 0, 0]));
        assert!(!same_but(&[], &[1, 2, 3], &["x"]));
    }

    #[test]
    fn one_member_may_differ_and_no_other() {
        let stored = |text: &str| encode(&serde_json::from_str(text).unwrap()).unwrap();
        let one = stored(r#"{"meta":{"profile":["p"]},"status":"final","effectiveDateTime":"2026","value":1.0}"#);
        for (other, same) in [
            (r#"{"meta":{"profile":["p"]},"status":"final","effectiveDateTime":"2025","value":1.0}"#, true),
            (r#"{"meta":{"profile":["p"]},"status":"final","value":1.0}"#, true),
            (r#"{"meta":{"profile":["q"]},"status":"final","effectiveDateTime":"2026","value":1.0}"#, false),
            (r#"{"meta":{"profile":["p"]},"status":"final","effectiveDateTime":"2026","value":1.00}"#, false),
            (r#"{"meta":{"profile":["p"]},"status":"amended","effectiveDateTime":"2026","value":1.0}"#, false),
        ] {
            assert_eq!(same_but(&one, &stored(other), &["effectiveDateTime"]), same, "{other}");
        }
    }
}
