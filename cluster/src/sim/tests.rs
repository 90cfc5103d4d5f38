//! A thousand seeds, and the proof that they would find something.

use super::*;
use crate::wire::MAX_GOSSIP_BYTES;

const SEEDS: u64 = 1000;
const SEEDS_LONG: u64 = 5_000;
const SEEDS_PER_MUTANT: u64 = 200;

fn play(seeds: u64, mutant: Option<Mutant>) -> Result<Summary, Box<Failure>> {
    play_seeds(
        seeds,
        |seed| run(seed, mutant),
        |total, summary| total.add(&summary),
    )
}

#[allow(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says how long and which"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[test]
fn a_thousand_seeds_keep_every_promise() {
    let long = environment("CONCLAVE_TEST_LONG").is_some();
    let seeds = if long { SEEDS_LONG } else { SEEDS };
    let total = play(seeds, None).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{total:#?}");
    let happened = [
        total.faults,
        total.published,
        total.learned,
        total.heard,
        total.answered,
        total.unanswered,
        total.alarms,
    ];
    assert!(happened.iter().all(|count| *count >= SEEDS), "{total:?}");
    assert!(total.longest_gossip > MAX_GOSSIP_BYTES / 2);
}

#[test]
fn every_mutant_is_caught() {
    for mutant in MUTANTS {
        let outcome = play(SEEDS_PER_MUTANT, Some(mutant));
        let failure = outcome.expect_err(&format!("nobody noticed {mutant:?}"));
        println!("{mutant:?}: seed {}: {}", failure.seed, failure.what);
    }
}

#[test]
fn a_seed_plays_the_same_twice() {
    for seed in 0..5 {
        assert_eq!(run(seed, None), run(seed, None));
        let broken = || run(seed, Some(Mutant::NeverDown)).map_err(|failure| failure.to_string());
        assert_eq!(broken(), broken());
    }
}

/// Plays the one seed that a failure has printed.
#[test]
fn replay() {
    let seed = environment("CONCLAVE_SIM_SEED");
    let seed = seed.map_or(0, |seed| {
        seed.parse().expect("a number in CONCLAVE_SIM_SEED")
    });
    run(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
}
