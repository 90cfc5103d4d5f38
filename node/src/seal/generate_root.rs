//! `operator generate-root`: a root token for whoever holds enough shares.
//!
//! The token is told encoded, combined bit by bit (XOR) with a one-time pad that only whoever began the attempt knows. So
//! the holder of the last share, who gets the answer, cannot use it.

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::act::{self, Act, Finished, Outcome};
use super::state::Parameters;
use crate::auth::token::id::TEXT_BYTES as TOKEN_BYTES;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

/// How long the pad is, in bytes: as long as the token.
pub const OTP_BYTES: usize = TOKEN_BYTES;

/// What keeps the pad from being guessed by the attempt's nonce, which is a hash of what the attempt was begun with.
const SALT_BYTES: usize = 16;

/// What Vault's pads are made of.
const OTP_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// See the module.
pub struct GenerateRoot;

/// A random pad.
pub fn generate_otp(random: &OsRandom) -> Secret<String> {
    let mut otp = Secret::new(String::with_capacity(OTP_BYTES));
    while otp.expose().len() < OTP_BYTES {
        let [byte] = random.array::<1>();
        // The first 248 of 256 values are the alphabet four times over; others would favour its beginning.
        let letter = OTP_ALPHABET.get(usize::from(byte) % OTP_ALPHABET.len());
        if let Some(letter) = letter.filter(|_| usize::from(byte) < 4 * OTP_ALPHABET.len()) {
            otp.expose_mut().push(char::from(*letter));
        }
    }
    otp
}

/// What an attempt is begun with.
///
/// # Errors
/// [`Error::Invalid`] when the pad has another length than the token.
pub fn parameters(otp: &Secret<String>, random: &OsRandom) -> Result<Parameters, Error> {
    if otp.expose().len() != OTP_BYTES {
        return Err(Error::invalid("otp", "OTP string has incorrect length"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(SALT_BYTES + OTP_BYTES));
    bytes.extend_from_slice(&random.array::<SALT_BYTES>());
    bytes.extend_from_slice(otp.expose().as_bytes());
    Parameters::new(bytes)
}

#[async_trait(?Send)]
impl Act for GenerateRoot {
    async fn run(&self, finished: Finished<'_>) -> Result<Outcome, Error> {
        let pad = finished.parameters.as_bytes().get(SALT_BYTES..);
        let pad = pad.filter(|pad| pad.len() == OTP_BYTES).ok_or_else(|| {
            Error::bad_request("the attempt was begun with something else; begin again")
        })?;
        let gate = &finished.parts.gate;
        let token = gate.draw_token();
        act::view(&finished)?
            .run(async |rows| gate.add_root_token(rows, &token).await)
            .await?;
        tracing::info!(tenant = %finished.parts.tenant, "a root token was generated");
        encode(token.expose(), pad)
    }
}

/// The token combined with the pad, in base64 without padding.
fn encode(token: &str, pad: &[u8]) -> Result<Outcome, Error> {
    if token.len() != pad.len() {
        return Err(Error::Bug("a token of another length than its pad".into()));
    }
    let combined: Zeroizing<Vec<u8>> = Zeroizing::new(
        token
            .bytes()
            .zip(pad)
            .map(|(token, pad)| token ^ pad)
            .collect(),
    );
    let encoded = BASE64_STANDARD_NO_PAD.encode(&*combined);
    Ok(Zeroizing::new(encoded.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pad_is_as_long_as_a_token_and_of_the_alphabet() {
        let otp = generate_otp(&OsRandom);
        assert_eq!(otp.expose().len(), OTP_BYTES);
        assert!(
            otp.expose()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric())
        );
        assert_ne!(otp.expose(), generate_otp(&OsRandom).expose());
    }

    #[test]
    fn the_same_pad_begins_two_different_attempts() {
        let otp = generate_otp(&OsRandom);
        let one = parameters(&otp, &OsRandom).unwrap();
        let two = parameters(&otp, &OsRandom).unwrap();
        assert_ne!(one.subject(), two.subject());
        for otp in ["", "short", &"x".repeat(OTP_BYTES + 1)] {
            let refused = parameters(&Secret::new(otp.into()), &OsRandom).unwrap_err();
            assert_eq!(refused.to_string(), "OTP string has incorrect length");
        }
    }

    /// The two strings and their combination were worked out apart from this program.
    #[test]
    fn a_token_is_decoded_with_its_pad() {
        let encoded = encode("s.token", b"OTPotp1").unwrap();
        assert_eq!(encoded.as_slice(), b"PHokAB8VXw");
        assert!(encode("s.token", b"OTP").is_err());
    }
}
