//! Published vectors of each cipher, and properties of what is built on them.

use proptest::prelude::*;

use super::super::key::{KeySettings, KeyVersion};
use super::*;
use crate::clock::Timestamp;

const SUNSCREEN: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
const SUNSCREEN_KEY: &str = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
const SUNSCREEN_DATA: &str = "50515253c0c1c2c3c4c5c6c7";

const GCM_TEXT: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
const GCM_DATA: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const GCM_NONCE: &str = "cafebabefacedbaddecaf888";

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[track_caller]
fn check(key_type: KeyType, key: &str, nonce: &str, data: &str, plain: &[u8], expected: &str) {
    let cipher = Cipher::new(key_type, &unhex(key)).unwrap();
    let (nonce, data, expected) = (unhex(nonce), unhex(data), unhex(expected));
    let mut text = plain.to_vec();
    let tag = cipher.seal(&nonce, &data, &mut text).unwrap();
    assert_eq!([&text[..], &tag].concat(), expected);
    cipher.open(&nonce, &data, &mut text, &tag).unwrap();
    assert_eq!(text, plain);
}

#[test]
fn chacha20_poly1305_is_that_of_rfc_8439_section_2_8_2() {
    check(
        KeyType::ChaCha20Poly1305,
        SUNSCREEN_KEY,
        "070000004041424344454647",
        SUNSCREEN_DATA,
        SUNSCREEN,
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    );
}

#[test]
fn xchacha20_poly1305_is_that_of_the_draft_section_a_3_1() {
    check(
        KeyType::XChaCha20Poly1305,
        SUNSCREEN_KEY,
        "404142434445464748494a4b4c4d4e4f5051525354555657",
        SUNSCREEN_DATA,
        SUNSCREEN,
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
    );
}

#[test]
fn aes_128_gcm_is_test_case_4_of_the_gcm_submission_to_nist() {
    check(
        KeyType::Aes128Gcm96,
        "feffe9928665731c6d6a8f9467308308",
        GCM_NONCE,
        GCM_DATA,
        &unhex(GCM_TEXT),
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
    );
}

#[test]
fn aes_256_gcm_is_test_case_16_of_the_gcm_submission_to_nist() {
    check(
        KeyType::Aes256Gcm96,
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        GCM_NONCE,
        GCM_DATA,
        &unhex(GCM_TEXT),
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
    );
}

#[test]
fn wrong_lengths_are_refused_and_do_not_panic() {
    for key_type in KeyType::ALL {
        for length in [0, 15, 17, 31, 33] {
            assert!(Cipher::new(key_type, &vec![0; length]).is_err());
        }
        let cipher = Cipher::new(key_type, &vec![0; key_type.key_bytes()]).unwrap();
        assert!(cipher.seal(&[0; 11], b"", &mut []).is_err());
        assert!(cipher.open(&[0; 11], b"", &mut [], &[0; 16]).is_none());
        let nonce = vec![0; key_type.nonce_bytes()];
        assert!(cipher.open(&nonce, b"", &mut [], &[0; 15]).is_none());
    }
}

#[test]
fn key_schedules_are_wiped_when_dropped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<aes::Aes128>();
    wiped::<aes::Aes256>();
    wiped::<ChaCha20Poly1305>();
    wiped::<XChaCha20Poly1305>();
}

/// A key's first version, and the material it is made of.
fn version(key_type: KeyType, derived: bool, convergent: bool) -> (VersionCipher, KeyPolicy) {
    let settings = KeySettings {
        key_type,
        derived,
        convergent,
        ..KeySettings::default()
    };
    let policy = KeyPolicy::create("k", &settings, &OsRandom, Timestamp(0));
    let cipher = VersionCipher::new(&policy, policy.version(KeyVersion(1)).unwrap()).unwrap();
    (cipher, policy)
}

fn seal(cipher: &VersionCipher, context: &[u8], data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; cipher.key_type.nonce_bytes()];
    buffer.extend_from_slice(plaintext);
    cipher.seal(&OsRandom, context, data, &mut buffer).unwrap();
    buffer
}

#[test]
fn the_key_of_a_context_is_hkdf_without_salt() {
    for key_type in KeyType::ALL {
        let (cipher, policy) = version(key_type, true, false);
        let sealed = seal(&cipher, b"tenant 7", b"data", b"message");

        // RFC 5869, section 2, spelled out for one block of output.
        let mac = |key: &[u8], parts: &[&[u8]]| {
            let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes()
        };
        let material = policy.version(KeyVersion(1)).unwrap().key().expose();
        let extracted = mac(&[0; 32], &[material]);
        let key = mac(&extracted, &[b"tenant 7", &[1]]);

        let plain = Cipher::new(key_type, &key[..key_type.key_bytes()]).unwrap();
        let (nonce, rest) = sealed.split_at(key_type.nonce_bytes());
        let (text, tag) = rest.split_at(rest.len() - TAG_BYTES);
        let mut text = text.to_vec();
        plain.open(nonce, b"data", &mut text, tag).unwrap();
        assert_eq!(text, b"message");
    }
}

#[test]
fn random_nonces_do_not_repeat() {
    let (cipher, _) = version(KeyType::DEFAULT, false, false);
    assert_ne!(seal(&cipher, b"", b"", b"m"), seal(&cipher, b"", b"", b"m"));
}

fn any_type() -> impl Strategy<Value = KeyType> {
    prop::sample::select(&KeyType::ALL[..])
}

proptest! {
    #[test]
    fn what_was_sealed_opens_and_nothing_else_does(
        key_type in any_type(),
        derived: bool,
        convergent: bool,
        context: Vec<u8>,
        data: Vec<u8>,
        plaintext: Vec<u8>,
        position: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let (cipher, _) = version(key_type, derived, derived && convergent);
        let sealed = seal(&cipher, &context, &data, &plaintext);
        prop_assert_eq!(
            sealed.len(),
            key_type.nonce_bytes() + plaintext.len() + TAG_BYTES
        );
        prop_assert_eq!(&*cipher.open(&context, &data, &sealed).unwrap(), &plaintext);

        let mut touched = sealed.clone();
        touched[position.index(sealed.len())] ^= 1 << bit;
        prop_assert!(cipher.open(&context, &data, &touched).is_none());

        let other_data = [&data[..], b"x"].concat();
        prop_assert!(cipher.open(&context, &other_data, &sealed).is_none());
        let other_context = [&context[..], b"x"].concat();
        prop_assert_eq!(cipher.open(&other_context, &data, &sealed).is_none(), derived);
        let (other_key, _) = version(key_type, derived, false);
        prop_assert!(other_key.open(&context, &data, &sealed).is_none());
    }

    #[test]
    fn arbitrary_bytes_do_not_open(key_type in any_type(), derived: bool, bytes: Vec<u8>) {
        let (cipher, _) = version(key_type, derived, false);
        prop_assert!(cipher.open(b"c", b"", &bytes).is_none());
    }

    #[test]
    fn convergent_ciphertexts_are_equal_exactly_when_all_inputs_are(
        key_type in any_type(),
        context: Vec<u8>,
        data: Vec<u8>,
        plaintext: Vec<u8>,
    ) {
        let (cipher, _) = version(key_type, true, true);
        let sealed = seal(&cipher, &context, &data, &plaintext);
        prop_assert_eq!(&seal(&cipher, &context, &data, &plaintext), &sealed);
        let longer = |bytes: &[u8]| [bytes, b"x"].concat();
        for other in [
            seal(&cipher, &longer(&context), &data, &plaintext),
            seal(&cipher, &context, &longer(&data), &plaintext),
            seal(&cipher, &context, &data, &longer(&plaintext)),
        ] {
            let nonce_bytes = key_type.nonce_bytes();
            prop_assert_ne!(&other[..nonce_bytes], &sealed[..nonce_bytes]);
        }
        let (other_key, _) = version(key_type, true, true);
        prop_assert_ne!(seal(&other_key, &context, &data, &plaintext), sealed);
    }

    #[test]
    fn convergent_inputs_are_told_apart_where_they_meet(
        bytes in prop::collection::vec(any::<u8>(), 1..40),
        first: prop::sample::Index,
        second: prop::sample::Index,
    ) {
        // The same bytes, cut at another place into context and associated data, are another input.
        let (cipher, _) = version(KeyType::XChaCha20Poly1305, true, true);
        let (first, second) = (first.index(bytes.len() + 1), second.index(bytes.len() + 1));
        prop_assume!(first != second);
        let nonce = |cut: usize| {
            let (context, data) = bytes.split_at(cut);
            seal(&cipher, context, data, b"m")[..24].to_vec()
        };
        prop_assert_ne!(nonce(first), nonce(second));
    }
}
