//! Long rows of whole numbers, as waveforms are written in text (`SampledData.data`), packed into few bits: differences,
//! in blocks that are as wide as their widest. It knows no FHIR: whatever comes back byte for byte is packed, nothing else.

use std::io::Write;

/// Shorter rows are not worth it.
const SHORTEST: usize = 256;
/// Numbers of one block.
const BLOCK: usize = 128;

/// A row that was taken out of a text.
pub(super) struct Row {
    /// Where it belongs in what was left.
    pub at: usize,
    pub packed: Vec<u8>,
}

/// What is left of a text without its rows, and the rows in their order.
pub(super) fn take_out(text: &[u8]) -> (Vec<u8>, Vec<Row>) {
    let (mut left, mut rows) = (Vec::new(), Vec::new());
    let mut done = 0;
    while let Some((start, end)) = next_run(text, done) {
        let run = text.get(start..end).unwrap_or_default();
        left.extend_from_slice(text.get(done..start).unwrap_or_default());
        match numbers(run) {
            Some(numbers) => rows.push(Row { at: left.len(), packed: pack(&numbers) }),
            None => left.extend_from_slice(run),
        }
        done = end;
    }
    left.extend_from_slice(text.get(done..).unwrap_or_default());
    (left, rows)
}

/// The next long stretch of digits, signs and spaces, without spaces at its ends.
fn next_run(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
    let mut at = from;
    loop {
        // Every run of this length covers one of these places.
        let hit =
            (at + SHORTEST - 1..text.len()).step_by(SHORTEST).find(|place| text.get(*place).is_some_and(is_part))?;
        let before = text.get(at..hit)?.iter().rev().take_while(|byte| is_part(byte)).count();
        let after = text.get(hit..)?.iter().take_while(|byte| is_part(byte)).count();
        let run = text.get(hit - before..hit + after)?;
        let (blank, tail) = (run.len() - run.trim_ascii_start().len(), run.len() - run.trim_ascii_end().len());
        let (start, end) = (hit - before + blank, (hit + after).saturating_sub(tail));
        if end.saturating_sub(start) >= SHORTEST {
            return Some((start, end));
        }
        at = hit + after;
    }
}

/// None unless they would be written the same way again.
fn numbers(run: &[u8]) -> Option<Vec<i32>> {
    let text = std::str::from_utf8(run).ok()?;
    text.split(' ')
        .map(|token| {
            let canonical = token == "0"
                || token.strip_prefix('-').unwrap_or(token).starts_with(|c: char| ('1'..='9').contains(&c));
            token.parse().ok().filter(|_| canonical)
        })
        .collect()
}

fn pack(numbers: &[i32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(numbers.len());
    varint(&mut out, numbers.len());
    let mut last = 0_i64;
    for block in numbers.chunks(BLOCK) {
        let steps: Vec<u64> = block
            .iter()
            .map(|number| {
                let step = i64::from(*number) - last;
                last = i64::from(*number);
                zigzag(step)
            })
            .collect();
        let width = steps.iter().map(|step| u64::BITS - step.leading_zeros()).max().unwrap_or(0);
        out.push(u8::try_from(width).unwrap_or(u8::MAX));
        let (mut bits, mut held) = (0_u128, 0_u32);
        for step in steps {
            bits |= u128::from(step) << held;
            held += width;
            while held >= 8 {
                out.push(low_byte(bits));
                bits >>= 8;
                held -= 8;
            }
        }
        if held > 0 {
            out.push(low_byte(bits));
        }
    }
    out
}

/// The row as it was written, after `out`. None when it is damaged, or longer than `most` in all.
pub(super) fn write_out(packed: &[u8], out: &mut Vec<u8>, most: usize) -> Option<()> {
    let mut rest = packed;
    let mut count = read_varint(&mut rest)?;
    let (mut last, mut first) = (0_i64, true);
    while count > 0 {
        let (width, bytes) = rest.split_first()?;
        let (width, of_block) = (u32::from(*width), count.min(BLOCK));
        // A difference of two 32-bit numbers has 33 bits and a sign.
        if width > 34 {
            return None;
        }
        let (packed, next) = bytes.split_at_checked((of_block * usize::try_from(width).ok()?).div_ceil(8))?;
        let mut bytes = packed.iter();
        let (mut bits, mut held) = (0_u128, 0_u32);
        for _ in 0..of_block {
            while held < width {
                bits |= u128::from(*bytes.next()?) << held;
                held += 8;
            }
            let step = u64::try_from(bits & ((1 << width) - 1)).ok()?;
            bits >>= width;
            held -= width;
            last = last.checked_add(unzigzag(step))?;
            if !first {
                out.push(b' ');
            }
            first = false;
            write!(out, "{}", i32::try_from(last).ok()?).ok()?;
        }
        if out.len() > most {
            return None;
        }
        (count, rest) = (count - of_block, next);
    }
    rest.is_empty().then_some(())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn low_byte(bits: u128) -> u8 {
    let [low, ..] = bits.to_le_bytes();
    low
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

pub(super) fn read_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    // Nothing that is stored is longer than five of these bytes can say.
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(text: &[u8]) -> (usize, Vec<u8>) {
        let (left, rows) = take_out(text);
        let (mut out, mut done, packed) = (Vec::new(), 0, rows.iter().map(|row| row.packed.len()).sum());
        for row in rows {
            out.extend_from_slice(&left[done..row.at]);
            write_out(&row.packed, &mut out, usize::MAX).unwrap();
            done = row.at;
        }
        out.extend_from_slice(&left[done..]);
        (packed, out)
    }

    fn wave(count: i32) -> String {
        (0..count).map(|n| (2048 + (n * n) % 37 - n % 11).to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let long = wave(2500);
        for (text, packs) in [
            (format!(r#"{{"data":"{long}"}}"#), true),
            (format!("{long} E {long}"), true),
            (format!("  {long}  "), true),
            (long.replacen("2048", "02048", 1), false),
            (long.replacen("2048", "-0", 1), false),
            (long.replacen(' ', "  ", 1), false),
            (long.replacen("2048", "99999999999", 1), false),
            (long.replacen("2048", "--1", 1), false),
            (format!("-2147483648 2147483647 {long}"), true),
            (wave(20), false),
            ("-".repeat(400), false),
            (String::new(), false),
        ] {
            let (packed, same) = back(text.as_bytes());
            assert_eq!(same, text.as_bytes());
            assert_eq!(packed > 0, packs, "{text}");
        }
        let (packed, _) = back(wave(2500).as_bytes());
        assert!(packed < 2500, "{packed}");
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let good = take_out(wave(2500).as_bytes()).1.remove(0).packed;
        for bad in [&[][..], &[200], &good[..good.len() - 1], &[&good[..], &[0]].concat(), &[1, 64, 0]] {
            assert!(write_out(bad, &mut Vec::new(), usize::MAX).is_none());
        }
        assert!(write_out(&good, &mut Vec::new(), 100).is_none());
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "([0-9 -]{0,600}|[a-z\"{}:]{0,40}|(-?[1-9][0-9]{0,4} ){60,200}){0,5}") {
            prop_assert_eq!(back(text.as_bytes()).1, text.into_bytes());
        }

        #[test]
        fn any_numbers_come_back(numbers in proptest::collection::vec(any::<i32>(), 1..400)) {
            let mut out = Vec::new();
            write_out(&pack(&numbers), &mut out, usize::MAX).unwrap();
            let text = numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(String::from_utf8(out).unwrap(), text);
        }

        #[test]
        fn any_bytes_are_no_danger(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = write_out(&bytes, &mut Vec::new(), 1 << 20);
        }
    }
}
