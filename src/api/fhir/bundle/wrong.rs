//! The entries of a transaction that are wrong as they were sent: all of them are told, up to a number, so that
//! a sender need not find them one by one. Nothing is written before it is known that there are none.

use fhir_r4::Issue;

use crate::error::Error;

/// Wrong entries that are told at once.
const MOST: usize = 20;

#[derive(Default)]
pub(super) struct Wrong {
    first: Option<Error>,
    issues: Vec<Issue>,
    entries: usize,
}

impl Wrong {
    /// Takes one entry's fault. What is not about what was sent, and one too many, ends the search for more.
    pub(super) fn take(&mut self, error: Error) -> Result<(), Error> {
        if !matches!(error.view().status, 400 | 422) {
            return Err(error);
        }
        self.issues.extend(error.issues());
        self.entries += 1;
        self.first.get_or_insert(error);
        if self.entries == MOST { std::mem::take(self).none() } else { Ok(()) }
    }

    /// Everything that was taken, as one error.
    pub(super) fn none(self) -> Result<(), Error> {
        match self.first {
            None => Ok(()),
            Some(only) if self.entries == 1 => Err(only),
            Some(_) => Err(self.issues.into()),
        }
    }
}
