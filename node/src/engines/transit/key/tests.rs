//! The model of a key: its numbers, its bounds, and any sequence of changes.

use proptest::prelude::*;

use super::super::rules::ConfigChange;
use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn policy() -> KeyPolicy {
    KeyPolicy::create("k", &KeySettings::default(), &OsRandom, NOW)
}

fn with_versions(versions: u32) -> KeyPolicy {
    let mut policy = policy();
    for _ in 1..versions {
        policy.rotate(&OsRandom, NOW).unwrap();
    }
    policy
}

#[test]
fn a_new_key_has_one_version() {
    let policy = policy();
    assert_eq!(policy.latest(), KeyVersion(1));
    assert_eq!(policy.min_decryption_version, KeyVersion(1));
    assert_eq!(policy.min_encryption_version, KeyVersion::NONE);
    assert!(!policy.deletion_allowed);
    assert_eq!(policy.key_type, KeyType::XChaCha20Poly1305);
}

#[test]
fn versions_to_encrypt_with_lie_between_the_minimums_and_the_latest() {
    let mut policy = with_versions(4);
    assert_eq!(policy.encryption_version(0), Ok(KeyVersion(4)));
    assert_eq!(policy.encryption_version(1), Ok(KeyVersion(1)));
    assert_eq!(policy.encryption_version(5), Err(VersionRefused::TooNew));
    assert_eq!(
        policy.encryption_version(i64::MAX),
        Err(VersionRefused::TooNew)
    );
    assert_eq!(policy.encryption_version(-1), Err(VersionRefused::Negative));
    policy.min_encryption_version = KeyVersion(3);
    assert_eq!(policy.encryption_version(2), Err(VersionRefused::TooOld));
    assert_eq!(policy.encryption_version(3), Ok(KeyVersion(3)));
    policy.min_encryption_version = KeyVersion::NONE;
    policy.min_decryption_version = KeyVersion(3);
    assert_eq!(
        policy.encryption_version(2),
        Err(VersionRefused::TooOld),
        "nobody could decrypt it"
    );
}

#[test]
fn versions_to_decrypt_with_are_kept_and_not_closed() {
    let mut policy = with_versions(4);
    policy.min_decryption_version = KeyVersion(3);
    let open: Vec<u32> = (0..7)
        .filter(|number| policy.decryption_position(KeyVersion(*number)).is_some())
        .collect();
    assert_eq!(open, [3, 4]);
    let shown: Vec<u32> = policy
        .shown_versions()
        .map(|(number, _)| number.0)
        .collect();
    assert_eq!(shown, [3, 4]);
}

#[test]
fn a_key_holds_so_many_versions_and_no_more() {
    let mut policy = with_versions(u32::try_from(MAX_VERSIONS).unwrap());
    policy.auto_rotate_period_s = 3600;
    assert_eq!(policy.rotation_due(), None, "it would fail each time");
    let refused = policy.rotate(&OsRandom, NOW).unwrap_err().to_string();
    assert!(refused.contains("4096 versions"), "{refused}");
    let stored = policy.encode().unwrap();
    assert!(stored.len() < 1_000_000, "{} bytes", stored.len());
    policy.drop_before(KeyVersion(2));
    policy.rotate(&OsRandom, NOW).unwrap();
    assert_eq!(policy.latest(), KeyVersion(4097));
}

#[test]
fn the_buffer_for_the_stored_form_does_not_move() {
    let policy = with_versions(50);
    let stored = policy.encode().unwrap();
    let planned = STORED_SETTINGS_BYTES + 2 + 50 * STORED_VERSION_BYTES;
    assert!(stored.len() <= planned);
    assert_eq!(stored.capacity(), planned);
}

#[test]
fn a_rotation_is_due_a_period_after_the_last() {
    let mut policy = policy();
    assert_eq!(policy.rotation_due(), None);
    policy.auto_rotate_period_s = 3600;
    let hour = std::time::Duration::from_secs(3600);
    assert_eq!(policy.rotation_due(), Some(NOW.plus(hour)));
    policy.rotate(&OsRandom, NOW.plus(hour)).unwrap();
    assert_eq!(policy.rotation_due(), Some(NOW.plus(2 * hour)));
}

#[test]
fn damaged_rows_are_refused() {
    let text = String::from_utf8(policy().encode().unwrap().to_vec()).unwrap();
    let mut row: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(KeyPolicy::decode(text.as_bytes()).is_ok());
    row["first_version"] = 0.into();
    assert!(KeyPolicy::decode(row.to_string().as_bytes()).is_err());
    row["first_version"] = 1.into();
    row["key_type"] = "aes128-gcm96".into();
    assert!(
        KeyPolicy::decode(row.to_string().as_bytes()).is_err(),
        "its key is too long"
    );
    row["key_type"] = "aes256-gcm96".into();
    row["versions"] = serde_json::json!([]);
    assert!(KeyPolicy::decode(row.to_string().as_bytes()).is_err());
    assert!(KeyPolicy::decode(b"{}").is_err());
}

#[test]
fn debug_shows_no_material() {
    let policy = policy();
    let key = hex::encode(policy.version(KeyVersion(1)).unwrap().key().expose());
    let shown = format!("{policy:?}");
    assert!(shown.contains("Secret(..)"));
    assert!(!shown.contains(&key));
}

#[derive(Clone, Debug)]
enum Step {
    Rotate,
    Configure(ConfigChange),
    Trim(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let version = || prop::option::of(-1i64..12);
    let flag = || prop::option::of(any::<bool>());
    prop_oneof![
        Just(Step::Rotate),
        (version(), version(), flag(), flag()).prop_map(|(decryption, encryption, a, b)| {
            Step::Configure(ConfigChange {
                min_decryption_version: decryption,
                min_encryption_version: encryption,
                exportable: a,
                allow_plaintext_backup: b,
                ..ConfigChange::default()
            })
        }),
        (-1i64..12).prop_map(Step::Trim),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_changes_breaks_the_order_of_versions(
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut key = policy();
        for step in steps {
            let before = key.encode().unwrap();
            let mut changed = KeyPolicy::decode(&before).unwrap();
            let done = match &step {
                Step::Rotate => changed.rotate(&OsRandom, NOW).is_ok(),
                Step::Configure(change) => changed.configure(change).is_ok(),
                Step::Trim(oldest) => changed.trim(*oldest).is_ok(),
            };
            if !done {
                continue;
            }
            prop_assert!(changed.mark().revision > key.mark().revision);
            prop_assert_eq!(changed.mark().id, key.mark().id);
            prop_assert!(changed.latest() >= key.latest());
            prop_assert!(changed.exportable >= key.exportable);
            prop_assert!(changed.allow_plaintext_backup >= key.allow_plaintext_backup);
            key = changed;

            prop_assert!(key.min_decryption_version >= KeyVersion(1));
            prop_assert!(key.min_decryption_version <= key.latest());
            prop_assert!(key.min_available_version <= key.min_decryption_version);
            if key.min_encryption_version > KeyVersion::NONE {
                prop_assert!(key.min_encryption_version >= key.min_decryption_version);
                prop_assert!(key.min_encryption_version <= key.latest());
            }
            let oldest = key.min_available_version.max(KeyVersion(1));
            prop_assert_eq!(key.versions().len() as u32, key.latest().0 - oldest.0 + 1);
            prop_assert!(key.decryption_position(key.latest()).is_some());
            let latest = key.encryption_version(0).unwrap();
            prop_assert!(key.version(latest).is_some());
        }
    }
}
