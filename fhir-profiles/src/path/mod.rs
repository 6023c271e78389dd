//! `FHIRPath`, as much of it as the invariants of FHIR R4 and of implementation guides use: expressions
//! are read once, computed over resources as they are, and every computation is bounded in steps. No
//! expression and no resource makes it panic. `check` and `definition` use it; others see `NumberPath` alone.

mod compare;
mod eval;
mod function;
mod item;
mod lex;
mod public;
mod read;

pub(crate) use compare::{order_of_numbers, same};
pub(crate) use eval::{Context, Fuel};
pub(crate) use item::Item;
pub use public::NumberPath;

use read::Expr;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It hangs on something that is not here, as the target of a reference, or cannot be told, as which of two
    /// times is earlier when one is only a year.
    Unknown,
    /// Values that the operation does not take.
    Wrong,
    /// The steps are used up.
    Spent,
}

#[derive(Debug)]
pub(crate) struct Expression(Expr);

impl Expression {
    /// Reads an expression, or says what of it is not understood.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        read::read(text).map(Self)
    }

    /// Whether an invariant holds for an item; nothing where it finds nothing.
    pub(crate) fn holds<'v>(
        &'v self,
        item: &Item<'v>,
        context: &Context<'v>,
        fuel: &Fuel,
    ) -> Result<Option<bool>, Stop> {
        let found = self.items(item, context, fuel)?;
        Ok(match found.as_slice() {
            [] => None,
            [one] => Some(one.boolean().unwrap_or(true)),
            _ => return Err(Stop::Wrong),
        })
    }
}

impl Expression {
    /// What is found from an item on.
    pub(crate) fn items<'v>(
        &'v self,
        item: &Item<'v>,
        context: &Context<'v>,
        fuel: &Fuel,
    ) -> Result<Vec<Item<'v>>, Stop> {
        eval::Run { context, fuel, whole: item }.collect(&self.0, &eval::Scope::of(item))
    }
}

#[cfg(test)]
mod tests;
