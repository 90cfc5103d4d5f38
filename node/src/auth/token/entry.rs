//! What a service token is: its stored entry, and the arithmetic of its lifetime. No IO.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::biscuit::Role;
use crate::clock::Timestamp;
use crate::store::key::Pseudonym;

/// The longest and the default lifetime that the node gives (Vault's `max_lease_ttl` and `default_lease_ttl`).
#[derive(Clone, Copy, Debug)]
pub struct LifetimeLimits {
    /// Seconds that a token lives when nobody asks for another time.
    pub default_ttl_s: i64,
    /// Seconds that no token outlives without `period`.
    pub max_ttl_s: i64,
}

/// The Biscuit that a token descends from. The token is void when that Biscuit is: it must not outlive its revocation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// Root or user.
    pub role: Role,
    /// The add-on's token epoch for that role.
    pub token_epoch: u64,
    /// Where its revocations would be filed.
    #[serde(with = "pseudonym_text::list")]
    pub revocations: Vec<Pseudonym>,
}

/// A service token as stored. The token itself is not in it: rows sit at its pseudonym.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenEntry {
    /// The handle that lookups and revocations may use in place of the token.
    pub accessor: String,
    /// Sorted, lower-case, without duplicates.
    pub policies: Vec<String>,
    /// The path that made it.
    pub path: String,
    /// `root`, `token`, `token-<given>`, ...
    pub display_name: String,
    /// The user's own labels.
    pub meta: Option<BTreeMap<String, String>>,
    /// Requests left; 0 is unlimited, negative is used up.
    pub uses_left: i64,
    /// When it was made.
    pub created: Timestamp,
    /// Seconds it was made for; 0 for ever.
    pub creation_ttl_s: i64,
    /// Seconds after `created` that no renewal passes; 0 when there is no such bound.
    pub explicit_max_ttl_s: i64,
    /// Seconds that each renewal gives; 0 when it is not periodic.
    pub period_s: i64,
    /// When it ends; never when `None`.
    pub expires: Option<Timestamp>,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// The last renewal.
    pub last_renewal: Option<Timestamp>,
    /// The token it dies with.
    #[serde(with = "pseudonym_text")]
    pub parent: Option<Pseudonym>,
    /// How many ancestors it has.
    pub depth: u32,
    /// The Biscuit that made it, or its first ancestor.
    pub origin: Option<Origin>,
}

impl TokenEntry {
    /// The entry of an add-on's first root token: it never ends, and nobody made it.
    pub fn root(accessor: String, now: Timestamp) -> Self {
        Self {
            accessor,
            policies: vec!["root".to_owned()],
            path: "auth/token/root".to_owned(),
            display_name: "root".to_owned(),
            meta: None,
            uses_left: 0,
            created: now,
            creation_ttl_s: 0,
            explicit_max_ttl_s: 0,
            period_s: 0,
            expires: None,
            renewable: false,
            last_renewal: None,
            parent: None,
            depth: 0,
            origin: None,
        }
    }

    /// Whether it is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether its uses are used up.
    pub fn is_spent(&self) -> bool {
        self.uses_left < 0
    }

    /// Seconds left; 0 for a token that never ends.
    pub fn ttl_s(&self, now: Timestamp) -> i64 {
        self.expires.map_or(0, |expires| {
            i64::try_from(expires.since(now).as_secs()).unwrap_or(i64::MAX)
        })
    }

    /// Whether it holds the root policy.
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// The lifetime that a renewal at `now` by `increment_s` seconds gives, at most; 0 asks for what it was made with.
    pub fn renewed_ttl_s(&self, now: Timestamp, increment_s: i64, limits: LifetimeLimits) -> i64 {
        let wanted = match (self.period_s, increment_s) {
            (0, 0) => self.creation_ttl_s,
            (0, increment) => increment,
            (period, _) => period,
        };
        let age_s = i64::try_from(now.since(self.created).as_secs()).unwrap_or(i64::MAX);
        let mut bounds = Vec::with_capacity(2);
        if self.period_s == 0 {
            bounds.push(limits.max_ttl_s);
        }
        if self.explicit_max_ttl_s > 0 {
            bounds.push(self.explicit_max_ttl_s);
        }
        bounds
            .into_iter()
            .map(|bound| bound.saturating_sub(age_s).max(0))
            .fold(wanted, i64::min)
    }
}

/// The lifetime of a new token: the granted seconds (0 for ever), and whether less was granted than asked for.
pub fn granted_ttl_s(
    requested_s: i64,
    period_s: i64,
    explicit_max_ttl_s: i64,
    is_root: bool,
    limits: LifetimeLimits,
) -> (i64, bool) {
    if is_root && requested_s == 0 && period_s == 0 && explicit_max_ttl_s == 0 {
        return (0, false);
    }
    let (wanted, bound) = match (period_s, requested_s) {
        (0, 0) => (limits.default_ttl_s, limits.max_ttl_s),
        (0, requested) => (requested, limits.max_ttl_s),
        (period, _) => (period, i64::MAX),
    };
    let bound = match explicit_max_ttl_s {
        0 => bound,
        explicit => bound.min(explicit),
    };
    (wanted.min(bound), requested_s > bound)
}

/// The moment `ttl_s` seconds from `now`; `None` for 0, which is for ever.
pub fn expiry(now: Timestamp, ttl_s: i64) -> Option<Timestamp> {
    let ttl_s = u64::try_from(ttl_s).ok().filter(|ttl_s| *ttl_s > 0)?;
    Some(now.plus(Duration::from_secs(ttl_s)))
}

mod pseudonym_text {
    //! A pseudonym as hexadecimal text inside a row.

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::store::key::Pseudonym;

    pub fn serialize<S: Serializer>(
        pseudonym: &Option<Pseudonym>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        pseudonym
            .map(|pseudonym| hex::encode(pseudonym.0))
            .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Pseudonym>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| parse(&text))
            .transpose()
    }

    fn parse<E: serde::de::Error>(text: &str) -> Result<Pseudonym, E> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(E::custom)?;
        Ok(Pseudonym(bytes))
    }

    pub mod list {
        //! The same for several.

        use super::{Deserialize, Deserializer, Pseudonym, Serialize, Serializer, parse};

        pub fn serialize<S: Serializer>(
            pseudonyms: &[Pseudonym],
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            let texts: Vec<String> = pseudonyms
                .iter()
                .map(|pseudonym| hex::encode(pseudonym.0))
                .collect();
            texts.serialize(serializer)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Vec<Pseudonym>, D::Error> {
            Vec::<String>::deserialize(deserializer)?
                .iter()
                .map(|text| parse(text))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LifetimeLimits = LifetimeLimits {
        default_ttl_s: 100,
        max_ttl_s: 1000,
    };

    fn entry() -> TokenEntry {
        TokenEntry {
            accessor: "accessor".into(),
            policies: vec!["default".into()],
            path: "auth/token/create".into(),
            display_name: "token".into(),
            meta: None,
            uses_left: 0,
            created: Timestamp::from_unix_seconds(0),
            creation_ttl_s: 100,
            explicit_max_ttl_s: 0,
            period_s: 0,
            expires: expiry(Timestamp(0), 100),
            renewable: true,
            last_renewal: None,
            parent: Some(Pseudonym([3; 16])),
            depth: 1,
            origin: Some(Origin {
                role: Role::Root,
                token_epoch: 4,
                revocations: vec![Pseudonym([5; 16]), Pseudonym([6; 16])],
            }),
        }
    }

    #[test]
    fn a_stored_entry_reads_back() {
        let text = serde_json::to_string(&entry()).unwrap();
        assert_eq!(serde_json::from_str::<TokenEntry>(&text).unwrap(), entry());
    }

    #[test]
    fn lifetimes_are_granted_as_vault_grants_them() {
        for (requested, period, explicit, root, expected) in [
            (0, 0, 0, true, (0, false)),
            (5, 0, 0, true, (5, false)),
            (0, 0, 0, false, (100, false)),
            (5000, 0, 0, false, (1000, true)),
            (50, 0, 20, false, (20, true)),
            (0, 5000, 0, false, (5000, false)),
            (0, 5000, 30, false, (30, false)),
        ] {
            let granted = granted_ttl_s(requested, period, explicit, root, LIMITS);
            assert_eq!(granted, expected, "{requested} {period} {explicit} {root}");
        }
    }

    #[test]
    fn renewals_stop_at_the_bounds() {
        let at = Timestamp::from_unix_seconds;
        let mut token = entry();
        assert_eq!(token.renewed_ttl_s(at(50), 0, LIMITS), 100);
        assert_eq!(token.renewed_ttl_s(at(950), 0, LIMITS), 50);
        assert_eq!(token.renewed_ttl_s(at(2000), 60, LIMITS), 0);
        token.explicit_max_ttl_s = 200;
        assert_eq!(token.renewed_ttl_s(at(150), 100, LIMITS), 50);
        token.period_s = 70;
        token.explicit_max_ttl_s = 0;
        assert_eq!(token.renewed_ttl_s(at(9999), 5, LIMITS), 70);
    }

    #[test]
    fn expiry_is_exact() {
        let token = entry();
        assert!(!token.is_expired(Timestamp(99_999_999_999)));
        assert!(token.is_expired(Timestamp(100_000_000_000)));
    }
}
