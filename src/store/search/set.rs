//! Values of tokens, references and uris as sets of integers: a list where few are meant, a subquery over the
//! dictionary where a whole system, a code of any system or a part of a uri is asked for.

use super::sql::{Bind, Sql};
use crate::error::Error;
use crate::fhir::params::Param;
use crate::fhir::query::{CodesOf, Match, Operand};
use crate::store::conn::Conn;
use crate::store::dict::{self, Dict, Kind, Source};
use crate::store::prepare;

/// More numbers than this are left to the database.
const MAX_LIST: usize = 500;
/// Codes of a value set that are searched at once.
const MAX_CODES: usize = 10_000;

#[derive(Default)]
pub(super) struct Set {
    terms: Vec<i64>,
    /// Every coding of these systems.
    systems: Vec<i64>,
    /// These codes in any system.
    codes: Vec<String>,
    uris: Vec<(String, Match)>,
}

/// The numbers that the operands may mean.
pub(super) fn of(conn: &mut Conn, dict: &Dict, param: &Param, operands: &[Operand]) -> Result<Set, Error> {
    let mut set = Set::default();
    for operand in operands {
        match operand {
            Operand::Token { system, code } => {
                token(&mut set, conn, dict, param, (system.as_deref(), code.as_deref()))?;
            }
            Operand::In { of, codes } => {
                let codes = codes.as_deref().ok_or_else(|| not_loaded(param, of))?;
                if codes.len() > MAX_CODES {
                    let text = format!("this stands for more than {MAX_CODES} codes");
                    return Err(Error::invalid("too-costly", format!("http.{}", param.name), text));
                }
                for (system, code) in codes {
                    token(&mut set, conn, dict, param, (Some(system), Some(code)))?;
                }
            }
            Operand::References(texts) => {
                let mut terms = dict.terms(Source::Table(conn));
                for text in texts {
                    set.terms.extend(prepare::local(&mut terms, text)?);
                }
            }
            Operand::Uri(text) => {
                set.terms.extend(uri(conn, dict, param, text)?);
                // What names a version is found without it.
                if !text.contains('|') {
                    set.terms.extend(uri(conn, dict, param, &format!("{text}|"))?);
                }
            }
            Operand::UriLike { text, mode: Match::Above } => {
                for prefix in prefixes(text) {
                    set.terms.extend(uri(conn, dict, param, prefix)?);
                }
            }
            Operand::UriLike { text, mode } => set.uris.push((text.clone(), *mode)),
            _ => {}
        }
    }
    set.terms.sort_unstable();
    set.terms.dedup();
    Ok(set)
}

fn not_loaded(param: &Param, of: &CodesOf) -> Error {
    let short = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(200).collect() };
    let text = match of {
        CodesOf::ValueSet(url) => format!("the value set {} is not loaded here", short(url)),
        CodesOf::Concept { system, .. } => {
            let system = short(system);
            format!("no hierarchy of a code system {system} that is loaded here in full has this code")
        }
    };
    Error::invalid("not-supported", format!("http.{}", param.name), text)
}

type Token<'a> = (Option<&'a str>, Option<&'a str>);

/// A `code` element has the system of its binding without saying it.
fn token(set: &mut Set, conn: &mut Conn, dict: &Dict, param: &Param, token: Token<'_>) -> Result<(), Error> {
    let implied = |system: &str| param.systems.contains(&system);
    match token {
        (None, Some(code)) => {
            let found = dict::codings_of_code(conn, code, MAX_LIST + 1)?;
            if found.len() > MAX_LIST {
                set.codes.push(code.to_owned());
            } else {
                set.terms.extend(found);
            }
        }
        (Some(system), Some(code)) => {
            let mut terms = dict.terms(Source::Table(conn));
            set.terms.extend(terms.coding(system, code)?);
            if implied(system) {
                set.terms.extend(terms.coding("", code)?);
            }
        }
        (Some(system), None) => {
            set.systems.extend(dict.terms(Source::Table(conn)).uri(system)?);
            if implied(system) {
                set.systems.push(0);
            }
        }
        (None, None) => {}
    }
    Ok(())
}

/// The profile of an Observation is a coding without a system, every other uri is itself.
fn uri(conn: &mut Conn, dict: &Dict, param: &Param, text: &str) -> Result<Option<i64>, Error> {
    let mut terms = dict.terms(Source::Table(conn));
    if param.column.is_some() { terms.coding("", text) } else { terms.uri(text) }
}

/// A uri and everything above it: cut at each `/`, `:`, `#` and `|`.
fn prefixes(uri: &str) -> impl Iterator<Item = &str> {
    let cuts = uri.char_indices().filter(|(_, c)| "/:#|".contains(*c));
    let both = cuts.flat_map(|(at, c)| [at, at + c.len_utf8()]);
    both.chain(std::iter::once(uri.len())).filter_map(|at| uri.get(..at)).filter(|p| !p.is_empty()).take(200)
}

impl Set {
    /// The numbers, where they are all known.
    pub(super) fn list(&self) -> Option<&[i64]> {
        let all = self.systems.is_empty() && self.codes.is_empty() && self.uris.is_empty();
        all.then_some(&self.terms)
    }

    /// `column` is one of these terms. Uris are terms of `kind`. False when there is none.
    pub(super) fn write(&self, sql: &mut Sql, column: &str, kind: Kind) -> Result<bool, Error> {
        let parts: Vec<Part<'_>> = std::iter::once(Part::Terms(&self.terms))
            .filter(|_| !self.terms.is_empty())
            .chain((!self.systems.is_empty()).then_some(Part::Systems(&self.systems)))
            .chain(self.codes.iter().map(|code| Part::Code(code)))
            .chain(self.uris.iter().map(|(text, mode)| Part::Uri(text, *mode)))
            .collect();
        sql.any_of(parts.len(), |sql, at| {
            if let Some(part) = parts.get(at) {
                part.write(sql, column, kind);
            }
            Ok(true)
        })
    }

    /// `column` is a concept that holds one of these codings. Many concepts may hold one coding.
    pub(super) fn write_concepts(&self, sql: &mut Sql, conn: &mut Conn, column: &str) -> Result<bool, Error> {
        if let Some(concepts) = self.concepts(conn)? {
            if concepts.is_empty() {
                sql.push("1 = 0");
                return Ok(false);
            }
            sql.one_of(column, &concepts);
            return Ok(true);
        }
        sql.push(column).push(" IN (SELECT concept FROM concept_coding WHERE ");
        let possible = self.write(sql, "coding", Kind::Coding)?;
        sql.push(")");
        Ok(possible)
    }

    /// The concepts that hold one of these codings, unless they are too many to be listed.
    pub(super) fn concepts(&self, conn: &mut Conn) -> Result<Option<Vec<i64>>, Error> {
        let Some(list) = self.list() else { return Ok(None) };
        let concepts = dict::concepts_of(conn, list, MAX_LIST + 1)?;
        Ok((concepts.len() <= MAX_LIST).then_some(concepts))
    }
}

/// One way of saying which terms are meant.
enum Part<'a> {
    Terms(&'a [i64]),
    Systems(&'a [i64]),
    Code(&'a str),
    Uri(&'a str, Match),
}

impl Part<'_> {
    fn write(&self, sql: &mut Sql, column: &str, kind: Kind) {
        match self {
            Self::Terms(terms) => {
                sql.one_of(column, terms);
            }
            Self::Systems(systems) => {
                sql.push(column).push(" IN (SELECT id FROM term WHERE kind = 2 AND ");
                sql.one_of("scope", systems).push(")");
            }
            Self::Code(code) => {
                sql.push(column).push(" IN (SELECT id FROM term WHERE kind = 2 AND text = ");
                sql.bind(Bind::Text(dict::key(code).into_owned())).push(")");
            }
            Self::Uri(text, mode) => {
                sql.push(column).push(" IN (SELECT id FROM term WHERE kind = ").int(kind.number().into());
                sql.push(" AND scope = 0 AND ");
                if *mode == Match::Contains {
                    sql.push("replace(text, ").bind(Bind::Text((*text).to_owned())).push(", '') <> text");
                } else {
                    begins(sql, text);
                }
                sql.push(")");
            }
        }
    }
}

/// The term's text begins with this: compared letter by letter on either engine, whatever its collation.
pub(super) fn begins(sql: &mut Sql, text: &str) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    sql.push("substr(text, 1, CAST(").int(length).push(" AS INTEGER)) = ").bind(Bind::Text(text.to_owned()));
}
