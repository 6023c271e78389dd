//! Value sets and code systems: what a value set holds, whether it holds a code, what a code means. Pure: the
//! definitions come from the shipped ones and from a `Library` that somebody filled from the store.

mod expand;
mod filter;
mod library;
mod subsumption;
mod system;

pub use expand::{Concept, expand, expand_url, find};
pub use library::{Kind, Library};
pub use subsumption::{Direction, subsumed};
pub use system::{Found, System};

/// Concepts that one expansion may have.
pub const MOST: usize = 20_000;

/// Why a value set cannot be listed or looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such definition here: its kind and url.
    Unknown(Kind, String),
    /// It is not held in full, has no end, or is larger than an answer may be.
    TooCostly(String),
    /// It is defined in a way that is not understood here.
    NotSupported(String),
}
