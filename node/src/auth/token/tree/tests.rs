//! Rows of tokens, on a store in memory.

use std::time::Duration;

use super::*;
use crate::barrier::testing::tenant_view;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
const TOKEN: Pseudonym = Pseudonym([7; 16]);

fn ending_after(hours: u64) -> TokenEntry {
    let mut entry = TokenEntry::root("accessor".to_owned(), NOW);
    entry.expires = Some(NOW.plus(Duration::from_secs(3600 * hours)));
    entry
}

#[actix::test]
async fn a_renewal_leaves_one_row_in_the_index() {
    let view = tenant_view().await;
    view.run(async |rows| insert(rows, TOKEN, &ending_after(1)))
        .await
        .unwrap();
    for hours in [2, 2, 5] {
        view.run(async |rows| update(rows, TOKEN, &ending_after(hours)).await)
            .await
            .unwrap();
    }
    let rows = view
        .run(async |rows| rows.scan(Table::TokenExpiry, &[], None, 10).await)
        .await
        .unwrap();
    let hours: Vec<_> = rows.iter().map(|(address, _)| address.first()).collect();
    let expected = Part::Number(hour(NOW) + 5);
    assert_eq!(hours, [Some(&expected)]);
}

#[actix::test]
async fn the_first_end_among_the_ancestors_counts() {
    let view = tenant_view().await;
    let child = Pseudonym([8; 16]);
    let entry = TokenEntry {
        accessor: "child".to_owned(),
        parent: Some(TOKEN),
        depth: 1,
        ..ending_after(9)
    };
    view.run(async |rows| {
        insert(rows, TOKEN, &ending_after(2))?;
        insert(rows, child, &entry)
    })
    .await
    .unwrap();
    let living = view
        .run(async |rows| load_living(rows, child, NOW).await)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(living.ends, ending_after(2).expires);
    assert_eq!(living.entry, entry);
}

#[actix::test]
async fn a_page_of_the_index_says_whether_there_is_more() {
    let view = tenant_view().await;
    view.run(async |rows| {
        for (number, hours) in [(1, 1), (2, 2), (3, 3)] {
            let entry = TokenEntry {
                accessor: number.to_string(),
                ..ending_after(hours)
            };
            insert(rows, Pseudonym([number; 16]), &entry)?;
        }
        // Of a token that is gone.
        note_expiry(rows, TOKEN, &ending_after(1))
    })
    .await
    .unwrap();
    let later = NOW.plus(Duration::from_secs(3600 * 3));
    for (limit, ended, more) in [(2, 1, true), (2, 2, true), (3, 2, false)] {
        let page = view
            .run(async |rows| expired(rows, later, limit).await)
            .await
            .unwrap();
        assert_eq!((page.tokens.len(), page.more), (ended, more), "{limit}");
    }
}
