//! Tests of the fact table: its lattice, its bounds, and the end of a fact's life.

use proptest::prelude::*;

use super::*;

const LIFE: Duration = Duration::from_secs(60);

fn fact(tenant: u8, name: u8, version: u64, value: &[u8]) -> Fact {
    Fact {
        key: FactKey {
            tenant: Tenant([tenant; 16]),
            name: FactName::new(&[name]).unwrap(),
        },
        version,
        value: FactValue::new(value).unwrap(),
        life: LIFE,
    }
}

fn table(facts: &[Fact]) -> FactTable {
    let mut table = FactTable::default();
    for fact in facts {
        table.merge(fact, Duration::ZERO);
    }
    table
}

fn content(table: &FactTable) -> Vec<Fact> {
    table.iter(Duration::ZERO).collect()
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        facts in prop::collection::vec((0u8..3, 0u8..30, 0u64..4, prop::collection::vec(0u8..2, 0..2)), 0..80),
        order in any::<u64>(),
    ) {
        let facts: Vec<_> = facts.iter().map(|(tenant, name, version, value)| fact(*tenant, *name, *version, value)).collect();
        let mut shuffled = facts.clone();
        shuffled.extend(facts.iter().take(5).cloned());
        let mut random = crate::random::Random::new(order);
        shuffled.sort_by_cached_key(|_| random.number());
        let (one, other) = (table(&facts), table(&shuffled));
        prop_assert_eq!(content(&one), content(&other));
        prop_assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn what_is_lacking_makes_tables_equal(
        left in prop::collection::vec((0u8..3, 0u8..30, 0u64..9), 0..60),
        right in prop::collection::vec((0u8..3, 0u8..30, 0u64..9), 0..60),
        first in 0..BUCKETS,
    ) {
        let facts = |told: &[(u8, u8, u64)]| -> Vec<_> {
            told.iter().map(|(tenant, name, version)| fact(*tenant, *name, *version, b"")).collect()
        };
        let (mut left, mut right) = (table(&facts(&left)), table(&facts(&right)));
        for fact in right.lacking(left.digest(), first, Duration::ZERO) {
            left.merge(&fact, Duration::ZERO);
        }
        for fact in left.lacking(right.digest(), first, Duration::ZERO) {
            right.merge(&fact, Duration::ZERO);
        }
        prop_assert_eq!(left.root(), right.root());
        prop_assert_eq!(content(&left), content(&right));
    }
}

#[test]
fn one_tenant_cannot_crowd_out_another() {
    let mut table = FactTable::default();
    let merged: Vec<_> = (0..40)
        .map(|name| table.merge(&fact(1, name, 1, b""), Duration::ZERO))
        .collect();
    let taken = merged
        .iter()
        .filter(|merged| **merged == Merged::New)
        .count();
    assert!(taken >= MAX_FACTS_PER_TENANT);
    assert!(merged.contains(&Merged::Refused));
    let kept = content(&table);
    assert_eq!(kept.len(), MAX_FACTS_PER_TENANT);
    let mut next = kept[0].clone();
    next.version += 1;
    assert_eq!(
        table.merge(&next, Duration::ZERO),
        Merged::New,
        "a full tenant can still move on"
    );
    assert_eq!(
        table.merge(&fact(2, 0, 1, b""), Duration::ZERO),
        Merged::New
    );
}

#[test]
fn the_table_has_an_end() {
    let mut table = FactTable::default();
    for number in 0..MAX_FACTS + 10 {
        let mut told = fact(0, 0, 1, b"");
        told.key.tenant = Tenant(u128::try_from(number).unwrap().to_be_bytes());
        table.merge(&told, Duration::ZERO);
    }
    assert_eq!(table.len(), MAX_FACTS);
    assert_eq!(table.ranks.len(), MAX_FACTS);
    table.sweep(LIFE);
    assert_eq!(table.len(), 0);
    assert_eq!(table.root(), 0);
    assert!(table.ranks.is_empty() && table.tenant_ranks.is_empty());
}

#[test]
fn a_fact_falls_silent_before_it_dies() {
    let mut table = table(&[fact(1, 1, 1, b"x")]);
    let key = fact(1, 1, 1, b"").key;
    let early = Duration::from_secs(10);
    assert_eq!(table.tell(&key, early).unwrap().life, LIFE - early);

    let late = LIFE - QUIET;
    table.sweep(late);
    assert_eq!(table.root(), 0, "it is no longer compared");
    assert_eq!(table.tell(&key, late), None, "nor told");
    assert!(table.get(&key, late).is_some(), "but still known");
    assert!(table.get(&key, LIFE).is_none());
}

#[test]
fn only_telling_it_again_prolongs_a_life() {
    let mut table = table(&[fact(1, 1, 1, b"")]);
    let merge = |table: &mut FactTable, seconds| {
        table.merge(&fact(1, 1, 1, b""), Duration::from_secs(seconds))
    };
    assert_eq!(merge(&mut table, 2), Merged::Known, "it was on its way");
    assert_eq!(merge(&mut table, 30), Merged::Prolonged);
    assert_eq!(merge(&mut table, 31), Merged::Known);
    let late = LIFE + Duration::from_secs(29);
    table.sweep(late);
    assert_eq!(table.root(), 0);
    assert_eq!(table.merge(&fact(1, 1, 1, b""), late), Merged::Prolonged);
    assert_ne!(table.root(), 0, "it is compared again");
    table.sweep(late + LIFE);
    assert_eq!(table.len(), 0);
}
