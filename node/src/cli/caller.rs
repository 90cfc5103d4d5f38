//! Whose token a command uses: found as the Vault CLI finds it.

use std::path::Path;

use super::{Failure, Session, read_bounded, token_text};
use crate::secret::Secret;

/// The longest Biscuit that nodes accept has 8 KiB.
const MAX_TOKEN_FILE_BYTES: u64 = 16 * 1024;
/// Where the Vault CLI's `login` puts the token.
const TOKEN_HELPER_FILE: &str = ".vault-token";

/// The token in `file`, else the environment's, else that of the last login.
///
/// # Errors
/// [`Failure::Local`] when there is none.
pub(super) fn token(file: Option<&Path>, session: &Session<'_>) -> Result<Secret<String>, Failure> {
    if let (None, Some(token)) = (file, session.environment.vault("TOKEN")) {
        return Ok(Secret::new(token.trim().to_owned()));
    }
    let helper = || Some(session.environment.home()?.join(TOKEN_HELPER_FILE));
    let file = file
        .map(Path::to_owned)
        .or_else(|| helper().filter(|file| file.exists()));
    let file = file.ok_or_else(|| {
        Failure::local("no token: set VAULT_TOKEN, log in with `bao login`, or give --token-file")
    })?;
    let bytes = read_bounded(&file, MAX_TOKEN_FILE_BYTES)?;
    token_text(&bytes, &file.display().to_string())
}
