//! The part of `FHIRPath` that addresses elements of a resource, read into steps: members, indexers, `first()`,
//! `last()`, `where(…)`, `extension('…')`, `ofType(…)`, and `as`. What computes anything else is refused.

/// Longer paths address nothing.
const MAX_LENGTH: usize = 2000;
/// No resource nests as deep.
const MAX_STEPS: usize = 64;
/// How deep parentheses may nest.
const MAX_NESTING: usize = 12;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A member of each element; at the beginning also the type of the resource.
    Child(String),
    Nth(usize),
    Last,
    Where(Condition),
    OfType(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Or(Vec<Condition>),
    And(Vec<Condition>),
    Not(Box<Condition>),
    Exists(Path),
    /// `equal` or not: some element of the path has this value.
    Compare {
        path: Path,
        equal: bool,
        literal: Literal,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(String),
    Boolean(bool),
}

/// Reads a path, or says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Path, &'static str> {
    if text.chars().count() > MAX_LENGTH {
        return Err("the path is too long");
    }
    let mut reader = Reader { rest: text, nesting: 0 };
    let path = reader.path()?;
    reader.space();
    if reader.rest.is_empty() { Ok(path) } else { Err("the path is not understood to its end") }
}

struct Reader<'a> {
    rest: &'a str,
    nesting: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes this text, when it is next.
    fn take(&mut self, text: &str) -> bool {
        self.space();
        self.rest.strip_prefix(text).map(|rest| self.rest = rest).is_some()
    }

    fn need(&mut self, text: &str, missing: &'static str) -> Result<(), &'static str> {
        if self.take(text) { Ok(()) } else { Err(missing) }
    }

    /// A word of letters and digits, perhaps in backticks.
    fn word(&mut self) -> Option<String> {
        self.space();
        let quoted = self.rest.strip_prefix('`');
        let from = quoted.unwrap_or(self.rest);
        let end = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(from.len());
        // A hyphen belongs to a word in backticks only.
        let end = if quoted.is_some() { end } else { from.find('-').map_or(end, |hyphen| hyphen.min(end)) };
        let (word, rest) = from.split_at_checked(end)?;
        let rest = if quoted.is_some() { rest.strip_prefix('`')? } else { rest };
        if word.is_empty() {
            return None;
        }
        self.rest = rest;
        Some(word.to_owned())
    }

    /// This word and no longer one.
    fn keyword(&mut self, word: &str) -> bool {
        let before = self.rest;
        if self.word().as_deref() == Some(word) {
            return true;
        }
        self.rest = before;
        false
    }

    fn path(&mut self) -> Result<Path, &'static str> {
        let mut steps = Vec::new();
        if self.take("(") {
            self.enter()?;
            steps = self.path()?.steps;
            if self.keyword("as") {
                steps.push(Step::OfType(self.type_name()?));
            }
            self.need(")", "a parenthesis is not closed")?;
            self.nesting -= 1;
        } else if !self.take("$this") && !self.take("%resource") && !self.take("%context") {
            self.step(&mut steps)?;
        }
        self.indexers(&mut steps)?;
        while self.take(".") {
            self.step(&mut steps)?;
            self.indexers(&mut steps)?;
        }
        if steps.len() > MAX_STEPS {
            return Err("the path is deeper than any resource");
        }
        Ok(Path { steps })
    }

    fn enter(&mut self) -> Result<(), &'static str> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING { Err("the path nests too deep") } else { Ok(()) }
    }

    fn step(&mut self, steps: &mut Vec<Step>) -> Result<(), &'static str> {
        let name = self.word().ok_or("the name of an element is missing")?;
        if !self.rest.starts_with('(') {
            steps.push(Step::Child(name));
            return Ok(());
        }
        self.take("(");
        match name.as_str() {
            "first" => steps.push(Step::Nth(0)),
            "last" => steps.push(Step::Last),
            "single" => {}
            "ofType" | "as" => steps.push(Step::OfType(self.type_name()?)),
            "extension" => {
                let Some(Literal::Text(url)) = self.literal()? else { return Err("extension() needs a url in quotes") };
                let path = Path { steps: vec![Step::Child("url".to_owned())] };
                steps.push(Step::Child("extension".to_owned()));
                steps.push(Step::Where(Condition::Compare { path, equal: true, literal: Literal::Text(url) }));
            }
            "where" => {
                self.enter()?;
                steps.push(Step::Where(self.condition()?));
                self.nesting -= 1;
            }
            _ => return Err("this function does not address an element"),
        }
        self.need(")", "a parenthesis is not closed")
    }

    fn indexers(&mut self, steps: &mut Vec<Step>) -> Result<(), &'static str> {
        while self.take("[") {
            let number = self.word().and_then(|word| word.parse().ok()).ok_or("an index is a whole number")?;
            steps.push(Step::Nth(number));
            self.need("]", "a bracket is not closed")?;
        }
        Ok(())
    }

    fn type_name(&mut self) -> Result<String, &'static str> {
        let name = self.word().ok_or("the name of a type is missing")?;
        // `FHIR.Quantity`
        if self.take(".") { self.word().ok_or("the name of a type is missing") } else { Ok(name) }
    }

    fn condition(&mut self) -> Result<Condition, &'static str> {
        let mut all = vec![self.conjunction()?];
        while self.keyword("or") {
            all.push(self.conjunction()?);
        }
        Ok(if all.len() == 1 { all.swap_remove(0) } else { Condition::Or(all) })
    }

    fn conjunction(&mut self) -> Result<Condition, &'static str> {
        let mut all = vec![self.comparison()?];
        while self.keyword("and") {
            all.push(self.comparison()?);
        }
        Ok(if all.len() == 1 { all.swap_remove(0) } else { Condition::And(all) })
    }

    fn comparison(&mut self) -> Result<Condition, &'static str> {
        let before = self.rest;
        if self.take("(") {
            self.enter()?;
            let inner = self.condition();
            self.nesting -= 1;
            if let Ok(inner) = inner
                && self.take(")")
            {
                return Ok(self.negated(inner));
            }
            // It was a path in parentheses: `(value as Quantity).code = 'x'`.
            self.rest = before;
        }
        if let Some(literal) = self.literal()? {
            self.need("=", "a condition compares a path to a value")?;
            let path = self.path()?;
            return Ok(Condition::Compare { path, equal: true, literal });
        }
        let path = self.operand()?;
        if let (path, Some(exists)) = path {
            let found = Condition::Exists(path);
            return Ok(self.negated(if exists { found } else { Condition::Not(Box::new(found)) }));
        }
        let (path, _) = path;
        let equal = if self.take("!=") {
            false
        } else if self.take("=") || self.take("~") {
            true
        } else {
            // A path by itself is true where it is true.
            return Ok(Condition::Compare { path, equal: true, literal: Literal::Boolean(true) });
        };
        let literal = self.literal()?.ok_or("a condition compares a path to a value")?;
        Ok(Condition::Compare { path, equal, literal })
    }

    fn negated(&mut self, condition: Condition) -> Condition {
        if self.take(".not()") { Condition::Not(Box::new(condition)) } else { condition }
    }

    /// A path, and whether it ends in `exists()` or `empty()`.
    fn operand(&mut self) -> Result<(Path, Option<bool>), &'static str> {
        for (end, exists) in [("exists()", true), ("empty()", false)] {
            if self.take(end) {
                return Ok((Path { steps: vec![] }, Some(exists)));
            }
        }
        let text = self.rest;
        let cut = [(".exists()", true), (".empty()", false)]
            .into_iter()
            .filter_map(|(end, exists)| Some((text.find(end)?, end.len(), exists)))
            .min();
        if let Some((at, length, exists)) = cut
            && let (Some(own), Some(rest)) = (text.get(..at), text.get(at + length..))
        {
            let mut inner = Reader { rest: own, nesting: self.nesting };
            if let Ok(path) = inner.path()
                && inner.rest.trim().is_empty()
            {
                self.rest = rest;
                return Ok((path, Some(exists)));
            }
        }
        Ok((self.path()?, None))
    }

    fn literal(&mut self) -> Result<Option<Literal>, &'static str> {
        self.space();
        if let Some(rest) = self.rest.strip_prefix('\'') {
            return self.quoted(rest).map(Some);
        }
        if self.keyword("true") {
            return Ok(Some(Literal::Boolean(true)));
        }
        if self.keyword("false") {
            return Ok(Some(Literal::Boolean(false)));
        }
        let date = self.rest.strip_prefix('@');
        let from = date.unwrap_or(self.rest);
        if date.is_none() && !from.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Ok(None);
        }
        let part = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-') || (date.is_some() && "T:+Z".contains(c));
        let end = from.find(|c: char| !part(c)).unwrap_or(from.len());
        let (text, rest) = from.split_at_checked(end).ok_or("a value is missing")?;
        self.rest = rest;
        let text = text.to_owned();
        Ok(Some(if date.is_some() { Literal::Text(text) } else { Literal::Number(text) }))
    }

    fn quoted(&mut self, rest: &str) -> Result<Literal, &'static str> {
        let (mut text, mut chars) = (String::new(), rest.char_indices());
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    let skip = self.rest.len() - rest.len() + at + 1;
                    self.rest = self.rest.get(skip..).unwrap_or_default();
                    return Ok(Literal::Text(text));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(c @ ('\'' | '"' | '\\' | '/' | '`')) => text.push(c),
                    _ => return Err("this escape is not known"),
                },
                c => text.push(c),
            }
        }
        Err("a text is not closed")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_address_is_refused() {
        for text in [
            "",
            "Patient.",
            "Patient..name",
            "Patient.name[",
            "Patient.name[x]",
            "Patient.name.count()",
            "Patient.name.where(use='x'",
            "Patient.name.where()",
            "1 + 1",
            "Patient.name | Patient.contact",
            "'x'",
            "Patient.name.where(use = 'x)",
            "subject.resolve()",
            "Patient.name.where(use > 'x')",
        ] {
            assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
        }
        assert!(parse(&"(".repeat(1000)).is_err() && parse(&"a.".repeat(5000)).is_err());
        assert!(parse(&vec!["item"; 65].join(".")).is_err() && parse(&vec!["item"; 64].join(".")).is_ok());
    }

    proptest! {
        #[test]
        fn no_path_panics(text in r"[a-zA-Z.()\[\]'=@0-9 \\`$%é!-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
