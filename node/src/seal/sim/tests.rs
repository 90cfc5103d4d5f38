//! A thousand seeds, and the proof that they would find something.

use conclave_cluster::sim::{Failure, play_seeds};

use super::scenario::run;
use super::truth::Summary;
use crate::seal::faults::Mutant;

const SEEDS: u64 = 1000;
const SEEDS_PER_MUTANT: u64 = 200;
const MUTANTS: [Mutant; 5] = [
    Mutant::LeaseSkipped,
    Mutant::MergeByMin,
    Mutant::ResetIgnored,
    Mutant::EpochNotCheckedAtHandOver,
    Mutant::EarlyAcknowledge,
];

fn play(seeds: u64, mutant: Option<Mutant>) -> Result<Summary, Box<Failure>> {
    play_seeds(
        seeds,
        |seed| run(seed, mutant),
        |total: &mut Summary, summary| total.add(&summary),
    )
}

#[test]
fn a_thousand_seeds_keep_every_promise() {
    let total = play(SEEDS, None).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{total:#?}");
    assert!(
        total.counts().iter().all(|count| *count >= SEEDS),
        "{total:?}"
    );
}

#[test]
fn every_mutant_is_caught() {
    for mutant in MUTANTS {
        let failure =
            play(SEEDS_PER_MUTANT, Some(mutant)).expect_err(&format!("nobody noticed {mutant:?}"));
        println!("{mutant:?}: seed {}: {}", failure.seed, failure.what);
    }
}

#[test]
fn a_seed_plays_the_same_twice() {
    for seed in 0..3 {
        assert_eq!(run(seed, None), run(seed, None));
    }
}

/// Plays the one seed that a failure has printed.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "whoever runs the test says which seed"
)]
fn replay() {
    let seed = std::env::var("CONCLAVE_SIM_SEED").unwrap_or_default();
    let seed = seed.parse().unwrap_or(0);
    run(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
}
