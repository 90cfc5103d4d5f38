//! LIST and SCAN: the names in a directory, and all names below it.

use serde::Serialize;

use super::path::{Page, directory};
use crate::barrier::{View, names};
use crate::engines::{Call, Reply};
use crate::error::Error;

/// The most names that one SCAN answers with. It would otherwise hold a node's memory as long as the mount is large;
/// `after` and `limit` get the rest.
pub(super) const MAX_SCANNED: usize = 10_000;

/// LIST of a directory.
pub(super) async fn list(view: &View, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let directory = directory(path)?;
    let page = Page::parse(call.fields)?;
    let names = names_in(view, directory, &page).await?;
    Reply::keys(&names)
}

/// SCAN of a directory. Vault's answer to finding nothing is no error here.
pub(super) async fn scan(view: &View, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let directory = directory(path)?;
    let page = Page::parse(call.fields)?;
    let names = names_below(view, directory, &page, MAX_SCANNED).await?;
    scanned(&names)
}

/// The reply to a SCAN.
pub(super) fn scanned(names: &[String]) -> Result<Reply, Error> {
    if names.is_empty() {
        return nothing();
    }
    Reply::keys(names)
}

/// The reply to a SCAN that finds nothing.
pub(super) fn nothing() -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct Nothing {}
    Reply::data(&Nothing {})
}

/// The names directly in `directory`, sorted; directories among them end in a slash.
pub(super) async fn names_in(
    view: &View,
    directory: &str,
    page: &Page,
) -> Result<Vec<String>, Error> {
    view.run(async |rows| names::list(rows, directory, page.after.as_deref(), page.limit).await)
        .await
}

/// The names of all secrets below `directory`, relative to it and sorted. Each directory is read in a transaction of
/// its own, so that a large mount neither needs a long one nor holds up writers; names that come or go meanwhile may or
/// may not be seen.
///
/// # Errors
/// [`Error::Invalid`] when the page would have more than `most`.
pub(super) async fn names_below(
    view: &View,
    directory: &str,
    page: &Page,
    most: usize,
) -> Result<Vec<String>, Error> {
    let limit = page.limit.unwrap_or(usize::MAX);
    let after = page.after.as_deref().unwrap_or("");
    let mut found = Vec::new();
    // What is still to be looked at, the next on top. A directory's names all follow it where it stood, so the result
    // is sorted.
    let mut open = vec![String::new()];
    while let Some(name) = open.pop() {
        if name.is_empty() || name.ends_with('/') {
            if name.as_str() < after && !after.starts_with(&name) {
                continue;
            }
            // More than `most` are never needed, except of a directory that `after` begins within.
            let is_cut = !after.is_empty() && after.starts_with(&name);
            let entries = Page {
                after: None,
                limit: (!is_cut).then_some(most + 1),
            };
            let below = names_in(view, &format!("{directory}{name}"), &entries).await?;
            open.extend(below.iter().rev().map(|entry| format!("{name}{entry}")));
        } else if name.as_str() > after {
            found.push(name);
            if found.len() > most {
                return Err(too_many(most));
            }
            if found.len() == limit {
                break;
            }
        }
    }
    Ok(found)
}

/// The complaint about a reply that would be too long.
pub(super) fn too_many(most: usize) -> Error {
    Error::invalid(
        "limit",
        format!(
            "there are more than {most} names: ask for them in pages, with 'after' and 'limit'"
        ),
    )
}
