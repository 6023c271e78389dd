//! What devices may send.

use serde::{Deserialize, Serialize};

/// Devices with credentials of their own.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// How many readings one may send a second, in the long run. `VIGIA__DEVICE__READINGS_PER_S`
    pub readings_per_s: u32,
    /// How many it may send at once, when it has kept them. `VIGIA__DEVICE__BURST`
    pub burst: u32,
}

impl Default for Device {
    fn default() -> Self {
        Self { readings_per_s: 500, burst: 20_000 }
    }
}
