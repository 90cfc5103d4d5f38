//! Fetching the keys of add-ons that are sealed here and open elsewhere: after a restart, or when this node missed how
//! it was opened.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::port::{PeersPort, Wanted};
use super::serve::Service;
use super::wire::{Answer, Question};
use crate::id::TenantId;
use crate::seal::handover::Refusal;

/// How many add-ons are asked for at once.
const AT_ONCE: usize = 8;

/// How long a peer may take: two reads of the store.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often an add-on is asked for again when a peer had keys but could not give them now, and the pause between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// What came of asking all peers once.
#[derive(PartialEq, Eq)]
enum Outcome {
    /// It is open, or nobody has keys.
    Settled,
    /// Somebody may have them later.
    TryAgain,
}

/// Asks for what is wanted, until the port is gone.
pub async fn fetch(port: Arc<PeersPort>, service: Arc<Service>, mut wanted: Wanted) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(tenant) = wanted.0.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let (port, service) = (Arc::clone(&port), Arc::clone(&service));
        actix::spawn(async move {
            for _ in 0..TRIES {
                if fetch_one(&port, &service, tenant).await == Outcome::Settled {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            drop(slot);
        });
    }
}

async fn fetch_one(port: &PeersPort, service: &Service, tenant: TenantId) -> Outcome {
    let Some(found) = service.tenant(tenant) else {
        return Outcome::Settled;
    };
    let seal = found.seal();
    let mut outcome = Outcome::Settled;
    for peer in port.cluster().live_peers() {
        // Each question is a new one, on a fresh read: an answer may come too late for the last.
        let ask = match seal.ask_for_keys().await {
            Ok(Some(ask)) => ask,
            Ok(None) => return Outcome::Settled,
            Err(_) => return Outcome::TryAgain,
        };
        let question = Question::Keys(ask);
        match PeersPort::ask(port.cluster(), peer.clone(), &question, TIMEOUT).await {
            Some(Answer::Keys(handed)) => {
                let epoch = ask.stored.epoch.0;
                let taken = async {
                    // Keys that come unrecorded are not used.
                    service
                        .note("keys taken over", tenant, &peer, epoch)
                        .await?;
                    seal.take_keys(handed).await
                };
                match taken.await {
                    Ok(()) => {
                        tracing::info!(%tenant, %peer, epoch, "keys taken over");
                        return Outcome::Settled;
                    }
                    Err(error) => {
                        tracing::warn!(%tenant, %peer, %error, "keys not taken over");
                        outcome = Outcome::TryAgain;
                    }
                }
            }
            Some(Answer::Refused(Refusal::Sealed | Refusal::SwitchedOff | Refusal::Unknown)) => {}
            _ => outcome = Outcome::TryAgain,
        }
    }
    outcome
}
