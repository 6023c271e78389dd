//! MQTT 3.1.1 and 5 (OASIS): devices publish readings, and each is answered (PUBACK, PUBREC) after it is committed. This
//! is a door and no broker: nothing is published here, nothing is subscribed to, retained or willed. The packets are the
//! library's matter (`mqtt-protocol-core`); who somebody is, is asked at the gate.

mod answer;
pub mod bridge;
mod door;
pub mod listener;
mod session;
mod topic;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::auth::access::Access;
use crate::error::Error;
use crate::pipeline::Pipeline;

/// What somebody says who connects.
#[derive(Debug, Default)]
pub struct Credentials {
    pub user: Option<String>,
    pub password: Option<String>,
    /// The certificate of the connection (DER).
    pub certificate: Option<Vec<u8>>,
}

/// Who somebody is, and whether that still holds.
pub trait Gate: Send + Sync {
    fn enter(&self, credentials: Credentials) -> BoxFuture<'_, Result<Access, Error>>;
    fn still<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Result<(), Error>>;
    /// Whether so many readings may be taken from it now.
    fn allow(&self, access: &Access, readings: usize) -> Result<(), Error>;
}

/// What a connection works with.
#[derive(Clone)]
pub struct House {
    pub pipeline: Pipeline,
    pub gate: Arc<dyn Gate>,
}
