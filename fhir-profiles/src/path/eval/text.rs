//! Functions over texts. Regular expressions run in time linear in the text, whatever they look like.

use std::borrow::Cow;

use super::{Expr, Found, Function, Item, Run, Scope, Stop, single};

/// An item as text, as far as it has one.
pub(super) fn of<'r>(item: &'r Item<'_>) -> Option<Cow<'r, str>> {
    if let Some(is) = item.boolean() {
        return Some(Cow::Borrowed(if is { "true" } else { "false" }));
    }
    item.text().map(Cow::Borrowed).or_else(|| item.number())
}

impl<'v> Run<'_, 'v> {
    fn argument(&self, given: &'v [Expr], at: usize, scope: &Scope<'v>) -> Result<Option<Item<'v>>, Stop> {
        let Some(expression) = given.get(at) else { return Ok(None) };
        Ok(single(&self.collect(expression, scope)?)?.cloned())
    }

    pub(super) fn on_text(
        &self,
        found: &[Item<'v>],
        function: Function,
        given: &'v [Expr],
        scope: &Scope<'v>,
    ) -> Found<'v> {
        let Some(item) = single(found)? else {
            // Invariants of R4 such as bdl-8 and ref-1 count on it that nothing does not begin with '#'.
            use Function::{Contains, EndsWith, StartsWith};
            let asks = matches!(function, Contains | EndsWith | StartsWith);
            return Ok(if asks { vec![Item::Boolean(false)] } else { Vec::new() });
        };
        let Some(text) = of(item) else { return Ok(Vec::new()) };
        self.fuel.spend(text.len() / 64)?;
        let whole = |n: usize| Item::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        match function {
            Function::ToText => return Ok(vec![Item::Text(Cow::Owned(text.into_owned()))]),
            Function::ToInteger => return Ok(text.parse().map(Item::Integer).into_iter().collect()),
            Function::Length => return Ok(vec![whole(text.chars().count())]),
            Function::Upper => return Ok(vec![Item::Text(Cow::Owned(text.to_uppercase()))]),
            Function::Lower => return Ok(vec![Item::Text(Cow::Owned(text.to_lowercase()))]),
            _ => {}
        }
        if let Some(Expr::Pattern(pattern)) = given.first() {
            self.fuel.spend(text.len() / 8)?;
            if function == Function::Matches {
                return Ok(vec![Item::Boolean(pattern.is_match(&text))]);
            }
            let Some(new) = self.argument(given, 1, scope)? else { return Ok(Vec::new()) };
            let replaced = pattern.replace_all(&text, new.text().unwrap_or_default()).into_owned();
            self.fuel.spend(replaced.len() / 8)?;
            return Ok(vec![Item::Text(Cow::Owned(replaced))]);
        }
        let Some(argument) = self.argument(given, 0, scope)? else { return Ok(Vec::new()) };
        if function == Function::Substring {
            return self.substring(&text, &argument, given, scope);
        }
        let Some(other) = argument.text() else { return Ok(Vec::new()) };
        Ok(vec![match function {
            Function::StartsWith => Item::Boolean(text.starts_with(other)),
            Function::EndsWith => Item::Boolean(text.ends_with(other)),
            Function::Contains => Item::Boolean(text.contains(other)),
            Function::IndexOf => {
                let before = text.split_once(other).map(|(before, _)| before.chars().count());
                before.map_or(Item::Integer(-1), whole)
            }
            // Patterns stand in the text of an expression; one that is computed is not compiled here.
            _ => return Err(Stop::Unknown),
        }])
    }

    fn substring(&self, text: &str, start: &Item<'v>, given: &'v [Expr], scope: &Scope<'v>) -> Found<'v> {
        let number = |item: &Item| item.number().and_then(|digits| digits.parse::<usize>().ok());
        let Some(start) = number(start) else { return Ok(Vec::new()) };
        let length = self.argument(given, 1, scope)?.as_ref().and_then(number).unwrap_or(usize::MAX);
        let part: String = text.chars().skip(start).take(length).collect();
        Ok(if part.is_empty() { Vec::new() } else { vec![Item::Text(Cow::Owned(part))] })
    }
}
