//! The dictionary: everything that repeats (uris, codings, concepts, units, references, search parameters) has
//! one integer, and searching compares integers. Terms are only ever added, so what is cached stays true; on
//! PostgreSQL other nodes add terms too, and a term that is not cached is looked up before it is said not to be.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::RwLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use super::conn::{Conn, each};
use super::database;
use super::schema::{concept_coding, referent, term};
use crate::error::Error;
use crate::fhir::reading::Code;

/// What a term is. The numbers are stored: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Uri,
    /// scope: the term of its system, 0 without one
    Coding,
    /// text: the numbers of its codings, else `text:` and the concept's text
    Concept,
    /// scope: the term of its system
    Unit,
    /// scope: the resource type's number
    Reference,
    /// scope: the resource type's number
    Param,
    /// scope: a concept; text: what it is called, folded
    Name,
}

impl Kind {
    pub(super) fn number(self) -> i16 {
        match self {
            Self::Uri => 1,
            Self::Coding => 2,
            Self::Concept => 3,
            Self::Unit => 4,
            Self::Reference => 5,
            Self::Param => 6,
            Self::Name => 7,
        }
    }
}

/// References are as many as patients and devices; when the cache holds this many it starts afresh.
const MAX_CACHED: usize = 500_000;
/// A concept without codings is its text, cut here: free text is no vocabulary.
const MAX_TEXT: usize = 200;
/// Bytes of a term that are stored as they are.
const MAX_KEY: usize = 1000;

type Scope = HashMap<Box<str>, i64>;

#[derive(Default)]
pub(super) struct Dict {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    terms: HashMap<(Kind, i64), Scope>,
    count: usize,
}

/// Where terms come from: the cache alone, the cache and the table, or made when new.
pub(super) enum Source<'a> {
    Cache,
    Table(&'a mut Conn),
    Make(&'a mut Conn),
}

/// The terms of one piece of work. What is made stays here until its transaction is committed: a number that
/// was rolled back must never be seen by others.
pub(super) struct Terms<'a> {
    dict: &'a Dict,
    source: Source<'a>,
    made: Made,
}

/// Terms that were made, by kind and scope.
pub(super) type Made = HashMap<(Kind, i64), Scope>;

impl Dict {
    pub(super) fn terms<'a>(&'a self, source: Source<'a>) -> Terms<'a> {
        Terms { dict: self, source, made: Made::default() }
    }

    /// Takes in what was made, after its COMMIT.
    pub(super) fn learn(&self, made: Made) {
        for ((kind, scope), terms) in made {
            for (text, id) in terms {
                self.remember(kind, scope, text, id);
            }
        }
    }

    fn cached(&self, kind: Kind, scope: i64, text: &str) -> Option<i64> {
        let known = self.known.read().ok()?;
        known.terms.get(&(kind, scope))?.get(text).copied()
    }

    fn remember(&self, kind: Kind, scope: i64, text: Box<str>, id: i64) {
        let Ok(mut known) = self.known.write() else { return };
        if known.count >= MAX_CACHED {
            *known = Known::default();
        }
        known.count += 1;
        known.terms.entry((kind, scope)).or_default().insert(text, id);
    }
}

impl Terms<'_> {
    /// What was made, to be learnt after COMMIT.
    pub(super) fn into_made(self) -> Made {
        self.made
    }

    /// The term's number; none when it is not known (or, from the cache, not yet).
    pub(super) fn get(&mut self, kind: Kind, scope: i64, text: &str) -> Result<Option<i64>, Error> {
        let text = &*key(text);
        if let Some(id) = self.known(kind, scope, text) {
            return Ok(Some(id));
        }
        match &mut self.source {
            Source::Cache => Ok(None),
            Source::Table(conn) => {
                let found = find(conn, kind, scope, text)?;
                if let Some(id) = found {
                    self.dict.remember(kind, scope, text.into(), id);
                }
                Ok(found)
            }
            Source::Make(conn) => {
                let id = match find(conn, kind, scope, text)? {
                    Some(id) => id,
                    None => make(conn, kind, scope, text)?,
                };
                self.made.entry((kind, scope)).or_default().insert(text.into(), id);
                Ok(Some(id))
            }
        }
    }

    fn known(&self, kind: Kind, scope: i64, text: &str) -> Option<i64> {
        let made = || self.made.get(&(kind, scope))?.get(text).copied();
        self.dict.cached(kind, scope, text).or_else(made)
    }

    pub(super) fn coding(&mut self, system: &str, code: &str) -> Result<Option<i64>, Error> {
        let Some(system) = self.uri(system)? else { return Ok(None) };
        self.get(Kind::Coding, system, code)
    }

    /// The number of a uri; the empty text is 0.
    pub(super) fn uri(&mut self, uri: &str) -> Result<Option<i64>, Error> {
        if uri.is_empty() { Ok(Some(0)) } else { self.get(Kind::Uri, 0, uri) }
    }

    pub(super) fn unit(&mut self, system: &str, code: &str) -> Result<Option<i64>, Error> {
        let Some(system) = self.uri(system)? else { return Ok(None) };
        self.get(Kind::Unit, system, code)
    }

    /// The set of codings as one number; when it is new its codings learn that they are in it.
    pub(super) fn concept(&mut self, codings: &[Code], text: Option<&str>) -> Result<Option<i64>, Error> {
        let mut members = Vec::with_capacity(codings.len());
        for (system, code) in codings {
            let Some(coding) = self.coding(system, code)? else { return Ok(None) };
            members.push(coding);
        }
        members.sort_unstable();
        members.dedup();
        let key = if members.is_empty() {
            let Some(text) = text else { return Ok(None) };
            format!("text:{}", text.chars().take(MAX_TEXT).collect::<String>())
        } else {
            members.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        let known = self.known(Kind::Concept, 0, &self::key(&key));
        let concept = self.get(Kind::Concept, 0, &key)?;
        if let (None, Some(concept), Source::Make(conn)) = (known, concept, &mut self.source) {
            link(conn, concept, &members)?;
        }
        Ok(concept)
    }
}

/// The text as it is stored: what would not fit an index entry of PostgreSQL is its beginning and its hash.
pub(super) fn key(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_KEY {
        return Cow::Borrowed(text);
    }
    let beginning: String = text.chars().take(64).collect();
    Cow::Owned(format!("{beginning}…{}", URL_SAFE_NO_PAD.encode(Sha256::digest(text))))
}

fn find(conn: &mut Conn, kind: Kind, scope: i64, text: &str) -> Result<Option<i64>, Error> {
    let row = term::table
        .filter(term::kind.eq(kind.number()).and(term::text.eq(text)).and(term::scope.eq(scope)))
        .select(term::id)
        .first(conn);
    row.optional().map_err(database)
}

fn make(conn: &mut Conn, kind: Kind, scope: i64, text: &str) -> Result<i64, Error> {
    let values = (term::kind.eq(kind.number()), term::scope.eq(scope), term::text.eq(text));
    each!(conn, c => diesel::insert_into(term::table).values(&values).on_conflict_do_nothing().execute(c))
        .map_err(database)?;
    let id = find(conn, kind, scope, text)?.ok_or_else(|| Error::internal("a term that was just made is not there"))?;
    if kind == Kind::Reference {
        refer(conn, id, scope, text)?;
    }
    Ok(id)
}

/// A reference learns what it refers to, as the tables of resources say it.
fn refer(conn: &mut Conn, term: i64, scope: i64, text: &str) -> Result<(), Error> {
    let kind = i16::try_from(scope).map_err(Error::internal)?;
    let values = (referent::term.eq(term), referent::kind.eq(kind), referent::key.eq(super::id::encode(text)));
    each!(conn, c => diesel::insert_into(referent::table).values(&values).on_conflict_do_nothing().execute(c))
        .map_err(database)?;
    Ok(())
}

fn link(conn: &mut Conn, concept: i64, codings: &[i64]) -> Result<(), Error> {
    for coding in codings {
        let values = (concept_coding::coding.eq(coding), concept_coding::concept.eq(concept));
        each!(conn, c => diesel::insert_into(concept_coding::table).values(&values).on_conflict_do_nothing().execute(c))
            .map_err(database)?;
    }
    Ok(())
}

/// The codings of a code in any system.
pub(super) fn codings_of_code(conn: &mut Conn, code: &str, limit: usize) -> Result<Vec<i64>, Error> {
    let found = term::table.filter(term::kind.eq(Kind::Coding.number()).and(term::text.eq(key(code))));
    found.select(term::id).limit(at_most(limit)?).load(conn).map_err(database)
}

fn at_most(limit: usize) -> Result<i64, Error> {
    i64::try_from(limit).map_err(Error::internal)
}

/// The concepts that hold any of these codings, at most so many.
pub(super) fn concepts_of(conn: &mut Conn, codings: &[i64], limit: usize) -> Result<Vec<i64>, Error> {
    let mut found: Vec<i64> = match codings {
        [] => return Ok(vec![]),
        [coding] => concept_coding::table
            .filter(concept_coding::coding.eq(coding))
            .select(concept_coding::concept)
            .distinct()
            .limit(at_most(limit)?)
            .load(conn)
            .map_err(database)?,
        many => concept_coding::table
            .filter(concept_coding::coding.eq_any(many))
            .select(concept_coding::concept)
            .distinct()
            .limit(at_most(limit)?)
            .load(conn)
            .map_err(database)?,
    };
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// All unit terms of these systems: few, and needed to find those that measure the same.
pub(super) fn units(conn: &mut Conn, systems: &[i64]) -> Result<Vec<(i64, String)>, Error> {
    term::table
        .filter(term::kind.eq(Kind::Unit.number()).and(term::scope.eq_any(systems)))
        .select((term::id, term::text))
        .load(conn)
        .map_err(database)
}

/// Every unit term of any system.
pub(super) fn all_units(conn: &mut Conn) -> Result<Vec<(i64, String)>, Error> {
    term::table.filter(term::kind.eq(Kind::Unit.number())).select((term::id, term::text)).load(conn).map_err(database)
}

/// The units that are called so, in any system.
pub(super) fn units_called(conn: &mut Conn, code: &str) -> Result<Vec<i64>, Error> {
    let found = term::table.filter(term::kind.eq(Kind::Unit.number()).and(term::text.eq(key(code))));
    found.select(term::id).limit(500).load(conn).map_err(database)
}
