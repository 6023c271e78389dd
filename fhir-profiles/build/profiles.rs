//! The vital-signs profiles, reduced to the elements that say more than the base definition,
//! together with the elements on the way to them.

use std::collections::BTreeSet;

use crate::{
    Fallible, record,
    structure::{Definition, Element, Known},
};

/// Invariants of the profiles that the checker knows by name.
const INVARIANTS: [&str; 3] = ["vs-1", "vs-2", "vs-3"];

/// `F url` opens a profile; `X depth name slice min max fixed binding discriminators
/// invariants types` follows for each element, parents before children.
pub(crate) fn write(profiles: &[Definition], known: &Known, text: &mut String) -> Fallible<()> {
    for profile in profiles {
        record(text, &["F", &profile.url]);
        let mut kept = BTreeSet::new();
        for element in &profile.snapshot.element {
            if says_more(element, known)? {
                let mut id = element.id.as_str();
                kept.insert(id);
                while let Some((parent, _)) = id.rsplit_once('.') {
                    kept.insert(parent);
                    id = parent;
                }
                // The sliced element itself stands beside its slices and tells them apart.
                if let Some((sliced, _)) = element.id.rsplit_once(':') {
                    kept.insert(sliced);
                }
            }
        }
        for element in profile.snapshot.element.iter().filter(|e| kept.contains(e.id.as_str())) {
            write_element(element, known, text)?;
        }
    }
    Ok(())
}

fn says_more(element: &Element, known: &Known) -> Fallible<bool> {
    let name = element.path.rsplit('.').next().unwrap_or_default();
    if name == "extension" || name == "modifierExtension" {
        return Ok(false);
    }
    let more = element.slicing.is_some()
        || element.slice_name.is_some()
        || fixed(element)?.is_some()
        || element.constraint.iter().any(|key| INVARIANTS.contains(&key.as_str()))
        || known.shape(element)? != known.base_shape(element)?;
    Ok(more)
}

fn write_element(element: &Element, known: &Known, text: &mut String) -> Fallible<()> {
    let shape = known.shape(element)?;
    let depth = element.path.matches('.').count().to_string();
    let name = element.path.rsplit('.').next().unwrap_or_default();
    let slice = element.slice_name.as_deref().unwrap_or_default();
    let fixed = fixed(element)?.unwrap_or_default();
    let mut discriminators = Vec::new();
    if let Some(slicing) = &element.slicing {
        for discriminator in &slicing.discriminator {
            match (discriminator.kind.as_str(), discriminator.path.as_str()) {
                ("value", path) => discriminators.push(path),
                ("type", "$this") => discriminators.push("$type"),
                (kind, path) => return Err(format!("{}: discriminator {kind} {path}", element.id).into()),
            }
        }
    }
    let invariants: Vec<&str> =
        element.constraint.iter().map(String::as_str).filter(|key| INVARIANTS.contains(key)).collect();
    // Only where the profile narrows them do types matter; references to `@` nodes keep theirs.
    let types = if shape.types == known.base_shape(element)?.types { String::new() } else { shape.types };
    record(
        text,
        &[
            "X",
            &depth,
            name,
            slice,
            &shape.min,
            &shape.max,
            fixed,
            &shape.binding,
            &discriminators.join(" "),
            &invariants.join(" "),
            &types,
        ],
    );
    Ok(())
}

/// The fixed value. These profiles fix codes and URIs only; anything else must be learned first.
fn fixed(element: &Element) -> Fallible<Option<&str>> {
    for (key, value) in &element.rest {
        if key.starts_with("fixed") || key.starts_with("pattern") {
            let text = value.as_str().filter(|_| key == "fixedUri" || key == "fixedCode");
            return text.map(Some).ok_or_else(|| format!("{}: {key} is not understood", element.id).into());
        }
    }
    Ok(None)
}
