//! LIST and SCAN of `detailed-metadata/`: names with what is known of each secret.

use std::collections::BTreeMap;

use serde::Serialize;

use super::KvEngine;
use super::list::{self, names_below, names_in};
use super::metadata::Metadata;
use super::path::{Page, SecretPath, directory};
use super::reply::SecretFacts;
use super::rows::SecretRows;
use crate::engines::{Call, Reply};
use crate::error::Error;

/// The most secrets in one reply. Each is a row to read and decrypt, and all are read in one transaction.
const MAX_DETAILED: usize = 1000;

/// LIST `detailed-metadata/:directory`.
pub(super) async fn list(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let directory = directory(path)?;
    let page = Page::parse(call.fields)?;
    let page = Page {
        limit: Some(page.limit.unwrap_or(usize::MAX).min(MAX_DETAILED + 1)),
        ..page
    };
    let names = names_in(&engine.view, directory, &page).await?;
    if names.is_empty() {
        return Err(Error::not_found());
    }
    reply(engine, directory, &names).await
}

/// SCAN `detailed-metadata/:directory`.
pub(super) async fn scan(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let directory = directory(path)?;
    let page = Page::parse(call.fields)?;
    let names = names_below(&engine.view, directory, &page, MAX_DETAILED).await?;
    if names.is_empty() {
        return list::nothing();
    }
    reply(engine, directory, &names).await
}

async fn reply(engine: &KvEngine, directory: &str, names: &[String]) -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct Body<'a> {
        key_info: BTreeMap<&'a str, SecretFacts<'a>>,
        keys: &'a [String],
    }
    if names.len() > MAX_DETAILED {
        return Err(list::too_many(MAX_DETAILED));
    }
    let known = details(engine, directory, names).await?;
    Reply::data(&Body {
        key_info: known
            .iter()
            .map(|(name, metadata)| (*name, SecretFacts::of(metadata)))
            .collect(),
        keys: names,
    })
}

/// What is known of those names that are secrets and not directories.
async fn details<'n>(
    engine: &KvEngine,
    directory: &str,
    names: &'n [String],
) -> Result<Vec<(&'n str, Metadata)>, Error> {
    engine
        .view
        .run(async |rows| {
            let mut known = Vec::new();
            for name in names.iter().filter(|name| !name.ends_with('/')) {
                let path = format!("{directory}{name}");
                let mut secret = SecretRows::new(rows, SecretPath::existing(&path)?);
                if let Some(metadata) = secret.metadata().await? {
                    known.push((name.as_str(), metadata));
                }
            }
            Ok(known)
        })
        .await
}
