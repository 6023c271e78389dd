//! The user's part: what an app asks for is shown, whose record it is about is chosen, and what was agreed to becomes a
//! grant and a code. Nobody grants more than was asked, than the app may have, or than the user may see.

use fhir_r4::check;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::grant::{Granted, has};
use super::refusal::Refusal;
use super::request::{Request, back, parsed, refused_at};
use super::{SECOND, Smart, ticket};
use crate::auth::access::scope::Context;
use crate::auth::access::{Access, Role};
use crate::auth::sessions::Person;
use crate::clock::new_id;
use crate::error::Error;
use crate::pipeline::Intent;
use crate::store::{Grant, Presented, Ticket};

/// How long a code is good, µs.
const CODE: i64 = 60 * SECOND;

/// What the user is asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Offer {
    pub client_name: String,
    /// The host that the answer goes to.
    pub returns_to: String,
    /// Who is signed in.
    pub user: String,
    pub scopes: Vec<Offered>,
    pub patient: Choice,
    pub encounter: Choice,
}

/// A scope, taken apart for showing it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Offered {
    pub scope: String,
    /// patient or user; none for those about the login.
    pub context: Option<&'static str>,
    /// `*` for all.
    pub resource_type: Option<String>,
    /// A part of cruds.
    pub actions: Option<String>,
    /// `category=vital-signs`
    pub conditions: Vec<String>,
}

/// Whether something is to be chosen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The app does not ask for it.
    None,
    /// This one: the app was launched with it, or the user has no other.
    Fixed(String),
    Choose,
}

/// What the user says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Of those that were shown.
    pub scopes: Vec<String>,
    /// A logical id.
    #[serde(default)]
    pub patient: Option<String>,
    /// A logical id.
    #[serde(default)]
    pub encounter: Option<String>,
}

/// What a code is exchanged for, and under which conditions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Code {
    pub grant: String,
    pub redirect_uri: String,
    pub challenge: String,
}

const GONE: Error = Error::Conflict("This request is answered, or too old; start again from the app.");

impl Smart {
    async fn waiting(&self, handle: &str, person: &Person) -> Result<Request, Error> {
        let found = self.store.ticket(ticket::REQUEST, ticket::hash(handle), self.store.clock().now()).await?;
        let request: Request = ticket::read(&found.ok_or(GONE)?)?;
        let other =
            |launch: &super::launch::Launch| launch.account.as_ref().is_some_and(|account| *account != person.id);
        if request.launch.as_ref().is_some_and(other) {
            return Err(Error::Forbidden("Another user launched this app.".to_owned()));
        }
        Ok(request)
    }

    /// What is to be decided.
    pub async fn offer(&self, handle: &str, person: &Person) -> Result<Offer, Error> {
        let request = self.waiting(handle, person).await?;
        let client = self.clients.find(&request.client).await?.ok_or(GONE)?;
        let returns_to = url::Url::parse(&request.redirect_uri).ok().and_then(|url| url.host_str().map(str::to_owned));
        Ok(Offer {
            client_name: client.registration.client_name.clone(),
            returns_to: returns_to.unwrap_or_else(|| request.redirect_uri.clone()),
            user: person.name.clone(),
            patient: patient_choice(&request, person),
            encounter: encounter_choice(&request),
            scopes: request.scopes.iter().map(|scope| offered(scope)).collect(),
        })
    }

    /// The user agrees: where the browser goes.
    pub async fn agree(
        &self,
        handle: &str,
        person: &Person,
        session: &[u8],
        decision: Decision,
    ) -> Result<String, Error> {
        let request = self.waiting(handle, person).await?;
        let client = self.clients.find(&request.client).await?.ok_or(GONE)?;
        if let Some(surplus) = decision.scopes.iter().find(|scope| !request.scopes.contains(scope)) {
            let why = format!("{} was not asked for", crate::auth::access::scope::printable(surplus));
            return Err(Error::unprocessable("value", "scopes", why));
        }
        let scopes: Vec<&str> =
            request.scopes.iter().filter(|s| decision.scopes.contains(s)).map(String::as_str).collect();
        let scope = scopes.join(" ");
        let mut context = request.launch.as_ref().map(|launch| launch.context.clone()).unwrap_or_default();
        context.patient = self.patient(&request, person, &scope, decision.patient).await?;
        if let (Choice::Choose, Some(encounter)) = (encounter_choice(&request), decision.encounter) {
            context.encounter = Some(encounter);
        }
        self.check_encounter(&person.access, &context).await?;
        // What could not be enforced is not granted.
        let principal = person.access.principal().clone();
        Access::from_scopes(principal, &scope, context.patient.clone())?;
        let fhir_user = if has(&scope, "fhirUser") { Some(self.resource_of(person).await?) } else { None };
        let granted = Granted { scope, context, nonce: request.nonce.clone(), fhir_user };
        let now = self.store.clock().now();
        match self.store.present(ticket::REQUEST, ticket::hash(handle), now).await? {
            Presented::Good(_) => {}
            Presented::Again(_) | Presented::Unknown => return Err(GONE),
        }
        let (grant, code, row) = made(&request, &granted, person, session, &client.registration, now)?;
        self.store.add_grant(grant, vec![row], now).await?;
        Ok(back(&request.redirect_uri, &request.state, &[("code", &code)]))
    }

    /// The user does not agree: where the browser goes.
    pub async fn refuse(&self, handle: &str, person: &Person) -> Result<String, Error> {
        let request = self.waiting(handle, person).await?;
        let now = self.store.clock().now();
        self.store.present(ticket::REQUEST, ticket::hash(handle), now).await?;
        let refusal = Refusal::new("access_denied", "the user did not agree");
        Ok(refused_at(&request.redirect_uri, &request.state, &refusal))
    }

    /// Whose record the app is to see: fixed or chosen, and always one that the user may see.
    async fn patient(
        &self,
        request: &Request,
        person: &Person,
        scope: &str,
        chosen: Option<String>,
    ) -> Result<Option<String>, Error> {
        let patient = match patient_choice(request, person) {
            Choice::Fixed(id) => id,
            Choice::None => return Ok(None),
            Choice::Choose if !needs_patient(scope.split_ascii_whitespace()) => return Ok(None),
            Choice::Choose => {
                chosen.ok_or_else(|| Error::unprocessable("required", "patient", "a patient must be chosen"))?
            }
        };
        self.store.find(&person.access, "Patient", &patient).await?;
        Ok(Some(patient))
    }

    /// The user as a resource, made when there is none: staff are Practitioners; a patient's account names the Patient.
    async fn resource_of(&self, person: &Person) -> Result<String, Error> {
        if let Some(known) = self.store.account(&person.id).await?.and_then(|account| account.resource) {
            return Ok(known);
        }
        if person.role == Role::Patient {
            return Err(Error::Conflict("This account is not bound to a Patient."));
        }
        let resource = json!({
            "resourceType": "Practitioner",
            "id": person.id,
            "active": true,
            "identifier": [{"system": format!("{}/users", self.issuer()), "value": person.username}],
            "name": [{"text": person.name}]
        });
        let resource = check(resource).map_err(Error::Invalid)?;
        let intent = Intent::Update { resource, id: person.id.clone(), expect: None };
        self.pipeline.write(&Access::system("auth"), intent).await?;
        let reference = format!("Practitioner/{}", person.id);
        self.store.set_account_resource(&person.id, &reference).await?;
        Ok(reference)
    }
}

/// The grant, the code and what the code is found by.
fn made(
    request: &Request,
    granted: &Granted,
    person: &Person,
    session: &[u8],
    registration: &super::registration::Registration,
    now: i64,
) -> Result<(Grant, String, Ticket), Error> {
    let id = new_id();
    let offline = granted.has("offline_access");
    let online = granted.has("online_access") && !offline;
    let lasting = if offline || online { registration.refresh_token_s } else { registration.access_token_s };
    let (code, row) = ticket::make(
        ticket::CODE,
        &Code { grant: id.clone(), redirect_uri: request.redirect_uri.clone(), challenge: request.challenge.clone() },
        now + CODE,
    )?;
    let grant = Grant {
        id,
        client: request.client.clone(),
        account: Some(person.id.clone()),
        session: online.then(|| session.to_vec()),
        body: serde_json::to_string(granted).map_err(Error::internal)?,
        created: now,
        expires: now + CODE + lasting * SECOND,
        revoked: None,
    };
    Ok((grant, code, row))
}

fn needs_patient<'a>(mut scopes: impl Iterator<Item = &'a str>) -> bool {
    scopes.any(|scope| scope == "launch/patient" || scope.starts_with("patient/"))
}

fn patient_choice(request: &Request, person: &Person) -> Choice {
    let launched = request.launch.as_ref().and_then(|launch| launch.context.patient.clone());
    // Whoever has a record of their own sees no other.
    let own = person.access.patient().map(|own| own.trim_start_matches("Patient/").to_owned());
    match own.or(launched) {
        Some(patient) => Choice::Fixed(patient),
        None if needs_patient(request.scopes.iter().map(String::as_str)) => Choice::Choose,
        None => Choice::None,
    }
}

fn encounter_choice(request: &Request) -> Choice {
    match request.launch.as_ref().and_then(|launch| launch.context.encounter.clone()) {
        Some(encounter) => Choice::Fixed(encounter),
        None if request.scopes.iter().any(|scope| scope == "launch/encounter") => Choice::Choose,
        None => Choice::None,
    }
}

fn offered(text: &str) -> Offered {
    let parsed = parsed(text).ok().flatten();
    let context = parsed.as_ref().map(|scope| match scope.context {
        Context::Patient => "patient",
        Context::User => "user",
        Context::System => "system",
    });
    let conditions =
        parsed.iter().flat_map(|scope| &scope.conditions).map(|c| format!("{}={}", c.param, c.values)).collect();
    let kind =
        |scope: &crate::auth::access::scope::Scope| scope.resource_type.clone().unwrap_or_else(|| "*".to_owned());
    Offered {
        scope: text.to_owned(),
        context,
        resource_type: parsed.as_ref().map(kind),
        actions: parsed.map(|scope| scope.actions),
        conditions,
    }
}
