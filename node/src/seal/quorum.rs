//! [`Quorum`]: how many shares there are, and how many of them open the add-on. Refuses what Vault refuses, in Vault's
//! words.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A valid pair of share count and threshold: `1 <= threshold <= shares <= 255`, and a threshold of one only for a
/// single share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Quorum {
    shares: u8,
    threshold: u8,
}

#[derive(Deserialize)]
struct Wire {
    shares: i64,
    threshold: i64,
}

impl Quorum {
    /// Checks what a user asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] with Vault's text.
    pub fn new(shares: i64, threshold: i64) -> Result<Self, Error> {
        let refuse = |why: &str| {
            Err(Error::bad_request(format!(
                "invalid seal configuration: {why}"
            )))
        };
        if shares < 1 {
            return refuse("shares must be at least one");
        }
        if threshold < 1 {
            return refuse("threshold must be at least one");
        }
        if shares > 1 && threshold == 1 {
            return refuse("threshold must be greater than one for multiple shares");
        }
        let Ok(share_count) = u8::try_from(shares) else {
            return refuse("shares must be less than 256");
        };
        let Ok(threshold_count) = u8::try_from(threshold) else {
            return refuse("threshold must be less than 256");
        };
        if threshold > shares {
            return refuse("threshold cannot be larger than shares");
        }
        Ok(Self {
            shares: share_count,
            threshold: threshold_count,
        })
    }

    /// How many shares were made.
    pub fn shares(self) -> u8 {
        self.shares
    }

    /// How many of them are needed.
    pub fn threshold(self) -> u8 {
        self.threshold
    }
}

impl TryFrom<Wire> for Quorum {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self, Error> {
        Self::new(wire.shares, wire.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_vaults_texts() {
        for (shares, threshold, why) in [
            (0, 0, "shares must be at least one"),
            (-1, 3, "shares must be at least one"),
            (5, 0, "threshold must be at least one"),
            (
                5,
                1,
                "threshold must be greater than one for multiple shares",
            ),
            (256, 3, "shares must be less than 256"),
            (5, 256, "threshold must be less than 256"),
            (5, 6, "threshold cannot be larger than shares"),
        ] {
            let error = Quorum::new(shares, threshold).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("invalid seal configuration: {why}")
            );
        }
    }

    #[test]
    fn the_extremes_are_accepted() {
        for (shares, threshold) in [(1, 1), (2, 2), (255, 2), (255, 255)] {
            let quorum = Quorum::new(shares, threshold).unwrap();
            assert_eq!(i64::from(quorum.shares()), shares);
            assert_eq!(i64::from(quorum.threshold()), threshold);
        }
    }

    #[test]
    fn a_stored_pair_is_checked_too() {
        let decode = |text| serde_json::from_str::<Quorum>(text);
        assert!(decode(r#"{"shares":5,"threshold":3}"#).is_ok());
        assert!(decode(r#"{"shares":3,"threshold":5}"#).is_err());
    }
}
