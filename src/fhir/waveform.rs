//! Waveforms: the samples of a `SampledData` (R4, datatypes), and what is left of them when they are drawn with few points.
//! Extremes are kept, gaps stay gaps. Pure arithmetic, in µs UTC and in the unit of the values.

use std::time::Duration;

use serde_json::{Value, json};

use super::reading::{list, str_of};

/// Digits that a drawn value has: more than any device measures, fewer than arithmetic errs by.
const DIGITS: usize = 8;

/// One waveform of an Observation: its own value, or a component's.
#[derive(Clone, Copy)]
pub struct Lead<'a> {
    /// A CodeableConcept; of a component its own.
    pub code: Option<&'a Value>,
    /// The `SampledData`.
    pub sampled: &'a Value,
}

/// All waveforms of an Observation, its own value first.
pub fn leads(observation: &Value) -> impl Iterator<Item = Lead<'_>> {
    let items = std::iter::once(observation).chain(list(observation.get("component")));
    items.filter_map(|item| Some(Lead { code: item.get("code"), sampled: item.get("valueSampledData")? }))
}

/// The samples of a waveform that begins at a time.
pub struct Samples<'a> {
    starts: i64,
    /// Between two points of time, ns.
    period: i64,
    /// Samples of one point of time.
    dimensions: usize,
    origin: f64,
    factor: f64,
    lower: Option<f64>,
    upper: Option<f64>,
    data: &'a str,
}

impl<'a> Lead<'a> {
    /// None without data, or when its numbers mean nothing.
    pub fn samples(&self, starts: i64) -> Option<Samples<'a>> {
        let number = |name: &str| self.sampled.get(name).and_then(Value::as_f64).filter(|n| n.is_finite());
        let dimensions = self.sampled.get("dimensions").and_then(Value::as_u64).unwrap_or(1);
        Some(Samples {
            starts,
            period: nanoseconds(number("period")?).filter(|period| *period > 0)?,
            dimensions: usize::try_from(dimensions).ok().filter(|n| *n > 0)?,
            origin: self.sampled.pointer("/origin/value").and_then(Value::as_f64).unwrap_or(0.0),
            factor: number("factor").unwrap_or(1.0),
            lower: number("lowerLimit"),
            upper: number("upperLimit"),
            data: str_of(self.sampled, "data")?,
        })
    }

    /// System and code of the unit, else its name without a system.
    pub fn unit(&self) -> Option<(&'a str, &'a str)> {
        let origin = self.sampled.get("origin")?;
        let code = str_of(origin, "code").or_else(|| str_of(origin, "unit"))?;
        Some((str_of(origin, "system").unwrap_or_default(), code))
    }
}

impl Samples<'_> {
    /// When each was taken, and its value; what was not measured (`E`) is left out, what was beyond a limit (`L`, `U`) is
    /// at the limit.
    pub fn values(&self) -> impl Iterator<Item = (i64, f64)> {
        self.data.split_ascii_whitespace().enumerate().filter_map(|(n, token)| {
            let raw = match token {
                "L" => self.lower,
                "U" => self.upper,
                number => number.parse().ok(),
            };
            Some((self.at(n / self.dimensions), self.origin + self.factor * raw?))
        })
    }

    /// When the last sample is over.
    pub fn ends(&self) -> i64 {
        self.at(self.data.split_ascii_whitespace().count().div_ceil(self.dimensions))
    }

    /// The lowest and the highest value.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        self.values().map(|(_, value)| (value, value)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    fn at(&self, n: usize) -> i64 {
        let after = i64::try_from(n).ok().and_then(|n| n.checked_mul(self.period)).map(|ns| ns / 1000);
        after.and_then(|after| self.starts.checked_add(after)).unwrap_or(i64::MAX)
    }
}

fn nanoseconds(ms: f64) -> Option<i64> {
    Duration::try_from_secs_f64(ms / 1000.0).ok().and_then(|period| i64::try_from(period.as_nanos()).ok())
}

/// What is drawn between two times with so many points: the lowest and the highest value of each.
#[derive(Clone, Debug)]
pub struct Envelope {
    from: i64,
    /// Of one point, µs; whole milliseconds, so that it can be said exactly.
    width: i64,
    points: Vec<Option<(f64, f64)>>,
}

impl Envelope {
    /// At most so many points, and none of less than a millisecond.
    pub fn new((from, to): (i64, i64), points: usize) -> Self {
        let span = to.saturating_sub(from).max(1);
        let most = i64::try_from(points.max(1)).unwrap_or(i64::MAX);
        let width = (span.saturating_sub(1) / most / 1000).saturating_add(1).saturating_mul(1000);
        let count = usize::try_from(span.saturating_sub(1) / width + 1).unwrap_or(1).min(points.max(1));
        Self { from, width, points: vec![None; count] }
    }

    pub fn width(&self) -> i64 {
        self.width
    }

    pub fn is_empty(&self) -> bool {
        self.points.iter().all(Option::is_none)
    }

    /// Takes in what was between these values then; what lies outside is passed over.
    pub fn add(&mut self, at: i64, low: f64, high: f64) {
        let place = at.checked_sub(self.from).filter(|after| *after >= 0).map(|after| after / self.width);
        let point = place.and_then(|place| self.points.get_mut(usize::try_from(place).ok()?));
        if let (Some(point), true) = (point, low.is_finite() && high.is_finite()) {
            *point = Some(point.map_or((low, high), |(l, h)| (l.min(low), h.max(high))));
        }
    }

    /// As `SampledData` of two dimensions: lowest and highest of each point of time, `E` for both where there is nothing.
    pub fn sampled_data(&self, unit: Option<&Value>) -> Value {
        let mut origin = json!({"value": 0});
        if let (Some(origin), Some(unit)) = (origin.as_object_mut(), unit.and_then(Value::as_object)) {
            let names = unit.iter().filter(|(name, _)| ["unit", "system", "code"].contains(&name.as_str()));
            origin.extend(names.map(|(name, value)| (name.clone(), value.clone())));
        }
        let text = |point: &Option<(f64, f64)>| match point {
            Some((low, high)) => format!("{} {}", tidy(*low), tidy(*high)),
            None => "E E".to_owned(),
        };
        let data: Vec<String> = self.points.iter().map(text).collect();
        json!({"origin": origin, "period": self.width / 1000, "dimensions": 2, "data": data.join(" ")})
    }
}

/// Without what arithmetic has put behind its digits.
fn tidy(value: f64) -> f64 {
    format!("{value:.DIGITS$e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_are_scaled_and_timed() {
        let observation = json!({"component": [{"code": {"text": "II"}, "valueSampledData": {
            "origin": {"value": 1, "unit": "mV", "system": "http://unitsofmeasure.org", "code": "mV"},
            "period": 4.5, "factor": 0.5, "lowerLimit": -10, "upperLimit": 10, "dimensions": 1, "data": "0 2 E L U x -4"}}]});
        let lead = leads(&observation).next().unwrap();
        let samples = lead.samples(1000).unwrap();
        let values: Vec<_> = samples.values().collect();
        assert_eq!(values, [(1000, 1.0), (5500, 2.0), (14_500, -4.0), (19_000, 6.0), (28_000, -1.0)]);
        assert_eq!((samples.ends(), samples.extremes()), (32_500, Some((-4.0, 6.0))));
        assert_eq!(lead.unit(), Some(("http://unitsofmeasure.org", "mV")));
        for bad in [
            json!({}),
            json!({"data": "1"}),
            json!({"period": 0, "data": "1"}),
            json!({"period": 1, "dimensions": 0, "data": "1"}),
        ] {
            assert!(Lead { code: None, sampled: &bad }.samples(0).is_none(), "{bad}");
        }
    }

    #[test]
    fn gaps_stay_gaps_and_extremes_are_kept() {
        let mut drawn = Envelope::new((0, 10_000), 5);
        for (at, value) in
            [(0, 0.1 + 0.2), (500, -7.0), (1999, 9.0), (4000, 5.0), (9999, 1.5), (10_000, 99.0), (-1, 99.0)]
        {
            drawn.add(at, value, value);
        }
        drawn.add(4000, f64::NAN, 8.0);
        let unit = json!({"value": 7, "unit": "mV"});
        let data = drawn.sampled_data(Some(&unit));
        assert_eq!(data["data"], "-7 9 E E 5 5 E E 1.5 1.5");
        assert_eq!((&data["period"], &data["origin"]), (&json!(2), &json!({"value": 0, "unit": "mV"})));
        assert!(Envelope::new((5, 5), 0).is_empty());
    }

    proptest! {
        #[test]
        fn no_extreme_is_lost(points in 1_usize..50, span in 1_i64..5_000_000, values in proptest::collection::vec((any::<u32>(), -1e6..1e6_f64), 1..100)) {
            let mut drawn = Envelope::new((1000, 1000 + span), points);
            for (at, value) in &values {
                drawn.add(1000 + i64::from(*at) % span, *value, *value);
            }
            prop_assert!(drawn.points.len() <= points);
            let (low, high) = drawn.points.iter().flatten().copied().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap();
            let all = values.iter().map(|v| (v.1, v.1)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            prop_assert_eq!(Some((low, high)), all);
        }
    }
}
