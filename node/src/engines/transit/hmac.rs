//! `hmac/:name` and `hmac/:name/:algorithm`: each version of each key has a key for HMACs, drawn for that alone.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::batch::{Failure, Input, Line, OnFailure, each};
use super::digest::HashAlgorithm;
use super::input::{Text, decode_base64, text};
use super::key::VersionRefused;
use super::loaded::LoadedKey;
use super::path::KeyName;
use super::{KEY_NOT_FOUND, TransitEngine};
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

/// Something to authenticate.
struct Item<'f> {
    input: Cow<'f, str>,
    key_version: i64,
}

/// Answers POST `hmac/:name`. Failed items of a batch do not change the status, as in Vault.
pub(super) async fn hmac(
    engine: &TransitEngine,
    name: KeyName<'_>,
    algorithm: Option<&str>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let algorithm = HashAlgorithm::of(call, algorithm)?;
    let input = Input::read(call.fields)?;
    let items: Vec<Result<Item<'_>, Text>> = input.items().iter().map(read).collect();
    let key = engine.keys.cached(name);
    let results = each(&engine.keys, name, key, &items, |key, item| {
        let item = item.as_ref().map_err(|why| Failure::Input(why.clone()))?;
        authenticate(key.ok_or(Failure::key(KEY_NOT_FOUND))?, algorithm, item)
    })
    .await?;
    input.answer(results, OnFailure::Item, &["input", "algorithm"])
}

fn read(fields: &Fields) -> Result<Item<'_>, Text> {
    let key_version = fields
        .integer("key_version")
        .map_err(|error| error.to_string())?;
    Ok(Item {
        input: text(fields, "input")?.ok_or("missing input for HMAC")?,
        key_version: key_version.unwrap_or(0),
    })
}

fn authenticate(
    key: &LoadedKey,
    algorithm: HashAlgorithm,
    item: &Item<'_>,
) -> Result<Line, Failure> {
    let mut input = Zeroizing::new(Vec::new());
    decode_base64(&item.input, &mut input)
        .map_err(|why| Failure::Input(format!("unable to decode input as base64: {why}").into()))?;
    let policy = key.policy();
    let number = policy
        .encryption_version(item.key_version)
        .map_err(|refused| {
            Failure::key(match refused {
                VersionRefused::Negative => "cannot generate HMAC: version is negative",
                VersionRefused::TooNew => {
                    "cannot generate HMAC: version is higher than the latest key version"
                }
                VersionRefused::TooOld => {
                    "cannot generate HMAC: version is less than the minimum encryption key version"
                }
            })
        })?;
    let version = policy
        .version(number)
        .ok_or_else(|| Error::Bug("a version to authenticate with is not kept".into()))?;
    let mac = algorithm.hmac(version.hmac_key().expose(), &input)?;
    Ok(Line {
        hmac: Some(format!("vault:v{number}:{}", STANDARD.encode(mac))),
        ..Line::default()
    })
}
