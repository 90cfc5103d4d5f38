//! Faults that tests plant to prove that the simulator would find them. A program built without the feature `sim` has
//! none and cannot have any.

/// A committed mutant: one promise of the protocol, broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// The smaller of two versions of a fact wins.
    MergeByMin,
    /// Facts are pushed once; what was lost is never asked for.
    NoAntiEntropy,
    /// A fact begins its life anew wherever it arrives.
    ForgetAge,
    /// Tenants may tell as many facts as they like.
    NoFactBudget,
    /// Tenants may send as many hints as they like.
    NoHintBudget,
    /// Packets of another cluster are read.
    IgnoreClusterId,
    /// Packets of nodes that are not in the roster are read.
    IgnoreRoster,
    /// Nobody is ever found dead.
    NeverDown,
    /// Being heard is enough to be alive, whether or not the way back works.
    OneWayIsAlive,
    /// A peer's restart goes unnoticed.
    IgnoreRestart,
    /// Peers are spoken to in the newest version of the wire format, whether or not they can read it.
    SpeakNewest,
    /// A request waits for ever.
    NoDeadline,
    /// Any reply answers any request.
    AnyReply,
    /// Wall clocks are not compared.
    IgnoreSkew,
}

/// All mutants, for tests that go through them.
#[cfg(any(test, feature = "sim"))]
pub const MUTANTS: [Mutant; 14] = [
    Mutant::MergeByMin,
    Mutant::NoAntiEntropy,
    Mutant::ForgetAge,
    Mutant::NoFactBudget,
    Mutant::NoHintBudget,
    Mutant::IgnoreClusterId,
    Mutant::IgnoreRoster,
    Mutant::NeverDown,
    Mutant::OneWayIsAlive,
    Mutant::IgnoreRestart,
    Mutant::SpeakNewest,
    Mutant::NoDeadline,
    Mutant::AnyReply,
    Mutant::IgnoreSkew,
];

/// What is planted in one node: nothing, outside tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    #[cfg(any(test, feature = "sim"))]
    pub(crate) mutant: Option<Mutant>,
    /// Speak only this version of the wire format and those before, as an earlier release does.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) speaks: Option<u8>,
}

impl Faults {
    /// Whether this mutant is planted.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn has(self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether this mutant is planted: no.
    #[cfg(not(any(test, feature = "sim")))]
    pub(crate) fn has(self, _: Mutant) -> bool {
        false
    }

    /// The newest version of the wire format that this node speaks.
    pub(crate) fn newest_version(self) -> u8 {
        #[cfg(any(test, feature = "sim"))]
        if let Some(version) = self.speaks {
            return version;
        }
        crate::wire::NEWEST_VERSION
    }
}
