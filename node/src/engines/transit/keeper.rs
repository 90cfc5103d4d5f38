//! [`KeyKeeper`]: the actor through which a mount's keys change, one at a time.
//!
//! Each change is one transaction: read the key, apply the pure rule, write it, note the change for the other nodes;
//! when it is committed, the copy in memory is renewed, and only then does the caller hear of it. Nodes do not order their
//! changes among each other by this, the store's transactions do. Requests that only use keys never ask it anything.
//!
//! It holds a mount's keys as long as the engine holds its address; dropping the engine stops it.

use std::sync::Arc;

use actix::dev::channel;
use actix::{Actor, Addr, ArbiterHandle, AtomicResponse, Context, Handler, Message, WrapFuture};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::key::{KeyPolicy, KeySettings};
use super::keys::{Keys, read_policy, remove_policy, write_policy};
use super::loaded::LoadedKey;
use super::rules::ConfigChange;
use super::settings::MountSettings;
use crate::actor::ask;
use crate::barrier::{Rows, names};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::MountId;
use crate::rng::OsRandom;
use crate::store::change::Facet;
use crate::store::key::Pseudonym;

/// Changes that may wait. Each is a store transaction of about a millisecond, so a full mailbox is a tenth of a second;
/// what comes beyond it is told to try again.
pub const MAILBOX: usize = 128;

/// What to do with a key.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make it, unless it exists.
    Create(KeySettings),
    /// Make it for an encryption that found none, unless the mount forbids that.
    Upsert(KeySettings),
    /// Change its settings.
    Configure(ConfigChange),
    /// Add a version.
    Rotate,
    /// Add a version if the latest is too old.
    RotateIfDue,
    /// Remove the versions before this one.
    Trim(i64),
    /// Remove it.
    Delete,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The key as it is now; `None` when there is none.
    pub key: Option<Arc<LoadedKey>>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Asks for one change.
#[derive(Message)]
#[rtype(result = "()")]
struct Change {
    name: String,
    action: Action,
    now: Timestamp,
    reply: oneshot::Sender<Result<Changed, Error>>,
}

/// The actor.
pub struct KeyKeeper {
    mount: MountId,
    keys: Arc<Keys>,
}

impl KeyKeeper {
    /// Starts the keeper of `keys` on the thread behind `keepers`.
    pub fn start(mount: MountId, keys: Arc<Keys>, keepers: &ArbiterHandle) -> Addr<Self> {
        // Not `start_in_arbiter`: its mailbox has actix's own, smaller bound until the other thread gets to it.
        let (sender, receiver) = channel::channel(MAILBOX);
        keepers.spawn_fn(move || {
            let context = Context::with_receiver(receiver);
            actix::spawn(context.into_future(Self { mount, keys }));
        });
        Addr::new(sender)
    }
}

/// Sends a change and waits until it is durable and visible here.
///
/// # Errors
/// [`Error::Unavailable`] when the mailbox is full or the mount closed meanwhile, else what the change says.
pub async fn change(
    keeper: &Addr<KeyKeeper>,
    name: &str,
    action: Action,
    now: Timestamp,
) -> Result<Changed, Error> {
    let name = name.to_owned();
    ask(keeper, |reply| Change {
        name,
        action,
        now,
        reply,
    })
    .await?
}

impl Actor for KeyKeeper {
    type Context = Context<Self>;
}

impl Handler<Change> for KeyKeeper {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, change: Change, _: &mut Self::Context) -> Self::Result {
        let (mount, keys) = (self.mount, Arc::clone(&self.keys));
        AtomicResponse::new(Box::pin(
            async move {
                let pseudonym = keys.pseudonym(&change.name);
                let result = perform(mount, &keys, pseudonym, &change).await;
                if result.is_err() {
                    // The commit may be in doubt. Only the store knows what the key is now.
                    keys.cache().forget(pseudonym);
                }
                // Whoever asked may have gone; the change is made all the same.
                let _ = change.reply.send(result);
            }
            .into_actor(self),
        ))
    }
}

/// What a transaction did to the key, as far as it may be written down beside it (see `View::run_once`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Effect {
    Nothing,
    Written,
    Removed,
}

async fn perform(
    mount: MountId,
    keys: &Keys,
    pseudonym: Pseudonym,
    change: &Change,
) -> Result<Changed, Error> {
    // The last round's result. When a commit was in doubt and turns out to have happened, that was the round it was of.
    let mut policy = None;
    let mut warnings = Vec::new();
    let ticket = keys.cache().ticket();
    let effect = keys
        .view()
        .run_once(change.now, async |rows| {
            warnings.clear();
            policy = read_policy(rows, pseudonym).await?;
            let effect = apply(rows, change, &mut policy, &mut warnings).await?;
            match (effect, &policy) {
                (Effect::Written, Some(policy)) => write_policy(rows, pseudonym, policy)?,
                (Effect::Removed, _) => {
                    remove_policy(rows, pseudonym);
                    names::remove(rows, &change.name).await?;
                }
                _ => return Ok(Effect::Nothing),
            }
            rows.note_change(Facet::TransitKey(mount, pseudonym));
            Ok(effect)
        })
        .await?;
    if effect == Effect::Removed {
        keys.cache().forget(pseudonym);
        return Ok(Changed::default());
    }
    let key = policy.map(|policy| Arc::new(LoadedKey::new(pseudonym, policy)));
    if let Some(key) = &key {
        keys.cache().replace(ticket, Arc::clone(key));
    }
    Ok(Changed { key, warnings })
}

/// Applies the change to `policy`, which is the key as stored.
async fn apply(
    rows: &mut Rows<'_>,
    change: &Change,
    policy: &mut Option<KeyPolicy>,
    warnings: &mut Vec<String>,
) -> Result<Effect, Error> {
    let (name, now) = (&change.name, change.now);
    match (&change.action, policy.as_mut()) {
        (Action::Create(_), Some(_)) => warnings.push(format!("key {name} already existed")),
        (Action::Upsert(_), Some(_)) => {}
        (Action::Create(settings), None) => return create(rows, name, settings, now, policy),
        (Action::Upsert(settings), None) => {
            if MountSettings::read(rows).await?.disable_upsert {
                return Ok(Effect::Nothing);
            }
            return create(rows, name, settings, now, policy);
        }
        (Action::Configure(settings), Some(key)) => {
            *warnings = key.configure(settings)?;
            return Ok(Effect::Written);
        }
        (Action::Configure(_), None) => {
            let message = format!("no existing key named {name} could be found");
            return Err(Error::bad_request(message));
        }
        (Action::Rotate, Some(key)) => {
            key.rotate(&OsRandom, now)?;
            return Ok(Effect::Written);
        }
        (Action::RotateIfDue, Some(key)) => {
            if key.rotation_due().is_some_and(|due| due <= now) {
                key.rotate(&OsRandom, now)?;
                return Ok(Effect::Written);
            }
        }
        (Action::RotateIfDue, None) => {}
        (Action::Rotate | Action::Trim(_), None) => {
            return Err(Error::bad_request("key not found"));
        }
        (Action::Trim(oldest), Some(key)) => {
            key.trim(*oldest)?;
            return Ok(Effect::Written);
        }
        (Action::Delete, Some(key)) if key.deletion_allowed => return Ok(Effect::Removed),
        (Action::Delete, found) => {
            let why = match found {
                Some(_) => "deletion is not allowed for this key",
                None => "could not delete key; not found",
            };
            let message = format!("error deleting policy {name}: {why}");
            return Err(Error::bad_request(message));
        }
    }
    Ok(Effect::Nothing)
}

fn create(
    rows: &mut Rows<'_>,
    name: &str,
    settings: &KeySettings,
    now: Timestamp,
    policy: &mut Option<KeyPolicy>,
) -> Result<Effect, Error> {
    names::insert(rows, name)?;
    *policy = Some(KeyPolicy::create(name, settings, &OsRandom, now));
    Ok(Effect::Written)
}
