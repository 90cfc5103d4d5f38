//! Every message survives the way there; everything else is refused.

use conclave_cluster::{Body, MAX_BODY_BYTES};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use zeroize::Zeroizing;

use super::*;
use crate::id::{SealEpoch, TenantId};
use crate::seal::attempt::{AttemptId, Incarnation, Purpose, Subject};
use crate::seal::handover::Stored;
use crate::seal::state::Parameters;
use crate::seal::{MAX_PARAMETERS_BYTES, SHARE_BYTES, Share};
use crate::secret::Secret;

fn body(bytes: &[u8]) -> Body {
    Body::new(bytes.to_vec()).unwrap()
}

fn ask() -> impl Strategy<Value = Ask> {
    any::<([u8; 16], [u8; 16], u64, u64, [u8; 16])>().prop_map(
        |(tenant, incarnation, generation, epoch, nonce)| Ask {
            tenant: TenantId::from_bytes(tenant),
            stored: Stored {
                incarnation: Incarnation(incarnation),
                generation,
                epoch: SealEpoch(epoch),
            },
            nonce,
        },
    )
}

fn offer(
    shares: impl Strategy<Value = std::collections::BTreeSet<u8>>,
) -> impl Strategy<Value = Offer> {
    let parameters = prop::option::of(prop::collection::vec(any::<u8>(), 1..MAX_PARAMETERS_BYTES));
    let numbers = any::<([u8; 16], [u8; 16], u64, u64, u64, [u8; 16])>();
    (
        numbers,
        prop::sample::select(Purpose::ALL.to_vec()),
        parameters,
        shares,
    )
        .prop_map(
            |(
                (incarnation, tenant, generation, epoch, number, subject),
                purpose,
                parameters,
                shares,
            )| {
                Offer {
                    attempt: AttemptId {
                        incarnation: Incarnation(incarnation),
                        tenant: TenantId::from_bytes(tenant),
                        purpose,
                        generation,
                        epoch: SealEpoch(epoch),
                        number,
                        subject: Subject(subject),
                    },
                    parameters: parameters
                        .map(|bytes| Parameters::new(Zeroizing::new(bytes)).unwrap()),
                    shares: shares
                        .into_iter()
                        .map(|index| Share::from_bytes(&[index; SHARE_BYTES]).unwrap())
                        .collect(),
                }
            },
        )
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![
        offer(prop::collection::btree_set(1u8.., 0..5)).prop_map(Question::Offer),
        ask().prop_map(Question::Keys),
        ask().prop_map(|ask| Question::Seal(Order {
            tenant: ask.tenant,
            incarnation: ask.stored.incarnation,
            through: ask.stored.epoch,
        })),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<bool>().prop_map(Answer::Held),
        (ask(), any::<[[u8; 32]; 2]>()).prop_map(|(ask, [mac_key, keyring_key])| Answer::Keys(
            HandedOver {
                ask,
                mac_key: Secret::new(mac_key),
                keyring_key: Secret::new(keyring_key),
            }
        )),
        (1..=5u8).prop_map(|number| Answer::Refused(Refusal::from_number(number).unwrap())),
        (0..3u8).prop_map(|number| Answer::Sealed(Obeyed::from_number(number).unwrap())),
        any::<()>().prop_map(|()| Answer::NotUnderstood),
    ]
}

#[test]
fn the_longest_offer_fits_into_a_body() {
    let shares = (1..=255).map(|index| Share::from_bytes(&[index; SHARE_BYTES]).unwrap());
    let longest = Question::Offer(Offer {
        attempt: AttemptId {
            incarnation: Incarnation::default(),
            tenant: TenantId::from_bytes([1; 16]),
            purpose: Purpose::Rekey,
            generation: 1,
            epoch: SealEpoch(1),
            number: 1,
            subject: Subject::default(),
        },
        parameters: Some(Parameters::new(Zeroizing::new(vec![1; MAX_PARAMETERS_BYTES])).unwrap()),
        shares: shares.collect(),
    });
    let encoded = longest.encode().unwrap();
    assert!(encoded.as_bytes().len() < MAX_BODY_BYTES);
    assert!(Question::decode(&encoded).is_ok());
}

#[test]
fn shares_out_of_order_or_twice_or_with_index_zero_are_refused() {
    let offer = |indices: [u8; 2]| {
        let mut bytes = vec![1, 1];
        bytes.extend_from_slice(&[0; 32]);
        bytes.push(1);
        bytes.extend_from_slice(&[0; 24 + 16 + 2]);
        bytes.push(2);
        for index in indices {
            bytes.extend_from_slice(&[index; SHARE_BYTES]);
        }
        Question::decode(&body(&bytes)).is_ok()
    };
    assert!(offer([1, 2]));
    for wrong in [[2, 1], [1, 1], [0, 1]] {
        assert!(!offer(wrong), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn questions_survive_the_way_and_nothing_may_be_missing_or_follow(question in question()) {
        let encoded = question.encode().unwrap();
        let bytes = encoded.as_bytes();
        let again = Question::decode(&encoded).unwrap().encode().unwrap();
        prop_assert_eq!(again.as_bytes(), bytes);
        for end in 0..bytes.len() {
            prop_assert!(Question::decode(&body(&bytes[..end])).is_err());
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        prop_assert!(Question::decode(&body(&longer)).is_err());
    }

    #[test]
    fn answers_survive_the_way_and_nothing_may_be_missing_or_follow(answer in answer()) {
        let encoded = answer.encode();
        let bytes = encoded.as_bytes();
        let again = Answer::decode(&encoded).unwrap().encode();
        prop_assert_eq!(again.as_bytes(), bytes);
        for end in 0..bytes.len() {
            prop_assert!(Answer::decode(&body(&bytes[..end])).is_err());
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        prop_assert!(Answer::decode(&body(&longer)).is_err());
    }

    #[test]
    fn raw_bytes_are_refused_or_have_this_one_encoding(mut bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..6u8) {
        if let [version, place, ..] = bytes.as_mut_slice() {
            (*version, *place) = (1, kind);
        }
        let body = body(&bytes);
        if let Ok(question) = Question::decode(&body) {
            let encoded = question.encode().unwrap();
            prop_assert_eq!(encoded.as_bytes(), &bytes);
        }
        if let Ok(answer) = Answer::decode(&body) {
            let encoded = answer.encode();
            prop_assert_eq!(encoded.as_bytes(), &bytes);
        }
    }
}

#[test]
fn nothing_secret_is_printed() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let handed = Answer::Keys(HandedOver {
        ask: ask().new_tree(&mut runner).unwrap().current(),
        mac_key: Secret::new([0xab; 32]),
        keyring_key: Secret::new([0xcd; 32]),
    });
    let text = format!("{handed:?}");
    assert!(!text.contains("171") && !text.contains("205"), "{text}");
}
