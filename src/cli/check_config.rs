//! `vigia check-config`: the effective settings, redacted, and what stands against production use.

use anyhow::{Result, bail};
use secrecy::ExposeSecret;

use super::output;
use crate::auth::token::TokenKeys;
use crate::config::Config;
use crate::deliver;
use crate::ingest::hl7;

/// Fails when `vigia serve` would refuse.
pub(super) fn run(config: &Config) -> Result<()> {
    output::line(config.redacted());
    let problems = problems(config);
    if problems.is_empty() {
        output::line("# ready for `vigia serve`");
        return Ok(());
    }
    for problem in &problems {
        output::line(format!("# `vigia serve` refuses: {problem}"));
    }
    bail!("`vigia serve` would not start");
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = config.production_problems();
    if let (true, Ok(pem)) = (problems.is_empty(), config.secrets.signing_key()) {
        let url = config.public_url();
        let keys = TokenKeys::from_pem(pem.expose_secret(), &url, &format!("{url}/fhir"));
        problems.extend(keys.err().map(|error| format!("secrets.signing_key_file: {error:#}")));
    }
    // The files that channels and destinations name.
    let channels = hl7::channels(&config.hl7).map(drop).and_then(|()| hl7::listener::check(&config.hl7));
    problems.extend(channels.err().map(|error| format!("{error:#}")));
    let destinations = deliver::hl7::check(&config.hl7.destination);
    problems.extend(destinations.err().map(|error| format!("{error:#}")));
    problems
}
