//! Gateways that send what they have measured, each at its time, and what comes of it. A server that is gone for a
//! moment is asked again until it is back; it knows what it has stored by its own ids.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Options;
use crate::client::{Connection, Requests};
use crate::ward::Ward;

/// How long after an upload failed it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Where uploads go, and what they have come to.
pub(crate) struct Sent {
    address: Mutex<String>,
    pub(crate) wrong: AtomicU64,
    /// Uploads that left more than a second after they were due.
    pub(crate) late: AtomicU64,
    took: Mutex<Vec<Duration>>,
}

impl Sent {
    pub(crate) fn at(address: &str) -> Self {
        let (wrong, late) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { address: Mutex::new(address.to_owned()), wrong, late, took: Mutex::default() }
    }

    /// The server is somewhere else now.
    pub(crate) fn moved(&self, address: &str) {
        address.clone_into(&mut self.address.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How long each upload took that was answered.
    pub(crate) fn took(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.took.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> Result<Connection> {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Connection::open(&address).await
    }
}

/// When a sender sends.
pub(crate) struct Schedule {
    pub(crate) begun: Instant,
    pub(crate) until: Instant,
    pub(crate) number: u64,
}

/// Its share of the gateways, one after the other, each once in every round.
pub(crate) async fn send(
    requests: Arc<Requests>,
    schedule: Schedule,
    ward: Ward,
    options: Options,
    sent: Arc<Sent>,
) -> Result<()> {
    let gateways = options.patients.div_ceil(options.gateway);
    let round = Duration::from_secs(options.every);
    let mut link = None;
    for turn in 0.. {
        for gateway in (schedule.number..gateways).step_by(usize::try_from(options.connections)?) {
            let share = f64::from(u32::try_from(gateway)?) / f64::from(u32::try_from(gateways)?);
            let due = schedule.begun + round * turn + round.mul_f64(share);
            if due >= schedule.until {
                return Ok(());
            }
            tokio::time::sleep_until(due.into()).await;
            sent.late.fetch_add(u64::from(due.elapsed() > Duration::from_secs(1)), Ordering::Relaxed);
            let first = gateway * options.gateway;
            let body = ward.upload(first, options.gateway.min(options.patients - first), u64::from(turn));
            let request = requests.post("/device/v1/observations", "application/json", &body);
            let asked = Instant::now();
            let right = upload(&mut link, &sent, &request).await;
            sent.took().push(asked.elapsed());
            sent.wrong.fetch_add(u64::from(!right), Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Sends until it is answered, over the connection that is there or a new one: the server lets go of connections that
/// were quiet for some seconds. Was everything taken?
async fn upload(link: &mut Option<Connection>, sent: &Sent, request: &[u8]) -> bool {
    loop {
        if let Some(connection) = link.as_mut()
            && let Ok(answer) = connection.call(request).await
        {
            let none = b"\"rejected\":0";
            return answer.status == 200 && answer.body.windows(none.len()).any(|part| part == none);
        }
        *link = sent.connection().await.ok();
        if link.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
