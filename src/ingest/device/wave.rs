//! Waveforms as they come while they are measured: a header in JSON says what is sent, binary frames bring the samples,
//! and what belongs to the same ten seconds becomes one reading. No connection, no store in here.
//!
//! ```json
//! {"code": "mdc:131328", "leads": ["mdc:131329", "mdc:131330"], "period": 4, "unit": "mV",
//!  "factor": 0.005, "origin": 0, "samples": "i16", "patient": "Patient/p1", "device": "Device/d1"}
//! ```
//!
//! Without `leads` there is one, the code itself. A frame, all of it little endian: the sender's number of the frame
//! (u32), when its first sample was taken (µs since 1970, i64), then of each lead as many samples (i16 or i32). The least
//! number of its kind says that a sample was not measured.

use fhir_r4::Issue;
use serde_json::{Map, Value};

use super::part::{Origin, Part};
use super::reading::Reader;
use crate::fhir::time;
use crate::normalize::draft::{Coding, Draft, Measured, Sampled, Subject};

const MEMBERS: [&str; 9] = ["patient", "device", "code", "leads", "period", "unit", "factor", "origin", "samples"];
/// What becomes one reading, µs: stretches of time that begin at whole multiples of it, so that what is sent again after
/// a break is cut in the same places.
pub const CHUNK: i64 = 10 * time::SECOND;
const MOST_LEADS: usize = 32;
/// Samples of all leads together, of one reading.
const MOST_SAMPLES: usize = 200_000;

/// What a connection sends.
#[derive(Debug)]
pub struct Stream {
    sender: String,
    subject: Option<Subject>,
    device: Option<Subject>,
    code: Vec<Coding>,
    /// Empty: the code itself is the only one.
    leads: Vec<Vec<Coding>>,
    period: String,
    /// ns
    step: i64,
    unit: Option<Coding>,
    factor: String,
    origin: String,
    wide: bool,
    pending: Option<Pending>,
}

/// Samples that were taken one after another.
#[derive(Debug)]
pub struct Frame {
    pub number: u32,
    /// µs UTC
    pub starts: i64,
    /// Of each lead as many; none: not measured.
    pub samples: Vec<Vec<Option<i32>>>,
}

/// A reading that is complete, and the number of the last frame in it.
#[derive(Debug)]
pub struct Chunk {
    pub draft: Draft,
    pub last: u32,
}

#[derive(Debug)]
struct Pending {
    starts: i64,
    last: u32,
    samples: Vec<Vec<Option<i32>>>,
}

impl Stream {
    /// Reads the header. `sender`: who sends, as it is known from its credentials; `own`: the device that it is.
    pub fn open(header: &[u8], sender: &str, own: Option<&str>) -> Result<Self, Vec<Issue>> {
        let object: Map<String, Value> = serde_json::from_slice(header)
            .map_err(|_| vec![Issue::error("structure", "header", "the first message is a JSON object")])?;
        let mut read = Reader::new("header");
        read.only(&object, &MEMBERS);
        let (subject, device) = read.whose(&object, &Map::new());
        let code = read.code("code", object.get("code"));
        let leads = match object.get("leads") {
            None => vec![],
            Some(Value::Array(leads)) if (1..=MOST_LEADS).contains(&leads.len()) => {
                leads.iter().enumerate().map(|(at, lead)| read.code(&format!("leads[{at}]"), Some(lead))).collect()
            }
            Some(_) => read.refuse("value", "leads", "a list of one to 32 codes is needed").unwrap_or_default(),
        };
        let mut number = |name: &str, missing: Option<&str>| {
            let found = object.get(name).and_then(Value::as_number).map(ToString::to_string);
            match found.or_else(|| missing.filter(|_| !object.contains_key(name)).map(str::to_owned)) {
                Some(text) => text,
                None => read.refuse("value", name, "a number is needed").unwrap_or_default(),
            }
        };
        let (period, factor, origin) =
            (number("period", None), number("factor", Some("1")), number("origin", Some("0")));
        let step = period.parse::<f64>().ok().and_then(nanoseconds).unwrap_or(0);
        if step == 0 {
            read.refuse::<()>("value", "period", "the time between two samples is 0.01 to 10000 ms");
        }
        let unit = object.get("unit").and_then(|unit| read.text("unit", unit));
        let wide = match object.get("samples").map(Value::as_str) {
            None | Some(Some("i16")) => false,
            Some(Some("i32")) => true,
            Some(_) => read.refuse("value", "samples", "samples are i16 or i32").unwrap_or_default(),
        };
        if !read.issues.is_empty() {
            return Err(read.issues);
        }
        let device = device.or_else(|| own.map(|own| Subject::Reference(own.to_owned())));
        let unit = unit.map(|unit| Coding { system: String::new(), code: unit, display: None });
        let sender = sender.to_owned();
        Ok(Self { sender, subject, device, code, leads, period, step, unit, factor, origin, wide, pending: None })
    }

    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    pub fn device(&self) -> Option<&Subject> {
        self.device.as_ref()
    }

    /// Reads a frame and takes it in: the frame, and a reading that is complete now.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(Frame, Option<Chunk>), Issue> {
        let frame = self.frame(bytes)?;
        let count = frame.samples.first().map_or(0, Vec::len);
        let follows = self.pending.as_ref().is_some_and(|pending| {
            let held = pending.samples.first().map_or(0, Vec::len);
            let expected = pending.starts + self.after(held);
            // Clocks tremble, and those of programs drift: half a frame off is no gap. The next reading begins at its own
            // time, so nothing adds up.
            let off = (frame.starts - expected).abs();
            off <= (self.after(count) / 2).max(self.step / 1000)
                && part_of(frame.starts) == part_of(pending.starts)
                && (held + count) * frame.samples.len() <= MOST_SAMPLES
        });
        let complete = if follows { None } else { self.rest() };
        match &mut self.pending {
            Some(pending) => {
                for (held, samples) in pending.samples.iter_mut().zip(&frame.samples) {
                    held.extend(samples);
                }
                pending.last = frame.number;
            }
            none => *none = Some(Pending { starts: frame.starts, last: frame.number, samples: frame.samples.clone() }),
        }
        Ok((frame, complete))
    }

    /// What has come and is not a reading yet.
    pub fn rest(&mut self) -> Option<Chunk> {
        let Pending { starts, last, samples } = self.pending.take()?;
        let count = samples.first().map_or(0, Vec::len);
        let ends = starts + self.after(count);
        let (from, to) = (time::instant(starts), time::instant(ends.max(starts + 1000)));
        let origin = Origin {
            place: format!("frame {last}"),
            subject: self.subject.clone(),
            device: self.device.clone(),
            effective: Some(from),
            effective_end: Some(to),
            id: None,
            content: self.code.iter().flat_map(|code| [code.system.clone(), code.code.clone()]).collect(),
        };
        let mut values = samples.iter().map(|samples| self.sampled(samples));
        let name = format!("{starts} {count}");
        let part = if self.leads.is_empty() {
            Part::new(name, self.code.clone(), values.next().unwrap_or(Measured::Panel))
        } else {
            let components = self.leads.iter().cloned().zip(values).collect();
            Part { components, ..Part::new(name, self.code.clone(), Measured::Panel) }
        };
        Some(Chunk { draft: origin.draft(part, "wave", &self.sender), last })
    }

    /// A frame as it is told to whoever watches.
    pub fn strip(&self, frame: &Frame) -> Value {
        let code = |codes: &[Coding]| codes.first().map(|c| c.code.clone()).unwrap_or_default();
        let leads = if self.leads.is_empty() { std::slice::from_ref(&self.code) } else { self.leads.as_slice() };
        let leads: Map<String, Value> =
            leads.iter().zip(&frame.samples).map(|(lead, samples)| (code(lead), text(samples).into())).collect();
        let number = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        serde_json::json!({"code": code(&self.code), "start": frame.starts, "period": number(&self.period),
            "factor": number(&self.factor), "origin": number(&self.origin),
            "unit": self.unit.as_ref().map(|unit| unit.code.as_str()), "leads": leads})
    }

    fn sampled(&self, samples: &[Option<i32>]) -> Measured {
        let (period, origin, factor) = (self.period.clone(), self.origin.clone(), self.factor.clone());
        Measured::Sampled(Box::new(Sampled { period, origin, factor, unit: self.unit.clone(), data: text(samples) }))
    }

    /// How long so many samples take, µs.
    fn after(&self, samples: usize) -> i64 {
        i64::try_from(samples).unwrap_or(i64::MAX).saturating_mul(self.step) / 1000
    }

    fn frame(&self, bytes: &[u8]) -> Result<Frame, Issue> {
        let wrong = |why: &str| Issue::error("structure", "frame", why);
        let cut =
            bytes.split_first_chunk::<4>().and_then(|(number, rest)| Some((number, rest.split_first_chunk::<8>()?)));
        let (number, (starts, samples)) = cut.ok_or_else(|| wrong("a frame has at least 12 bytes"))?;
        let number = u32::from_le_bytes(*number);
        let wrong = |why: &str| Issue::error("structure", format!("frame {number}"), why);
        let (leads, width) = (self.leads.len().max(1), if self.wide { 4 } else { 2 });
        if samples.is_empty() || !samples.len().is_multiple_of(leads * width) {
            return Err(wrong("a frame has as many samples of each lead, and at least one"));
        }
        if samples.len() / width > MOST_SAMPLES {
            return Err(wrong("a frame has 200000 samples at most"));
        }
        let starts = i64::from_le_bytes(*starts);
        if !(0..time::AFTER_ALL / 2).contains(&starts) {
            return Err(wrong("the time is told in µs since 1970"));
        }
        let one = |bytes: &[u8]| match bytes {
            [a, b] => Some(i16::from_le_bytes([*a, *b])).filter(|n| *n != i16::MIN).map(i32::from),
            [a, b, c, d] => Some(i32::from_le_bytes([*a, *b, *c, *d])).filter(|n| *n != i32::MIN),
            _ => None,
        };
        let samples = samples.chunks(samples.len() / leads).map(|lead| lead.chunks(width).map(one).collect()).collect();
        Ok(Frame { number, starts, samples })
    }
}

fn part_of(us: i64) -> i64 {
    us.div_euclid(CHUNK)
}

/// None unless it is a time that samples can have between them.
fn nanoseconds(ms: f64) -> Option<i64> {
    let period = std::time::Duration::try_from_secs_f64(ms / 1000.0).ok()?;
    i64::try_from(period.as_nanos()).ok().filter(|ns| (10_000..=10_000_000_000).contains(ns))
}

fn text(samples: &[Option<i32>]) -> String {
    let mut text = String::with_capacity(samples.len() * 5);
    for sample in samples {
        if !text.is_empty() {
            text.push(' ');
        }
        match sample {
            Some(number) => text.push_str(&number.to_string()),
            None => text.push('E'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(number: u32, starts: i64, samples: &[i16]) -> Vec<u8> {
        let mut bytes = [&number.to_le_bytes()[..], &starts.to_le_bytes()].concat();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    fn open(header: &str) -> Result<Stream, Vec<Issue>> {
        Stream::open(header.as_bytes(), "me", Some("Device/d1"))
    }

    const ECG: &str =
        r#"{"code": "mdc:131328", "leads": ["mdc:131329", "mdc:131330"], "period": 4, "unit": "mV", "factor": 0.005}"#;

    #[test]
    fn frames_that_follow_on_become_one_reading() {
        let mut stream = open(ECG).unwrap();
        let at = 1_700_000_000_000_000;
        assert!(stream.take(&frame(1, at, &[1, 2, -1, i16::MIN])).unwrap().1.is_none());
        assert!(stream.take(&frame(2, at + 8_000, &[3, 4, 5, 6])).unwrap().1.is_none());
        // A gap, and then the next ten seconds.
        let (_, chunk) = stream.take(&frame(3, at + 40_000, &[7, 8])).unwrap();
        let chunk = chunk.unwrap();
        assert_eq!(chunk.last, 2);
        let data: Vec<&str> = chunk
            .draft
            .components
            .iter()
            .map(|(_, value)| match value {
                Measured::Sampled(sampled) => sampled.data.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(data, ["1 2 3 4", "-1 E 5 6"]);
        let (from, to) = (chunk.draft.effective.unwrap(), chunk.draft.effective_end.unwrap());
        assert_eq!((from.as_str(), to.as_str()), ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.016Z"));
        assert_eq!(stream.take(&frame(4, at + CHUNK, &[9, 9])).unwrap().1.unwrap().last, 3);
        assert_eq!(stream.rest().unwrap().last, 4);
        assert!(stream.rest().is_none());
    }

    #[test]
    fn a_clock_that_drifts_makes_no_gaps() {
        let mut stream = open(r#"{"code": "mdc:1", "period": 4}"#).unwrap();
        let at = 1_700_000_000_000_000;
        // Frames of 200 ms that say they come every 201.
        let chunks = (0..49).filter_map(|n| stream.take(&frame(n, at + i64::from(n) * 201_000, &[1; 50])).unwrap().1);
        assert_eq!(chunks.count(), 0);
        assert_eq!(stream.rest().unwrap().last, 48);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (header, place) in [
            ("[]", "header"),
            (r#"{"period": 4}"#, "header.code"),
            (r#"{"code": "mdc:1"}"#, "header.period"),
            (r#"{"code": "mdc:1", "period": 0}"#, "header.period"),
            (r#"{"code": "mdc:1", "period": "4"}"#, "header.period"),
            (r#"{"code": "mdc:1", "period": 4, "leads": []}"#, "header.leads"),
            (r#"{"code": "mdc:1", "period": 4, "leads": [7]}"#, "header.leads[0]"),
            (r#"{"code": "mdc:1", "period": 4, "samples": "f64"}"#, "header.samples"),
            (r#"{"code": "mdc:1", "period": 4, "colour": 1}"#, "header"),
        ] {
            let issues = open(header).unwrap_err();
            assert!(issues.iter().any(|issue| issue.expression == place), "{header}: {issues:?}");
        }
        let mut stream = open(ECG).unwrap();
        for bad in [
            &[][..],
            &[0; 11],
            &frame(1, 5, &[]),
            &frame(1, 5, &[1, 2, 3]),
            &frame(1, -5, &[1, 2]),
            &frame(1, i64::MAX, &[1, 2]),
        ] {
            assert!(stream.take(bad).is_err(), "{bad:?}");
        }
        assert!(stream.rest().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_danger(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut stream = open(r#"{"code": "mdc:1", "period": 0.5}"#).unwrap();
            for bytes in frames {
                let _ = stream.take(&bytes);
            }
            stream.rest();
        }
    }
}
