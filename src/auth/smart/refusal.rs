//! What the authorization server refuses, in the words of RFC 6749 (4.1.2.1 and 5.2): a code for the program, a sentence
//! for the person who wrote it.

use crate::error::Error;

/// A refusal that a client can read; the codes are RFC 6749's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: &'static str,
    pub description: String,
}

impl Refusal {
    pub fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }

    pub fn request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    pub fn client(description: impl Into<String>) -> Self {
        Self::new("invalid_client", description)
    }

    pub fn grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    pub fn scope(description: impl Into<String>) -> Self {
        Self::new("invalid_scope", description)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The client is told, in its own terms.
    Refused(Refusal),
    Error(Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
