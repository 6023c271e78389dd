//! The `vigia` command: arguments in, an exit code out. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vigia::cli::run(vigia::cli::Arguments::parse())
}
