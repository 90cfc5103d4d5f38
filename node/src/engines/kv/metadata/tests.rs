//! The model's promises, first by example, then against a simpler model in any order of operations.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn later(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1_000_000_000)
}

fn written(versions: u64) -> Metadata {
    let mut metadata = Metadata::new(NOW);
    for _ in 0..versions {
        metadata.add_version(&MountSettings::default(), NOW);
    }
    metadata
}

fn served(metadata: &Metadata) -> Option<u64> {
    metadata.addressed(ReadDeleted::Live, NOW)
}

fn numbers(metadata: &Metadata) -> Vec<u64> {
    metadata.versions().map(|(number, _)| number).collect()
}

fn mount(max_versions: u64, delete_after_s: i64) -> MountSettings {
    MountSettings {
        max_versions,
        delete_version_after: GoDuration::from_seconds(delete_after_s),
        ..MountSettings::default()
    }
}

fn own(max_versions: u64, delete_after_s: i64) -> Settings {
    Settings {
        max_versions,
        delete_version_after: GoDuration::from_seconds(delete_after_s),
        ..Settings::default()
    }
}

#[test]
fn deleting_twice_hides_two_versions_and_undelete_brings_back_one() {
    let mut metadata = written(3);
    assert!(metadata.delete(&[3], NOW));
    assert_eq!(served(&metadata), Some(2));
    assert!(metadata.delete(&[2], NOW));
    assert_eq!(served(&metadata), Some(1));
    assert!(metadata.undelete(&[3]));
    assert_eq!(served(&metadata), Some(3));
    assert!(!metadata.version(2).unwrap().is_live(NOW));
    assert_eq!(metadata.highest(), 3);
}

#[test]
fn strictly_the_highest_version_is_meant_whatever_became_of_it() {
    let mut metadata = written(2);
    metadata.delete(&[2], NOW);
    assert_eq!(metadata.addressed(ReadDeleted::Strict, NOW), Some(2));
    assert_eq!(written(0).addressed(ReadDeleted::Strict, NOW), None);
}

#[test]
fn a_delete_holds_for_a_node_whose_clock_is_behind() {
    let mut metadata = written(1);
    metadata.delete(&[1], later(60));
    assert_eq!(served(&metadata), None);
}

#[test]
fn what_is_destroyed_stays_so() {
    let mut metadata = written(1);
    assert!(metadata.destroy(&[1]));
    assert!(!metadata.destroy(&[1]));
    assert!(!metadata.undelete(&[1]));
    assert!(!metadata.delete(&[1], NOW));
    assert_eq!(served(&metadata), None);
    assert!(metadata.version(1).unwrap().is_destroyed());
}

#[test]
fn unknown_versions_are_passed_over() {
    let mut metadata = written(1);
    let before = metadata.clone();
    for unknown in [0, 2, u64::MAX] {
        assert!(!metadata.delete(&[unknown], NOW));
        assert!(!metadata.undelete(&[unknown]));
        assert!(!metadata.destroy(&[unknown]));
        assert!(metadata.version(unknown).is_none());
    }
    assert_eq!(metadata, before);
}

#[test]
fn check_and_set_takes_the_served_version_or_the_highest() {
    let check = |metadata: &Metadata, mode, cas| {
        metadata
            .check_and_set(Some(cas), &MountSettings::default(), mode, NOW)
            .is_ok()
    };
    let accepted = |metadata: &Metadata, mode| -> Vec<i64> {
        (-1..5).filter(|cas| check(metadata, mode, *cas)).collect()
    };
    let mut metadata = written(3);
    assert_eq!(accepted(&metadata, ReadDeleted::Live), [3]);
    metadata.delete(&[3], NOW);
    assert_eq!(accepted(&metadata, ReadDeleted::Live), [2, 3]);
    assert_eq!(accepted(&metadata, ReadDeleted::Strict), [3]);
    metadata.delete(&[1, 2], NOW);
    assert_eq!(accepted(&metadata, ReadDeleted::Live), [3]);
    assert_eq!(accepted(&written(0), ReadDeleted::Live), [0]);
}

#[test]
fn check_and_set_is_required_by_either_side() {
    let required = MountSettings {
        cas_required: true,
        ..MountSettings::default()
    };
    let mut metadata = written(1);
    let check = |metadata: &Metadata, mount: &MountSettings| {
        metadata.check_and_set(None, mount, ReadDeleted::Live, NOW)
    };
    check(&metadata, &MountSettings::default()).unwrap();
    assert_eq!(
        check(&metadata, &required).unwrap_err().to_string(),
        "check-and-set parameter required for this call"
    );
    let settings = Settings {
        cas_required: true,
        ..Settings::default()
    };
    metadata.set_settings(settings, NOW);
    assert!(check(&metadata, &MountSettings::default()).is_err());
}

#[test]
fn the_secrets_own_number_of_versions_goes_before_the_mounts() {
    for (key, of_mount, kept) in [(0, 0, 10), (0, 3, 3), (2, 3, 2), (4, 3, 4)] {
        let mut metadata = Metadata::new(NOW);
        metadata.set_settings(own(key, 0), NOW);
        for _ in 0..20 {
            metadata.add_version(&mount(of_mount, 0), NOW);
        }
        assert_eq!(metadata.versions().len(), kept);
        assert_eq!(metadata.oldest(), 21 - kept as u64);
    }
    assert_eq!(written(10).oldest(), 0);
    assert_eq!(written(0).oldest(), 0);
}

#[test]
fn fewer_versions_are_kept_from_the_next_write_on() {
    let mut metadata = written(8);
    metadata.set_settings(own(2, 0), NOW);
    assert_eq!(metadata.versions().len(), 8);
    let added = metadata.add_version(&MountSettings::default(), NOW);
    assert_eq!(
        added,
        Added {
            number: 9,
            pruned: 1..8
        }
    );
    assert_eq!(numbers(&metadata), [8, 9]);
}

#[test]
fn the_shorter_life_counts_and_a_negative_one_of_the_mount_ends_expiry() {
    for (key_s, mount_s, expected_s) in [
        (0, 0, None),
        (60, 0, Some(60)),
        (0, 30, Some(30)),
        (60, 30, Some(30)),
        (10, 30, Some(10)),
        (60, -1, None),
        (0, -1, None),
    ] {
        let mut metadata = Metadata::new(NOW);
        metadata.set_settings(own(0, key_s), NOW);
        metadata.add_version(&mount(0, mount_s), NOW);
        let version = metadata.version(1).unwrap();
        assert_eq!(version.deletion, expected_s.map(later));
        assert!(version.is_live(NOW));
        if let Some(seconds) = expected_s {
            assert!(version.is_live(later(seconds - 1)));
            assert!(!version.is_live(later(seconds)));
        }
    }
}

#[test]
fn an_undeleted_version_does_not_expire_again() {
    let mut metadata = Metadata::new(NOW);
    metadata.add_version(&mount(0, 5), NOW);
    assert!(!metadata.version(1).unwrap().is_live(later(6)));
    assert!(metadata.undelete(&[1]));
    assert!(metadata.version(1).unwrap().is_live(later(1_000)));
}

#[test]
fn the_longest_version_list_fits_one_row_of_the_store() {
    let now = Timestamp(1_800_000_000_123_456_789);
    let mut metadata = Metadata::new(now);
    metadata.set_settings(own(MAX_MAX_VERSIONS, 0), now);
    for _ in 0..MAX_MAX_VERSIONS {
        metadata.add_version(&MountSettings::default(), now);
    }
    let all: Vec<u64> = (1..=MAX_MAX_VERSIONS).collect();
    metadata.delete(&all, now);
    let deleted_bytes = serde_json::to_vec(&metadata).unwrap().len();
    metadata.undelete(&all);
    let kept_bytes = serde_json::to_vec(&metadata).unwrap().len();
    assert!(kept_bytes < 32 * 1024, "{kept_bytes}");
    assert!(deleted_bytes < 64 * 1024, "{deleted_bytes}");
}

/// What can happen to a secret.
#[derive(Clone, Debug)]
enum Step {
    Write,
    DeleteServed,
    Delete(Vec<u64>),
    Undelete(Vec<u64>),
    Destroy(Vec<u64>),
    Keep(u64),
    Expire(i64),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(0u64..15, 0..4);
    prop_oneof![
        4 => Just(Step::Write),
        2 => Just(Step::DeleteServed),
        1 => some().prop_map(Step::Delete),
        2 => some().prop_map(Step::Undelete),
        1 => some().prop_map(Step::Destroy),
        1 => (0u64..5).prop_map(Step::Keep),
        1 => (0i64..20).prop_map(Step::Expire),
        1 => (0i64..20).prop_map(Step::Wait),
    ]
}

fn live(metadata: &Metadata, now: Timestamp) -> BTreeSet<u64> {
    metadata
        .versions()
        .filter(|(_, version)| version.is_live(now))
        .map(|(number, _)| number)
        .collect()
}

fn destroyed(metadata: &Metadata) -> BTreeSet<u64> {
    metadata
        .versions()
        .filter(|(_, version)| version.is_destroyed())
        .map(|(number, _)| number)
        .collect()
}

proptest! {
    #[test]
    fn the_promises_hold_in_any_order(steps in prop::collection::vec(step(), 0..60)) {
        let mut metadata = Metadata::new(NOW);
        let mount = MountSettings::default();
        let mut now = NOW;
        let mut ever_destroyed = BTreeSet::new();
        for step in steps {
            let before = metadata.clone();
            let was_live = live(&metadata, now);
            let kept: BTreeSet<u64> = numbers(&metadata).into_iter().collect();
            let named = |numbers: &[u64]| -> BTreeSet<u64> {
                numbers.iter().copied().filter(|number| kept.contains(number)).collect()
            };
            let mut should_live = was_live.clone();
            match &step {
                Step::Write => {
                    let added = metadata.add_version(&mount, now);
                    prop_assert_eq!(added.number, before.highest() + 1);
                    let gone: BTreeSet<u64> = added.pruned.clone().collect();
                    let left: BTreeSet<u64> = numbers(&metadata).into_iter().collect();
                    prop_assert!(gone.is_disjoint(&left));
                    prop_assert_eq!(gone.len() + left.len(), kept.len() + 1);
                    should_live.insert(added.number);
                    should_live.retain(|number| left.contains(number));
                }
                Step::DeleteServed => {
                    let served = metadata.addressed(ReadDeleted::Live, now);
                    let changed = served.is_some_and(|number| metadata.delete(&[number], now));
                    prop_assert_eq!(changed, !was_live.is_empty());
                    should_live.pop_last();
                }
                Step::Delete(numbers) => {
                    metadata.delete(numbers, now);
                    should_live = &was_live - &named(numbers);
                }
                Step::Undelete(numbers) => {
                    metadata.undelete(numbers);
                    should_live = &(&was_live | &named(numbers)) - &ever_destroyed;
                }
                Step::Destroy(numbers) => {
                    metadata.destroy(numbers);
                    should_live = &was_live - &named(numbers);
                    ever_destroyed.extend(named(numbers));
                }
                Step::Keep(number) => {
                    let settings = Settings { max_versions: *number, ..metadata.settings().clone() };
                    metadata.set_settings(settings, now);
                }
                Step::Expire(seconds) => {
                    let settings = Settings {
                        delete_version_after: GoDuration::from_seconds(*seconds),
                        ..metadata.settings().clone()
                    };
                    metadata.set_settings(settings, now);
                }
                Step::Wait(seconds) => {
                    now = Timestamp(now.0 + seconds * 1_000_000_000);
                    let lives = live(&metadata, now);
                    prop_assert!(lives.is_subset(&was_live));
                    should_live = lives;
                }
            }
            let lives = live(&metadata, now);
            prop_assert_eq!(&lives, &should_live);
            prop_assert_eq!(metadata.addressed(ReadDeleted::Live, now), lives.last().copied());
            prop_assert!(lives.is_disjoint(&ever_destroyed));
            prop_assert!(destroyed(&metadata).is_subset(&ever_destroyed));
            prop_assert!(metadata.highest() >= before.highest());
            let numbers = numbers(&metadata);
            prop_assert_eq!(numbers.last().copied().unwrap_or(0), metadata.highest());
            prop_assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
            let text = serde_json::to_string(&metadata).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Metadata>(&text).unwrap(), &metadata);
        }
    }
}
