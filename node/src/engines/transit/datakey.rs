//! `datakey/:form/:name`: a fresh random key, encrypted, and with form `plaintext` also in the clear.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::batch::{Failure, Input, OnFailure, each};
use super::encrypt::seal;
use super::input::{Parameters, Text};
use super::path::KeyName;
use super::{KEY_NOT_FOUND, TransitEngine};
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;
use crate::rng::OsRandom;

const DEFAULT_BITS: i64 = 256;

/// Answers POST `datakey/:form/:name`.
pub(super) async fn make(
    engine: &TransitEngine,
    form: &str,
    name: KeyName<'_>,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let show = match form {
        "plaintext" => true,
        "wrapped" => false,
        _ => {
            return Err(Error::bad_request(
                "Invalid path, must be 'plaintext' or 'wrapped'",
            ));
        }
    };
    let length = length(call.fields)?;
    let mut key = engine.keys.cached(name);
    if let Some(found) = key.take() {
        key = Some(engine.rotated_if_due(name, found, call.now).await);
    }
    let items: [Result<Parameters, Text>; 1] = [Parameters::read(call.fields)];
    let results = each(&engine.keys, name, key, &items, |key, parameters| {
        let parameters = parameters
            .as_ref()
            .map_err(|why| Failure::Input(why.clone()))?;
        let key = key.ok_or(Failure::key(KEY_NOT_FOUND))?;
        let mut data_key = Zeroizing::new(vec![0; length]);
        OsRandom.fill(&mut data_key);
        let mut line = seal(key, parameters, length, |buffer| {
            buffer.extend_from_slice(&data_key);
            Ok(())
        })?;
        line.plaintext = show.then(|| STANDARD.encode(&*data_key));
        Ok(line)
    })
    .await?;
    Input::Single(call.fields).answer(results, OnFailure::Status, &["bits"])
}

/// How many bytes the data key has.
fn length(fields: &Fields) -> Result<usize, Error> {
    match fields.integer("bits")?.unwrap_or(DEFAULT_BITS) {
        128 => Ok(16),
        256 => Ok(32),
        512 => Ok(64),
        _ => Err(Error::invalid(
            "bits",
            "invalid bit length: choose 128, 256 or 512",
        )),
    }
}
