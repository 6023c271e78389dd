//! The authorization server of SMART apps.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smart {
    /// Hosts on private networks that keys of clients (`jwks_uri`) may be fetched from; all others must be at public
    /// addresses. `VIGIA__SMART__INSIDE_HOSTS`
    pub inside_hosts: Vec<String>,
}
