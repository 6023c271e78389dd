//! An alert as FHIR tells it: the DetectedIssue of an episode, its next version after each change, and what the
//! engine needs to go on with an open one after a restart. Pure: nothing is stored and no clock is read.
//!
//! One resource per episode, one version per change of level. `status` is preliminary while it fires and final
//! when it is over; severity high is critical, moderate is a warning, low is a technical alert. Whatever others
//! added to the resource (mitigations, notes, tags) is carried on. Our extensions are named after the elements of
//! R6 `DeviceAlert`, so that a later mapping is one to one; below `https://vigia.dev/fhir/StructureDefinition/`:
//!
//! | extension | value | meaning |
//! |---|---|---|
//! | `alert-lifecycle-state` | code, see `lifecycle` | where the episode stands |
//! | `alert-level` | code warning\|critical\|technical | how far from normal; when over, how far it was |
//! | `alert-priority` | code high\|medium\|low | priority in the sense of IEC 60601-1-8 |
//! | `alert-type` | code physiological\|technical | what it is about: the patient or the measurement |
//! | `alert-condition-limit` | Range | the limit that was broken: `low` for a low one, `high` for a high one |
//! | `alert-event` | `kind` code, `at` instant, `value` Quantity | the change that made this version |
//! | `alert-evidence-count` | unsignedInt | readings that changed the episode so far, kept or not |
//! | `alert-transition` | `kind` code, `at` instant, `level` code, `value` Quantity | each change of level, the oldest first |
//! | `alert-episode-count` | unsignedInt | how often it was raised, when it came back soon after it was over |
//! | `alert-late` | boolean | everything so far was known too late to sound anywhere |
//! | `alert-encounter` | Reference(Encounter) | where the patient was |
//! | `alert-shadow` | boolean | its rule is on trial: recorded, and told to nobody |
//! | `alert-silent-device` | Reference(Device) | the device whose silence it is about |
//! | `alert-inhibited-by` | Reference(DetectedIssue) | the alert of a silent device that speaks for this one too |
//! | `alert-condition-presence` | code present | somebody closed it while its condition holds; gone with the condition |
//! | `alert-reading` (on evidence) | `at` instant, `value` Quantity | the reading, for those who show it |

mod evidence;
mod transitions;
mod words;

use serde_json::{Map, Number, Value, json};

use super::rule::{Cause, Condition, Level, Limit, Per, Priority, Rule, Side};
use super::window::{Kind, Sample, Transition, level_told};
use crate::clock::derived_id;
use crate::fhir::{OURS, UCUM, reading, reference, time, ucum};
pub use transitions::Step;

/// System of the identifier of an episode.
pub const EPISODE: &str = "urn:vigia:alert-episode";

/// One change of an episode, with what a transition does not know: where its readings are found.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub rule: &'a Rule,
    pub transition: &'a Transition,
    /// Versioned reference of the Observation of `transition.sample`.
    pub observation: &'a str,
    /// The same for `transition.peak`.
    pub peak: Option<&'a str>,
    /// It was known too late to sound anywhere.
    pub late: bool,
}

/// A new episode.
#[derive(Clone, Copy, Debug)]
pub struct Episode<'a> {
    pub change: Change<'a>,
    /// Versioned reference of the Observation of `transition.onset`.
    pub onset: &'a str,
    /// What the rule key is about (`Rule::subject`).
    pub subject: &'a str,
    /// `Patient/…`
    pub patient: &'a str,
    /// `Device/…` that stands for the rule engine.
    pub author: &'a str,
    /// The Device that measured, or the Observation of the score that it is about.
    pub implicated: Option<&'a str>,
    pub encounter: Option<&'a str>,
}

/// What an open DetectedIssue says about its episode.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenEpisode {
    pub id: String,
    pub patient: String,
    pub rule_url: String,
    pub rule_version: String,
    pub rule_key: String,
    pub cause: Cause,
    pub level: Level,
    /// The device whose silence it is about.
    pub device: Option<String>,
    /// It was known too late to sound.
    pub late: bool,
    pub standing: Standing,
    /// Time of the first reading, µs UTC.
    pub onset: i64,
    /// Time of the reading that made the last change, µs UTC.
    pub changed: i64,
    pub peak: Option<f64>,
}

/// How an episode stands that something can still become of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    Firing,
    /// Its condition is gone, and nobody has acknowledged it.
    Latched,
    /// Somebody closed it while its condition held, and it holds still.
    Closed,
}

/// The id of an episode: the same cause always has the same, so that a repeated evaluation finds what it wrote
/// before. A UUID of version 8: milliseconds of the onset (ids sort by time), then a hash.
pub fn episode_id(patient: &str, rule_url: &str, rule_key: &str, trigger: &str, onset: i64) -> String {
    derived_id(&[patient, rule_url, rule_key, trigger], onset)
}

/// The first version of an episode.
pub fn raised(episode: &Episode) -> Value {
    let Change { rule, transition, .. } = episode.change;
    let key = transition.cause.key(episode.subject);
    let trigger = reference::unversioned(episode.change.observation);
    let id = episode_id(episode.patient, &rule.url, &key, trigger, transition.onset.at);
    let text = words::title(rule, transition.cause);
    let mut issue = Map::new();
    let mut put = |name: &str, value: Value| issue.insert(name.to_owned(), value);
    put("resourceType", "DetectedIssue".into());
    put("id", id.clone().into());
    put("extension", json!([]));
    put("identifier", json!([{"system": EPISODE, "value": id}]));
    put("status", "preliminary".into());
    put(
        "code",
        json!({
            "coding": [
                {"system": system("alert"), "code": transition.cause.code()},
                {"system": system("alert-rule"), "code": key}
            ],
            "text": text
        }),
    );
    put("severity", priority(rule, transition).severity().into());
    put("patient", json!({"reference": episode.patient}));
    put("identifiedPeriod", json!({"start": time::instant(transition.onset.at)}));
    put("author", json!({"reference": episode.author, "display": "Vigía rule engine"}));
    if let Some(implicated) = episode.implicated {
        put("implicated", json!([{"reference": implicated}]));
    }
    put("evidence", evidence::first(episode));
    put("detail", Value::Null);
    put("reference", rule.canonical().into());
    if let Some(encounter) = episode.encounter {
        extend(&mut issue, "alert-encounter", "valueReference", json!({"reference": encounter}));
    }
    if let (Condition::Missing { per: Per::Device, .. }, Some(device)) = (&rule.condition, episode.implicated) {
        extend(&mut issue, "alert-silent-device", "valueReference", json!({"reference": device}));
    }
    if rule.shadow {
        extend(&mut issue, "alert-shadow", "valueBoolean", true.into());
    }
    extend(&mut issue, "alert-type", "valueCode", kind_of_alert(transition).into());
    tell(&mut issue, &episode.change);
    Value::Object(issue)
}

/// The next version of an episode after a change of any kind; a raise opens a resolved one again. What is no
/// DetectedIssue comes back as it is.
pub fn changed(previous: &Value, change: &Change) -> Value {
    let Some(issue) = previous.as_object().filter(|i| i.get("resourceType") == Some(&"DetectedIssue".into())) else {
        return previous.clone();
    };
    let mut issue = issue.clone();
    let evidence = evidence::next(issue.get("evidence"), change);
    issue.insert("evidence".to_owned(), evidence);
    tell(&mut issue, change);
    Value::Object(issue)
}

/// Reads back an episode that is not over, or that waits to be acknowledged.
pub fn open_episode(issue: &Value) -> Option<OpenEpisode> {
    held_episode(issue).filter(|episode| episode.standing != Standing::Closed)
}

/// The same, or one that somebody closed while its condition holds.
pub fn held_episode(issue: &Value) -> Option<OpenEpisode> {
    let text = |pointer: &str| issue.pointer(pointer).and_then(Value::as_str);
    let open = matches!(text("/status")?, "registered" | "preliminary" | "amended" | "corrected");
    let state = extension(issue, "alert-lifecycle-state")?;
    let standing = match state {
        "resolved" if extension(issue, PRESENCE).is_some() => Standing::Closed,
        "latched" if open => Standing::Latched,
        "resolved" => return None,
        _ if open && text("/identifiedPeriod/end").is_none() => Standing::Firing,
        _ => return None,
    };
    if text("/resourceType")? != "DetectedIssue" {
        return None;
    }
    let codings = reading::codings(issue.get("code"));
    let code = |name: &str| codings.iter().find(|(s, _)| *s == system(name)).map(|(_, code)| code.as_str());
    let (rule_url, rule_version) = text("/reference")?.split_once('|')?;
    // A technical alert has no degrees.
    let level = level_told(extension(issue, "alert-level")?).unwrap_or(Level::Warning);
    let onset = time::range(text("/identifiedPeriod/start")?)?.start;
    Some(OpenEpisode {
        id: text("/id")?.to_owned(),
        patient: text("/patient/reference")?.to_owned(),
        rule_url: rule_url.to_owned(),
        rule_version: rule_version.to_owned(),
        rule_key: code("alert-rule")?.to_owned(),
        cause: Cause::from_code(code("alert")?)?,
        level,
        device: listened_device(issue).map(str::to_owned),
        late: is_late(issue),
        standing,
        onset,
        changed: event_time(issue).unwrap_or(onset),
        peak: evidence::peak(issue.get("evidence")),
    })
}

/// The device whose silence an alert is about.
pub(super) fn listened_device(issue: &Value) -> Option<&str> {
    member(issue.get("extension")?, "alert-silent-device")?.pointer("/valueReference/reference")?.as_str()
}

/// Was it raised by this rule (whatever version), about this device's silence if about one's?
pub fn is_of(issue: &Value, rule_url: &str, device: Option<&str>) -> bool {
    let reference = issue.get("reference").and_then(Value::as_str).unwrap_or_default();
    reference.split('|').next() == Some(rule_url) && listened_device(issue) == device
}

/// Every change of level that an episode tells.
pub fn steps(issue: &Value) -> Vec<Step> {
    transitions::steps(issue)
}

/// Why it was raised; none for what no rule of ours raised.
pub fn cause(issue: &Value) -> Option<Cause> {
    let own = system("alert");
    reading::codings(issue.get("code")).iter().find(|(s, _)| *s == own).and_then(|(_, code)| Cause::from_code(code))
}

/// The episode as it was before an instant, to be told on from there.
pub fn as_before(previous: &Value, rule: &Rule, from: i64) -> Value {
    let Some(mut issue) = previous.as_object().cloned() else { return previous.clone() };
    transitions::forget_from(&mut issue, from);
    let evidence = evidence::before(issue.get("evidence"), from);
    issue.insert("evidence".to_owned(), evidence);
    count_raises(&mut issue);
    let mut issue = Value::Object(issue);
    let (last, cause) = (transitions::steps(&issue).last().copied(), cause(&issue));
    if let (Some(last), Some(cause), Some(issue)) = (last, cause, issue.as_object_mut()) {
        stand(issue, rule, cause, last.level);
    }
    issue
}

/// The episode told from its beginning, under the id of the one that was told before, with what others added.
pub fn told_anew(previous: &Value, fresh: Value) -> Value {
    let (Some(old), Value::Object(mut issue)) = (previous.as_object(), fresh) else { return previous.clone() };
    for kept in ["id", "meta", "identifier", "reference", "mitigation", "text", "contained"] {
        if let Some(value) = old.get(kept) {
            issue.insert(kept.to_owned(), value.clone());
        }
    }
    Value::Object(issue)
}

/// Says that the condition of an alert that somebody closed still holds (`DeviceAlert.condition.presence`).
pub(super) const PRESENCE: &str = "alert-condition-presence";

/// Was everything so far known too late to sound anywhere?
pub fn is_late(issue: &Value) -> bool {
    issue.get("extension").is_some_and(|list| member(list, "alert-late").is_some())
}

/// The episode still stands by a fresh reading: from now on it sounds.
pub fn confirmed(previous: &Value) -> Value {
    let Some(mut issue) = previous.as_object().cloned() else { return previous.clone() };
    on_time(&mut issue);
    Value::Object(issue)
}

fn on_time(issue: &mut Map<String, Value>) {
    if let Some(list) = issue.get_mut("extension").and_then(Value::as_array_mut) {
        list.retain(|extension| !is_ours(extension, "alert-late"));
    }
}

/// The episode that never was.
pub fn retracted(previous: &Value) -> Value {
    let Some(mut issue) = previous.as_object().cloned() else { return previous.clone() };
    issue.insert("status".to_owned(), "entered-in-error".into());
    extend(&mut issue, "alert-lifecycle-state", "valueCode", "retracted".into());
    Value::Object(issue)
}

/// An open episode at this level.
fn stand(issue: &mut Map<String, Value>, rule: &Rule, cause: Cause, level: Level) {
    issue.insert("status".to_owned(), "preliminary".into());
    if let Some(period) = issue.get_mut("identifiedPeriod").and_then(Value::as_object_mut) {
        period.shift_remove("end");
    }
    let priority = if cause.is_technical() { Priority::Low } else { rule.priority(level) };
    issue.insert("severity".to_owned(), priority.severity().into());
    extend(issue, "alert-level", "valueCode", rule.level_code(cause, level).into());
    extend(issue, "alert-priority", "valueCode", priority.code().into());
    extend(issue, "alert-lifecycle-state", "valueCode", "raised".into());
}

/// The Quantity of the worst reading of an episode.
pub fn peak(issue: &Value) -> Option<&Value> {
    evidence::peak_quantity(issue.get("evidence"))
}

/// Writes everything that every version says anew.
fn tell(issue: &mut Map<String, Value>, change: &Change) {
    let Change { rule, transition, .. } = *change;
    let over = transition.to == Level::None;
    issue.insert("status".to_owned(), if over { "final" } else { "preliminary" }.into());
    issue.insert("severity".to_owned(), priority(rule, transition).severity().into());
    if let Some(period) = issue.get_mut("identifiedPeriod").and_then(Value::as_object_mut) {
        period.shift_remove("end");
        if over {
            period.insert("end".to_owned(), time::instant(transition.at).into());
        }
    }
    let peak = evidence::peak(issue.get("evidence"));
    issue.insert("detail".to_owned(), words::sentence(rule, transition, peak).into());
    let state = match transition.kind {
        Kind::Raise | Kind::Escalate => Some("raised"),
        Kind::Resolve => Some("resolved"),
        Kind::Deescalate => None,
    };
    if let Some(state) = state {
        extend(issue, "alert-lifecycle-state", "valueCode", state.into());
    }
    extend(issue, "alert-level", "valueCode", rule.level_code(transition.cause, transition.level()).into());
    extend(issue, "alert-priority", "valueCode", priority(rule, transition).code().into());
    if let Some(range) = limit_range(rule, transition) {
        extend(issue, "alert-condition-limit", "valueRange", range);
    }
    let mut event = vec![json!({"url": "kind", "valueCode": transition.kind.code()})];
    event.extend(sample(rule, &Sample { at: transition.at, ..transition.sample }));
    extend(issue, "alert-event", "extension", event.clone().into());
    event.push(json!({"url": "level", "valueCode": rule.level_code(transition.cause, transition.level())}));
    transitions::tell(issue, &event);
    count_raises(issue);
    let known =
        transitions::count(issue) > 1 && issue.get("extension").is_none_or(|list| member(list, "alert-late").is_none());
    if change.late && !known {
        extend(issue, "alert-late", "valueBoolean", true.into());
    } else if !change.late {
        on_time(issue);
    }
    let count = issue.get("extension").and_then(|list| member(list, "alert-evidence-count")?.get("valueUnsignedInt"));
    let count = count.and_then(Value::as_u64).unwrap_or(0).saturating_add(1).min(2_147_483_647);
    extend(issue, "alert-evidence-count", "valueUnsignedInt", count.into());
}

/// How often an episode was raised that came back soon after it was over.
fn count_raises(issue: &mut Map<String, Value>) {
    let raises = transitions::raises(issue);
    if raises > 1 {
        extend(issue, "alert-episode-count", "valueUnsignedInt", raises.into());
    } else if let Some(list) = issue.get_mut("extension").and_then(Value::as_array_mut) {
        list.retain(|extension| !is_ours(extension, "alert-episode-count"));
    }
}

/// How urgent an alert is; one about the measurement never says that the patient is in danger.
fn priority(rule: &Rule, transition: &Transition) -> Priority {
    if transition.cause.is_technical() { Priority::Low } else { rule.priority(transition.level()) }
}

fn kind_of_alert(transition: &Transition) -> &'static str {
    if transition.cause.is_technical() { "technical" } else { "physiological" }
}

/// The broken limit, or for an implausible value the plausible range.
fn limit_range(rule: &Rule, transition: &Transition) -> Option<Value> {
    let bound = |value: f64| quantity(rule, value);
    if transition.cause == Cause::Implausible {
        return rule.plausible().and_then(|p| Some(json!({"low": bound(p.low)?, "high": bound(p.high)?})));
    }
    let side = transition.cause.side().unwrap_or(Side::High);
    transition.limit.and_then(|Limit { value, .. }| Some(json!({side.code(): bound(value)?})))
}

/// A value in the rule's unit; none for what is no number.
fn quantity(rule: &Rule, value: f64) -> Option<Value> {
    let value = decimal(value)?;
    let unit = ucum::human(rule.unit());
    let unit = if unit.is_empty() { rule.unit() } else { unit };
    Some(json!({"value": value, "unit": unit, "system": UCUM, "code": rule.unit()}))
}

/// A number without the `.0` that would claim a digit more than was measured.
fn decimal(value: f64) -> Option<Value> {
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    if whole { serde_json::from_str(&format!("{value:.0}")).ok() } else { Number::from_f64(value).map(Value::Number) }
}

/// Time and value of a reading as parts of a complex extension.
fn sample(rule: &Rule, sample: &Sample) -> Vec<Value> {
    let at = json!({"url": "at", "valueInstant": time::instant(sample.at)});
    let value = quantity(rule, sample.value).map(|value| json!({"url": "value", "valueQuantity": value}));
    std::iter::once(at).chain(value).collect()
}

pub(super) fn system(name: &str) -> String {
    format!("{OURS}/CodeSystem/{name}")
}

/// The url of our extension of this name.
pub(super) fn url(name: &str) -> String {
    format!("{OURS}/StructureDefinition/{name}")
}

pub(super) fn is_ours(extension: &Value, name: &str) -> bool {
    let url = extension.get("url").and_then(Value::as_str).and_then(|url| url.strip_prefix(OURS));
    url.and_then(|rest| rest.strip_prefix("/StructureDefinition/")) == Some(name)
}

/// Our extension of this name in a list of extensions.
pub(super) fn member<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|extension| is_ours(extension, name))
}

/// Our extension of this name of a resource.
pub fn ours<'a>(resource: &'a Value, name: &str) -> Option<&'a Value> {
    member(resource.get("extension")?, name)
}

pub(super) fn extension<'a>(issue: &'a Value, name: &str) -> Option<&'a str> {
    ours(issue, name)?.get("valueCode")?.as_str()
}

fn event_time(issue: &Value) -> Option<i64> {
    let parts = member(issue.get("extension")?, "alert-event")?.get("extension")?.as_array()?;
    let at = parts.iter().find(|part| part.get("url").and_then(Value::as_str) == Some("at"))?;
    Some(time::range(at.get("valueInstant")?.as_str()?)?.start)
}

/// Sets our extension of this name, in its place if it stands there already.
pub fn extend(issue: &mut Map<String, Value>, name: &str, value_name: &str, value: Value) {
    let mut ours = Map::new();
    ours.insert("url".to_owned(), url(name).into());
    ours.insert(value_name.to_owned(), value);
    let ours = Value::Object(ours);
    let list = issue.entry("extension").or_insert_with(|| json!([]));
    match list.as_array_mut() {
        Some(list) => match list.iter_mut().find(|extension| is_ours(extension, name)) {
            Some(place) => *place = ours,
            None => list.push(ours),
        },
        None => *list = json!([ours]),
    }
}

#[cfg(test)]
mod tests;
