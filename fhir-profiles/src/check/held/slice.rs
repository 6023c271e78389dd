//! Which item is of which slice, and what the slicing says of their number and order.

use serde_json::Value;

use super::{Held, Place, content};
use crate::{
    Severity,
    definition::{Discriminator, Element, Rules, Sort},
    path::{Item, Stop},
};

impl<'v> Held<'_, 'v> {
    pub(super) fn slices(&mut self, sliced: &'v Element, places: &[Place<'v>]) {
        let mut counts = vec![0_usize; sliced.slices.len()];
        let (mut last, mut uncertain, mut seen_other) = (0, false, false);
        for place in places {
            if self.walk.is_spent() {
                return;
            }
            let Ok(slice) = self.slice_of(sliced, &place.item) else {
                uncertain = true;
                continue;
            };
            let rules = sliced.slicing.as_ref().map_or(Rules::Open, |s| s.rules);
            let Some((number, slice)) = slice else {
                seen_other = true;
                if rules == Rules::Closed {
                    self.enter(place, |held| held.tell(Severity::Error, "structure", "belongs to none of the slices"));
                }
                continue;
            };
            if let Some(count) = counts.get_mut(number) {
                *count += 1;
            }
            let out_of_order = sliced.slicing.as_ref().is_some_and(|s| s.is_ordered) && number < last;
            if out_of_order || rules == Rules::OpenAtEnd && seen_other {
                self.enter(place, |held| {
                    held.tell(Severity::Error, "structure", "stands in another order than that of the slices");
                });
            }
            last = last.max(number);
            self.enter(place, |held| held.slice(slice, place));
        }
        if uncertain {
            let text = "nothing here tells to which slices some items belong, so slices were not checked";
            self.walk.path.push(&sliced.name);
            self.tell(Severity::Warning, "not-supported", text);
            self.walk.path.pop();
            return;
        }
        for (slice, count) in sliced.slices.iter().zip(counts) {
            self.count(slice, count);
        }
    }

    fn slice(&mut self, slice: &'v Element, place: &Place<'v>) {
        self.item(slice, &place.item);
        if !slice.slices.is_empty() {
            let own = Place { index: None, ..place.clone() };
            // Its problems are told at the item, which is where the path stands.
            self.slices(slice, std::slice::from_ref(&own));
        }
    }

    /// The first slice that an item fits by all that tells slices apart.
    fn slice_of(&mut self, sliced: &'v Element, item: &Item<'v>) -> Result<Option<(usize, &'v Element)>, Stop> {
        let discriminators = sliced.slicing.as_ref().map_or(&[][..], |s| s.discriminators.as_slice());
        for (number, slice) in sliced.slices.iter().enumerate() {
            let mut belongs = true;
            if discriminators.is_empty() {
                belongs = by_nature(slice, item)?;
            }
            for discriminator in discriminators {
                belongs = belongs && self.tells(discriminator, slice, item)?;
            }
            if belongs {
                return Ok(Some((number, slice)));
            }
        }
        Ok(None)
    }

    fn tells(&mut self, by: &'v Discriminator, slice: &'v Element, item: &Item<'v>) -> Result<bool, Stop> {
        let found = if by.path == "$this" {
            vec![item.clone()]
        } else {
            match super::computed::items(self.walk, &by.expression, item) {
                Err(Stop::Spent) => {
                    self.walk.spent();
                    return Err(Stop::Spent);
                }
                found => found?,
            }
        };
        self.walk.fuel.spend(1 + found.len())?;
        let path = plain(&by.path);
        let said = slice.at(path);
        match by.sort {
            Sort::Exists => Ok(match said {
                Some(element) if element.max == Some(0) => found.is_empty(),
                _ => !found.is_empty(),
            }),
            Sort::Type => {
                let types = said.map_or(&[][..], |e| e.types.as_slice());
                // A slice that names no types of its own goes by its name: `valueQuantity`.
                if types.is_empty() {
                    let name = slice.slice.as_deref().unwrap_or_default();
                    let kind = name.strip_prefix(slice.name.as_str()).unwrap_or(name);
                    return Ok(found.iter().any(|item| item.type_name().eq_ignore_ascii_case(kind)));
                }
                Ok(found.iter().any(|item| types.iter().any(|of| item.is(&of.code))))
            }
            Sort::Profile => {
                let Some(definitions) = self.walk.definitions else { return Err(Stop::Unknown) };
                let types = said.map_or(&[][..], |e| e.types.as_slice());
                let wanted = types.iter().flat_map(|of| of.profiles.iter().chain(&of.targets));
                let profiles: Vec<_> =
                    wanted.map(|p| definitions.profile(p)).collect::<Option<_>>().ok_or(Stop::Unknown)?;
                if found.iter().any(|item| matches!(item, Item::Elsewhere(_))) {
                    return Err(Stop::Unknown);
                }
                Ok(found.iter().any(|item| profiles.iter().any(|profile| self.fits(profile, item))))
            }
            Sort::Value => {
                if let Some((fixed, exactly)) = slice.fixed_at(path) {
                    return Ok(found.iter().any(|item| content::matches(item, fixed, exactly)));
                }
                if let Some(url) = url_of_extension(path, slice) {
                    return Ok(found.iter().any(|item| content::matches(item, &Value::String(url.clone()), true)));
                }
                let binding = said.and_then(|e| e.binding.as_ref()).filter(|b| b.is_required).ok_or(Stop::Unknown)?;
                let fits = found.iter().map(|item| content::is_bound(self.walk, item, &binding.value_set));
                fits.collect::<Option<Vec<_>>>().map(|all| all.contains(&true)).ok_or(Stop::Unknown)
            }
        }
    }
}

/// An extension is told by its URL, which is that of the profile for it.
fn url_of_extension(path: &str, slice: &Element) -> Option<String> {
    let canonical = slice.types.first()?.profiles.first()?;
    let url = canonical.split('|').next()?;
    (path == "url").then(|| url.to_owned())
}

/// Slices without discriminators: an extension by its URL, a choice by its type.
fn by_nature(slice: &Element, item: &Item) -> Result<bool, Stop> {
    match slice.types.as_slice() {
        [] => Err(Stop::Unknown),
        types => Ok(types.iter().any(|of| item.is(&of.code))),
    }
}

/// A path of a discriminator as a way through the profile: functions on it change nothing there.
fn plain(path: &str) -> &str {
    path.strip_suffix(".resolve()").or(path.strip_suffix("resolve()").filter(|p| p.is_empty())).unwrap_or(path)
}
