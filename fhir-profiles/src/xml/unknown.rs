//! Where an XML text has an element that R4 does not know: asked once the codec has refused the text, so that
//! the sender is told which element it is. It holds no values, only names.

use super::gate;
use crate::{resource_type_index, resource_types, types_of};

/// What may stand within an open element.
enum Within {
    /// Elements of a type, at a path below it.
    Type(&'static str, Vec<String>),
    /// One resource of any type.
    Resource,
    /// What a primitive may have: extensions.
    Primitive,
    /// Narrative, which is not looked at.
    Anything,
}

/// The path of the first such element, without indices: `Patient.contact.banana`.
pub(super) fn first(text: &str) -> Option<String> {
    let (mut rest, mut open) = (text, Vec::new());
    while let Some(at) = rest.find('<') {
        let markup = rest.get(at..)?;
        rest = if let Some(comment) = markup.strip_prefix("<!--") {
            comment.split_once("-->")?.1
        } else if let Some(declaration) = markup.strip_prefix("<?") {
            declaration.split_once("?>")?.1
        } else if let Some(data) = markup.strip_prefix("<![CDATA[") {
            data.split_once("]]>")?.1
        } else {
            let (tag, rest) = gate::tag(markup).ok()?;
            if tag.starts_with("</") {
                open.pop();
            } else {
                let name = name(tag);
                let Some(within) = enter(open.last().map(|(_, within)| within), name) else {
                    return Some(path(&open, name));
                };
                if !tag.ends_with("/>") {
                    open.push((name, within));
                }
            }
            rest
        };
    }
    None
}

fn name(tag: &str) -> &str {
    let bare = tag.trim_start_matches('<');
    bare.split(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').next().unwrap_or_default()
}

/// What may stand within an element of this name; none when it may not stand here itself.
fn enter(above: Option<&Within>, name: &str) -> Option<Within> {
    match above {
        None | Some(Within::Resource) => resource(name),
        Some(Within::Anything) => Some(Within::Anything),
        Some(Within::Primitive) => (name == "extension").then(|| Within::Type("Extension", Vec::new())),
        Some(Within::Type(root, path)) => {
            let steps: Vec<&str> = path.iter().map(String::as_str).chain([name]).collect();
            let kind = types_of(root, &steps).first().copied()?;
            Some(match kind {
                "Resource" => Within::Resource,
                "xhtml" => Within::Anything,
                "BackboneElement" | "Element" => Within::Type(root, steps.into_iter().map(str::to_owned).collect()),
                primitive if primitive.starts_with(|c: char| c.is_ascii_lowercase()) => Within::Primitive,
                kind => Within::Type(kind, Vec::new()),
            })
        }
    }
}

fn resource(name: &str) -> Option<Within> {
    let known = resource_type_index(name).and_then(|index| resource_types().get(index))?;
    Some(Within::Type(known, Vec::new()))
}

/// A name that can be no element's is not repeated: then the place is that of what holds it.
fn path(open: &[(&str, Within)], name: &str) -> String {
    let plain = |name: &&str| !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let names: Vec<&str> = open.iter().map(|(name, _)| *name).chain([name].into_iter().filter(plain)).collect();
    if names.is_empty() { "Resource".to_owned() } else { names.join(".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unknown_element_is_named() {
        for (inner, expected) in [
            ("<banana value='a'/>", Some("Patient.banana")),
            (
                "<id value='a'/><contact><name><family value='x'/></name><banana/></contact>",
                Some("Patient.contact.banana"),
            ),
            (
                "<name><!-- <x> --><given value='x'><extension url='u'><valueString value='y'/></extension></given><surname/></name>",
                Some("Patient.name.surname"),
            ),
            ("<birthDate value='2000'><banana/></birthDate>", Some("Patient.birthDate.banana")),
            ("<contained><Banana/></contained>", Some("Patient.contained.Banana")),
            (
                "<contained><Basic><code><text value='x'/></code><nope/></Basic></contained>",
                Some("Patient.contained.Basic.nope"),
            ),
            ("<text><status value='empty'/><div xmlns='x'><p>a<b/></p></div></text><b:c/>", Some("Patient")),
            (
                "<deceasedBoolean value='true'/><extension url='u'><valueQuantity><value value='1'/></valueQuantity></extension>",
                None,
            ),
        ] {
            let text = format!("<?xml version='1.0'?><Patient xmlns='http://hl7.org/fhir'>{inner}</Patient>");
            assert_eq!(first(&text).as_deref(), expected, "{inner}");
        }
        assert_eq!(first("<Banana/>").as_deref(), Some("Banana"));
    }
}
