//! How a visit goes on: an Encounter and what an event of a patient's stay says of it. Places are never lost: one that
//! was left is completed at the time of the event, one whose transfer is cancelled becomes active again.

use serde_json::{Value, json};

use super::policy::laid;
use crate::fhir::{reading, time};
use crate::pipeline::{Merge, Merged};

const EVENTS: [(&str, Merge); 9] = [
    ("admit", admit),
    ("plan", plan),
    ("transfer", transfer),
    ("untransfer", untransfer),
    ("discharge", discharge),
    ("undischarge", undischarge),
    ("cancel", cancel),
    ("update", update),
    ("person", person),
];

/// What an event does to an Encounter, by its name in the tables.
pub(super) fn of(name: &str) -> Merge {
    EVENTS.iter().find(|(known, _)| *known == name).map_or(update, |(_, merge)| *merge)
}

#[cfg(test)]
pub(super) fn is_known(name: &str) -> bool {
    EVENTS.iter().any(|(known, _)| *known == name)
}

/// A visit whose members are put together; its places and its status come after.
struct Visit {
    made: Value,
    /// The places that stood, and those that are said.
    before: Vec<Value>,
    said: Vec<Value>,
    at: Option<String>,
}

impl Visit {
    fn of(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Self {
        let places = |from: Option<&Value>| reading::list(from.and_then(|it| it.get("location"))).cloned().collect();
        let (before, told) = (places(standing), places(Some(said)));
        let mut said = said.clone();
        if let Value::Object(members) = &mut said {
            members.remove("location");
            if standing.is_some() {
                // What the class of a patient says of the state holds for a visit that is new here.
                members.remove("status");
            }
        }
        let mut made = laid(&said, standing);
        if let Value::Object(members) = &mut made {
            members.entry("status").or_insert_with(|| "unknown".into());
            members.entry("class").or_insert_with(
                || json!({"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}),
            );
        }
        Self { made, before, said: told, at: at.map(str::to_owned) }
    }

    fn status(mut self, status: &str) -> Self {
        set(&mut self.made, &["status"], status.into());
        self
    }

    /// The places that are said to be the patient's take the stead of those that were.
    fn moved(mut self) -> Self {
        let said = std::mem::take(&mut self.said);
        let here: Vec<&Value> = said.iter().filter(|place| is(place, "active")).collect();
        if !here.is_empty() {
            let stays = |place: &Value| here.iter().any(|now| same(now, place));
            let at = self.at.clone();
            for place in self.before.iter_mut().filter(|place| is(place, "active") && !stays(place)) {
                complete(place, at.as_deref());
            }
        }
        for mut place in said {
            let known = self.before.iter().any(|own| same(own, &place) && (is(own, "active") || !is(&place, "active")));
            if known {
                continue;
            }
            if let (true, Some(at)) = (is(&place, "active"), &self.at) {
                set(&mut place, &["period"], json!({"start": at}));
            }
            self.before.push(place);
        }
        self
    }

    /// The patient is where the message says, as if it had never left.
    fn back(mut self) -> Self {
        let said: Vec<Value> = std::mem::take(&mut self.said).into_iter().filter(|place| is(place, "active")).collect();
        for place in said {
            self.before.retain(|own| !is(own, "active") || same(own, &place));
            match self.before.iter_mut().rev().find(|own| same(own, &place)) {
                Some(own) => {
                    set(own, &["status"], "active".into());
                    if let Some(period) = own.get_mut("period").and_then(Value::as_object_mut) {
                        period.remove("end");
                    }
                }
                None => self.before.push(place),
            }
        }
        self
    }

    fn left(mut self) -> Self {
        let end = self.made.pointer("/period/end").and_then(Value::as_str).map(str::to_owned).or(self.at.clone());
        for place in self.before.iter_mut().filter(|place| is(place, "active")) {
            complete(place, end.as_deref());
        }
        self
    }

    fn done(mut self) -> Value {
        if let Value::Object(members) = &mut self.made {
            if self.before.is_empty() {
                members.remove("location");
            } else {
                members.insert("location".into(), self.before.into());
            }
        }
        self.made
    }
}

/// Puts a value where it belongs, whatever stood there.
fn set(node: &mut Value, path: &[&str], value: Value) {
    let Some((member, rest)) = path.split_first() else { return *node = value };
    if !node.is_object() {
        *node = json!({});
    }
    if let Value::Object(members) = node {
        set(members.entry(*member).or_insert(Value::Null), rest, value);
    }
}

fn is(place: &Value, status: &str) -> bool {
    place.get("status").and_then(Value::as_str).unwrap_or("active") == status
}

fn same(one: &Value, other: &Value) -> bool {
    let whose = |place: &Value| {
        let found = place.pointer("/location/reference").or_else(|| place.pointer("/location/display"));
        found.and_then(Value::as_str).map(str::to_owned)
    };
    whose(one) == whose(other)
}

/// A period that would end before it began has no end.
fn complete(place: &mut Value, at: Option<&str>) {
    set(place, &["status"], "completed".into());
    let start = place.pointer("/period/start").and_then(Value::as_str).and_then(time::range);
    let Some((text, end)) = at.and_then(|at| Some((at, time::range(at)?))) else { return };
    if start.is_none_or(|start| start.start <= end.start) {
        set(place, &["period", "end"], text.into());
    }
}

fn ended(made: &mut Value, at: Option<&str>) {
    let start = made.pointer("/period/start").and_then(Value::as_str).and_then(time::range);
    let known = made.pointer("/period/end").is_some();
    let Some((text, end)) = at.filter(|_| !known).and_then(|at| Some((at, time::range(at)?))) else { return };
    if start.is_none_or(|start| start.start <= end.start) {
        set(made, &["period", "end"], text.into());
    }
}

fn reopened(made: &mut Value) {
    if let Some(period) = made.get_mut("period").and_then(Value::as_object_mut) {
        period.remove("end");
    }
    if made.get("period") == Some(&json!({}))
        && let Value::Object(members) = made
    {
        members.remove("period");
    }
}

fn admit(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    let mut made = Visit::of(said, standing, at).status("in-progress").moved().done();
    if made.pointer("/period/start").is_none()
        && let Some(at) = at
    {
        set(&mut made, &["period", "start"], at.into());
    }
    Merged::Write(made)
}

/// A visit that is to come; one that has begun goes on.
fn plan(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    let begun = standing.as_ref().and_then(|it| it.get("status")).is_some_and(|status| status == "in-progress");
    let mut visit = Visit::of(said, standing, at);
    if begun {
        return Merged::Write(visit.moved().done());
    }
    for place in &mut visit.said {
        set(place, &["status"], "planned".into());
    }
    visit.before.retain(|place| !is(place, "planned"));
    visit.before.append(&mut visit.said);
    Merged::Write(visit.status("planned").done())
}

fn transfer(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    Merged::Write(Visit::of(said, standing, at).status("in-progress").moved().done())
}

fn untransfer(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    Merged::Write(Visit::of(said, standing, at).status("in-progress").back().done())
}

fn discharge(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    let mut made = Visit::of(said, standing, at).status("finished").moved().left().done();
    ended(&mut made, at);
    Merged::Write(made)
}

fn undischarge(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    let mut said = said.clone();
    reopened(&mut said);
    let mut made = Visit::of(&said, standing, at).status("in-progress").back().done();
    reopened(&mut made);
    Merged::Write(made)
}

fn cancel(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    Merged::Write(Visit::of(said, standing, at).status("cancelled").moved().left().done())
}

/// What is said of a visit that goes on as it was; one with an end that nobody knew is over.
pub(super) fn update(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    let over = standing.is_none() && said.pointer("/period/end").is_some();
    let live = standing.as_ref().is_none_or(|it| it.get("status").is_some_and(|status| status == "in-progress"));
    let visit = Visit::of(said, standing, at);
    Merged::Write(if over {
        visit.status("finished").moved().left().done()
    } else if live {
        visit.moved().done()
    } else {
        Visit { said: vec![], ..visit }.done()
    })
}

/// What is said of a person makes no visit.
pub(super) fn person(said: &Value, standing: Option<&Value>, at: Option<&str>) -> Merged {
    if standing.is_some() { update(said, standing, at) } else { Merged::Leave }
}
