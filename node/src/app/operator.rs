//! The operator's key pair at start: nodes need the public half only. A node that starts on an empty store of its own
//! makes both; nodes that share a store are given one, since each of them would make another.

use std::path::Path;

use crate::auth::biscuit::{OperatorKey, OperatorPublicKey};
use crate::config::{self, Config, Storage};
use crate::error::Error;
use crate::rng::OsRandom;

/// The key that tokens are checked with.
///
/// # Errors
/// [`Error::Invalid`] when there is none and none may be made, or a file does not hold one.
pub fn public_key(
    config: &Config,
    random: &OsRandom,
    store_is_new: bool,
) -> Result<OperatorPublicKey, Error> {
    match (&config.operator_public_key, &config.operator_key) {
        (Some(config::OperatorPublicKey::Inline(bytes)), _) => {
            format!("ed25519/{}", hex::encode(bytes)).parse()
        }
        (Some(config::OperatorPublicKey::File(path)), _) => read_public(path),
        (None, Some(path)) if path.exists() => Ok(OperatorKey::load(path)?.public()),
        (None, Some(path)) if store_is_new && !is_shared(&config.storage) => {
            let key = OperatorKey::generate(random)?;
            key.write_new(path)?;
            tracing::info!(file = %path.display(), "made the operator key; keep it safe, it can mint any add-on's tokens");
            Ok(key.public())
        }
        (None, Some(path)) => Err(Error::invalid(
            "operator_key",
            format!(
                "{0} is missing; set operator_public_key if the key is kept elsewhere{1}",
                path.display(),
                match store_is_new {
                    true =>
                        ", or make it: openssl genpkey -algorithm ed25519 -out FILE; chmod 600 FILE",
                    false => "",
                }
            ),
        )),
        (None, None) => Ok(OperatorKey::generate(random)?.public()),
    }
}

fn is_shared(storage: &Storage) -> bool {
    match storage {
        Storage::Embedded { .. } | Storage::InMemory => false,
        Storage::FoundationDb(_) | Storage::Postgres(_) => true,
    }
}

fn read_public(path: &Path) -> Result<OperatorPublicKey, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::invalid(
            "operator_public_key",
            format!("{} cannot be read: {error}", path.display()),
        )
    })?;
    text.trim().parse()
}
