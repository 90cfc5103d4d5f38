//! Each rule, and the words of its refusal.

use super::*;
use crate::clock::Timestamp;
use crate::engines::transit::key_type::KeyType;
use crate::rng::OsRandom;

fn key(versions: u32) -> KeyPolicy {
    let mut key = KeyPolicy::create("k", &KeySettings::default(), &OsRandom, Timestamp(0));
    for _ in 1..versions {
        key.rotate(&OsRandom, Timestamp(0)).unwrap();
    }
    key
}

fn decryption(version: i64) -> ConfigChange {
    ConfigChange {
        min_decryption_version: Some(version),
        ..ConfigChange::default()
    }
}

fn encryption(version: i64) -> ConfigChange {
    ConfigChange {
        min_encryption_version: Some(version),
        ..ConfigChange::default()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, message: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Invalid { field: Some(_), .. }));
    assert_eq!(error.to_string(), message);
}

#[test]
fn minimums_stay_within_the_versions_there_are() {
    refused(
        key(2).configure(&decryption(9)),
        "cannot set min decryption version of 9, latest key version is 2",
    );
    refused(
        key(2).configure(&encryption(3)),
        "cannot set min encryption version of 3, latest key version is 2",
    );
    refused(
        key(2).configure(&decryption(-1)),
        "min decryption version cannot be negative",
    );
    refused(
        key(2).configure(&encryption(-1)),
        "min encryption version cannot be negative",
    );
    refused(
        key(2).configure(&encryption(i64::MAX)),
        "cannot set min encryption version of 9223372036854775807, latest key version is 2",
    );
}

#[test]
fn nothing_is_encrypted_that_would_not_decrypt() {
    let mut key = key(3);
    key.configure(&encryption(2)).unwrap();
    refused(
        key.configure(&decryption(3)),
        "cannot set min encryption/decryption values; min encryption version of 2 must be greater than or equal to min decryption version of 3",
    );
}

#[test]
fn a_minimum_of_nothing_is_the_first_version() {
    let mut key = key(2);
    key.configure(&decryption(2)).unwrap();
    let warnings = key.configure(&decryption(0)).unwrap();
    assert_eq!(key.min_decryption_version, KeyVersion(1));
    assert_eq!(warnings.len(), 1);
    key.configure(&encryption(1)).unwrap();
    assert!(key.configure(&encryption(0)).unwrap().is_empty());
    assert_eq!(key.min_encryption_version, KeyVersion::NONE);
}

#[test]
fn what_may_leave_can_only_be_turned_on() {
    let mut key = key(1);
    let both = |on| ConfigChange {
        exportable: Some(on),
        allow_plaintext_backup: Some(on),
        ..ConfigChange::default()
    };
    assert!(key.configure(&both(false)).unwrap().is_empty());
    assert!(!key.exportable && !key.allow_plaintext_backup);
    key.configure(&both(true)).unwrap();
    assert!(key.exportable && key.allow_plaintext_backup);
    assert_eq!(
        key.configure(&both(false)).unwrap(),
        [
            "exportable cannot be turned off again; it stays on",
            "allow_plaintext_backup cannot be turned off again; it stays on",
        ]
    );
    assert!(key.exportable && key.allow_plaintext_backup);
}

#[test]
fn deletion_can_be_allowed_and_forbidden() {
    let mut key = key(1);
    for allowed in [true, false] {
        key.configure(&ConfigChange {
            deletion_allowed: Some(allowed),
            ..ConfigChange::default()
        })
        .unwrap();
        assert_eq!(key.deletion_allowed, allowed);
    }
}

#[test]
fn periods_are_nothing_or_an_hour_at_least() {
    let seconds =
        |text| GoDuration::parse("auto_rotate_period", text).and_then(auto_rotate_period_s);
    assert_eq!(seconds("0").unwrap(), 0);
    assert_eq!(seconds("1h").unwrap(), 3600);
    assert_eq!(seconds("30d").unwrap(), 2_592_000);
    for wrong in ["59m59s", "1", "-1h", "500ms"] {
        refused(
            seconds(wrong),
            "auto rotate period must be 0 to disable or at least an hour",
        );
    }
}

#[test]
fn convergent_keys_are_derived() {
    let settings = KeySettings {
        convergent: true,
        ..KeySettings::default()
    };
    refused(
        settings.check(),
        "convergent encryption requires derivation to be enabled",
    );
    for key_type in KeyType::ALL {
        let settings = KeySettings {
            key_type,
            derived: true,
            convergent: true,
            ..KeySettings::default()
        };
        settings.check().unwrap();
    }
}

#[test]
fn versions_are_trimmed_only_below_both_minimums() {
    let mut key = key(5);
    refused(
        key.trim(2),
        "minimum available version cannot be set when minimum encryption version is not set",
    );
    key.configure(&encryption(4)).unwrap();
    refused(
        key.trim(6),
        "minimum available version cannot be higher than the latest key version",
    );
    refused(
        key.trim(5),
        "minimum available version cannot be higher than minimum encryption version",
    );
    refused(
        key.trim(4),
        "minimum available version cannot be higher than minimum decryption version",
    );
    key.configure(&decryption(4)).unwrap();
    key.trim(3).unwrap();
    assert_eq!(key.min_available_version, KeyVersion(3));
    assert_eq!(key.latest(), KeyVersion(5));
    assert!(key.version(KeyVersion(2)).is_none());
    assert!(key.version(KeyVersion(3)).is_some());
    refused(
        key.trim(2),
        "minimum available version cannot be decremented",
    );
    refused(
        key.trim(-1),
        "minimum available version cannot be decremented",
    );
    refused(
        key.configure(&decryption(2)),
        "cannot set min decryption version of 2, minimum available version is 3",
    );
}
