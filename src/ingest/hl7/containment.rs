//! What a monitor is made of, as OBX-4 of PCD-01 says it (IHE PCD TF-2, appendix B.8: MDS, VMD, channel and metric by their
//! numbers, `1.2.1.4`): each part a Device below the one that holds it, each metric a `DeviceMetric` that readings name
//! as what measured them. Only parts that the message itself describes; whose monitor does not say who it is, is left alone.

use serde_json::{Map, Value, json};

use super::coded;
use super::message::Segment;
use super::policy;
use crate::normalize::draft::Coding;
use crate::pipeline::{Identity, Said};

/// MDS, VMD, channel, metric: 0 is none, and what follows the metric (its facet) is of no account.
type Path = [u32; 4];

/// The parts of the devices of one message.
#[derive(Default)]
pub(super) struct Containment {
    /// What holds others, with its name among what is said.
    holders: Vec<(Path, String)>,
    said: Vec<Said>,
}

impl Containment {
    /// Takes an OBX in: a row of a part, or of something measured. The name of the metric, for a reading.
    pub(super) fn take(&mut self, obx: &Segment<'_>, place: &str) -> Option<String> {
        let path = path(&obx.text(4, 1))?;
        let codings = obx.repetitions(3).next().map(|code| coded::codings(code).codings).unwrap_or_default();
        if obx.has(2) {
            return self.metric(path, obx, &codings, place);
        }
        if !obx.has(5) {
            self.holder(path, obx, &codings, place);
        }
        None
    }

    /// A row of a part. One that says who it is (OBX-18) is said by the tables; the others are known by where they are.
    fn holder(&mut self, path: Path, obx: &Segment<'_>, codings: &[Coding], place: &str) {
        if self.holders.iter().any(|(known, _)| *known == path) {
            return;
        }
        let name = format!("said:{place}>Device");
        if obx.has(18) {
            return self.holders.push((path, name));
        }
        let (Some(above), Some(code)) = (self.above(path).map(str::to_owned), codings.first()) else { return };
        let key = vec![above.clone(), written(path), code.code.clone()];
        let content = json!({"resourceType": "Device", "status": "active", "type": concept(codings),
            "parent": {"reference": above}});
        self.said.push(said("Device", &name, place, key, content));
        self.holders.push((path, name));
    }

    fn metric(&mut self, path: Path, obx: &Segment<'_>, codings: &[Coding], place: &str) -> Option<String> {
        let (_, source) = self.holders.iter().find(|(known, _)| *known == [path[0], 0, 0, 0])?;
        let (parent, code) = (self.above(path)?, codings.first()?);
        let name = format!("said:{place}>DeviceMetric");
        let key = vec![source.clone(), written(path), code.code.clone()];
        let mut content = json!({"resourceType": "DeviceMetric", "type": concept(codings),
            "source": {"reference": source}, "parent": {"reference": parent}, "category": "measurement"});
        let unit = obx.repetitions(6).next().map(|unit| coded::codings(unit).codings).unwrap_or_default();
        if let (false, Value::Object(members)) = (unit.iter().all(|unit| unit.code.is_empty()), &mut content) {
            members.insert("unit".into(), concept(&unit));
        }
        self.said.push(said("DeviceMetric", &name, place, key, content));
        Some(name)
    }

    /// The nearest part that holds what is here.
    fn above(&self, path: Path) -> Option<&str> {
        let holds = |holder: &Path| {
            *holder != path && holder.iter().zip(&path).all(|(outer, inner)| *outer == 0 || outer == inner)
        };
        let depth = |holder: &Path| holder.iter().filter(|number| **number != 0).count();
        let nearest = self.holders.iter().filter(|(holder, _)| holds(holder)).max_by_key(|(holder, _)| depth(holder));
        nearest.map(|(_, name)| name.as_str())
    }

    /// The parts, holders before what they hold.
    pub(super) fn finish(self) -> Vec<Said> {
        self.said
    }
}

/// `1.2.1.4` or `1.2.1.4.1`; a lone number is a line of a report, or a monitor that is one piece.
fn path(text: &str) -> Option<Path> {
    let mut path = [0; 4];
    for (to, number) in path.iter_mut().zip(text.split('.')) {
        *to = number.parse().ok()?;
    }
    (path[0] != 0).then_some(path)
}

fn written(path: Path) -> String {
    path.map(|number| number.to_string()).join(".")
}

fn concept(codings: &[Coding]) -> Value {
    let codings = codings.iter().map(|coding| {
        let mut one = Map::new();
        one.insert("system".into(), coding.system.as_str().into());
        one.insert("code".into(), coding.code.as_str().into());
        one.extend(coding.display.as_ref().map(|display| ("display".to_owned(), display.as_str().into())));
        one.retain(|_, value| value != "");
        Value::Object(one)
    });
    json!({"coding": codings.collect::<Vec<_>>()})
}

fn said(kind: &'static str, name: &str, place: &str, key: Vec<String>, content: Value) -> Said {
    Said {
        name: name.to_owned(),
        place: place.to_owned(),
        kind,
        identity: Identity { key, ..Identity::default() },
        content,
        merge: policy::update,
        at: None,
        optional: true,
    }
}
