//! `encrypt/:name`. A key that does not exist is made on the way, unless the mount forbids it; whoever may do that can
//! tell which names exist.

use std::borrow::Cow;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::batch::{Failure, Input, Line, OnFailure, each};
use super::cipher::TAG_BYTES;
use super::ciphertext;
use super::input::{Parameters, Text, decode_base64, text};
use super::keeper::Action;
use super::key::{KeySettings, VersionRefused};
use super::key_type::KeyType;
use super::loaded::LoadedKey;
use super::path::KeyName;
use super::{KEY_NOT_FOUND, TransitEngine};
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;
use crate::rng::OsRandom;

/// Parameters beside the common ones. The last three are for a key that is made on the way.
const NAMES: [&str; 4] = ["plaintext", "type", "derived", "convergent_encryption"];

const MISSING_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key";

/// Something to encrypt.
struct Item<'f> {
    plaintext: Cow<'f, str>,
    parameters: Parameters,
}

/// Answers POST `encrypt/:name`.
pub(super) async fn encrypt(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let input = Input::read(call.fields)?;
    let items: Vec<Result<Item<'_>, Text>> = input.items().iter().map(read).collect();
    let key = match engine.keys.cached(name) {
        Some(key) => Some(engine.rotated_if_due(name, key, call.now).await),
        // Only a request that has something to encrypt makes a key.
        None if items.iter().flatten().any(Item::is_sound) => {
            Some(found_or_made(engine, name, call, &items).await?)
        }
        None => None,
    };
    let results = each(&engine.keys, name, key, &items, |key, item| {
        let item = item.as_ref().map_err(|why| Failure::Input(why.clone()))?;
        let key = key.ok_or(Failure::key(KEY_NOT_FOUND))?;
        seal(key, &item.parameters, item.plaintext.len(), |buffer| {
            decode_base64(&item.plaintext, buffer).map_err(Failure::Input)
        })
    })
    .await?;
    input.answer(results, OnFailure::Status, &NAMES)
}

fn read(fields: &Fields) -> Result<Item<'_>, Text> {
    Ok(Item {
        plaintext: text(fields, "plaintext")?.ok_or("missing plaintext to encrypt")?,
        parameters: Parameters::read(fields)?,
    })
}

impl Item<'_> {
    fn is_sound(&self) -> bool {
        let mut plaintext = Zeroizing::new(Vec::new());
        decode_base64(&self.plaintext, &mut plaintext).is_ok()
    }
}

/// The key, which is not in memory: from the store, or new.
async fn found_or_made(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
    items: &[Result<Item<'_>, Text>],
) -> Result<Arc<LoadedKey>, Error> {
    if let Some(key) = engine.keys.confirmed(name).await? {
        return Ok(engine.rotated_if_due(name, key, call.now).await);
    }
    let settings = upsert_settings(call.fields, items)?;
    let made = engine
        .change(name, Action::Upsert(settings), call.now)
        .await?;
    made.key.ok_or_else(|| Error::bad_request(KEY_NOT_FOUND))
}

/// What a key made on the way is like: derived if the caller says so or, as Vault has it, gives a context.
fn upsert_settings(
    fields: &Fields,
    items: &[Result<Item<'_>, Text>],
) -> Result<KeySettings, Error> {
    let has_context = |item: &Item<'_>| !item.parameters.context.is_empty();
    let with_context = items.iter().flatten().next().is_some_and(has_context);
    let derived = fields.boolean("derived")?.unwrap_or(with_context);
    if derived && !items.iter().flatten().any(has_context) {
        return Err(Error::invalid("context", MISSING_CONTEXT));
    }
    let settings = KeySettings {
        key_type: fields
            .string("type")?
            .filter(|name| !name.is_empty())
            .map_or(Ok(KeyType::DEFAULT), |name| KeyType::parse(&name))?,
        derived,
        convergent: fields.boolean("convergent_encryption")?.unwrap_or(false),
        ..KeySettings::default()
    };
    settings.check()?;
    Ok(settings)
}

/// Encrypts, in one buffer, what `write` appends: at most `max_bytes` bytes.
pub(super) fn seal(
    key: &LoadedKey,
    parameters: &Parameters,
    max_bytes: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Failure>,
) -> Result<Line, Failure> {
    let policy = key.policy();
    if policy.derived && parameters.context.is_empty() {
        return Err(Failure::key(MISSING_CONTEXT));
    }
    let version = policy
        .encryption_version(parameters.key_version)
        .map_err(|refused| Failure::key(why_refused(refused)))?;
    let cipher = key
        .cipher(version)?
        .ok_or_else(|| Error::Bug("a version to encrypt with is not kept".into()))?;
    let nonce_bytes = policy.key_type.nonce_bytes();
    let mut buffer = Zeroizing::new(Vec::with_capacity(nonce_bytes + max_bytes + TAG_BYTES));
    buffer.resize(nonce_bytes, 0);
    write(&mut buffer)?;
    let (context, associated_data) = (&parameters.context, &parameters.associated_data);
    cipher.seal(&OsRandom, context, associated_data, &mut buffer)?;
    Ok(Line {
        ciphertext: Some(ciphertext::encode(version, &buffer)),
        key_version: Some(version.0),
        ..Line::default()
    })
}

fn why_refused(refused: VersionRefused) -> &'static str {
    match refused {
        VersionRefused::Negative => "requested version for encryption is negative",
        VersionRefused::TooNew => {
            "requested version for encryption is higher than the latest key version"
        }
        VersionRefused::TooOld => {
            "requested version for encryption is less than the minimum encryption key version"
        }
    }
}
