//! A summary as parts of a `Parameters` resource. Every figure is a part with a name of its own; quantities are in the
//! canonical UCUM unit of the measurement. What there are too few readings for is left out.

use serde_json::{Number, Value, json};

use super::Asked;
use crate::alert::pattern::{Bands, Dipping, Habits, Night, ProfileSlot, Signal, Summary, Trend, Zone, gmi};
use crate::fhir::{UCUM, time, ucum};
use crate::store::Wanted;

/// Pressures of which the fall at night is told.
const PRESSURES: [&str; 3] = ["8480-6", "8462-4", "8478-0"];
const BANDS: [&str; 5] = ["very-low", "low", "in-range", "high", "very-high"];
const PERCENTILES: [&str; 5] = ["p5", "p25", "p50", "p75", "p95"];

/// One code in one unit, and what is said of it.
pub(super) struct Said<'a> {
    pub code: &'a Wanted,
    pub unit: &'a str,
    pub signal: Option<&'a Signal>,
    pub bands: &'a Bands,
    pub summary: &'a Summary,
    pub implausible: usize,
    pub night: Night,
}

/// Of whom and of which days the answer is.
pub(super) fn head(asked: &Asked) -> Vec<Value> {
    let zone = if matches!(asked.zone, Zone::Fixed(_)) { "offset" } else { "timezone" };
    let (start, end) = (asked.zone.midnight(asked.days.start), asked.zone.midnight(asked.days.end));
    vec![
        json!({"name": "subject", "valueReference": {"reference": asked.subject}}),
        json!({"name": "period", "valuePeriod": {"start": time::instant(start), "end": time::instant(end - 1)}}),
        json!({"name": zone, "valueString": asked.zone.text()}),
    ]
}

/// A code that has no readings.
pub(super) fn nothing(code: &Wanted) -> Value {
    group("summary", vec![concept(code), count("count", 0)])
}

impl Said<'_> {
    pub(super) fn parameter(&self) -> Value {
        let summary = self.summary;
        let mut parts = vec![concept(self.code)];
        if !self.unit.is_empty() {
            parts.push(json!({"name": "unit", "valueCode": self.unit}));
        }
        parts.push(count("count", summary.moments.count));
        parts.push(count("implausible", self.implausible));
        if summary.moments.count > 0 {
            parts.extend(self.figures());
            parts.extend(summary.profile.iter().map(|slot| self.slot(slot)));
            if self.bands.has_limits() {
                parts.push(self.range());
            }
            let pressure = PRESSURES.contains(&self.code.1.as_str());
            parts.extend(summary.dipping.as_ref().filter(|_| pressure).map(|dipping| self.dipping(dipping)));
            parts.extend(summary.trend.as_ref().map(|trend| self.trend(trend)));
            parts.extend(summary.changes.iter().map(|change| {
                let parts =
                    [date("date", change.day), self.own("before", change.before), self.own("after", change.after)];
                group("change", parts.into())
            }));
            parts.push(habits(&summary.habits, summary.longest_gap));
            parts.extend(self.days());
        }
        group("summary", parts)
    }

    fn figures(&self) -> Vec<Value> {
        let (summary, moments) = (self.summary, &self.summary.moments);
        let mut parts = Vec::new();
        parts.extend(summary.first.map(|us| json!({"name": "first", "valueInstant": time::instant(us)})));
        parts.extend(summary.last.map(|(us, _)| json!({"name": "last", "valueInstant": time::instant(us)})));
        parts.push(self.own("mean", moments.mean));
        parts.extend(summary.median.map(|median| self.own("median", median)));
        parts.extend([self.own("minimum", moments.lowest), self.own("maximum", moments.highest)]);
        if summary.error > 0.0 {
            parts.push(self.difference("percentile-error", summary.error));
        }
        let mut spread: Vec<Value> = moments.sd().map(|sd| self.difference("sd", sd)).into_iter().collect();
        // A share of the mean says nothing where zero is no zero.
        spread.extend(summary.cv_percent().filter(|_| self.unit != "Cel").map(|cv| quantity("cv", cv, "%")));
        if self.signal.is_some_and(|signal| signal.glucose) {
            spread.extend(gmi(moments.mean, self.unit).map(|gmi| quantity("gmi", gmi, "%")));
        }
        if !spread.is_empty() {
            parts.push(group("variability", spread));
        }
        parts
    }

    fn slot(&self, slot: &ProfileSlot) -> Value {
        let mut parts = clock(slot.from, slot.to);
        parts.push(count("count", slot.count));
        parts.extend(PERCENTILES.iter().zip(slot.percentiles).map(|(name, value)| self.own(name, value)));
        group("profile", parts)
    }

    fn range(&self) -> Value {
        let [very_low, low, high, very_high] = self.bands.limits.map(|limit| limit.map(|(value, _)| value));
        let edges = [(None, very_low), (very_low, low), (low.or(very_low), high.or(very_high)), (high, very_high)];
        let edges = edges.into_iter().chain([(very_high, None)]);
        let (known, readings) = (self.summary.known_us, self.summary.moments.count);
        let mut parts = vec![hours("known-time", known)];
        for ((name, share), (from, to)) in BANDS.iter().zip(&self.summary.bands).zip(edges) {
            // A band without a limit of its own is none.
            if *name != "in-range" && (name.contains("low") && to.is_none() || name.contains("high") && from.is_none())
            {
                continue;
            }
            let mut band = vec![json!({"name": "name", "valueCode": name})];
            band.extend(from.map(|from| self.own("from", from)));
            band.extend(to.map(|to| self.own("to", to)));
            band.push(hours("time", share.time_us));
            if known > 0 {
                band.push(quantity("time-share", percent(hours_of(share.time_us), hours_of(known)), "%"));
            }
            band.push(count("readings", share.readings));
            band.push(quantity("readings-share", percent(float(share.readings), float(readings)), "%"));
            parts.push(group("band", band));
        }
        group("range", parts)
    }

    fn dipping(&self, dipping: &Dipping) -> Value {
        group(
            "dipping",
            vec![
                json!({"name": "night", "valueString": self.night.text()}),
                self.own("day-mean", dipping.day_mean),
                count("day-count", dipping.day_count),
                self.own("night-mean", dipping.night_mean),
                count("night-count", dipping.night_count),
                quantity("fall", dipping.fall_percent, "%"),
                json!({"name": "class", "valueCode": dipping.class.code()}),
                json!({"name": "enough", "valueBoolean": dipping.enough}),
            ],
        )
    }

    fn trend(&self, trend: &Trend) -> Value {
        let unit = match self.unit {
            "" => String::new(),
            "Cel" => "K/d".to_owned(),
            unit => format!("({unit})/d"),
        };
        let slope = |name: &str, value: f64| quantity(name, value, &unit);
        group(
            "trend",
            vec![
                count("days", trend.days),
                slope("slope", trend.slope_per_day),
                slope("slope-low", trend.low),
                slope("slope-high", trend.high),
                json!({"name": "p", "valueDecimal": decimal(trend.p, 6)}),
            ],
        )
    }

    fn days(&self) -> impl Iterator<Item = Value> {
        self.summary.days.iter().map(|day| {
            let mut parts = vec![
                date("date", day.day),
                count("count", day.moments.count),
                self.own("mean", day.moments.mean),
                self.own("median", day.median),
                self.own("minimum", day.moments.lowest),
                self.own("maximum", day.moments.highest),
            ];
            parts.extend(day.in_range.map(|share| quantity("in-range", share * 100.0, "%")));
            group("day", parts)
        })
    }

    fn own(&self, name: &str, value: f64) -> Value {
        quantity(name, value, self.unit)
    }

    /// Differences of temperatures are kelvins.
    fn difference(&self, name: &str, value: f64) -> Value {
        quantity(name, value, if self.unit == "Cel" { "K" } else { self.unit })
    }
}

fn habits(habits: &Habits, gap: Option<(i64, i64)>) -> Value {
    let mut parts = vec![count("days", habits.days)];
    parts.extend(habits.usual_per_day.map(|n| json!({"name": "usual-per-day", "valueDecimal": decimal(n, 1)})));
    parts.push(count("days-without", habits.days_without));
    parts.extend(habits.days_without_list.iter().map(|day| date("day-without", *day)));
    for window in &habits.windows {
        let mut own = clock(window.from, window.to);
        own.extend([count("days", window.days), count("missed", window.missed)]);
        own.extend(window.missed_days.iter().map(|day| date("missed-day", *day)));
        parts.push(group("usual-time", own));
    }
    parts.extend(gap.map(|(from, to)| {
        json!({"name": "longest-gap", "valuePeriod": {"start": time::instant(from), "end": time::instant(to)}})
    }));
    group("habits", parts)
}

/// From when, and for how long.
fn clock(from: u8, to: u8) -> Vec<Value> {
    let start = format!("{:02}:{:02}:00", from / 4, from % 4 * 15);
    let minutes = u32::from(to.saturating_sub(from)) * 15;
    vec![json!({"name": "start", "valueTime": start}), json!({"name": "minutes", "valuePositiveInt": minutes})]
}

fn group(name: &str, parts: Vec<Value>) -> Value {
    json!({"name": name, "part": Value::Array(parts)})
}

fn concept((system, code): &Wanted) -> Value {
    let coding = match system.as_deref().filter(|system| !system.is_empty()) {
        Some(system) => json!({"system": system, "code": code}),
        None => json!({"code": code}),
    };
    json!({"name": "code", "valueCodeableConcept": {"coding": [coding]}})
}

fn count(name: &str, count: usize) -> Value {
    json!({"name": name, "valueUnsignedInt": count})
}

fn date(name: &str, day: i64) -> Value {
    json!({"name": name, "valueDate": Zone::date(day)})
}

fn quantity(name: &str, value: f64, unit: &str) -> Value {
    let value = decimal(value, 4);
    let human = match ucum::human(unit) {
        "" => unit,
        human => human,
    };
    let quantity = match unit {
        "" => json!({"value": value}),
        unit if is_ucum(unit) => json!({"value": value, "unit": human, "system": UCUM, "code": unit}),
        _ => json!({"value": value, "unit": human}),
    };
    json!({"name": name, "valueQuantity": quantity})
}

/// What a device made up is a name, not a code.
fn is_ucum(unit: &str) -> bool {
    let of_a_day = unit.strip_prefix('(').and_then(|rest| rest.strip_suffix(")/d"));
    unit == "K/d" || ucum::canonical(of_a_day.unwrap_or(unit)).is_some()
}

fn hours(name: &str, us: i64) -> Value {
    quantity(name, hours_of(us), "h")
}

/// To the second.
fn hours_of(us: i64) -> f64 {
    i32::try_from(us / time::SECOND).map_or(f64::from(i32::MAX), f64::from) / 3600.0
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

fn float(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}

/// The number as people write it: so many digits after the point at most.
fn decimal(value: f64, digits: usize) -> Value {
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let text = if text == "-0" { "0" } else { text };
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}
