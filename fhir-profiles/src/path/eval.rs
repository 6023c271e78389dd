//! Computes an expression. Every step costs; a collection costs its items, a text its length, so that
//! what one resource may cost is bounded by its [`Fuel`] whatever it and the expressions are.

use std::{borrow::Cow, cell::Cell, cmp::Ordering, collections::HashSet};

use super::{
    Item, Stop,
    compare::{equal, key, order},
    function::Function,
    item::Object,
    read::{Cast, Expr, Op},
};
use crate::definition::Definitions;

mod call;
mod text;

type Found<'v> = Result<Vec<Item<'v>>, Stop>;

/// Steps that are left.
#[derive(Debug)]
pub(crate) struct Fuel(Cell<u64>);

impl Fuel {
    pub(crate) fn new(steps: u64) -> Self {
        Self(Cell::new(steps))
    }

    pub(crate) fn spend(&self, steps: usize) -> Result<(), Stop> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Stop::Spent)
    }
}

/// What surrounds the item: `%resource` and `%rootResource`.
pub(crate) struct Context<'v> {
    pub(crate) resource: &'v Object,
    /// The resource that contains `resource`, or itself.
    pub(crate) root: &'v Object,
    /// Where `memberOf` looks for value sets.
    pub(crate) definitions: Option<&'v Definitions>,
}

/// `$this` and `$index`, and what a path without a beginning starts from.
pub(super) struct Scope<'v> {
    this: Item<'v>,
    index: usize,
    /// Whether a name here may be that of the item's own type.
    outermost: bool,
}

impl<'v> Scope<'v> {
    pub(super) fn of(item: &Item<'v>) -> Self {
        Self { this: item.clone(), index: 0, outermost: true }
    }
}

pub(super) struct Run<'r, 'v> {
    pub(super) context: &'r Context<'v>,
    pub(super) fuel: &'r Fuel,
    /// `%context`
    pub(super) whole: &'r Item<'v>,
}

impl<'v> Run<'_, 'v> {
    pub(super) fn collect(&self, expression: &'v Expr, scope: &Scope<'v>) -> Found<'v> {
        self.fuel.spend(1)?;
        let one = |item| Ok(vec![item]);
        match expression {
            Expr::Empty | Expr::Pattern(_) => Ok(Vec::new()),
            Expr::True => one(Item::Boolean(true)),
            Expr::False => one(Item::Boolean(false)),
            Expr::Text(text) => one(Item::Text(Cow::Borrowed(text))),
            Expr::Number(digits) => one(match digits.parse() {
                Ok(number) => Item::Integer(number),
                Err(_) => Item::Decimal(Cow::Borrowed(digits)),
            }),
            Expr::Time(text) => one(Item::Time(Cow::Borrowed(text))),
            Expr::This => one(scope.this.clone()),
            Expr::Index => one(Item::Integer(i64::try_from(scope.index).map_err(|_| Stop::Wrong)?)),
            Expr::Variable(name) => self.variable(name),
            Expr::Name(name) if scope.outermost && scope.this.type_name() == name => one(scope.this.clone()),
            Expr::Name(name) => {
                let mut found = Vec::new();
                scope.this.children(name, &mut found)?;
                self.fuel.spend(found.len())?;
                Ok(found)
            }
            Expr::Child(of, name) => {
                let mut found = Vec::new();
                for item in self.collect(of, scope)? {
                    self.fuel.spend(1)?;
                    item.children(name, &mut found)?;
                }
                self.fuel.spend(found.len())?;
                Ok(found)
            }
            Expr::At(of, index) => {
                let mut found = self.collect(of, scope)?;
                let index = self.integer(index, scope)?.and_then(|i| usize::try_from(i).ok());
                Ok(match index.filter(|i| *i < found.len()) {
                    Some(index) => vec![found.swap_remove(index)],
                    None => Vec::new(),
                })
            }
            Expr::Negative(of) => {
                let found = self.collect(of, scope)?;
                let Some(number) = single(&found)?.and_then(Item::number) else { return Ok(Vec::new()) };
                let text = number.strip_prefix('-').map_or_else(|| format!("-{number}"), str::to_owned);
                one(Item::Decimal(Cow::Owned(text)))
            }
            Expr::Typed(of, cast, name) => {
                let found = self.start(of.as_deref(), scope)?;
                self.fuel.spend(found.len())?;
                match cast {
                    Cast::As => Ok(found.into_iter().filter(|item| item.is(name)).collect()),
                    Cast::Is => Ok(single(&found)?.map(|item| Item::Boolean(item.is(name))).into_iter().collect()),
                }
            }
            Expr::Call(of, function, given) => self.call(of.as_deref(), *function, given, scope),
            Expr::Both(op, left, right) => self.both(*op, left, right, scope),
        }
    }

    fn start(&self, of: Option<&'v Expr>, scope: &Scope<'v>) -> Found<'v> {
        match of {
            Some(of) => self.collect(of, scope),
            None => Ok(vec![scope.this.clone()]),
        }
    }

    fn variable(&self, name: &str) -> Found<'v> {
        let text = |text: &'static str| Item::Text(Cow::Borrowed(text));
        Ok(match name {
            "resource" => Item::resource(self.context.resource).into_iter().collect(),
            "rootResource" => Item::resource(self.context.root).into_iter().collect(),
            "context" => vec![self.whole.clone()],
            "ucum" => vec![text("http://unitsofmeasure.org")],
            "loinc" => vec![text("http://loinc.org")],
            "sct" => vec![text("http://snomed.info/sct")],
            _ => return Err(Stop::Unknown),
        })
    }

    fn integer(&self, expression: &'v Expr, scope: &Scope<'v>) -> Result<Option<i64>, Stop> {
        let found = self.collect(expression, scope)?;
        Ok(single(&found)?.and_then(Item::number).and_then(|digits| digits.parse().ok()))
    }

    /// A collection as a truth: one thing that is no boolean is true, nothing is neither.
    fn truth(&self, expression: &'v Expr, scope: &Scope<'v>) -> Result<Option<bool>, Stop> {
        let found = self.collect(expression, scope)?;
        truth_of(&found)
    }

    fn both(&self, op: Op, left: &'v Expr, right: &'v Expr, scope: &Scope<'v>) -> Found<'v> {
        let answer = |is: Option<bool>| Ok(is.map(Item::Boolean).into_iter().collect());
        match op {
            Op::And | Op::Or | Op::Implies => return answer(self.joined(op, left, right, scope)?),
            Op::Xor => {
                let (a, b) = (self.truth(left, scope)?, self.truth(right, scope)?);
                return answer(a.zip(b).map(|(a, b)| a != b));
            }
            _ => {}
        }
        let (a, b) = (self.collect(left, scope)?, self.collect(right, scope)?);
        self.fuel.spend(a.len() + b.len())?;
        match op {
            Op::Union => {
                let mut seen = HashSet::new();
                let all = a.into_iter().chain(b);
                Ok(self.distinct(all, &mut seen)?)
            }
            Op::In => contains(self.fuel, &b, single(&a)?).and_then(answer),
            Op::Contains => contains(self.fuel, &a, single(&b)?).and_then(answer),
            Op::Equal | Op::Like | Op::Unequal | Op::Unlike => {
                let same = a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| equal(a, b));
                if a.is_empty() || b.is_empty() {
                    // `~` knows that nothing is like nothing.
                    let like = a.is_empty() && b.is_empty();
                    return answer(match op {
                        Op::Like => Some(like),
                        Op::Unlike => Some(!like),
                        _ => None,
                    });
                }
                answer(Some(same == matches!(op, Op::Equal | Op::Like)))
            }
            Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => {
                let (Some(a), Some(b)) = (single(&a)?, single(&b)?) else { return Ok(Vec::new()) };
                if !(a.has_value() || matches!(a, Item::Element { .. }))
                    || matches!(b, Item::Primitive { value: None, .. })
                {
                    return Ok(Vec::new());
                }
                let order = order(a, b)?;
                answer(Some(match op {
                    Op::Less => order == Ordering::Less,
                    Op::LessOrEqual => order != Ordering::Greater,
                    Op::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }))
            }
            Op::Concatenate => {
                let text = |found: &[Item<'v>]| -> Result<String, Stop> {
                    Ok(single(found)?.and_then(text::of).map(Cow::into_owned).unwrap_or_default())
                };
                let both = [text(&a)?, text(&b)?].concat();
                self.fuel.spend(both.len() / 8)?;
                Ok(vec![Item::Text(Cow::Owned(both))])
            }
            _ => self.arithmetic(op, &a, &b),
        }
    }

    /// Looks at the right side only where the left does not decide.
    fn joined(&self, op: Op, left: &'v Expr, right: &'v Expr, scope: &Scope<'v>) -> Result<Option<bool>, Stop> {
        // A side that cannot be told does not matter where the other one decides.
        let a = match self.truth(left, scope) {
            Err(Stop::Unknown) => Err(Stop::Unknown),
            other => Ok(other?),
        };
        let decides = |side: Option<bool>, is_left: bool| match (op, side) {
            (Op::And, Some(false)) => Some(false),
            (Op::Or, Some(true)) => Some(true),
            (Op::Implies, Some(false)) if is_left => Some(true),
            (Op::Implies, Some(true)) if !is_left => Some(true),
            _ => None,
        };
        if let Some(decided) = a.ok().and_then(|a| decides(a, true)) {
            return Ok(Some(decided));
        }
        let b = self.truth(right, scope)?;
        if let Some(decided) = decides(b, false) {
            return Ok(Some(decided));
        }
        Ok(match (op, a?, b) {
            (Op::And, Some(true), Some(true)) => Some(true),
            (Op::Or, Some(false), Some(false)) | (Op::Implies, Some(true), Some(false)) => Some(false),
            _ => None,
        })
    }

    /// Whole numbers and texts: invariants calculate with no others.
    fn arithmetic(&self, op: Op, a: &[Item<'v>], b: &[Item<'v>]) -> Found<'v> {
        let (Some(a), Some(b)) = (single(a)?, single(b)?) else { return Ok(Vec::new()) };
        if let (Op::Add, Some(first), Some(second)) = (op, a.text(), b.text()) {
            self.fuel.spend((first.len() + second.len()) / 8)?;
            return Ok(vec![Item::Text(Cow::Owned([first, second].concat()))]);
        }
        let whole = |item: &Item<'v>| item.number().and_then(|digits| digits.parse::<i64>().ok()).ok_or(Stop::Unknown);
        let (a, b) = (whole(a)?, whole(b)?);
        let result = match op {
            Op::Add => a.checked_add(b),
            Op::Subtract => a.checked_sub(b),
            Op::Multiply => a.checked_mul(b),
            Op::Div => a.checked_div(b),
            Op::Mod => a.checked_rem(b),
            _ => return Err(Stop::Unknown),
        };
        Ok(result.map(Item::Integer).into_iter().collect())
    }

    fn distinct(
        &self,
        items: impl Iterator<Item = Item<'v>>,
        seen: &mut HashSet<String>,
    ) -> Result<Vec<Item<'v>>, Stop> {
        let mut found = Vec::new();
        for item in items {
            let key = key(&item);
            self.fuel.spend(1 + key.len() / 8)?;
            if seen.insert(key) {
                found.push(item);
            }
        }
        Ok(found)
    }
}

fn truth_of(found: &[Item]) -> Result<Option<bool>, Stop> {
    Ok(single(found)?.map(|item| item.boolean().unwrap_or(true)))
}

/// The only item. Several where one is asked for are a fault of the expression or of the resource.
fn single<'r, 'v>(found: &'r [Item<'v>]) -> Result<Option<&'r Item<'v>>, Stop> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(Stop::Wrong),
    }
}

fn contains(fuel: &Fuel, all: &[Item], wanted: Option<&Item>) -> Result<Option<bool>, Stop> {
    fuel.spend(all.len())?;
    Ok(wanted.map(|wanted| all.iter().any(|item| equal(item, wanted))))
}
