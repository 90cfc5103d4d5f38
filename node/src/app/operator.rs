//! The operator's key pair at start: nodes need the public half only; a node that starts on an empty store of its own
//! makes both.

use std::path::Path;

use crate::auth::biscuit::{OperatorKey, OperatorPublicKey};
use crate::config::{self, Config};
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
        (None, Some(path)) if store_is_new => {
            let key = OperatorKey::generate(random)?;
            key.write_new(path)?;
            tracing::info!(file = %path.display(), "made the operator key; keep it safe, it can mint any add-on's tokens");
            Ok(key.public())
        }
        (None, Some(path)) => Err(Error::invalid(
            "operator_key",
            format!(
                "{} is missing; set operator_public_key if the key is kept elsewhere",
                path.display()
            ),
        )),
        (None, None) => Ok(OperatorKey::generate(random)?.public()),
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
