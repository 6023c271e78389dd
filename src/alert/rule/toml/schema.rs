//! The JSON Schema of the short form, for editors; from the same table as the reader, so that they cannot differ.

use serde_json::{Map, Value, json};

use super::super::form::{COMPARE, FORMS, Form, Often, Part, Place, Shape};
use super::import::{WORDS, word};

/// <https://json-schema.org/draft/2020-12>
pub fn schema() -> Value {
    let mut properties = Map::new();
    for name in WORDS {
        properties.insert(name.to_owned(), json!({"type": "string"}));
    }
    properties.insert(
        "label".to_owned(),
        json!({"type": "string", "description": "what is measured, as a sentence names it"}),
    );
    properties.insert("codes".to_owned(), json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/coding"}}));
    properties.insert(
        "effective".to_owned(),
        json!({"type": "object", "additionalProperties": false,
        "properties": {"start": {"type": "string"}, "end": {"type": "string"}}}),
    );
    properties.insert("fhirpath".to_owned(), json!({"type": "string"}));
    properties.insert("fhir".to_owned(), json!({"type": "object", "description": "further elements of the PlanDefinition; below action those of its action"}));
    properties.insert("fhir-json".to_owned(), json!({"type": "string"}));
    for form in FORMS.iter().filter(|form| form.key != "signal") {
        properties.insert(form.key.to_owned(), described(form));
    }
    properties.insert("signal".to_owned(), json!({"type": "array", "items": {"$ref": "#/$defs/signal"}}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rule of Vigía in its short form",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": {"coding": coding(), "duration": {"type": "string", "pattern": "^[0-9][0-9.eE+-]* (s|min|h|d|wk|ms|us)$"},
            "age": {"type": "string", "pattern": "^[0-9][0-9.eE+-]* (a|mo|wk|d)$"}, "signal": signal(), "test": test()}
    })
}

fn described(form: &Form) -> Value {
    let mut found = of(form.shape);
    if form.often == Often::Many {
        found = json!({"type": "array", "items": found});
    }
    if let Some(object) = found.as_object_mut() {
        object.insert("description".to_owned(), json!(form.meaning));
    }
    found
}

fn of(shape: Shape) -> Value {
    match shape {
        Shape::Code([]) | Shape::Text | Shape::DateTime => json!({"type": "string"}),
        Shape::Code(known) => json!({"enum": known}),
        Shape::Time => json!({"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}:00$"}),
        Shape::Decimal => json!({"type": "number"}),
        Shape::Count => json!({"type": "integer", "minimum": 1}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Duration => json!({"$ref": "#/$defs/duration"}),
        Shape::Coding => json!({"$ref": "#/$defs/coding"}),
        Shape::Ages => json!({"type": "object", "additionalProperties": false,
            "properties": {"from": {"$ref": "#/$defs/age"}, "to": {"$ref": "#/$defs/age"}}}),
        Shape::Parts(parts) => object(parts),
        Shape::Row(parts) => {
            let least = parts.iter().filter(|part| part.often == Often::Once).count();
            let cells: Vec<Value> = parts.iter().map(|part| of(part.shape)).collect();
            json!({"type": "array", "prefixItems": cells, "items": false, "minItems": least})
        }
        Shape::Test => json!({"allOf": [{"type": "object", "required": ["level"]}], "properties": {
            "level": {"enum": ["advisory", "warning", "critical"]}, "all": {"type": "array", "items": {"$ref": "#/$defs/test"}},
            "any": {"type": "array", "items": {"$ref": "#/$defs/test"}}, "not": {"$ref": "#/$defs/test"}, "compare": object(&COMPARE)},
            "additionalProperties": false, "minProperties": 2, "maxProperties": 2}),
    }
}

fn object(parts: &[Part]) -> Value {
    let required: Vec<&str> = parts.iter().filter(|part| part.often == Often::Once).map(|part| part.name).collect();
    let properties = parts.iter().map(|part| {
        let one = of(part.shape);
        let found = if part.often == Often::Many { json!({"type": "array", "items": one}) } else { one };
        (part.name.to_owned(), found)
    });
    json!({"type": "object", "additionalProperties": false, "required": required,
        "properties": properties.collect::<Map<_, _>>()})
}

fn coding() -> Value {
    let text = json!({"type": "string"});
    json!({"type": "object", "additionalProperties": false,
        "properties": {"loinc": text, "snomed": text, "mdc": text, "system": text, "code": text, "display": text},
        "oneOf": [{"required": ["loinc"]}, {"required": ["snomed"]}, {"required": ["mdc"]}, {"required": ["system", "code"]}]})
}

fn signal() -> Value {
    let forms = FORMS.iter().filter(|form| form.place == Place::Signal);
    let mut properties: Map<String, Value> = forms.map(|form| (word(form).to_owned(), described(form))).collect();
    properties.insert("codes".to_owned(), json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/coding"}}));
    json!({"type": "object", "additionalProperties": false, "required": ["codes"], "properties": properties})
}

fn test() -> Value {
    let inner = json!({"$ref": "#/$defs/test"});
    let list = json!({"type": "array", "minItems": 1, "items": inner});
    json!({"type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
        "properties": {"all": list, "any": list, "not": inner, "compare": object(&COMPARE)}})
}
