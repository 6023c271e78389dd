//! Segments as we write them, in the separators of whoever reads them: a patient, and where that patient is.

use serde_json::Value;

use super::{Separators, escape};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::fhir::{OURS, reading, reference};
use crate::store::Store;

/// The identifier system of places: `ward^room^bed^facility` as PL writes them.
pub fn place_system() -> String {
    format!("{OURS}/hl7v2-location")
}

/// Writes segments for somebody.
#[derive(Clone, Copy)]
pub struct Writer<'w> {
    pub separators: Separators,
    /// Names of assigning authorities (CX-4), and the identifier systems that they stand for.
    pub authorities: &'w [(String, String)],
}

impl Writer<'_> {
    /// A value, escaped.
    pub fn text(&self, text: &str) -> String {
        escape::encode(text, &self.separators)
    }

    /// Components, each escaped.
    pub fn components(&self, parts: &[String]) -> String {
        let all: Vec<String> = parts.iter().map(|part| self.text(part)).collect();
        all.join(&self.separators.component.to_string()).trim_end_matches(self.separators.component).to_owned()
    }

    /// A segment: fields by their numbers, the first of which is this one's number.
    pub fn line(&self, name: &str, at: usize, fields: &[(usize, String)]) -> String {
        let last = fields.iter().map(|(field, _)| *field).max().unwrap_or(1);
        let mut all = vec![String::new(); last];
        for (place, text) in std::iter::once(&(1, at.to_string())).chain(fields) {
            if let Some(slot) = all.get_mut(place.saturating_sub(1)) {
                text.clone_into(slot);
            }
        }
        let separator = self.separators.field;
        format!("{name}{separator}{}", all.join(&separator.to_string()))
    }

    /// PID of a Patient.
    pub fn pid(&self, at: usize, patient: &Value) -> String {
        let text = |value: &Value, member: &str| reading::str_of(value, member).unwrap_or_default().to_owned();
        let ids = reading::list(patient.get("identifier")).filter(|id| id.get("value").is_some()).map(|id| {
            let system = text(id, "system");
            let known = self.authorities.iter().find(|(_, own)| *own == system);
            self.components(&[
                text(id, "value"),
                String::new(),
                String::new(),
                known.map(|(name, _)| name.clone()).unwrap_or_default(),
            ])
        });
        let names = reading::list(patient.get("name")).map(|name| {
            let given: Vec<String> =
                reading::list(name.get("given")).filter_map(Value::as_str).map(str::to_owned).collect();
            let first = given.first().cloned().unwrap_or_default();
            self.components(&[text(name, "family"), first, given.into_iter().skip(1).collect::<Vec<_>>().join(" ")])
        });
        let repetition = self.separators.repetition.to_string();
        let sex = match text(patient, "gender").as_str() {
            "female" => "F",
            "male" => "M",
            "other" => "O",
            "unknown" => "U",
            _ => "",
        };
        let birth = text(patient, "birthDate").replace('-', "");
        let fields = [
            (3, ids.collect::<Vec<_>>().join(&repetition)),
            (5, names.collect::<Vec<_>>().join(&repetition)),
            (7, birth),
            (8, sex.to_owned()),
        ];
        self.line("PID", at, &fields)
    }

    /// PV1: where a patient (`Patient/…`) is, of the one visit that goes on.
    pub async fn pv1(&self, at: usize, store: &Store, access: &Access, patient: &str) -> Result<Option<String>, Error> {
        let query = Query::new("Encounter", &[("patient", patient), ("status", "in-progress")], 2)?;
        let found = match store.search(access, query).await {
            Ok(page) => page.hits,
            // Who may see people but no visits is told of people.
            Err(Error::Forbidden(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let [visit] = found.as_slice() else { return Ok(None) };
        let visit = visit.value()?;
        let class = match visit.pointer("/class/code").and_then(Value::as_str) {
            Some("IMP" | "ACUTE" | "NONAC") => "I",
            Some("EMER") => "E",
            Some("AMB") => "O",
            Some("PRENC") => "P",
            _ => "U",
        };
        let active = |place: &&Value| reading::str_of(place, "status").is_none_or(|status| status == "active");
        let here = reading::list(visit.get("location")).filter(active).last();
        let mut place = String::new();
        if let Some(local) = here.and_then(|it| it.pointer("/location/reference")?.as_str()).and_then(reference::local)
        {
            match store.find(access, "Location", local.id).await {
                Ok(location) => place = self.place(&location.value()?),
                Err(Error::NotFound { .. } | Error::Gone { .. } | Error::Forbidden(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(self.line("PV1", at, &[(2, class.to_owned()), (3, place)])))
    }

    fn place(&self, location: &Value) -> String {
        let system = place_system();
        let mut own = reading::list(location.get("identifier"));
        let named = own.find(|id| reading::str_of(id, "system") == Some(system.as_str()));
        match named.and_then(|id| reading::str_of(id, "value")) {
            Some(id) => self.components(&id.split('^').map(str::to_owned).collect::<Vec<_>>()),
            None => self.components(&[
                String::new(),
                String::new(),
                reading::str_of(location, "name").unwrap_or_default().to_owned(),
            ]),
        }
    }
}
