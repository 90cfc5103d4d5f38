//! The index of names: which names stand under which directory, so that LIST works although addresses hide them.
//!
//! For a path `a/b/c` there are three entries: `a/` under the root, `b/` under `a/`, `c` under `a/b/`. A row's address
//! holds the pseudonyms of directory and entry; its content is the entry's text. `c` and `c/` can stand side by side.
//! Entries are written without reading, so writers of different names under one directory never conflict; a removal
//! reads whether the directory became empty, and so conflicts with exactly those who add to it.

use std::collections::BinaryHeap;

use super::Domain;
use super::rows::Rows;
use crate::error::Error;
use crate::store::key::{Part, Table};

/// How many names are fetched at a time, with a pause for others in between.
const PAGE_ROWS: usize = 1000;

/// How many names under one directory can be listed. Their order is not that of their addresses, so even a short page of
/// them is cut out of all: a fraction of a second for this many.
pub const MAX_SIBLINGS: usize = 100_000;

/// Adds `path` to the index. Adding twice is the same as once.
///
/// # Errors
/// What the store says.
pub fn insert(rows: &mut Rows<'_>, path: &str) -> Result<(), Error> {
    for (directory, entry) in levels(path) {
        let address = address(rows, directory, entry);
        rows.put(Table::Name, &address, entry.as_bytes())?;
    }
    Ok(())
}

/// Removes `path` from the index, with each directory that becomes empty.
///
/// # Errors
/// What the store says.
pub async fn remove(rows: &mut Rows<'_>, path: &str) -> Result<(), Error> {
    for (directory, entry) in levels(path).into_iter().rev() {
        let address = address(rows, directory, entry);
        rows.delete(Table::Name, &address);
        let directory = Part::Name(rows.pseudonym(Domain::Directory, directory.as_bytes()));
        if rows.any_below(Table::Name, &[directory]).await? {
            break;
        }
    }
    Ok(())
}

/// The names directly under `directory` (`""`, or ending in `/`), sorted by their bytes; directories end in `/`.
/// `after` and `limit` cut a page out of the sorted whole, as OpenBao's LIST parameters do.
///
/// # Errors
/// [`Error::Invalid`] when there are more than [`MAX_SIBLINGS`].
pub async fn list(
    rows: &mut Rows<'_>,
    directory: &str,
    after: Option<&str>,
    limit: Option<usize>,
) -> Result<Vec<String>, Error> {
    first_of(
        rows,
        directory,
        after,
        limit.unwrap_or(MAX_SIBLINGS),
        MAX_SIBLINGS,
    )
    .await
}

/// The first `limit` names, out of at most `most`.
async fn first_of(
    rows: &mut Rows<'_>,
    directory: &str,
    after: Option<&str>,
    limit: usize,
    most: usize,
) -> Result<Vec<String>, Error> {
    let prefix = [Part::Name(
        rows.pseudonym(Domain::Directory, directory.as_bytes()),
    )];
    // The last of those kept is on top, to be the next to go.
    let mut names = BinaryHeap::new();
    let mut seen = 0;
    let mut last: Option<Vec<Part>> = None;
    loop {
        let page = rows
            .scan(Table::Name, &prefix, last.as_deref(), PAGE_ROWS)
            .await?;
        seen += page.len();
        if seen > most {
            return Err(Error::bad_request(format!(
                "there are more than {most} names in this folder, which is too many to list; spread them over folders"
            )));
        }
        let full = page.len() == PAGE_ROWS;
        for (parts, name) in page {
            last = Some(parts);
            let name = std::str::from_utf8(&name)
                .map_err(|_| Error::Corrupt("a name that is not UTF-8".into()))?;
            if after.is_none_or(|after| name > after) {
                names.push(name.to_owned());
                if names.len() > limit {
                    names.pop();
                }
            }
        }
        if !full {
            return Ok(names.into_sorted_vec());
        }
        // A store on this machine may answer without a pause.
        tokio::task::yield_now().await;
    }
}

/// The index entries of a path, outermost first: (directory, entry).
fn levels(path: &str) -> Vec<(&str, &str)> {
    let mut levels = Vec::new();
    let mut begin = 0;
    for (position, _) in path.match_indices('/') {
        let (directory, rest) = path.split_at(begin);
        let (entry, _) = rest.split_at(position + 1 - begin);
        levels.push((directory, entry));
        begin = position + 1;
    }
    if begin < path.len() {
        levels.push(path.split_at(begin));
    }
    levels
}

fn address(rows: &Rows<'_>, directory: &str, entry: &str) -> [Part; 2] {
    [
        Part::Name(rows.pseudonym(Domain::Directory, directory.as_bytes())),
        Part::Name(rows.pseudonym(Domain::Entry, entry.as_bytes())),
    ]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::super::testing::mount_view;
    use super::*;

    #[test]
    fn a_path_is_cut_at_each_slash() {
        assert_eq!(
            levels("a/bc/d"),
            [("", "a/"), ("a/", "bc/"), ("a/bc/", "d")]
        );
        assert_eq!(levels("x"), [("", "x")]);
    }

    #[actix::test]
    async fn directories_come_and_go_with_their_names() {
        let view = mount_view().await;
        let list = async |directory: &str| {
            view.run(async |rows| list(rows, directory, None, None).await)
                .await
                .unwrap()
        };
        view.run(async |rows| {
            for path in ["a", "a/b/c", "a/b/d", "é/x"] {
                insert(rows, path)?;
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(list("").await, ["a", "a/", "é/"]);
        assert_eq!(list("a/b/").await, ["c", "d"]);

        view.run(async |rows| remove(rows, "a/b/c").await)
            .await
            .unwrap();
        assert_eq!(list("a/b/").await, ["d"]);
        view.run(async |rows| remove(rows, "a/b/d").await)
            .await
            .unwrap();
        assert_eq!(list("a/").await, Vec::<String>::new());
        assert_eq!(list("").await, ["a", "é/"]);
    }

    #[actix::test]
    async fn a_page_is_the_first_of_all_and_others_get_their_turn() {
        let view = mount_view().await;
        let count = PAGE_ROWS + 7;
        view.run(async |rows| {
            (0..count).try_for_each(|number| insert(rows, &format!("{number:04}")))
        })
        .await
        .unwrap();
        let list = async |after: Option<&str>, limit, most| {
            view.run(async |rows| first_of(rows, "", after, limit, most).await)
                .await
        };
        let turns = Rc::new(Cell::new(0));
        let counter = Rc::clone(&turns);
        let other = actix::spawn(async move {
            loop {
                counter.set(counter.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let names = list(None, 3, count).await.unwrap();
        assert_eq!(names, ["0000", "0001", "0002"]);
        assert!(turns.get() > 0, "nobody else ran");
        other.abort();
        assert_eq!(list(Some("0990"), 1, count).await.unwrap(), ["0991"]);
        assert_eq!(list(None, count, count).await.unwrap().len(), count);
        let refused = list(None, 1, count - 1).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
    }
}
