//! POST `delete/:path`, `undelete/:path` and `destroy/:path`: what becomes of the versions named.

use super::KvEngine;
use super::path::SecretPath;
use super::rows::SecretRows;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

/// What is to become of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Hidden, their data kept.
    Delete,
    /// Shown again.
    Undelete,
    /// Hidden, their data gone.
    Destroy,
}

/// POST `delete/:path`, `undelete/:path` or `destroy/:path`. Unknown secrets and versions are passed over.
pub(super) async fn change(
    engine: &KvEngine,
    call: &Call<'_>,
    change: Change,
    path: &str,
) -> Result<Reply, Error> {
    let path = SecretPath::writable(path)?;
    let numbers = versions_parameter(call.fields)?;
    engine
        .view
        .run_once(call.now, async |rows| {
            let mut secret = SecretRows::new(rows, path);
            let Some(mut metadata) = secret.metadata().await? else {
                return Ok(());
            };
            let changed = match change {
                Change::Delete => metadata.delete(&numbers, call.now),
                Change::Undelete => metadata.undelete(&numbers),
                Change::Destroy => {
                    for number in &numbers {
                        if metadata.version(*number).is_some() {
                            secret.delete_data(*number);
                        }
                    }
                    metadata.destroy(&numbers)
                }
            };
            if changed {
                secret.update(&metadata)?;
            }
            Ok(())
        })
        .await?;
    Ok(Reply::empty().with_warning(call.fields.unrecognized(&["versions"])))
}

/// The parameter `versions`: numbers or texts, in a list or between commas. Numbers that no version can have name none.
///
/// # Errors
/// [`Error::Invalid`] when it is missing, empty, or names something else than numbers.
fn versions_parameter(fields: &Fields) -> Result<Vec<u64>, Error> {
    let named = fields.list("versions")?.unwrap_or_default();
    if named.is_empty() {
        return Err(Error::invalid("versions", "No version number provided"));
    }
    let mut numbers = Vec::with_capacity(named.len());
    for text in named {
        let number: i64 = text.trim().parse().map_err(|_| {
            Error::invalid(
                "versions",
                "error converting input for field \"versions\": expected whole numbers",
            )
        })?;
        numbers.extend(u64::try_from(number));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}
