//! The functions at work.

use std::collections::HashSet;

use super::{super::compare::key, Expr, Found, Function, Item, Run, Scope, Stop, equal, single, text, truth_of};
use crate::tables::TABLES;

impl<'v> Run<'_, 'v> {
    pub(super) fn call(
        &self,
        of: Option<&'v Expr>,
        function: Function,
        given: &'v [Expr],
        scope: &Scope<'v>,
    ) -> Found<'v> {
        let found = self.start(of, scope)?;
        self.fuel.spend(found.len())?;
        let yes = |is: bool| Ok(vec![Item::Boolean(is)]);
        let count = |n: usize| Ok(vec![Item::Integer(i64::try_from(n).map_err(|_| Stop::Wrong)?)]);
        let first = given.first();
        match function {
            Function::Trace => Ok(found),
            Function::Empty => yes(found.is_empty()),
            Function::Count => count(found.len()),
            Function::Exists => match first {
                None => yes(!found.is_empty()),
                Some(criterion) => yes(!self.filtered(found, criterion)?.is_empty()),
            },
            Function::Where | Function::Select | Function::All => {
                let criterion = first.ok_or(Stop::Wrong)?;
                match function {
                    Function::Where => self.filtered(found, criterion),
                    Function::Select => self.selected(&found, criterion),
                    _ => {
                        for (index, item) in found.into_iter().enumerate() {
                            if self.truth(criterion, &Scope { this: item, index, outermost: false })? != Some(true) {
                                return yes(false);
                            }
                        }
                        yes(true)
                    }
                }
            }
            Function::If => {
                let part = match truth_of(&self.collect(first.ok_or(Stop::Wrong)?, &inner(&found, scope))?)? {
                    Some(true) => given.get(1),
                    _ => given.get(2),
                };
                part.map_or_else(|| Ok(Vec::new()), |part| self.collect(part, &inner(&found, scope)))
            }
            Function::Not => Ok(truth_of(&found)?.map(|is| Item::Boolean(!is)).into_iter().collect()),
            Function::HasValue => yes(matches!(found.as_slice(), [one] if one.has_value())),
            // The text of a narrative has been checked as a primitive by now.
            Function::HtmlChecks => yes(true),
            Function::AllTrue => yes(found.iter().all(|item| item.boolean() == Some(true))),
            Function::AnyTrue => yes(found.iter().any(|item| item.boolean() == Some(true))),
            Function::First => Ok(found.into_iter().take(1).collect()),
            Function::Last => Ok(found.into_iter().last().into_iter().collect()),
            Function::Tail => Ok(found.into_iter().skip(1).collect()),
            Function::Skip | Function::Take => {
                let n = self.integer(first.ok_or(Stop::Wrong)?, scope)?.and_then(|n| usize::try_from(n).ok());
                let n = n.unwrap_or_default();
                Ok(match function {
                    Function::Skip => found.into_iter().skip(n).collect(),
                    _ => found.into_iter().take(n).collect(),
                })
            }
            Function::Single => single(&found)?.map_or_else(|| Ok(Vec::new()), |one| Ok(vec![one.clone()])),
            Function::Children => {
                let mut below = Vec::new();
                found.iter().try_for_each(|item| item.all_children(&mut below))?;
                self.fuel.spend(below.len())?;
                Ok(below)
            }
            Function::Descendants => self.descendants(found),
            Function::Distinct => self.distinct(found.into_iter(), &mut HashSet::new()),
            Function::IsDistinct => {
                let before = found.len();
                yes(self.distinct(found.into_iter(), &mut HashSet::new())?.len() == before)
            }
            Function::Combine | Function::Intersect | Function::Exclude | Function::SubsetOf => {
                let others = self.collect(first.ok_or(Stop::Wrong)?, scope)?;
                self.sets(function, found, others)
            }
            Function::Extension => {
                let url = self.collect(first.ok_or(Stop::Wrong)?, scope)?;
                let Some(url) = single(&url)?.cloned() else { return Ok(Vec::new()) };
                let (mut all, mut own) = (Vec::new(), Vec::new());
                found.iter().try_for_each(|item| item.children("extension", &mut all))?;
                for extension in all {
                    own.clear();
                    extension.children("url", &mut own)?;
                    if own.first().is_some_and(|u| equal(u, &url)) {
                        self.fuel.spend(1)?;
                        return Ok(vec![extension]);
                    }
                }
                Ok(Vec::new())
            }
            Function::Resolve => found.iter().map(|item| self.resolve(item)).collect(),
            // Whether a resource fits another profile is not for an invariant to find out here.
            Function::ConformsTo => Err(Stop::Unknown),
            Function::MemberOf => self.member_of(&found, first.ok_or(Stop::Wrong)?, scope),
            _ => self.on_text(&found, function, given, scope),
        }
    }

    fn filtered(&self, found: Vec<Item<'v>>, criterion: &'v Expr) -> Found<'v> {
        let mut kept = Vec::new();
        for (index, item) in found.into_iter().enumerate() {
            if self.truth(criterion, &Scope { this: item.clone(), index, outermost: false })? == Some(true) {
                kept.push(item);
            }
        }
        Ok(kept)
    }

    fn selected(&self, found: &[Item<'v>], projection: &'v Expr) -> Found<'v> {
        let mut all = Vec::new();
        for (index, item) in found.iter().enumerate() {
            all.extend(self.collect(projection, &Scope { this: item.clone(), index, outermost: false })?);
        }
        Ok(all)
    }

    fn descendants(&self, mut open: Vec<Item<'v>>) -> Found<'v> {
        let mut all = Vec::new();
        while let Some(item) = open.pop() {
            let before = open.len();
            item.all_children(&mut open)?;
            self.fuel.spend(open.len() - before + 1)?;
            all.extend(open.iter().skip(before).cloned());
        }
        Ok(all)
    }

    fn sets(&self, function: Function, found: Vec<Item<'v>>, others: Vec<Item<'v>>) -> Found<'v> {
        if function == Function::Combine {
            self.fuel.spend(others.len())?;
            return Ok(found.into_iter().chain(others).collect());
        }
        let mut keys = HashSet::new();
        self.distinct(others.into_iter(), &mut keys)?;
        let mut kept = Vec::new();
        for item in found {
            let key = key(&item);
            self.fuel.spend(1 + key.len() / 8)?;
            match (function, keys.contains(&key)) {
                (Function::SubsetOf, false) => return Ok(vec![Item::Boolean(false)]),
                (Function::Intersect, true) | (Function::Exclude, false) => kept.push(item),
                _ => {}
            }
        }
        match function {
            Function::SubsetOf => Ok(vec![Item::Boolean(true)]),
            Function::Intersect => self.distinct(kept.into_iter(), &mut HashSet::new()),
            _ => Ok(kept),
        }
    }

    /// The target of a reference: contained, or known by its type alone.
    fn resolve(&self, item: &Item<'v>) -> Result<Item<'v>, Stop> {
        let mut inside = Vec::new();
        let text = match item {
            Item::Element { .. } => {
                item.children("reference", &mut inside)?;
                inside.first().and_then(Item::text).ok_or(Stop::Unknown)?
            }
            other => other.text().ok_or(Stop::Unknown)?,
        };
        if let Some(id) = text.strip_prefix('#') {
            let contained = self.context.root.get("contained").and_then(serde_json::Value::as_array);
            let contained = contained.map_or(&[][..], Vec::as_slice);
            self.fuel.spend(contained.len())?;
            let own = |c: &&serde_json::Value| c.get("id").and_then(serde_json::Value::as_str) == Some(id);
            let target = contained.iter().find(own).and_then(serde_json::Value::as_object).and_then(Item::resource);
            return target.ok_or(Stop::Unknown);
        }
        let name = text.rsplit('/').nth(1).and_then(|name| TABLES.resource(name));
        name.map(|(_, node)| Item::Elsewhere(node)).ok_or(Stop::Unknown)
    }

    fn member_of(&self, found: &[Item<'v>], set: &'v Expr, scope: &Scope<'v>) -> Found<'v> {
        let set = self.collect(set, scope)?;
        let (Some(item), Some(set)) = (single(found)?, single(&set)?.and_then(text::of)) else { return Ok(Vec::new()) };
        let mut codings = Vec::new();
        match item.type_name() {
            "CodeableConcept" => item.children("coding", &mut codings)?,
            _ => codings.push(item.clone()),
        }
        for coding in &codings {
            let (mut system, mut code) = (Vec::new(), Vec::new());
            coding.children("system", &mut system)?;
            coding.children("code", &mut code)?;
            let code = code.first().unwrap_or(coding);
            let Some(code) = code.text() else { continue };
            let system = system.first().and_then(Item::text);
            if self.context.definitions.and_then(|d| d.is_member(&set, system, code)).ok_or(Stop::Unknown)? {
                return Ok(vec![Item::Boolean(true)]);
            }
        }
        Ok(vec![Item::Boolean(false)])
    }
}

/// Where arguments of a function that is called on something are computed.
fn inner<'v>(found: &[Item<'v>], scope: &Scope<'v>) -> Scope<'v> {
    let this = found.first().cloned().unwrap_or_else(|| scope.this.clone());
    Scope { this, index: scope.index, outermost: false }
}
