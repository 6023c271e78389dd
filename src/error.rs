//! The one catalogue of everything that can go wrong for a caller: which HTTP status, which
//! FHIR issue type, which words. The lowest room: it names no web framework and no database,
//! so every other room may use it. What a caller may read (`view`, `outcome`) and what only
//! the log may hold (`Display`, the source of `Internal`) are kept apart here and nowhere else.

use fhir_r4::{Issue, Severity};
use serde_json::{Value, json};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every outcome of the product that is not success, named by its meaning.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The content cannot be read as what it claims to be, or breaks R4's own rules.
    #[error("the content is not valid FHIR ({} issues)", .0.len())]
    Invalid(Vec<Issue>),
    /// Readable FHIR that breaks a profile, an invariant or a rule of this server.
    #[error("the content breaks a rule ({} issues)", .0.len())]
    Unprocessable(Vec<Issue>),
    #[error("{resource_type}/{id} is not known")]
    NotFound { resource_type: String, id: String },
    /// Known once, deleted since.
    #[error("{resource_type}/{id} is deleted")]
    Gone { resource_type: String, id: String },
    #[error("this address is not served")]
    UnknownEndpoint,
    /// What an address names is no resource type. The text is the caller's.
    #[error("this resource type does not exist")]
    UnknownType(String),
    /// `If-Match` named another version than the current one.
    #[error("{resource_type}/{id} is at another version than the one named")]
    VersionConflict { resource_type: String, id: String },
    /// What is asked for contradicts what is stored. The text is external.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// A conditional interaction's criterion fits more than one resource.
    #[error("the criterion fits several resources")]
    MultipleMatches,
    /// A conditional interaction's criterion fits nothing, and it needs something to work on.
    #[error("the criterion fits nothing")]
    NoMatch,
    /// No proof of who calls (`None`), or a proof that is refused and why.
    #[error("not authenticated ({})", .0.unwrap_or("no credentials"))]
    Unauthenticated(Option<&'static str>),
    /// Known caller, not allowed. The text is external.
    #[error("forbidden: {0}")]
    Forbidden(String),
    #[error("too many requests; again after {retry_after_s} s")]
    TooMany { retry_after_s: u32 },
    #[error("the content is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// What this header says of the body is not read here.
    #[error("the content is not supported ({0})")]
    UnsupportedMedia(&'static str),
    #[error("no acceptable content type")]
    NotAcceptable,
    /// The methods that are, as `Allow` names them.
    #[error("the method is not allowed here")]
    MethodNotAllowed(&'static str),
    /// A part of FHIR that this server does not do. The text is external.
    #[error("not supported: {0}")]
    NotSupported(String),
    /// Nothing wrong with the request; the server cannot do it now.
    #[error("unavailable: {0}")]
    Unavailable(&'static str),
    /// What was asked for took longer than a statement may.
    #[error("the statement took too long")]
    Timeout,
    /// The conditions of a change took longer than they may while nobody else can write.
    #[error("the conditions took too long")]
    CostlyCondition,
    /// A fault of ours. Its text is for the log alone.
    #[error("internal error: {0:#}")]
    Internal(#[from] anyhow::Error),
    /// One of these about a part of what was sent: `Bundle.entry[3]`.
    #[error("{error} ({place})")]
    At { place: String, error: Box<Self> },
}

/// What a caller sees of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub status: u16,
    /// A code of <http://hl7.org/fhir/ValueSet/issue-type>.
    pub code: &'static str,
    pub diagnostics: String,
}

impl Error {
    /// One problem at one place, which makes the content unreadable.
    pub fn invalid(code: &'static str, expression: impl Into<String>, diagnostics: impl Into<String>) -> Self {
        Self::Invalid(vec![Issue::error(code, expression, diagnostics)])
    }

    /// One problem at one place, in readable content.
    pub fn unprocessable(code: &'static str, expression: impl Into<String>, diagnostics: impl Into<String>) -> Self {
        Self::Unprocessable(vec![Issue::error(code, expression, diagnostics)])
    }

    pub fn not_found(resource_type: impl Into<String>, id: impl Into<String>) -> Self {
        Self::NotFound { resource_type: resource_type.into(), id: id.into() }
    }

    pub fn gone(resource_type: impl Into<String>, id: impl Into<String>) -> Self {
        Self::Gone { resource_type: resource_type.into(), id: id.into() }
    }

    pub fn version_conflict(resource_type: impl Into<String>, id: impl Into<String>) -> Self {
        Self::VersionConflict { resource_type: resource_type.into(), id: id.into() }
    }

    /// A fault of ours, told to the log alone.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(anyhow::anyhow!("{what}"))
    }

    /// The table: every outcome on one screen.
    pub fn view(&self) -> View {
        let (status, code, diagnostics) = match self {
            Self::Invalid(_) => (400, "invalid", "The content is not valid FHIR R4.".to_owned()),
            Self::Unprocessable(_) => (422, "processing", "The content breaks a rule of this server.".to_owned()),
            Self::NotFound { resource_type, id } => (404, "not-found", format!("{resource_type}/{id} is not known.")),
            Self::Gone { resource_type, id } => (410, "deleted", format!("{resource_type}/{id} has been deleted.")),
            Self::UnknownEndpoint => (404, "not-supported", "Nothing is served at this address.".to_owned()),
            Self::UnknownType(name) => (404, "not-supported", unknown_type(name)),
            Self::VersionConflict { resource_type, id } => (
                412,
                "conflict",
                format!("{resource_type}/{id} is at another version than the one named by If-Match; read it again."),
            ),
            Self::Conflict(what) => (409, "conflict", (*what).to_owned()),
            Self::MultipleMatches => {
                (412, "multiple-matches", "The criterion fits more than one resource; make it narrower.".to_owned())
            }
            Self::NoMatch => (404, "not-found", "The criterion fits nothing.".to_owned()),
            Self::Unauthenticated(None) => (401, "login", "Authentication is required.".to_owned()),
            Self::Unauthenticated(Some(why)) => (401, "login", format!("The credentials are refused: {why}.")),
            Self::Forbidden(why) => (403, "forbidden", why.clone()),
            Self::TooMany { retry_after_s } => {
                (429, "throttled", format!("The server is at its limit; try again after {retry_after_s} seconds."))
            }
            Self::TooLarge { limit } => (413, "too-long", format!("The content is larger than {limit} bytes.")),
            Self::UnsupportedMedia(header) => (415, "not-supported", format!("What {header} names is not read here.")),
            Self::NotAcceptable => (406, "not-supported", "No form named by Accept or _format is written.".to_owned()),
            Self::MethodNotAllowed(allowed) => {
                (405, "not-supported", format!("This method is not allowed at this address; {allowed} can be used."))
            }
            Self::NotSupported(what) => (400, "not-supported", what.clone()),
            Self::At { error, .. } => return error.view(),
            Self::Unavailable(what) => (503, "transient", (*what).to_owned()),
            Self::Timeout => {
                (503, "timeout", "The search takes longer than this server allows; make it narrower.".to_owned())
            }
            Self::CostlyCondition => (
                503,
                "too-costly",
                "The conditions of this take longer than this server allows while it writes; make them narrower, \
                 best by an identifier."
                    .to_owned(),
            ),
            Self::Internal(_) => (
                500,
                "exception",
                "The server failed; nothing was acknowledged. Name the X-Request-Id when you report it.".to_owned(),
            ),
        };
        View { status, code, diagnostics }
    }

    /// The same as issues: those of the content where there are any, else one made of the view.
    pub fn issues(&self) -> Vec<Issue> {
        match self {
            Self::Invalid(issues) | Self::Unprocessable(issues) if !issues.is_empty() => issues.clone(),
            Self::At { place, error } => error.issues().into_iter().map(|issue| within(place, issue)).collect(),
            _ => {
                let View { code, diagnostics, .. } = self.view();
                vec![Issue::error(code, self.place(), diagnostics)]
            }
        }
    }

    /// The part of the request that an error without issues is about.
    fn place(&self) -> String {
        match self {
            Self::UnsupportedMedia(header) => format!("http.{header}"),
            Self::TooLarge { .. } => "http.body".to_owned(),
            _ => String::new(),
        }
    }

    /// The `OperationOutcome` for the caller.
    pub fn outcome(&self) -> Value {
        outcome_of(&self.issues())
    }

    /// The same error of a resource that stands inside another one: a problem at
    /// `Observation.code` becomes one at `Bundle.entry[3].resource.code`.
    #[must_use]
    pub fn under(self, place: &str) -> Self {
        let moved = |issues: Vec<Issue>| issues.into_iter().map(|issue| issue.under(place)).collect();
        match self {
            Self::Invalid(issues) => Self::Invalid(moved(issues)),
            Self::Unprocessable(issues) => Self::Unprocessable(moved(issues)),
            other => other,
        }
    }

    /// The same error of a part of what was sent, where it says nothing of the place itself.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), error: Box::new(self) }
    }

    /// The response headers that belong to the status.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Unauthenticated(None) => vec![("WWW-Authenticate", "Bearer".to_owned())],
            Self::Unauthenticated(Some(_)) => {
                vec![("WWW-Authenticate", "Bearer error=\"invalid_token\"".to_owned())]
            }
            Self::Forbidden(_) => vec![("WWW-Authenticate", "Bearer error=\"insufficient_scope\"".to_owned())],
            Self::TooMany { retry_after_s } => vec![("Retry-After", retry_after_s.to_string())],
            Self::Unavailable(_) => vec![("Retry-After", "1".to_owned())],
            Self::MethodNotAllowed(allowed) => vec![("Allow", (*allowed).to_owned())],
            Self::At { error, .. } => error.headers(),
            _ => Vec::new(),
        }
    }
}

/// Only what can be a type's name is repeated.
fn unknown_type(name: &str) -> String {
    let plain =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if plain {
        format!("`{name}` is no resource type of FHIR R4.")
    } else {
        "What this address names is no resource type of FHIR R4.".to_owned()
    }
}

fn within(place: &str, issue: Issue) -> Issue {
    let expression = match issue.expression.as_str() {
        "" => place.to_owned(),
        own => format!("{place} ({own})"),
    };
    Issue { expression, ..issue }
}

/// Issue types that speak of a rule over readable content; all others say that it is unreadable
/// or breaks R4 itself. This is where 422 parts from 400.
const RULES: [&str; 7] =
    ["invariant", "business-rule", "code-invalid", "extension", "duplicate", "not-found", "processing"];

impl From<Vec<Issue>> for Error {
    fn from(issues: Vec<Issue>) -> Self {
        let only_rules = issues.iter().filter(|i| i.severity == Severity::Error).all(|i| RULES.contains(&i.code));
        if only_rules { Self::Unprocessable(issues) } else { Self::Invalid(issues) }
    }
}

impl From<Issue> for Error {
    fn from(issue: Issue) -> Self {
        Self::from(vec![issue])
    }
}

/// An `OperationOutcome` of these issues; warnings of a success are told the same way.
pub fn outcome_of(issues: &[Issue]) -> Value {
    let issues: Vec<Value> = issues
        .iter()
        .map(|issue| {
            let mut entry = json!({
                "severity": issue.severity.code(),
                "code": issue.code,
                "diagnostics": issue.diagnostics,
            });
            if let (false, Some(entry)) = (issue.expression.is_empty(), entry.as_object_mut()) {
                entry.insert("expression".to_owned(), json!([issue.expression]));
            }
            entry
        })
        .collect();
    json!({ "resourceType": "OperationOutcome", "issue": issues })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each. The match below fails to compile when a variant is added and not listed.
    fn every() -> Vec<(Error, u16, &'static str)> {
        let id = || ("Patient", "p1");
        let list = vec![
            (Error::invalid("structure", "Patient.foo", "Not an element of Patient"), 400, "structure"),
            (Error::unprocessable("invariant", "Observation", "obs-6"), 422, "invariant"),
            (Error::not_found(id().0, id().1), 404, "not-found"),
            (Error::gone(id().0, id().1), 410, "deleted"),
            (Error::UnknownEndpoint, 404, "not-supported"),
            (Error::UnknownType("Foo".into()), 404, "not-supported"),
            (Error::version_conflict(id().0, id().1), 412, "conflict"),
            (Error::Conflict("The patient still has an open encounter."), 409, "conflict"),
            (Error::MultipleMatches, 412, "multiple-matches"),
            (Error::NoMatch, 404, "not-found"),
            (Error::Unauthenticated(None), 401, "login"),
            (Error::Unauthenticated(Some("the token has expired")), 401, "login"),
            (Error::Forbidden("No scope covers this.".into()), 403, "forbidden"),
            (Error::TooMany { retry_after_s: 2 }, 429, "throttled"),
            (Error::TooLarge { limit: 10 }, 413, "too-long"),
            (Error::UnsupportedMedia("Content-Type"), 415, "not-supported"),
            (Error::NotAcceptable, 406, "not-supported"),
            (Error::MethodNotAllowed("GET, HEAD"), 405, "not-supported"),
            (Error::NotSupported("Chained search is not supported.".into()), 400, "not-supported"),
            (Error::Unavailable("The database is not reachable."), 503, "transient"),
            (Error::Timeout, 503, "timeout"),
            (Error::CostlyCondition, 503, "too-costly"),
            (Error::MultipleMatches.at("Bundle.entry[3]"), 412, "multiple-matches"),
            (Error::Internal(anyhow::anyhow!("canary-secret").context("inner canary")), 500, "exception"),
        ];
        for (error, ..) in &list {
            match error {
                Error::Invalid(_)
                | Error::Unprocessable(_)
                | Error::NotFound { .. }
                | Error::Gone { .. }
                | Error::UnknownEndpoint
                | Error::UnknownType(_)
                | Error::VersionConflict { .. }
                | Error::Conflict(_)
                | Error::MultipleMatches
                | Error::NoMatch
                | Error::Unauthenticated(_)
                | Error::Forbidden(_)
                | Error::TooMany { .. }
                | Error::TooLarge { .. }
                | Error::UnsupportedMedia(_)
                | Error::NotAcceptable
                | Error::MethodNotAllowed(_)
                | Error::NotSupported(_)
                | Error::Unavailable(_)
                | Error::Timeout
                | Error::CostlyCondition
                | Error::Internal(_)
                | Error::At { .. } => {}
            }
        }
        list
    }

    #[test]
    fn every_error_has_a_status_and_a_wellformed_outcome() {
        for (error, status, code) in every() {
            let outcome = error.outcome();
            assert_eq!(error.view().status, status, "{error}");
            assert_eq!(outcome["resourceType"], "OperationOutcome");
            assert_eq!(outcome["issue"][0]["severity"], "error");
            assert_eq!(outcome["issue"][0]["code"], code, "{error}");
            assert!(!outcome["issue"][0]["diagnostics"].as_str().unwrap().is_empty());
        }
    }

    #[test]
    fn a_fault_of_ours_keeps_its_text_to_the_log() {
        let error = Error::from(anyhow::anyhow!("canary-secret").context("inner canary"));
        assert!(error.to_string().contains("canary-secret"));
        assert!(!error.outcome().to_string().contains("canary"));
    }

    #[test]
    fn issues_choose_between_400_and_422_and_keep_their_place() {
        let table = [
            (vec!["structure"], 400),
            (vec!["required", "invariant"], 400),
            (vec!["invariant", "code-invalid"], 422),
            (vec!["business-rule"], 422),
        ];
        for (codes, status) in table {
            let issues: Vec<Issue> = codes.iter().map(|code| Issue::error(code, "Observation.code", "x")).collect();
            let error = Error::from(issues).under("Bundle.entry[3].resource");
            assert_eq!(error.view().status, status, "{codes:?}");
            let outcome = error.outcome();
            assert_eq!(outcome["issue"].as_array().unwrap().len(), codes.len());
            assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[3].resource.code");
        }
        let warned = Error::from(vec![Issue::warning("structure", "a", "b"), Issue::error("invariant", "a", "b")]);
        assert_eq!(warned.view().status, 422, "a warning does not decide");
    }

    #[test]
    fn an_empty_list_of_issues_still_says_something() {
        assert_eq!(Error::Invalid(Vec::new()).outcome()["issue"][0]["code"], "invalid");
        assert!(Error::UnknownEndpoint.outcome()["issue"][0].get("expression").is_none());
    }

    #[test]
    fn the_part_of_the_request_is_named_and_no_nonsense_repeated() {
        for (error, expression) in [
            (Error::UnsupportedMedia("Content-Encoding"), "http.Content-Encoding"),
            (Error::TooLarge { limit: 7 }, "http.body"),
        ] {
            assert_eq!(error.outcome()["issue"][0]["expression"][0], expression);
        }
        for (name, repeated) in [("Foo", true), ("favicon.ico", true), ("", false), ("a b", false), ("<b>", false)] {
            let text = Error::UnknownType(name.to_owned()).view().diagnostics;
            assert_eq!(text.contains(&format!("`{name}`")), repeated, "{text}");
        }
    }

    #[test]
    fn a_part_is_named_and_keeps_its_status() {
        for (error, expression) in [
            (Error::not_found("Patient", "p1"), "Bundle.entry[3]"),
            (Error::invalid("value", "http.date", "x"), "Bundle.entry[3] (http.date)"),
        ] {
            let status = error.view().status;
            let placed = error.at("Bundle.entry[3]");
            assert_eq!(placed.view().status, status);
            assert_eq!(placed.outcome()["issue"][0]["expression"][0], expression);
        }
        assert_eq!(Error::TooMany { retry_after_s: 3 }.at("x").headers(), [("Retry-After", "3".to_owned())]);
    }

    #[test]
    fn headers_tell_how_to_go_on() {
        assert_eq!(Error::Unauthenticated(None).headers(), [("WWW-Authenticate", "Bearer".to_owned())]);
        assert_eq!(Error::TooMany { retry_after_s: 3 }.headers(), [("Retry-After", "3".to_owned())]);
        assert_eq!(Error::MethodNotAllowed("GET").headers(), [("Allow", "GET".to_owned())]);
        assert!(Error::MultipleMatches.headers().is_empty());
    }
}
