//! Who comes in by other doors than HTTP: the same tokens and keys, asked for in the same rooms.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use crate::auth::access::Access;
use crate::auth::device::Devices;
use crate::auth::device::proof::SECRET_PREFIX;
use crate::auth::token::Verifier;
use crate::clock::Clock;
use crate::error::Error;
use crate::ingest::mqtt::{Credentials, Gate};

/// Asks who somebody is.
pub(super) struct Doorkeeper {
    pub(super) devices: Devices,
    pub(super) verifier: Arc<Verifier>,
    pub(super) clock: Clock,
}

impl Doorkeeper {
    async fn known(&self, credentials: Credentials) -> Result<Access, Error> {
        let Credentials { user, password, certificate } = credentials;
        // ThingsBoard's devices send their token as the user name.
        let secret = password.filter(|password| !password.is_empty()).or(user);
        match (secret, certificate) {
            (Some(secret), _) if secret.starts_with(SECRET_PREFIX) => self.devices.by_secret(&secret).await,
            (None, Some(certificate)) => self.devices.by_certificate(&certificate).await,
            (Some(token), _) => {
                let access = self.verifier.access(&token, self.clock.now_seconds())?;
                self.devices.still(&access).await?;
                Ok((*access).clone())
            }
            (None, None) => Err(Error::Unauthenticated(None)),
        }
    }
}

impl Gate for Doorkeeper {
    fn enter(&self, credentials: Credentials) -> BoxFuture<'_, Result<Access, Error>> {
        self.known(credentials).boxed()
    }

    fn still<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Result<(), Error>> {
        self.devices.still(access).boxed()
    }

    fn allow(&self, access: &Access, readings: usize) -> Result<(), Error> {
        self.devices.allow(access, readings)
    }
}
