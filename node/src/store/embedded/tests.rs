//! The embedded store's own tests; what every store must do is in the contract.

use super::*;
use crate::store::key::{Part, Scope, Table};
use crate::store::transact;

fn row(number: u64) -> Key {
    Key::row(Scope::Node, Table::AddOn, &[Part::Number(number)])
}

#[tokio::test]
async fn what_was_committed_is_read_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap();
        transact(&store, async |transaction, _| {
            if round > 0 {
                assert_eq!(transaction.get(&row(round - 1)).await?, Some(vec![1; 10]));
            }
            transaction.set(&row(round), &[1; 10]);
            Ok(())
        })
        .await
        .unwrap();
    }
}

mod in_memory {
    use std::sync::Arc;

    use super::*;

    crate::store::contract::suite!(async {
        (
            Arc::new(EmbeddedStore::in_memory().unwrap()) as Arc<dyn Store>,
            (),
        )
    });
}

mod on_disk {
    use std::sync::Arc;

    use super::*;

    crate::store::contract::suite!(async {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap();
        (Arc::new(store) as Arc<dyn Store>, folder)
    });
}
