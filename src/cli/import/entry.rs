//! What goes from the readers of files to those who send: rows and resources with the place that they came from, in
//! batches. No format of a file and no HTTP may enter.

use fhir_r4::Issue;
use serde_json::Value;

/// So many go out together.
pub(super) const BATCH: usize = 100;
/// A batch that has grown so large goes out as it is.
pub(super) const BATCH_BYTES: usize = 4 << 20;

/// One row, line, element or entry of a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: u64,
    /// What it is counted under.
    pub(super) kind: String,
    /// As it stood in the file.
    pub(super) original: Vec<u8>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A line for one of the device doors.
    Row(Vec<u8>),
    Resource(Box<Named>),
    /// The server has it already.
    Known,
    /// Nothing that is imported.
    LeftOut,
    /// It is known here already that it cannot be taken.
    Wrong(String),
}

/// A resource with the name that it gets on the server.
#[derive(Debug)]
pub(super) struct Named {
    /// `Patient/p1`
    pub(super) name: String,
    /// It is created only when this search finds nothing, and under a name of the server's choice.
    pub(super) condition: Option<String>,
    pub(super) value: Value,
}

/// Which way a batch goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// A table with this header.
    Csv(Vec<u8>),
    Compact,
    Fhir,
    /// Nothing is stored: the server is asked who is known to it by an identifier.
    Ask,
}

#[derive(Debug)]
pub(super) struct Batch {
    /// The number of the file among those that were named.
    pub(super) file: usize,
    pub(super) door: Door,
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing was sent: it is a dry run.
    Would,
    Created,
    /// It was there already.
    Duplicate,
    /// Kept until it is known whose it is.
    Held,
    Rejected,
    LeftOut,
}

impl Outcome {
    pub(super) const ALL: [Self; 6] =
        [Self::Would, Self::Created, Self::Duplicate, Self::Held, Self::Rejected, Self::LeftOut];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Would => "would be sent",
            Self::Created => "created",
            Self::Duplicate => "duplicate",
            Self::Held => "held",
            Self::Rejected => "rejected",
            Self::LeftOut => "left out",
        }
    }
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) reason: String,
}

impl Verdict {
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { outcome, reason: String::new() }
    }

    pub(super) fn rejected(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Rejected, reason: reason.into() }
    }
}

impl Entry {
    /// What is known of it before anything is sent.
    pub(super) fn settled(&self) -> Option<Verdict> {
        match &self.what {
            What::Row(_) | What::Resource(_) => None,
            What::Known => Some(Verdict::of(Outcome::Duplicate)),
            What::LeftOut => Some(Verdict::of(Outcome::LeftOut)),
            What::Wrong(why) => Some(Verdict::rejected(why.as_str())),
        }
    }
}

/// What a reader says is wrong, in one line.
pub(super) fn told(issues: &[Issue]) -> String {
    let each = issues.iter().map(|issue| match issue.expression.as_str() {
        "" => issue.diagnostics.clone(),
        place => format!("{place}: {}", issue.diagnostics),
    });
    each.collect::<Vec<_>>().join("; ")
}
