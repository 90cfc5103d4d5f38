//! The embedded store's own tests. What every store must do is in the contract, which this one passes twice: in memory
//! and on a disk.

mod checks;
mod damage;
mod disk;
mod failure;
mod files;
mod kill;
mod power;

use std::sync::Arc;

use super::checked_file::CheckedFile;
use super::*;
use crate::store::contract::{Room, suite};

use self::disk::Disk;

mod in_memory {
    use super::*;

    suite!(async {
        (
            Arc::new(EmbeddedStore::in_memory().unwrap()) as Arc<dyn Store>,
            (),
        )
    });
}

mod on_disk {
    use super::*;

    suite!(async {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap();
        (Arc::new(store) as Arc<dyn Store>, folder)
    });
}

/// Opens the store on a simulated disk, as [`EmbeddedStore::open`] does on a real one.
fn open_on(disk: &Disk) -> Result<EmbeddedStore, StoreError> {
    let sync_failed = Arc::default();
    let disk = disk.clone();
    let open = move || {
        snapshot::guarded(|| {
            let file = CheckedFile::open(disk.clone(), Arc::clone(&sync_failed))
                .map_err(|error| snapshot::failed(redb::Error::Io(error)))?;
            Database::builder()
                .set_cache_size(1024 * 1024)
                .create_with_backend(file)
                .map_err(snapshot::failed)
        })
    };
    let database = open()?;
    EmbeddedStore::start("embedded", database, true, Box::new(open))
}

fn room(store: EmbeddedStore) -> Room {
    Room::new(Arc::new(store))
}
