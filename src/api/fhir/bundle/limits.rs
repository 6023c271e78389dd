//! What one Bundle may ask for. Each look is a search of its own and each condition two of them, the second while
//! nobody else can write; so they are counted, and an answer has an end.

use super::entry::{Entry, place};
use crate::error::Error;

/// Criteria of entries and conditional references together. A whole record that is moved between systems refers to
/// some hundred people and places by condition; how long they may take in the lane is bounded by time.
const MAX_CONDITIONS: usize = 300;
/// Entries that only look.
const MAX_LOOKS: usize = 100;
/// Where an answer has grown so long, nothing more is shown in it.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// What the entries of a Bundle have asked for until now.
#[derive(Default)]
pub(super) struct Asked {
    conditions: usize,
    looks: usize,
}

impl Asked {
    /// Takes an entry, unless it is one too many. References in its resource are counted by themselves.
    pub(super) fn take(&mut self, entry: &Entry, at: usize) -> Result<(), Error> {
        match entry {
            Entry::Look(_) if self.looks == MAX_LOOKS => {
                Err(too_costly(at, &format!("a Bundle may have {MAX_LOOKS} entries that read or search")))
            }
            Entry::Look(_) => {
                self.looks += 1;
                Ok(())
            }
            Entry::Write(write) if write.criterion.is_some() => self.condition(at),
            Entry::Write(_) => Ok(()),
        }
    }

    pub(super) fn condition(&mut self, at: usize) -> Result<(), Error> {
        if self.conditions == MAX_CONDITIONS {
            let text = format!("a Bundle may have {MAX_CONDITIONS} conditions, those in references included");
            return Err(too_costly(at, &text));
        }
        self.conditions += 1;
        Ok(())
    }
}

/// Whether so much more can be shown in an answer of this length.
pub(super) fn has_room(length: usize, more: usize) -> bool {
    length.saturating_add(more) <= MAX_ANSWER
}

/// Nothing more can be shown.
pub(super) fn full() -> Error {
    let text = format!("the answer to this Bundle is longer than {MAX_ANSWER} bytes: ask for this by itself");
    Error::unprocessable("too-costly", "", text)
}

fn too_costly(at: usize, text: &str) -> Error {
    Error::unprocessable("too-costly", place(at), text)
}
