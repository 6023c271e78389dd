//! About single codes: what one means (`$lookup`), whether it belongs (`$validate-code`).

use serde_json::{Value, json};

use super::super::Call;
use super::super::input::{Input, required};
use super::{definition, told};
use crate::auth::access::Action;
use crate::error::Error;
use crate::fhir::index::fold;
use crate::fhir::reading::{list, str_of};
use crate::fhir::terminology::{Found, Kind, System, find};

/// What a code is said to be.
struct Claim {
    system: Option<String>,
    code: String,
    display: Option<String>,
}

impl Claim {
    fn of_coding(coding: &Value) -> Option<Self> {
        let text = |name| str_of(coding, name).map(str::to_owned);
        Some(Self { system: text("system"), code: text("code")?, display: text("display") })
    }
}

pub(in super::super) async fn lookup(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    call.access.check(Action::Search, "CodeSystem")?;
    let input = Input::of(call, None)?;
    input.only(&["code", "system", "version", "coding", "displayLanguage", "property"])?;
    let claim = match (input.object("coding")?, input.text("code")?, input.text("system")?) {
        (Some(coding), None, None) => Claim::of_coding(coding).filter(|claim| claim.system.is_some()),
        (None, Some(code), Some(system)) => {
            Some(Claim { system: Some(system.to_owned()), code: code.to_owned(), display: None })
        }
        _ => None,
    };
    let claim = claim.ok_or_else(|| {
        Error::invalid("required", "http.code", "a system and a code are needed, or a coding with both")
    })?;
    let url = claim.system.unwrap_or_default();
    let canonical = input.text("version")?.map_or_else(|| url.clone(), |version| format!("{url}|{version}"));
    let library = call.state.store.library(call.access, vec![(Kind::CodeSystem, canonical.clone())], &[]).await?;
    let definition =
        library.code_system(&canonical).ok_or_else(|| Error::not_found("CodeSystem", canonical.clone()))?;
    let system = System::of(definition);
    let found = system.find(&claim.code);
    let found =
        found.ok_or_else(|| Error::unprocessable("code-invalid", "http.code", "the system has no such code"))?;
    let name = ["title", "name", "url"].iter().find_map(|member| str_of(definition, member)).unwrap_or(&url);
    let mut parameters = vec![json!({"name": "name", "valueString": name})];
    parameters.extend(str_of(definition, "version").map(|v| json!({"name": "version", "valueString": v})));
    parameters.push(json!({"name": "display", "valueString": found.display().unwrap_or(found.code)}));
    parameters.extend(list(found.concept.get("designation")).map(designation));
    parameters.extend(properties(&system, found, &input.texts("property")?));
    Ok(answer(&parameters))
}

fn designation(designation: &Value) -> Value {
    let mut parts = Vec::new();
    for (name, kind) in [("language", "valueCode"), ("use", "valueCoding"), ("value", "valueString")] {
        parts.extend(designation.get(name).map(|value| json!({"name": name, kind: value})));
    }
    json!({"name": "designation", "part": parts})
}

/// What is known of the concept: its definition, what is right above and below it, and its own properties; only
/// those that are asked for, when any are.
fn properties(system: &System<'_>, found: &Found<'_>, asked: &[&str]) -> Vec<Value> {
    let property = |code: &str, kind: &str, value: Value| json!({"name": "property", "part": [{"name": "code", "valueCode": code}, {"name": "value", kind: value}]});
    let mut all: Vec<(&str, Value)> = Vec::new();
    if let Some(definition) = str_of(found.concept, "definition") {
        all.push(("definition", property("definition", "valueString", definition.into())));
    }
    all.extend(found.parents.iter().map(|code| ("parent", property("parent", "valueCode", (*code).into()))));
    all.extend(
        system.children(found.code).into_iter().map(|code| ("child", property("child", "valueCode", code.into()))),
    );
    for own in list(found.concept.get("property")) {
        let value = own.as_object().and_then(|own| own.iter().find(|(name, _)| name.starts_with("value")));
        if let (Some(code), Some((kind, value))) = (str_of(own, "code"), value)
            && code != "parent"
        {
            all.push((code, property(code, kind, value.clone())));
        }
    }
    all.into_iter().filter(|(code, _)| asked.is_empty() || asked.contains(code)).map(|(_, value)| value).collect()
}

pub(in super::super) async fn validate_in_system(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    call.access.check(Action::Search, "CodeSystem")?;
    let input = Input::of(call, None)?;
    input.only(&["url", "codeSystem", "code", "version", "display", "coding", "codeableConcept", "displayLanguage"])?;
    let claims = claims(&input)?;
    let (definition, _) = definition(call, &input, Kind::CodeSystem).await?;
    let (system, url) = (System::of(&definition), str_of(&definition, "url"));
    let verdicts = claims.iter().map(|claim| {
        if claim.system.as_deref().is_some_and(|own| Some(own) != url) {
            return Ok(Err("the code is of another system".to_owned()));
        }
        Ok(match system.find(&claim.code) {
            Some(found) => display_fits(claim, found.display()),
            None if system.is_whole() => Err("the code system has no such code".to_owned()),
            None => {
                return Err(Error::unprocessable("not-supported", "http.url", "the code system is not held in full"));
            }
        })
    });
    Ok(verdict(&verdicts.collect::<Result<Vec<_>, Error>>()?))
}

pub(in super::super) async fn validate_in_set(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    call.access.check(Action::Search, "ValueSet")?;
    let input = Input::of(call, None)?;
    input.only(&[
        "url",
        "valueSet",
        "valueSetVersion",
        "code",
        "system",
        "display",
        "coding",
        "codeableConcept",
        "displayLanguage",
    ])?;
    let mut claims = claims(&input)?;
    if let (Some(system), Some(claim), true) = (input.text("system")?, claims.first_mut(), input.has("code")) {
        claim.system = Some(system.to_owned());
    }
    let (definition, library) = definition(call, &input, Kind::ValueSet).await?;
    let verdicts = claims.iter().map(|claim| {
        let found = find(&library, &definition, claim.system.as_deref(), &claim.code);
        Ok(match found.map_err(|problem| told(&problem))? {
            Some(concept) => display_fits(claim, concept.display.as_deref()),
            None => Err("the value set has no such code".to_owned()),
        })
    });
    Ok(verdict(&verdicts.collect::<Result<Vec<_>, Error>>()?))
}

/// The one thing that is to be judged, as codes any of which may be right.
fn claims(input: &Input) -> Result<Vec<Claim>, Error> {
    let wrong = |name: &str, why: &str| Error::invalid("value", format!("http.{name}"), why);
    let given: Vec<&str> = ["code", "coding", "codeableConcept"].into_iter().filter(|name| input.has(name)).collect();
    match given.as_slice() {
        [] => Err(required("code")),
        ["code"] => {
            let code = input.text("code")?.unwrap_or_default().to_owned();
            Ok(vec![Claim { system: None, code, display: input.text("display")?.map(str::to_owned) }])
        }
        ["coding"] => {
            let coding = input.object("coding")?.and_then(Claim::of_coding);
            Ok(vec![coding.ok_or_else(|| wrong("coding", "a coding needs a code"))?])
        }
        ["codeableConcept"] => {
            let concept = input.object("codeableConcept")?.and_then(|concept| concept.get("coding"));
            let claims: Vec<Claim> = list(concept).filter_map(Claim::of_coding).collect();
            if claims.is_empty() { Err(wrong("codeableConcept", "it has no coding with a code")) } else { Ok(claims) }
        }
        [_, second, ..] => Err(wrong(second, "one of code, coding and codeableConcept is given")),
        [other] => Err(wrong(other, "this is not judged here")),
    }
}

/// The display that the code has, or why the claim is wrong.
type Verdict = Result<Option<String>, String>;

/// Capitals, accents and spaces at the ends do not make another display.
fn display_fits(claim: &Claim, known: Option<&str>) -> Verdict {
    let known = known.map(str::to_owned);
    match (&claim.display, &known) {
        (Some(given), Some(own)) if fold(given.trim()) != fold(own.trim()) => {
            Err(format!("the display of this code is {own}"))
        }
        _ => Ok(known),
    }
}

fn verdict(verdicts: &[Verdict]) -> Vec<u8> {
    let right = verdicts.iter().find_map(|verdict| verdict.as_ref().ok());
    let mut parameters = vec![json!({"name": "result", "valueBoolean": right.is_some()})];
    if let Some(display) = right {
        parameters.extend(display.as_ref().map(|text| json!({"name": "display", "valueString": text})));
    } else {
        let why = verdicts.iter().find_map(|verdict| verdict.as_ref().err());
        parameters.extend(why.map(|why| json!({"name": "message", "valueString": why})));
    }
    answer(&parameters)
}

fn answer(parameters: &[Value]) -> Vec<u8> {
    let answer = json!({"resourceType": "Parameters", "parameter": parameters});
    answer.to_string().into_bytes()
}
