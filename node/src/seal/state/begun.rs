//! Tests of attempts that are begun: rekey and its like.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::tests::{NOW, TTL, copy, generation, tenant};
use super::*;

fn parameters(text: &str) -> Parameters {
    Parameters::new(Zeroizing::new(text.into())).unwrap()
}

fn rekey(basis: &Basis) -> Ceremony {
    let mut ceremony = Ceremony::new(tenant(), Purpose::Rekey, TTL);
    ceremony.step(Event::Configured(Some(Box::new(basis.clone()))), NOW);
    ceremony
}

fn begin(ceremony: &mut Ceremony, text: &str) -> AttemptId {
    ceremony.step(Event::Started(parameters(text)), NOW);
    ceremony.attempt().unwrap()
}

fn hear(
    ceremony: &mut Ceremony,
    attempt: AttemptId,
    text: Option<&str>,
    shares: &[&Share],
) -> Vec<Effect> {
    let heard = Event::Heard {
        attempt,
        parameters: text.map(parameters),
        shares: shares.iter().map(|share| copy(share)).collect(),
    };
    ceremony.step(heard, NOW)
}

#[test]
fn shares_count_only_for_an_attempt_that_was_begun_and_expire_with_it() {
    let (basis, shares) = generation(1);
    let mut ceremony = rekey(&basis);
    let refused = |refusal| [Effect::Refuse(refusal)];
    let give = |ceremony: &mut Ceremony| ceremony.step(Event::Submitted(copy(&shares[0])), NOW);
    assert_eq!(give(&mut ceremony), refused(Refusal::NotStarted));
    let before = ceremony.attempt().unwrap();
    let begun = begin(&mut ceremony, "5 of 7");
    assert_ne!(begun.nonce(), before.nonce());
    assert_eq!(
        ceremony.step(Event::Started(parameters("1 of 1")), NOW),
        refused(Refusal::AlreadyStarted)
    );
    give(&mut ceremony);
    assert_eq!(ceremony.shares().len(), 1);
    assert_eq!(ceremony.deadline(), Some(NOW + TTL));
    ceremony.step(Event::Ticked, NOW + TTL);
    assert!(!ceremony.is_started());
    assert_eq!(ceremony.shares().len(), 0);
}

#[test]
fn another_node_s_attempt_is_taken_over_with_what_it_was_begun_with() {
    let (basis, shares) = generation(1);
    let (mut here, mut there) = (rekey(&basis), rekey(&basis));
    let begun = begin(&mut here, "5 of 7");
    assert_eq!(
        hear(&mut there, begun, None, &[]),
        [],
        "not without parameters"
    );
    assert_eq!(
        hear(&mut there, begun, Some("1 of 1"), &[]),
        [],
        "nor with others"
    );
    let effects = hear(
        &mut there,
        begun,
        Some("5 of 7"),
        &[&shares[0], &shares[1], &shares[2]],
    );
    assert_eq!(
        effects,
        [Effect::Progress {
            attempt: begun,
            given: 3
        }],
        "the node that was given the last share acts"
    );
    assert_eq!(there.attempt(), Some(begun));
    let again = there.step(Event::Submitted(copy(&shares[2])), NOW);
    assert_eq!(again, [Effect::Combine(begun)]);
}

#[test]
fn of_two_attempts_begun_at_once_all_keep_the_same_one_without_the_other_s_shares() {
    let (basis, shares) = generation(1);
    let (mut here, mut there) = (rekey(&basis), rekey(&basis));
    let (one, other) = (begin(&mut here, "one"), begin(&mut there, "other"));
    here.step(Event::Submitted(copy(&shares[0])), NOW);
    there.step(Event::Submitted(copy(&shares[1])), NOW);
    hear(&mut here, other, Some("other"), &[&shares[1]]);
    hear(&mut there, one, Some("one"), &[&shares[0]]);
    assert_eq!(here.attempt(), there.attempt());
    assert_eq!(here.parameters(), there.parameters());
    let indices = |ceremony: &Ceremony| -> Vec<_> { ceremony.shares().map(Share::index).collect() };
    assert_eq!(indices(&here), indices(&there));
    assert_eq!(here.shares().len(), 1);
}

#[test]
fn an_end_elsewhere_is_followed_without_knowing_what_begins_next() {
    let (basis, shares) = generation(1);
    let mut ceremony = rekey(&basis);
    let begun = begin(&mut ceremony, "5 of 7");
    ceremony.step(Event::Submitted(copy(&shares[0])), NOW);
    let next = AttemptId {
        number: begun.number + 1,
        subject: parameters("x").subject(),
        ..begun
    };
    hear(&mut ceremony, next, None, &[]);
    assert!(!ceremony.is_started());
    assert_eq!(ceremony.shares().len(), 0);
    hear(&mut ceremony, begun, Some("5 of 7"), &[&shares[0]]);
    assert!(!ceremony.is_started(), "what is over does not come back");
    hear(&mut ceremony, next, Some("x"), &[&shares[0]]);
    assert_eq!(
        (ceremony.attempt(), ceremony.shares().len()),
        (Some(next), 1)
    );
}

#[test]
fn a_number_that_leaves_no_way_on_is_not_believed() {
    let (basis, _) = generation(1);
    let mut ceremony = rekey(&basis);
    let attempt = ceremony.attempt().unwrap();
    hear(
        &mut ceremony,
        AttemptId {
            number: u64::MAX,
            ..attempt
        },
        None,
        &[],
    );
    assert_eq!(ceremony.attempt(), Some(attempt));
}

proptest! {
    #[test]
    fn merging_is_commutative((messages, shuffled) in prop::collection::vec(
        (1..4u64, 0..3usize, prop::collection::vec(0..5usize, 0..3)), 0..6,
    ).prop_flat_map(|messages| (Just(messages.clone()), Just(messages).prop_shuffle()))) {
        let (basis, shares) = generation(1);
        let play = |messages: &[(u64, usize, Vec<usize>)]| {
            let mut ceremony = rekey(&basis);
            let ours = ceremony.attempt().unwrap();
            for (number, begun, given) in messages {
                // As nodes speak: who has begun nothing has neither parameters nor shares.
                let text = [None, Some("one"), Some("other")][*begun];
                let subject = text.map_or_else(Subject::default, |text| parameters(text).subject());
                let given: Vec<_> = given.iter().filter(|_| *begun > 0).map(|index| &shares[*index]).collect();
                hear(&mut ceremony, AttemptId { number: *number, subject, ..ours }, text, &given);
            }
            let indices: Vec<_> = ceremony.shares().map(Share::index).collect();
            (ceremony.attempt(), indices)
        };
        prop_assert_eq!(play(&messages), play(&shuffled));
    }
}
