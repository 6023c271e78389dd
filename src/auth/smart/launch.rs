//! A launch from a patient's page, of ours or of another record system: the context is kept here, the app gets a
//! handle to it and comes back with that.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::grant::Context;
use super::registration::GrantType;
use super::{SECOND, Smart, ticket};
use crate::auth::access::{Access, Action, Principal};
use crate::error::Error;
use crate::fhir::compartment;

/// How long a launch may take until its app asks for leave, µs.
const GOOD: i64 = 5 * 60 * SECOND;
/// Other resources than patient and encounter.
const MANY: usize = 20;
const MAX_TEXT: usize = 200;

/// A launch that waits for its app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    pub client: String,
    /// The user who launched it, where one did: nobody else goes on with it.
    pub account: Option<String>,
    pub context: Context,
}

/// Where the browser goes.
#[derive(Debug)]
pub struct Launched {
    pub handle: String,
    pub url: Option<String>,
}

impl Smart {
    /// Makes a launch. The caller must be allowed to see what the app is launched with.
    pub async fn launch(&self, access: &Access, client: &str, context: Context) -> Result<Launched, Error> {
        let account = match access.principal() {
            Principal::User { id, .. } => Some(id.clone()),
            _ if access.may_launch() => None,
            _ => {
                return Err(Error::Forbidden(
                    "A launch needs the scope smart/orchestrate_launch, or a user.".to_owned(),
                ));
            }
        };
        let found =
            self.clients.find(client).await?.filter(|client| client.registration.may(GrantType::AuthorizationCode));
        let found = found.ok_or_else(|| Error::unprocessable("value", "client_id", "no such app is registered"))?;
        self.check(access, &context).await?;
        let launch = Launch { client: client.to_owned(), account, context };
        let now = self.store.clock().now();
        let (handle, row) = ticket::make(ticket::LAUNCH, &launch, now + GOOD)?;
        self.store.add_ticket(row, now).await?;
        let url =
            found.registration.initiate_login_uri.as_deref().and_then(|uri| Url::parse(uri).ok()).map(|mut url| {
                url.query_pairs_mut().append_pair("iss", self.fhir_base()).append_pair("launch", &handle);
                url.to_string()
            });
        Ok(Launched { handle, url })
    }

    async fn check(&self, access: &Access, context: &Context) -> Result<(), Error> {
        let texts = [&context.intent, &context.tenant];
        if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT || text.chars().any(char::is_control)) {
            return Err(Error::unprocessable("value", "intent", "intent and tenant have 200 plain characters at most"));
        }
        if context.fhir_context.len() > MANY || context.fhir_context.iter().any(|item| !names_something(item)) {
            let why = "each needs a reference, a canonical or an identifier; 20 are taken";
            return Err(Error::unprocessable("value", "fhirContext", why));
        }
        if let Some(patient) = &context.patient {
            self.store.find(access, "Patient", patient).await?;
        }
        self.check_encounter(access, context).await
    }

    /// An encounter in context is one of the patient in context, and the caller may see it.
    pub(super) async fn check_encounter(&self, access: &Access, context: &Context) -> Result<(), Error> {
        let Some(encounter) = &context.encounter else { return Ok(()) };
        access.check(Action::Read, "Encounter")?;
        let found = self.store.find(access, "Encounter", encounter).await?;
        let patients = compartment::patients("Encounter", encounter, &found.value()?);
        let own = context.patient.as_ref().map(|patient| format!("Patient/{patient}"));
        if own.is_some_and(|own| patients.contains(&own)) {
            return Ok(());
        }
        Err(Error::unprocessable("value", "encounter", "the encounter is not one of the patient in context"))
    }

    /// A launch that this client was launched with.
    pub(super) async fn launched(&self, client: &str, handle: &str) -> Result<Option<Launch>, Error> {
        let found = self.store.ticket(ticket::LAUNCH, ticket::hash(handle), self.store.clock().now()).await?;
        let launch: Option<Launch> = found.as_ref().map(ticket::read).transpose()?;
        Ok(launch.filter(|launch| launch.client == client))
    }
}

fn names_something(item: &Value) -> bool {
    let text = |name: &str| {
        item.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty() && text.len() <= MAX_TEXT)
    };
    text("reference") || text("canonical") || item.get("identifier").is_some_and(Value::is_object)
}
