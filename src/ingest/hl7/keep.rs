//! How long messages are kept: those that nobody has to look at are let go when their time is over, a few at once, so
//! that nobody waits for it. Those that somebody has to look at stay, however old, and are counted.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::store::Store;
use crate::telemetry::Metrics;

const PAUSE: Duration = Duration::from_mins(1);
const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Who lets messages go.
pub struct Keeper {
    pub store: Store,
    pub metrics: Metrics,
    /// 0: for ever.
    pub days: u32,
}

impl Keeper {
    pub async fn run(self, cancelled: CancellationToken) {
        while !cancelled.is_cancelled() {
            if let Err(error) = self.sweep(&cancelled).await {
                tracing::error!(%error, "old messages stay");
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = cancelled.cancelled() => return,
            }
        }
    }

    async fn sweep(&self, cancelled: &CancellationToken) -> Result<(), Error> {
        self.metrics.hl7_open_messages.set(self.store.open_messages().await?);
        if self.days == 0 {
            return Ok(());
        }
        let before = self.store.clock().now().saturating_sub(i64::from(self.days).saturating_mul(DAY_US));
        while !cancelled.is_cancelled() && self.store.forget_messages(before).await? > 0 {}
        Ok(())
    }
}
