//! The text of service tokens: 32 random bytes in base64url without padding, of which the first 8 are the add-on's tag.
//! The tag says where to look, so no index of tokens spans add-ons; the other 192 bits are the secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;

const TOKEN_BYTES: usize = 32;
const TAG_BYTES: usize = 8;
/// How long a generated token is: `TOKEN_BYTES` in base64url.
pub const TEXT_BYTES: usize = 43;
const ACCESSOR_BYTES: usize = 18;
/// The longest token that is looked at, Biscuits included.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;
/// A chosen token of fewer characters cannot hold 128 bits, even if each is drawn from all printable ones.
const MIN_CHOSEN_BYTES: usize = 20;
/// What a chosen token must be able to hold.
const MIN_CHOSEN_BITS: f64 = 128.0;

/// A new token of the add-on with this tag.
pub fn generate(random: &OsRandom, tag: [u8; TAG_BYTES]) -> Secret<String> {
    let mut bytes = Zeroizing::new(random.array::<TOKEN_BYTES>());
    for (to, from) in bytes.iter_mut().zip(tag) {
        *to = from;
    }
    Secret::new(URL_SAFE_NO_PAD.encode(*bytes))
}

/// A new accessor: unguessable, but no secret.
pub fn generate_accessor(random: &OsRandom) -> String {
    URL_SAFE_NO_PAD.encode(without_leading_dash::<ACCESSOR_BYTES>(random))
}

/// A new add-on's tag.
pub fn generate_tag(random: &OsRandom) -> [u8; TAG_BYTES] {
    without_leading_dash(random)
}

/// Random bytes whose base64url does not begin with a dash: on a command line that would be taken for an option.
fn without_leading_dash<const N: usize>(random: &OsRandom) -> [u8; N] {
    const DASH: u8 = 62;
    loop {
        let bytes = random.array::<N>();
        if bytes.first().is_none_or(|byte| byte >> 2 != DASH) {
            return bytes;
        }
    }
}

/// The tag in a token's text, if it is of the form that [`generate`] makes.
pub fn tag_of(text: &str) -> Option<[u8; TAG_BYTES]> {
    if text.len() != TEXT_BYTES {
        return None;
    }
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    bytes.first_chunk().copied()
}

/// Checks a token that a user chose: no weak ones, since guessing one is all that stands between a caller and its rights.
///
/// # Errors
/// [`Error::Invalid`] when it is too short, too long, or could be mistaken for a token of another kind.
pub fn checked_choice(text: &str) -> Result<(), Error> {
    let wrong = |message: &str| Err(Error::invalid("id", message));
    let distinct = text.bytes().collect::<std::collections::HashSet<_>>().len();
    if text.starts_with("s.") {
        return wrong("custom token ID cannot have the 's.' prefix");
    }
    if text.contains('.') {
        return wrong("custom token ID cannot have a '.' in the value");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("custom token ID must be printable ASCII without spaces");
    }
    // An upper bound on what the text can hold: its length times the bits of the characters it uses. Repetition fails.
    let bits = text.len() as f64 * (distinct.max(1) as f64).log2();
    if text.len() < MIN_CHOSEN_BYTES || bits < MIN_CHOSEN_BITS {
        return wrong(
            "custom token ID must hold 128 bits of randomness; leave it out to get one that does",
        );
    }
    if text.len() > 256 || tag_of(text).is_some() {
        return wrong(
            "custom token ID must be at most 256 characters and not of the generated form",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_its_tag() {
        let token = generate(&OsRandom, [7; 8]);
        assert_eq!(token.expose().len(), TEXT_BYTES);
        assert_eq!(tag_of(token.expose()), Some([7; 8]));
        assert_ne!(token.expose(), generate(&OsRandom, [7; 8]).expose());
        assert_eq!(tag_of("s.short"), None);
        assert_eq!(tag_of(&"!".repeat(TEXT_BYTES)), None);
    }

    #[test]
    fn nothing_looks_like_an_option() {
        for _ in 0..2000 {
            assert!(!generate_accessor(&OsRandom).starts_with('-'));
            let token = generate(&OsRandom, generate_tag(&OsRandom));
            assert!(!token.expose().starts_with('-'));
        }
    }

    #[test]
    fn weak_choices_are_refused() {
        for text in [
            "",
            "root",
            "s.aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "with space 0123456789abcdef",
            &"a".repeat(40),
        ] {
            assert!(checked_choice(text).is_err(), "{text}");
        }
        let good = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        checked_choice(good).unwrap();
    }
}
