//! `decrypt/:name`, and how `rewrap` opens things.
//!
//! Somebody who may decrypt must not learn here which keys exist. So everything that depends on a key has one answer, be
//! it that there is no such key, that it is another one, that the version is too new, too old or trimmed, that the
//! ciphertext is too short or was touched, that a context is missing or another: [`REFUSED`]. And it has one path: an
//! attempt to open (with a key that fits nothing where there is none), and one question to the store whether memory is
//! right. Mistakes that can be seen without a key (no prefix, no base64) are told first, in words of their own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::TransitEngine;
use super::batch::{Failure, Input, Line, OnFailure, each};
use super::ciphertext::Ciphertext;
use super::input::{Parameters, Text, text};
use super::keys::Keys;
use super::loaded::LoadedKey;
use super::path::KeyName;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

/// The one answer.
pub const REFUSED: &str = "Unable to decrypt the secret";

/// Something to decrypt.
pub(super) struct Item {
    ciphertext: Ciphertext,
    /// With what it was encrypted; for `rewrap` also with what it will be.
    pub parameters: Parameters,
}

/// Answers POST `decrypt/:name`.
pub(super) async fn decrypt(
    engine: &TransitEngine,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let input = Input::read(call.fields)?;
    let items: Vec<Result<Item, Text>> = input.items().iter().map(read).collect();
    let key = engine.keys.cached(name);
    let results = each(&engine.keys, name, key, &items, |key, item| {
        let item = item.as_ref().map_err(|why| Failure::Input(why.clone()))?;
        let plaintext = open(&engine.keys, key, item)?;
        Ok(Line {
            plaintext: Some(STANDARD.encode(&*plaintext)),
            ..Line::default()
        })
    })
    .await?;
    input.answer(results, OnFailure::StatusAndPlaintext, &["ciphertext"])
}

/// Reads an item. No key is looked at.
pub(super) fn read(fields: &Fields) -> Result<Item, Text> {
    let ciphertext = text(fields, "ciphertext")?
        .filter(|ciphertext| !ciphertext.is_empty())
        .ok_or("missing ciphertext to decrypt")?;
    Ok(Item {
        ciphertext: Ciphertext::parse(&ciphertext)?,
        parameters: Parameters::read(fields)?,
    })
}

/// Opens an item, or answers [`REFUSED`] whatever the reason.
pub(super) fn open(
    keys: &Keys,
    key: Option<&LoadedKey>,
    item: &Item,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let cipher = match key {
        Some(key) => key.decryption_cipher(item.ciphertext.version)?,
        None => None,
    };
    let (context, associated_data) = (&item.parameters.context, &item.parameters.associated_data);
    let sealed = &item.ciphertext.sealed;
    let opened = match cipher {
        Some(cipher) => cipher.open(context, associated_data, sealed),
        None => {
            keys.open_in_vain(context, associated_data, sealed);
            None
        }
    };
    opened.ok_or(Failure::key(REFUSED))
}
