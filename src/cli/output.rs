//! What commands say to whoever typed them: the one place that prints. Who has closed the other end does not want
//! to read on (`vigia check-config | head`); that is no failure.

use std::io::{self, ErrorKind, Write};

pub(super) fn line(text: impl std::fmt::Display) {
    if let Err(failed) = writeln!(io::stdout(), "{text}")
        && failed.kind() != ErrorKind::BrokenPipe
    {
        note(format!("cannot write to standard output: {failed}"));
    }
}

pub(super) fn error(error: &anyhow::Error) {
    note(format!("{error:#}"));
}

/// Something odd that does not stop the command.
pub(super) fn note(text: impl std::fmt::Display) {
    // Nobody is left to tell.
    _ = writeln!(io::stderr(), "vigia: {text}");
}
