//! Results that came before their patient was known: kept as they came, and taken when an admission says who it is. By
//! the number of the patient only; a bed alone says nothing for sure, and whoever attaches by it does so by hand.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;

use super::message;
use super::party;
use super::receive::{Origin, Receiver};
use super::{Channel, Mapped};
use crate::auth::access::Access;
use crate::error::Error;
use crate::normalize::draft::Subject;
use crate::store::{Kept, Verdict, WantedMessages};

/// So many messages are looked through at an admission; what is older waits for a person.
const MOST: i64 = 200;

/// The numbers of the patients that a message makes known.
pub(super) fn numbers(mapped: &Mapped) -> BTreeSet<String> {
    let patients = mapped.said.iter().filter(|said| mapped.together && said.kind == "Patient");
    patients.flat_map(|said| said.identity.tokens.iter().map(|(_, value)| value.clone())).collect()
}

impl Receiver {
    /// Takes once more what waits for these patients, oldest first. What is not taken goes on waiting.
    pub(super) fn release(
        self,
        numbers: BTreeSet<String>,
        channel: Channel,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if let Err(error) = self.release_all(&numbers, &channel).await {
                tracing::warn!(%error, "messages that wait for a patient could not be looked through");
            }
        })
    }

    async fn release_all(&self, numbers: &BTreeSet<String>, channel: &Channel) -> Result<(), Error> {
        let access = Access::system("hl7 admissions");
        let wanted = WantedMessages {
            settled: Some(false),
            channel: Some(channel.name.clone()),
            verdict: Some(Verdict::Error),
            count: MOST,
            ..WantedMessages::default()
        };
        let store = self.pipeline.store();
        let mut open = store.messages(&access, wanted).await?;
        open.reverse();
        for kept in open.iter().filter(|kept| waits(kept)) {
            let bytes = store.message(&access, kept.id).await?.bytes;
            if number(&bytes, channel).is_some_and(|number| numbers.contains(&number)) {
                let origin = Origin { channel, peer: kept.peer.clone(), replays: Some(kept.id) };
                let arrived = self.arrive(bytes.into(), None, channel);
                self.take(&access, arrived, &origin).await;
            }
        }
        Ok(())
    }
}

/// Results that were refused because nobody knew whose they are, and that nobody has sent again. What came over HTTP
/// was sent with somebody's rights, who may not write for every patient: that waits for its sender, or for a person.
fn waits(kept: &Kept) -> bool {
    kept.replays.is_none()
        && kept.peer.parse::<SocketAddr>().is_ok()
        && ["ORU^", "OUL^"].iter().any(|kind| kept.kind.starts_with(kind))
        && kept.issues.iter().any(|issue| issue.code == "not-found")
}

fn number(bytes: &[u8], channel: &Channel) -> Option<String> {
    let message = message::parse(bytes).ok()?;
    let pid = message.segments().flatten().find(|segment| segment.name == "PID")?;
    match party::patient(&pid, channel)? {
        Subject::Identifier { value, .. } => Some(value),
        Subject::Reference(_) => None,
    }
}
