//! What was granted: the scopes, the context that the app was started in, and who by. Kept as JSON beside the grant.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The context that an app is started in. References are logical ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fhir_context: Vec<Value>,
    /// Whether the app must itself show whose record it is.
    pub need_patient_banner: bool,
}

impl Context {
    /// As it stands beside a token.
    pub fn told(&self) -> Map<String, Value> {
        let mut told = Map::new();
        let texts = [
            ("patient", &self.patient),
            ("encounter", &self.encounter),
            ("intent", &self.intent),
            ("tenant", &self.tenant),
        ];
        for (name, value) in texts {
            told.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
        }
        if self.patient.is_some() {
            told.insert("need_patient_banner".to_owned(), json!(self.need_patient_banner));
        }
        if !self.fhir_context.is_empty() {
            told.insert("fhirContext".to_owned(), json!(self.fhir_context));
        }
        told
    }
}

/// What a user, or a registration, has granted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Granted {
    /// With spaces between.
    pub scope: String,
    pub context: Context,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Who the user is as a resource, where that was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
}

impl Granted {
    pub fn has(&self, scope: &str) -> bool {
        has(&self.scope, scope)
    }
}

/// Whether a list of scopes has this one.
pub fn has(scopes: &str, wanted: &str) -> bool {
    scopes.split_ascii_whitespace().any(|scope| scope == wanted)
}
