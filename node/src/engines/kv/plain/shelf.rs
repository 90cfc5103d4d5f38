//! [`Shelf`]: where unversioned secrets stand, and how their names are found.
//!
//! Those of a mount are in the barrier's index of names. Those of a token stand all below the token's pseudonym, names
//! too, so that a revocation removes them with two range deletions, however many there are.

use std::collections::BTreeSet;

use crate::barrier::{Domain, Rows, View, names};
use crate::engines::kv::list::{self, MAX_SCANNED};
use crate::engines::kv::path::{Page, SecretPath};
use crate::error::Error;
use crate::store::key::{Part, Pseudonym, Table};

/// How many names of a token are fetched at a time.
const PAGE_ROWS: usize = 1000;

/// Whose secrets.
#[derive(Clone, Copy)]
pub(super) enum Shelf {
    /// The mount's.
    Mount,
    /// A token's.
    Token(Pseudonym),
}

/// Deletes all that a token has in its cubbyhole, within the transaction that ends the token. `rows` are those of the
/// cubbyhole's mount.
pub fn delete_cubbyhole(rows: &mut Rows<'_>, token: Pseudonym) {
    rows.delete_below(Table::KvPlain, &[token.into()]);
    rows.delete_below(Table::Name, &[token.into()]);
}

impl Shelf {
    /// The address of a secret, in [`Table::KvPlain`].
    pub(super) fn address(self, rows: &Rows<'_>, path: SecretPath<'_>) -> Vec<Part> {
        match self {
            Self::Mount => {
                vec![
                    rows.pseudonym(Domain::Path, path.as_str().as_bytes())
                        .into(),
                ]
            }
            Self::Token(token) => {
                vec![token.into(), hidden(rows, Domain::Path, token, path).into()]
            }
        }
    }

    /// Puts a name into the index.
    pub(super) fn enlist(self, rows: &mut Rows<'_>, path: SecretPath<'_>) -> Result<(), Error> {
        match self {
            Self::Mount => names::insert(rows, path.as_str()),
            Self::Token(token) => {
                let entry = hidden(rows, Domain::Entry, token, path);
                rows.put(
                    Table::Name,
                    &[token.into(), entry.into()],
                    path.as_str().as_bytes(),
                )
            }
        }
    }

    /// Takes a name out of the index.
    pub(super) async fn strike(
        self,
        rows: &mut Rows<'_>,
        path: SecretPath<'_>,
    ) -> Result<(), Error> {
        match self {
            Self::Mount => names::remove(rows, path.as_str()).await,
            Self::Token(token) => {
                let entry = hidden(rows, Domain::Entry, token, path);
                rows.delete(Table::Name, &[token.into(), entry.into()]);
                Ok(())
            }
        }
    }

    /// The names directly in `directory`, sorted; directories among them end in a slash.
    pub(super) async fn names_in(
        self,
        view: &View,
        directory: &str,
        page: &Page,
    ) -> Result<Vec<String>, Error> {
        let Self::Token(token) = self else {
            return list::names_in(view, directory, page).await;
        };
        let below = all_below(view, token, directory).await?;
        let children: BTreeSet<&str> = below
            .iter()
            .map(|name| {
                let end = name.find('/').map_or(name.len(), |slash| slash + 1);
                name.split_at(end).0
            })
            .collect();
        Ok(cut(children.into_iter(), page))
    }

    /// The names of all secrets below `directory`, relative to it and sorted.
    pub(super) async fn names_below(
        self,
        view: &View,
        directory: &str,
        page: &Page,
    ) -> Result<Vec<String>, Error> {
        let Self::Token(token) = self else {
            return list::names_below(view, directory, page, MAX_SCANNED).await;
        };
        let below = all_below(view, token, directory).await?;
        let names = cut(below.iter().map(String::as_str), page);
        if names.len() > MAX_SCANNED {
            return Err(list::too_many(MAX_SCANNED));
        }
        Ok(names)
    }
}

/// A path's pseudonym that differs from token to token, so that nobody can see who uses the same names.
fn hidden(rows: &Rows<'_>, domain: Domain, token: Pseudonym, path: SecretPath<'_>) -> Pseudonym {
    rows.pseudonym(domain, &[&token.0, path.as_str().as_bytes()].concat())
}

/// All of a token's names below `directory`, relative to it.
async fn all_below(
    view: &View,
    token: Pseudonym,
    directory: &str,
) -> Result<BTreeSet<String>, Error> {
    view.run(async |rows| {
        let mut found = BTreeSet::new();
        let mut last: Option<Vec<Part>> = None;
        loop {
            let page = rows
                .scan(Table::Name, &[token.into()], last.as_deref(), PAGE_ROWS)
                .await?;
            let is_full = page.len() == PAGE_ROWS;
            for (parts, name) in page {
                last = Some(parts);
                let name = std::str::from_utf8(&name)
                    .map_err(|_| Error::Corrupt("a name that is not UTF-8".into()))?;
                found.extend(name.strip_prefix(directory).map(str::to_owned));
            }
            if !is_full {
                return Ok(found);
            }
        }
    })
    .await
}

/// The part of sorted names that a page asks for.
fn cut<'n>(names: impl Iterator<Item = &'n str>, page: &Page) -> Vec<String> {
    names
        .filter(|name| page.after.as_deref().is_none_or(|after| *name > after))
        .take(page.limit.unwrap_or(usize::MAX))
        .map(str::to_owned)
        .collect()
}
