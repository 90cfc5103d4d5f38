//! `operator rotate`: adding a data key, by request or unasked, and what is known of the newest.
//!
//! Rotation needs no shares: a new term stands [under the one before it](crate::barrier). It bounds how much one key
//! encrypts, and shuts out whoever got hold of an old key but cannot read the store any more. It takes nothing from
//! somebody who has a key and still reads the store.

use serde::{Deserialize, Serialize};

use super::keyring::Term;
use crate::barrier::{TermStatus, View};
use crate::clock::Timestamp;
use crate::duration::GoDuration;
use crate::error::Error;
use crate::rng::OsRandom;
use crate::secret::Secret;
use crate::store::key::Table;

/// Vault's bounds for `max_operations`; its default is the upper one, nine tenths of the 2^32 messages that AES-GCM
/// bears with random nonces. XChaCha20-Poly1305 bears more, so it is only ever careful.
const OPERATIONS: std::ops::RangeInclusive<i64> = 1_000_000..=3_865_470_566;

/// Vault's shortest interval.
const MIN_INTERVAL: GoDuration = GoDuration::from_seconds(24 * 60 * 60);

/// When a term is added unasked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationConfig {
    /// Whether at all.
    pub enabled: bool,
    /// How old a term may get; zero for any age.
    pub interval: GoDuration,
    /// How many rows it may encrypt.
    pub max_operations: i64,
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: GoDuration::default(),
            max_operations: *OPERATIONS.end(),
        }
    }
}

/// A change of some members of a [`RotationConfig`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RotationChange {
    /// See [`RotationConfig`].
    pub enabled: Option<bool>,
    /// See [`RotationConfig`].
    pub interval: Option<GoDuration>,
    /// See [`RotationConfig`].
    pub max_operations: Option<i64>,
}

impl RotationConfig {
    fn changed(self, change: &RotationChange) -> Result<Self, Error> {
        let changed = Self {
            enabled: change.enabled.unwrap_or(self.enabled),
            interval: change.interval.unwrap_or(self.interval),
            max_operations: change.max_operations.unwrap_or(self.max_operations),
        };
        if !OPERATIONS.contains(&changed.max_operations) {
            return Err(Error::invalid(
                "max_operations",
                format!(
                    "max_operations must be in the range [{},{}]",
                    OPERATIONS.start(),
                    OPERATIONS.end()
                ),
            ));
        }
        if changed.interval != GoDuration::default() && changed.interval < MIN_INTERVAL {
            return Err(Error::invalid(
                "interval",
                format!("interval must be greater or equal to {MIN_INTERVAL}"),
            ));
        }
        Ok(changed)
    }

    /// Whether the newest term has had its time at `now`.
    fn is_due(&self, newest: &TermStatus, now: Timestamp) -> bool {
        let used = i64::try_from(newest.encryptions).unwrap_or(i64::MAX) >= self.max_operations;
        let old = self
            .interval
            .unsigned()
            .is_some_and(|interval| !interval.is_zero() && now.since(newest.created) >= interval);
        self.enabled && (used || old)
    }
}

/// The newest term of an open add-on, also when another node added it just now. `view` is of the add-on's own scope.
///
/// # Errors
/// What the store says.
pub async fn key_status(view: &View) -> Result<TermStatus, Error> {
    view.run(async |rows| rows.term_status().await).await
}

/// Adds a term, of which all nodes are told.
///
/// # Errors
/// [`Error::Invalid`] when there are too many.
pub async fn rotate(view: &View, random: &OsRandom, now: Timestamp) -> Result<(), Error> {
    rotate_from(view, None, random, now).await
}

/// Adds a term, unless `from` is given and is not the newest any more.
async fn rotate_from(
    view: &View,
    from: Option<u32>,
    random: &OsRandom,
    now: Timestamp,
) -> Result<(), Error> {
    let key = Secret::new(random.array());
    let number = view
        .run_once(now, async |rows| {
            let newest = rows.catch_up().await?;
            if from.is_some_and(|from| from != newest) {
                return Ok(newest);
            }
            rows.add_term(&Term::new(newest + 1, now, &key))?;
            Ok(newest + 1)
        })
        .await?;
    view.run(async |rows| rows.catch_up().await).await?;
    tracing::info!(tenant = %view.unsealed().tenant(), term = number, "the keyring was rotated");
    Ok(())
}

/// When a term is added unasked.
///
/// # Errors
/// What the store says.
pub async fn rotation_config(view: &View) -> Result<RotationConfig, Error> {
    let stored = view.run(async |rows| rows.get_json(Table::RotationConfig, &[]).await);
    stored.await.map(Option::unwrap_or_default)
}

/// Changes when a term is added unasked.
///
/// # Errors
/// [`Error::Invalid`] in Vault's words.
pub async fn configure_rotation(view: &View, change: RotationChange) -> Result<(), Error> {
    view.run(async |rows| {
        let stored: Option<RotationConfig> = rows.get_json(Table::RotationConfig, &[]).await?;
        let changed = stored.unwrap_or_default().changed(&change)?;
        rows.put_json(Table::RotationConfig, &[], &changed)
    })
    .await
}

/// Counts what this node encrypted, and adds a term when that is due. Any node may do it, and all of them at once.
///
/// # Errors
/// What the store says.
pub async fn tend(view: &View, random: &OsRandom, now: Timestamp) -> Result<(), Error> {
    let counts = view.unsealed().take_encryptions();
    if !counts.is_empty() {
        let counted = view.run(async |rows| {
            rows.count_encryptions(&counts);
            Ok(())
        });
        if let Err(error) = counted.await {
            view.unsealed().return_encryptions(&counts);
            return Err(error);
        }
    }
    let newest = key_status(view).await?;
    if rotation_config(view).await?.is_due(&newest, now) {
        rotate_from(view, Some(newest.number), random, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::testing::tenant_view;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

    fn days(days: i64) -> GoDuration {
        GoDuration::from_seconds(days * 24 * 60 * 60)
    }

    fn after(days: i64) -> Timestamp {
        Timestamp::from_unix_seconds(NOW.unix_seconds() + days * 24 * 60 * 60)
    }

    async fn number(view: &View) -> u32 {
        key_status(view).await.unwrap().number
    }

    #[actix::test]
    async fn each_rotation_adds_a_term() {
        let view = tenant_view().await;
        assert_eq!(number(&view).await, 1);
        rotate(&view, &OsRandom, NOW).await.unwrap();
        rotate(&view, &OsRandom, after(1)).await.unwrap();
        let status = key_status(&view).await.unwrap();
        assert_eq!((status.number, status.created), (3, after(1)));
    }

    #[actix::test]
    async fn a_rotation_that_somebody_else_made_is_not_made_again() {
        let view = tenant_view().await;
        rotate(&view, &OsRandom, NOW).await.unwrap();
        rotate_from(&view, Some(1), &OsRandom, NOW).await.unwrap();
        assert_eq!(number(&view).await, 2);
        rotate_from(&view, Some(2), &OsRandom, NOW).await.unwrap();
        assert_eq!(number(&view).await, 3);
    }

    #[actix::test]
    async fn the_configuration_has_vaults_bounds() {
        let view = tenant_view().await;
        let unset = rotation_config(&view).await.unwrap();
        assert_eq!(unset, RotationConfig::default());
        for (change, text) in [
            (
                RotationChange {
                    max_operations: Some(5),
                    ..RotationChange::default()
                },
                "max_operations must be in the range [1000000,3865470566]",
            ),
            (
                RotationChange {
                    interval: Some(GoDuration::from_seconds(3600)),
                    ..RotationChange::default()
                },
                "interval must be greater or equal to 24h0m0s",
            ),
            (
                RotationChange {
                    interval: Some(GoDuration::from_seconds(-1)),
                    ..RotationChange::default()
                },
                "interval must be greater or equal to 24h0m0s",
            ),
        ] {
            let refused = configure_rotation(&view, change).await.unwrap_err();
            assert_eq!(refused.to_string(), text);
        }
        let change = RotationChange {
            enabled: Some(false),
            interval: Some(days(2)),
            max_operations: None,
        };
        configure_rotation(&view, change).await.unwrap();
        let stored = rotation_config(&view).await.unwrap();
        assert_eq!((stored.enabled, stored.interval), (false, days(2)));
        assert_eq!(stored.max_operations, *OPERATIONS.end());
    }

    #[test]
    fn a_term_is_due_by_age_or_by_use() {
        let newest = TermStatus {
            number: 1,
            created: NOW,
            encryptions: 1_000_000,
        };
        let config = RotationConfig::default();
        assert!(!config.is_due(&newest, after(10_000)));
        let by_use = RotationConfig {
            max_operations: 1_000_000,
            ..config
        };
        assert!(by_use.is_due(&newest, NOW));
        let by_age = RotationConfig {
            interval: days(3),
            ..config
        };
        assert!(!by_age.is_due(&newest, after(2)));
        assert!(by_age.is_due(&newest, after(3)));
        let off = RotationConfig {
            enabled: false,
            ..by_age
        };
        assert!(!off.is_due(&newest, after(3)));
    }

    #[actix::test]
    async fn tending_counts_and_rotates_when_it_is_time() {
        let view = tenant_view().await;
        view.run(async |rows| rows.put(Table::KvPlain, &[], b"x"))
            .await
            .unwrap();
        tend(&view, &OsRandom, NOW).await.unwrap();
        let status = key_status(&view).await.unwrap();
        assert_eq!((status.number, status.encryptions), (1, 1));
        let change = RotationChange {
            interval: Some(days(1)),
            ..RotationChange::default()
        };
        configure_rotation(&view, change).await.unwrap();
        // The first term of a test's add-on was made in 1970.
        tend(&view, &OsRandom, NOW).await.unwrap();
        assert_eq!(number(&view).await, 2);
        tend(&view, &OsRandom, NOW).await.unwrap();
        assert_eq!(number(&view).await, 2);
        tend(&view, &OsRandom, after(1)).await.unwrap();
        assert_eq!(number(&view).await, 3);
    }
}
