//! The registry in an embedded store that no node has open.

use std::path::Path;

use super::super::{Failure, Session};
use super::{AddOn, Request};
use crate::error::Error;
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::tenant::registry;

pub(super) fn ask(
    folder: &Path,
    cache_bytes: u64,
    request: &Request<'_>,
    session: &Session<'_>,
) -> Result<Vec<AddOn>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(Failure::local)?;
    let options = EmbeddedOptions {
        cache_bytes: usize::try_from(cache_bytes).unwrap_or(usize::MAX),
    };
    let store = EmbeddedStore::open(folder, options).map_err(Failure::local)?;
    let found = runtime.block_on(async {
        Ok(match request {
            Request::Create { name, org } => {
                vec![
                    registry::create(&store, session.random, session.clock.now(), name, org)
                        .await?,
                ]
            }
            Request::List => registry::list(&store).await?,
            Request::Find(addon) => vec![registry::find(&store, addon).await?],
            Request::Delete(id) => {
                registry::delete(&store, &id.to_string()).await?;
                Vec::new()
            }
        })
    });
    // Exit codes are those of a node that says the same.
    let found = found.map_err(|error: Error| Failure::remote(error))?;
    Ok(found.into_iter().map(AddOn::from).collect())
}

impl From<registry::AddOn> for AddOn {
    fn from(addon: registry::AddOn) -> Self {
        Self {
            id: addon.id,
            created_time: addon.created.to_string(),
            name: addon.name,
            org: addon.org,
            root_token_epoch: addon.root_token_epoch,
            user_token_epoch: addon.user_token_epoch,
        }
    }
}
