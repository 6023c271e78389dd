//! Value sets and code systems from the store, put into a library together with everything they are made of.
//! The shipped ones are in the library too; a stored definition goes before a shipped one of the same url.

use serde_json::Value;

use super::Store;
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::query::{CodesOf, Query};
use crate::fhir::reading::{Code, str_of};
use crate::fhir::terminology::{Direction, Kind, Library, Problem, expand_url, subsumed};

/// Definitions that one value set may be made of.
const MOST: usize = 300;
/// Stored definitions of one url that are looked at for the newest.
const VERSIONS: usize = 50;

impl Store {
    /// The definitions that are named and whatever they refer to, as far as it is known.
    pub async fn library(
        &self,
        access: &Access,
        definitions: Vec<(Kind, String)>,
        given: &[Value],
    ) -> Result<Library, Error> {
        let mut library = Library::default();
        for definition in given {
            let kind = if str_of(definition, "resourceType") == Some("CodeSystem") {
                Kind::CodeSystem
            } else {
                Kind::ValueSet
            };
            library.add(kind, str_of(definition, "url").unwrap_or_default(), Some(definition.clone()));
        }
        let mut wanted = definitions;
        wanted.extend(library.missing());
        while !wanted.is_empty() {
            for (kind, canonical) in wanted {
                if library.len() >= MOST {
                    let why = "this is made of more definitions than one answer may cost";
                    return Err(Error::unprocessable("too-costly", "http.url", why));
                }
                let stored = self.definition(access, kind, &canonical).await?;
                library.add(kind, &canonical, stored);
            }
            wanted = library.missing();
        }
        Ok(library)
    }

    /// All codes of a value set, as `:in` asks for them.
    pub async fn codes_in(&self, access: &Access, canonical: &str) -> Result<Result<Vec<Code>, Problem>, Error> {
        let library = self.library(access, vec![(Kind::ValueSet, canonical.to_owned())], &[]).await?;
        Ok(expand_url(&library, canonical).map(|all| all.into_iter().map(|c| (c.system, c.code)).collect()))
    }

    /// A concept and what it subsumes, or is subsumed by.
    async fn subsumed(
        &self,
        access: &Access,
        concept: (&str, &str),
        to: Direction,
    ) -> Result<Option<Vec<Code>>, Error> {
        let (system, code) = concept;
        let library = self.library(access, vec![(Kind::CodeSystem, system.to_owned())], &[]).await?;
        Ok(subsumed(&library, system, code, to))
    }

    /// Says what a query leaves to this server: which references are its own, and the codes of the value sets and
    /// hierarchies that are named. They are no patient's, so whoever may search may ask by them. What cannot be told is
    /// left, and the search refuses it.
    pub async fn settle(&self, query: &mut Query) -> Result<(), Error> {
        query.localise(self.base());
        let access = Access::system("search");
        for wanted in query.unresolved() {
            // Searches of their own, which name no value set.
            let codes = match &wanted {
                CodesOf::ValueSet(url) => Box::pin(self.codes_in(&access, url)).await?.ok(),
                CodesOf::Concept { system, code, direction } => {
                    Box::pin(self.subsumed(&access, (system, code), *direction)).await?
                }
            };
            if let Some(codes) = codes {
                query.resolve(&wanted, &codes);
            }
        }
        if query.is_too_costly() {
            return Err(Error::invalid(
                "too-costly",
                "http.query",
                "the value sets and hierarchies have too many codes for one search",
            ));
        }
        Ok(())
    }

    /// The newest stored definition of this url (and version) that is not retired, else the newest.
    async fn definition(&self, access: &Access, kind: Kind, canonical: &str) -> Result<Option<Value>, Error> {
        // Who may not search these sees the shipped ones.
        if access.check(Action::Search, kind.name()).is_err() || canonical.is_empty() || canonical.contains('\0') {
            return Ok(None);
        }
        let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, version)| (url, Some(version)));
        let escaped = url.replace('\\', "\\\\").replace(',', "\\,").replace('$', "\\$");
        let query = Query::new(kind.name(), &[("url", &escaped)], VERSIONS)?;
        let mut found = Vec::new();
        for stored in self.search(access, query).await?.hits {
            let definition = stored.value()?;
            if version.is_none_or(|version| str_of(&definition, "version") == Some(version)) {
                found.push((str_of(&definition, "status") != Some("retired"), stored.updated, definition));
            }
        }
        Ok(found.into_iter().max_by_key(|(usable, updated, _)| (*usable, *updated)).map(|(.., definition)| definition))
    }
}
