//! [`Parameters`]: what an attempt was begun with, as for a rekey the number of new shares. The machine only carries
//! them to the other nodes and binds the attempt's id to them; what they say is known to the purpose's act.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::seal::attempt::Subject;

/// The longest parameters. A rekey needs some 100 bytes; a list of PGP keys, which is not supported, would not fit.
pub const MAX_PARAMETERS_BYTES: usize = 1024;

/// See the module. They may hold a secret (the one-time pad of generate-root), so they are wiped and not printed, and
/// travel as shares do.
#[derive(Clone, Default)]
pub struct Parameters(Zeroizing<Vec<u8>>);

impl Parameters {
    /// These bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] when they are too many or none.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        if bytes.is_empty() || bytes.len() > MAX_PARAMETERS_BYTES {
            return Err(Error::bad_request(format!(
                "an attempt is begun with 1 to {MAX_PARAMETERS_BYTES} bytes of parameters"
            )));
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What an attempt's id says of them. Never [`Subject::default`], which says that nothing was begun.
    pub fn subject(&self) -> Subject {
        let digest = Sha256::new()
            .chain_update(b"conclave attempt parameters 1")
            .chain_update(self.as_bytes())
            .finalize();
        let mut subject = [0; 16];
        for (to, from) in subject.iter_mut().zip(digest) {
            *to = from;
        }
        let [first, ..] = &mut subject;
        *first |= 1;
        Subject(subject)
    }
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Parameters {}

impl fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Parameters({} bytes)", self.0.len())
    }
}
