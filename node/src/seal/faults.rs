//! Mistakes that can be planted into the seal's pure decisions, so that the simulator can show that it would notice
//! them. Outside of tests there are none, and asking costs nothing.

/// What can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// Requests are served however long ago the store confirmed anything.
    LeaseSkipped,
    /// Of two epochs the lower one is kept.
    MergeByMin,
    /// A reset that another node tells of does not wipe the shares.
    ResetIgnored,
    /// Keys are taken over whatever the store says by then.
    EpochNotCheckedAtHandOver,
    /// A share counts as replicated before anybody has it.
    EarlyAcknowledge,
}

/// What is planted here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    #[cfg(test)]
    planted: Option<Mutant>,
}

impl Faults {
    /// With this one planted.
    #[cfg(test)]
    pub fn planted(mutant: Option<Mutant>) -> Self {
        Self { planted: mutant }
    }

    /// Whether it is planted.
    #[cfg(test)]
    pub fn has(self, mutant: Mutant) -> bool {
        self.planted == Some(mutant)
    }

    /// Whether it is planted: never.
    #[cfg(not(test))]
    pub fn has(self, _: Mutant) -> bool {
        false
    }
}
