//! What commands say to whoever typed them: the one place that prints.

#[expect(clippy::print_stdout, reason = "commands answer on standard output")]
pub(super) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "commands fail on standard error")]
pub(super) fn error(error: &anyhow::Error) {
    eprintln!("vigia: {error:#}");
}

/// Something odd that does not stop the command.
#[expect(clippy::print_stderr, reason = "commands warn on standard error")]
pub(super) fn note(text: impl std::fmt::Display) {
    eprintln!("vigia: {text}");
}
