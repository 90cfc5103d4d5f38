//! Versions of the formats that rows are stored in.
//!
//! Each row begins with the version of its format. A node reads its own version and the one before, so that nodes of two
//! consecutive releases can share a store while one after the other is upgraded; it writes its own. What is newer is told
//! apart from what is no version at all, so that an operator knows to upgrade.

use crate::error::Error;

/// One format: which versions of it this program reads.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    own: u8,
}

impl Format {
    /// The format whose current version is `own`, from 1.
    pub const fn new(own: u8) -> Self {
        Self { own }
    }

    /// What new rows begin with.
    pub const fn own(self) -> u8 {
        self.own
    }

    /// Whether a row that begins with `version` is read here.
    ///
    /// # Errors
    /// [`Error::Corrupt`] saying why not.
    pub fn check(self, version: u8) -> Result<(), Error> {
        let oldest = self.own.saturating_sub(1).max(1);
        let why = if (oldest..=self.own).contains(&version) {
            return Ok(());
        } else if version > self.own {
            "a row was written by a newer version of Conclave, or its first byte is damaged"
        } else {
            "a row has an unknown format"
        };
        Err(Error::Corrupt(why.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_its_own_version_and_the_one_before() {
        for own in 1..=4 {
            let read: Vec<u8> = (0..=u8::MAX)
                .filter(|version| Format::new(own).check(*version).is_ok())
                .collect();
            // Nothing comes before the first.
            let expected: &[u8] = match own {
                1 => &[1],
                own => &[own - 1, own],
            };
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let error = |version| Format::new(2).check(version).unwrap_err().to_string();
        assert!(error(3).contains("newer version"));
        assert!(error(0).contains("unknown format"));
    }
}
