//! The machine, case by case.

use super::*;
use crate::id::SealEpoch;
use crate::rng::OsRandom;
use crate::seal::attempt::Incarnation;
use crate::seal::config::SealConfig;
use crate::seal::keys::RootKey;
use crate::seal::quorum::Quorum;

pub(super) const TTL: Duration = Duration::from_secs(3600);
pub(super) const NOW: Duration = Duration::from_secs(100);

pub(super) fn tenant() -> TenantId {
    TenantId::from_bytes([5; 16])
}

/// A basis with five shares of which three are needed.
pub(super) fn generation(number: u64) -> (Basis, Vec<Share>) {
    let root = RootKey::generate(&OsRandom);
    let quorum = Quorum::new(5, 3).unwrap();
    let (config, shares) = SealConfig::create(tenant(), quorum, number, &root, &OsRandom).unwrap();
    let basis = Basis {
        incarnation: Incarnation::default(),
        epoch: SealEpoch(1),
        config,
    };
    (basis, shares)
}

pub(super) fn copy(share: &Share) -> Share {
    Share::from_bytes(share.expose()).unwrap()
}

pub(super) fn started(basis: &Basis) -> Ceremony {
    let mut ceremony = Ceremony::new(tenant(), Purpose::Unseal, TTL);
    ceremony.step(Event::Configured(Some(Box::new(basis.clone()))), NOW);
    ceremony
}

fn submit(ceremony: &mut Ceremony, share: &Share) -> Vec<Effect> {
    ceremony.step(Event::Submitted(copy(share)), NOW)
}

fn configure(ceremony: &mut Ceremony, basis: Basis) -> Vec<Effect> {
    ceremony.step(Event::Configured(Some(Box::new(basis))), NOW)
}

#[test]
fn shares_are_counted_replicated_and_combined_at_the_threshold() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    let attempt = ceremony.attempt().unwrap();
    for (given, index) in [(1, 4), (2, 2)] {
        assert_eq!(
            submit(&mut ceremony, &shares[index - 1]),
            [
                Effect::Replicate {
                    attempt,
                    index: index as u8
                },
                Effect::Progress { attempt, given },
            ]
        );
    }
    let effects = submit(&mut ceremony, &shares[0]);
    assert_eq!(effects.last(), Some(&Effect::Combine(attempt)));
    assert_eq!(ceremony.share(1).unwrap().expose(), shares[0].expose());
}

#[test]
fn a_duplicate_does_nothing_but_ask_again_to_combine() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    submit(&mut ceremony, &shares[0]);
    assert_eq!(submit(&mut ceremony, &shares[0]), []);
    submit(&mut ceremony, &shares[1]);
    submit(&mut ceremony, &shares[2]);
    let attempt = ceremony.attempt().unwrap();
    assert_eq!(
        submit(&mut ceremony, &shares[2]),
        [Effect::Combine(attempt)]
    );
}

#[test]
fn a_wrong_share_is_refused_alone() {
    let (basis, shares) = generation(1);
    let (_, strangers) = generation(1);
    let mut ceremony = started(&basis);
    submit(&mut ceremony, &shares[0]);
    let attempt = ceremony.attempt();
    assert_eq!(
        submit(&mut ceremony, &strangers[1]),
        [Effect::Refuse(Refusal::UnknownShare)]
    );
    assert_eq!((ceremony.attempt(), ceremony.shares().len()), (attempt, 1));
}

#[test]
fn without_a_configuration_there_is_nothing_to_give_shares_for() {
    let (_, shares) = generation(1);
    let mut ceremony = Ceremony::new(tenant(), Purpose::Unseal, TTL);
    assert_eq!(
        submit(&mut ceremony, &shares[0]),
        [Effect::Refuse(Refusal::NotInitialized)]
    );
    assert_eq!(ceremony.attempt(), None);
}

#[test]
fn reset_completion_and_expiry_wipe_and_change_the_nonce() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    let mut nonces = vec![ceremony.attempt().unwrap().nonce()];
    type End = fn(&Ceremony) -> (Event, Duration);
    let ends: [End; 3] = [
        |_| (Event::Reset, NOW),
        |ceremony| (Event::Finished(ceremony.attempt().unwrap()), NOW),
        |_| (Event::Ticked, NOW + TTL),
    ];
    for end in ends {
        submit(&mut ceremony, &shares[0]);
        let (event, now) = end(&ceremony);
        let effects = ceremony.step(event, now);
        let attempt = ceremony.attempt().unwrap();
        assert_eq!(effects, [Effect::Progress { attempt, given: 0 }]);
        assert!(!nonces.contains(&attempt.nonce()));
        nonces.push(attempt.nonce());
    }
}

#[test]
fn an_attempt_lives_from_its_first_share_to_its_deadline() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    assert_eq!(ceremony.deadline(), None);
    submit(&mut ceremony, &shares[0]);
    ceremony.step(Event::Submitted(copy(&shares[1])), NOW + TTL / 2);
    assert_eq!(ceremony.deadline(), Some(NOW + TTL));
    let just_before = NOW + TTL - Duration::from_nanos(1);
    assert_eq!(ceremony.step(Event::Ticked, just_before), []);
    assert_eq!(ceremony.shares().len(), 2);
    // Late for the old attempt, the share counts for the next one.
    ceremony.step(Event::Submitted(copy(&shares[2])), NOW + TTL);
    assert_eq!(ceremony.shares().len(), 1);
}

#[test]
fn a_late_finish_does_not_touch_the_next_attempt() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    let old = ceremony.attempt().unwrap();
    ceremony.step(Event::Reset, NOW);
    submit(&mut ceremony, &shares[0]);
    assert_eq!(ceremony.step(Event::Finished(old), NOW), []);
    assert_eq!(ceremony.shares().len(), 1);
}

#[test]
fn a_seal_or_rekey_elsewhere_voids_the_shares() {
    let (basis, shares) = generation(1);
    let sealed = Basis {
        epoch: SealEpoch(2),
        ..basis.clone()
    };
    let rekeyed = generation(2).0;
    for next in [sealed, rekeyed] {
        let mut ceremony = started(&basis);
        submit(&mut ceremony, &shares[0]);
        assert_eq!(configure(&mut ceremony, basis.clone()), []);
        assert_eq!(
            ceremony.shares().len(),
            1,
            "reading the same changes nothing"
        );
        configure(&mut ceremony, next);
        assert_eq!(ceremony.shares().len(), 0);
    }
}

#[test]
fn a_store_that_was_rolled_back_is_refused_unless_it_says_so() {
    let (basis, _) = generation(2);
    let sealed = Basis {
        epoch: SealEpoch(2),
        ..basis.clone()
    };
    let mut ceremony = started(&sealed);
    let refused = [Effect::Refuse(Refusal::RolledBack)];
    assert_eq!(configure(&mut ceremony, basis.clone()), refused);
    let older_shares = Basis {
        epoch: SealEpoch(2),
        ..generation(1).0
    };
    assert_eq!(configure(&mut ceremony, older_shares), refused);
    assert_eq!(ceremony.basis(), Some(&sealed));

    let restored = Basis {
        incarnation: Incarnation([1; 16]),
        ..basis
    };
    configure(&mut ceremony, restored.clone());
    assert_eq!(ceremony.basis(), Some(&restored));
}

#[test]
fn another_node_s_attempt_is_merged_adopted_or_ignored() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    submit(&mut ceremony, &shares[0]);
    let now = ceremony.attempt().unwrap();
    let hear = |ceremony: &mut Ceremony, attempt, indices: &[usize]| {
        let shares = indices.iter().map(|index| copy(&shares[*index])).collect();
        ceremony.step(
            Event::Heard {
                attempt,
                parameters: None,
                shares,
            },
            NOW,
        )
    };

    assert_eq!(
        hear(&mut ceremony, now, &[0, 1]),
        [Effect::Progress {
            attempt: now,
            given: 2
        }]
    );
    let newer = AttemptId { number: 7, ..now };
    assert_eq!(
        hear(&mut ceremony, newer, &[]),
        [Effect::Progress {
            attempt: newer,
            given: 0
        }]
    );
    assert_eq!(hear(&mut ceremony, now, &[0, 1, 2]), []);
    assert_eq!(
        hear(&mut ceremony, newer, &[0, 1, 2]).last(),
        Some(&Effect::Combine(newer))
    );
}

#[test]
fn what_another_node_sends_for_something_else_is_ignored() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    let ours = ceremony.attempt().unwrap();
    for elsewhere in [
        AttemptId {
            incarnation: Incarnation([9; 16]),
            ..ours
        },
        AttemptId {
            tenant: TenantId::from_bytes([6; 16]),
            ..ours
        },
        AttemptId {
            purpose: Purpose::Rekey,
            ..ours
        },
        AttemptId {
            generation: 0,
            ..ours
        },
        AttemptId {
            epoch: SealEpoch(0),
            generation: 2,
            ..ours
        },
    ] {
        let shares = shares.iter().map(copy).collect();
        let heard = Event::Heard {
            attempt: elsewhere,
            parameters: None,
            shares,
        };
        assert_eq!(ceremony.step(heard, NOW), []);
    }
    assert_eq!(
        (ceremony.attempt(), ceremony.shares().len()),
        (Some(ours), 0)
    );
}

#[test]
fn another_node_s_newer_epoch_or_generation_means_reading_the_store() {
    let (basis, shares) = generation(1);
    let mut ceremony = started(&basis);
    let ours = ceremony.attempt().unwrap();
    let newer = [
        AttemptId {
            generation: 2,
            ..ours
        },
        AttemptId {
            epoch: SealEpoch(2),
            ..ours
        },
    ];
    let mut unconfigured = Ceremony::new(tenant(), Purpose::Unseal, TTL);
    for attempt in newer {
        for ceremony in [&mut ceremony, &mut unconfigured] {
            let shares = shares.iter().map(copy).collect();
            let heard = Event::Heard {
                attempt,
                parameters: None,
                shares,
            };
            assert_eq!(ceremony.step(heard, NOW), [Effect::Reload]);
            assert_eq!(ceremony.shares().len(), 0);
        }
    }
}

#[test]
fn shares_from_another_node_are_checked_too() {
    let (basis, _) = generation(1);
    let (_, strangers) = generation(1);
    let mut ceremony = started(&basis);
    let heard = Event::Heard {
        attempt: ceremony.attempt().unwrap(),
        parameters: None,
        shares: strangers,
    };
    assert_eq!(ceremony.step(heard, NOW), []);
    assert_eq!(ceremony.shares().len(), 0);
}
