//! `rewrap/:name`: decrypts and encrypts again, by default with the latest version; the plaintext stays here.
//! What cannot be opened is refused as in `decrypt.rs`; only who has a ciphertext that opens is told more.

use super::TransitEngine;
use super::batch::{Failure, Input, OnFailure, each};
use super::decrypt::{open, read};
use super::encrypt::seal;
use super::input::Text;
use super::path::KeyName;
use crate::engines::{Call, Reply};
use crate::error::Error;

/// Answers POST `rewrap/:name`.
pub(super) async fn rewrap(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let input = Input::read(call.fields)?;
    let items: Vec<Result<_, Text>> = input.items().iter().map(read).collect();
    let work = |key: Option<&_>, item: &Result<super::decrypt::Item, Text>| {
        let item = item.as_ref().map_err(|why| Failure::Input(why.clone()))?;
        let plaintext = open(&engine.keys, key, item)?;
        let key = key.ok_or(Failure::key(super::decrypt::REFUSED))?;
        seal(key, &item.parameters, plaintext.len(), |buffer| {
            buffer.extend_from_slice(&plaintext);
            Ok(())
        })
    };
    let mut results = each(&engine.keys, name, engine.keys.cached(name), &items, work).await?;
    // A rotation that is due is made only for somebody who has shown something that opens.
    if results.iter().any(Result::is_ok)
        && let Some(key) = engine.keys.cached(name)
        && key.claim_due_rotation(call.now)
    {
        let key = engine.rotated(name, key, call.now).await;
        results = each(&engine.keys, name, Some(key), &items, work).await?;
    }
    input.answer(results, OnFailure::Status, &["ciphertext"])
}
