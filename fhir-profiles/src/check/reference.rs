//! References: their form, and the type of what they point to. Whether the target exists is known
//! only for contained resources.

use super::{
    primitive,
    value::{Object, text},
    walk::Walk,
};
use crate::tables::TABLES;

pub(super) fn check<'v>(walk: &mut Walk<'v>, targets: &'static [u16], object: &'v Object) {
    let said = text(object, "type");
    if let Some(name) = said {
        target(walk, targets, name);
    }
    let Some(reference) = text(object, "reference") else { return };
    match read(reference) {
        Form::Contained(id) => contained(walk, targets, id),
        Form::Of(name) => {
            if said.is_some_and(|said| said != name) {
                walk.report("invariant", "the reference points to another type than Reference.type says");
            } else if said.is_none() {
                target(walk, targets, name);
            }
        }
        Form::Elsewhere => {}
        Form::Wrong(text) => walk.report_at("reference", "value", text),
    }
}

/// The type of resource that a reference points to, as far as it can be told.
pub(super) fn points_to<'v>(walk: &Walk<'v>, object: &'v Object) -> Option<&'v str> {
    match text(object, "reference").map(read) {
        Some(Form::Of(name)) => Some(name),
        Some(Form::Contained(id)) => walk.frame.types.get(id).copied().flatten(),
        _ => text(object, "type"),
    }
}

enum Form<'a> {
    Contained(&'a str),
    /// `Patient/1`, its history, `Patient?identifier=…`, or an absolute URL of that shape.
    Of(&'a str),
    /// A URN or a URL from which no type can be told.
    Elsewhere,
    Wrong(&'static str),
}

fn read(reference: &str) -> Form<'_> {
    if let Some(id) = reference.strip_prefix('#') {
        return Form::Contained(id);
    }
    if reference.bytes().any(|b| b <= b' ') {
        return Form::Wrong("must be a URI without spaces");
    }
    if let Some((base, path)) = reference.split_once("://") {
        if base.is_empty() || path.is_empty() {
            return Form::Wrong("not a reference");
        }
        return of_url(path).map_or(Form::Elsewhere, Form::Of);
    }
    if let Some((scheme, rest)) = reference.split_once(':').filter(|(scheme, _)| !scheme.contains(['/', '?'])) {
        let good = scheme == "urn" && rest.contains(':');
        return if good { Form::Elsewhere } else { Form::Wrong("not a reference") };
    }
    if let Some((name, query)) = reference.split_once('?') {
        let good = TABLES.resource_index(name).is_some() && query.contains('=');
        return if good { Form::Of(name) } else { Form::Wrong("a conditional reference must be Type?parameter=value") };
    }
    relative(reference).map_or(Form::Wrong("a relative reference must be Type/id"), Form::Of)
}

/// `Type/id` or `Type/id/_history/version`.
fn relative(reference: &str) -> Option<&str> {
    let mut parts = reference.split('/');
    let (name, id) = (parts.next()?, parts.next()?);
    let version = match (parts.next(), parts.next()) {
        (None, None) => true,
        (Some("_history"), Some(version)) => primitive::is_id(version),
        _ => false,
    };
    let good = TABLES.resource_index(name).is_some() && primitive::is_id(id) && version && parts.next().is_none();
    good.then_some(name)
}

fn of_url(path: &str) -> Option<&str> {
    let path = path.split_once("/_history/").map_or(path, |(path, _)| path);
    let (rest, id) = path.rsplit_once('/')?;
    let name = rest.rsplit('/').next()?;
    (TABLES.resource_index(name).is_some() && primitive::is_id(id) && rest.len() > name.len()).then_some(name)
}

fn target(walk: &mut Walk, targets: &'static [u16], name: &str) {
    if targets.is_empty() {
        return;
    }
    if !is_target(targets, name) {
        walk.report("value", wanted(targets));
    }
}

pub(super) fn is_target(targets: &[u16], name: &str) -> bool {
    let index = TABLES.resource_index(name).and_then(|i| u16::try_from(i).ok());
    index.is_some_and(|i| targets.contains(&i))
}

pub(super) fn wanted(targets: &[u16]) -> String {
    let names = targets.iter().filter_map(|i| TABLES.resource_names.get(usize::from(*i))).copied();
    format!("must refer to {}", names.collect::<Vec<_>>().join(" or "))
}

fn contained<'v>(walk: &mut Walk<'v>, targets: &'static [u16], id: &'v str) {
    walk.refer(id);
    if id.is_empty() {
        if walk.frame.inside.is_none() {
            walk.report_at("reference", "invariant", "ref-1: only a contained resource can refer to its container");
        }
        return;
    }
    match walk.frame.types.get(id).copied() {
        None => walk.report_at("reference", "invariant", "ref-1: there is no contained resource with this id"),
        Some(Some(name)) => target(walk, targets, name),
        Some(None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (reference, expected) in [
            ("Patient/1", "Patient"),
            ("Patient/1/_history/2", "Patient"),
            ("Patient?identifier=a|b", "Patient"),
            ("https://a.example/fhir/Patient/1", "Patient"),
            ("http://a.example/fhir/Patient/1/_history/3", "Patient"),
            ("http://a.example/x", "elsewhere"),
            ("http://Patient/1", "elsewhere"),
            ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "elsewhere"),
            ("#a", "contained"),
            ("banana", "wrong"),
            ("Banana/1", "wrong"),
            ("Patient/", "wrong"),
            ("Patient/1/2", "wrong"),
            ("Patient/a b", "wrong"),
            ("Patient/1/_history/", "wrong"),
            ("javascript:alert(1)", "wrong"),
            ("../Patient/1", "wrong"),
            ("/Patient/1", "wrong"),
        ] {
            let read = match read(reference) {
                Form::Contained(_) => "contained",
                Form::Of(name) => name,
                Form::Elsewhere => "elsewhere",
                Form::Wrong(_) => "wrong",
            };
            assert_eq!(read, expected, "{reference}");
        }
    }
}
