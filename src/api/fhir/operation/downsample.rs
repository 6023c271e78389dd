//! `Observation/$downsample`: waveforms and series of numbers over a time with so many points as can be drawn, each with
//! the lowest and the highest value of its time, as `SampledData`.

use serde_json::{Value, json};

use super::Call;
use super::input::{Input, required};
use super::series::{members, period_json, stretch, subject, wanted};
use crate::error::Error;
use crate::fhir::time;
use crate::fhir::waveform::Envelope;
use crate::fhir::{UCUM, ucum};
use crate::store::{Drawing, Sampled, Wanted};

const PARAMETERS: [&str; 9] = ["subject", "code", "system", "coding", "duration", "period", "start", "end", "points"];
const POINTS: usize = 1000;
const MOST_POINTS: usize = 5000;
/// Waveforms and readings that one question may cost.
const READ: usize = 200_000;

pub(super) async fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let input = Input::of(call, None)?;
    input.only(&PARAMETERS)?;
    let subject = subject(call, &input)?;
    let span = span(call, &input)?;
    let points = input.number("points", 1)?.unwrap_or(POINTS).min(MOST_POINTS);
    let mut parameters = Vec::new();
    for code in wanted(&input)? {
        let series = waves(call, &subject, &code, span, points).await?;
        let series = if series.is_empty() { numbers(call, &subject, &code, span, points).await? } else { series };
        parameters.extend(series.into_iter().map(|(code, sampled)| {
            let observation = json!({"resourceType": "Observation", "status": "final", "code": code,
                "subject": {"reference": subject}, "effectivePeriod": period_json(span.0, span.1),
                "valueSampledData": sampled});
            json!({"name": "series", "resource": observation})
        }));
    }
    let mut answer = members(json!({"resourceType": "Parameters"}));
    if !parameters.is_empty() {
        answer.insert("parameter".into(), parameters.into());
    }
    Ok(Value::from(answer).to_string().into_bytes())
}

/// From the first up to, and without, the second, µs UTC. All of it has to be said: it is divided.
fn span(call: &Call<'_>, input: &Input) -> Result<(i64, i64), Error> {
    let bound = |name: &str| {
        let Some(text) = input.text(name)? else { return Ok(None) };
        let range =
            time::range(text).ok_or_else(|| Error::invalid("value", format!("http.{name}"), "this is no dateTime"));
        range.map(|range| Some(if name == "start" { range.start } else { range.end }))
    };
    let span = match (bound("start")?, bound("end")?) {
        (None, None) => stretch(call, input)?.ok_or_else(|| required("period"))?,
        (start, end) => {
            if input.has("period") || input.has("duration") {
                return Err(Error::invalid(
                    "value",
                    "http.start",
                    "the time is given once: start and end, period, or duration",
                ));
            }
            let start = start.ok_or_else(|| required("start"))?;
            (start, end.unwrap_or_else(|| call.state.store.clock().now().saturating_add(1)))
        }
    };
    let is_bounded = span.0 > time::BEFORE_ALL && span.1 < time::AFTER_ALL && span.0 < span.1;
    if is_bounded {
        Ok(span)
    } else {
        Err(Error::invalid("value", "http.period", "a time with a beginning and an end is needed"))
    }
}

fn too_costly() -> Error {
    Error::unprocessable("too-costly", "http.period", "this is about more readings than one answer may cost")
}

async fn waves(
    call: &Call<'_>,
    subject: &str,
    code: &Wanted,
    span: (i64, i64),
    points: usize,
) -> Result<Vec<(Value, Value)>, Error> {
    let drawing = Drawing { subject: subject.to_owned(), code: code.clone(), span, points, most: READ };
    let drawn = call.state.store.drawn(call.access, drawing).await?.ok_or_else(too_costly)?;
    Ok(drawn.into_iter().map(|one| (one.code, one.envelope.sampled_data(Some(&one.origin)))).collect())
}

async fn numbers(
    call: &Call<'_>,
    subject: &str,
    code: &Wanted,
    span: (i64, i64),
    points: usize,
) -> Result<Vec<(Value, Value)>, Error> {
    let draw = move |numbers: Vec<Sampled>| draw(&numbers, span, points);
    let drawn = call.state.store.sampled(call.access, subject, code.clone(), vec![span], READ, draw).await?;
    let (system, code) = code;
    let coding = match system {
        Some(system) if !system.is_empty() => json!({"system": system, "code": code}),
        _ => json!({"code": code}),
    };
    let series = drawn.ok_or_else(too_costly)?.into_iter();
    Ok(series.map(|sampled| (json!({"coding": [coding]}), sampled)).collect())
}

/// One series for each unit.
fn draw(numbers: &[Sampled], span: (i64, i64), points: usize) -> Vec<Value> {
    let mut units: Vec<Option<&str>> = numbers.iter().map(|number| number.unit.as_deref()).collect();
    units.sort_unstable();
    units.dedup();
    let one = |unit: Option<&str>| {
        let mut envelope = Envelope::new(span, points);
        for number in numbers.iter().filter(|number| number.unit.as_deref() == unit) {
            envelope.add(number.starts, number.value, number.value);
        }
        let unit = unit.map(|code| match ucum::canonical(code) {
            Some(_) => json!({"unit": ucum::human(code), "system": UCUM, "code": code}),
            None => json!({"unit": code}),
        });
        envelope.sampled_data(unit.as_ref())
    };
    units.into_iter().map(one).collect()
}
