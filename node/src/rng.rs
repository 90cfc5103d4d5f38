//! Randomness. Keys, nonces, tokens and ids come from the operating system through [`OsRandom`] and from nothing else;
//! it is a concrete type on purpose, so a test generator cannot be handed to code that makes a key.
//! What only needs to be unpredictable in shape (jitter, simulated faults) takes [`Jitter`], which tests may seed.

/// The operating system's generator (`getrandom`).
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl OsRandom {
    /// Fills `buffer`. A system that cannot give randomness cannot run a key service, so this aborts the process
    /// rather than return bytes that are not random.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that asks the system"
    )]
    pub fn fill(&self, buffer: &mut [u8]) {
        if getrandom::fill(buffer).is_err() {
            tracing::error!("the operating system gives no randomness; stopping");
            std::process::abort();
        }
    }

    /// `N` random bytes.
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.array()).into_uuid()
    }
}

/// Numbers for jitter and simulated faults; never for keys.
pub trait Jitter: Send {
    /// The next number, uniform over all of `u64`.
    fn next_u64(&mut self) -> u64;
}

impl Jitter for OsRandom {
    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}
