//! The file on a real disk: who may read it, who may open it, and what is refused.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn refusal(folder: &Path) -> String {
    let error = EmbeddedStore::open(folder, EmbeddedOptions::default())
        .err()
        .expect("was opened");
    let text = error.to_string();
    assert!(!text.contains('\n') && text.contains(FILE_NAME), "{text}");
    text
}

#[tokio::test]
async fn what_was_committed_is_read_after_reopening_and_stamps_go_on_growing() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = Stamp::default();
    let mut tenant = None;
    for round in 0..3 {
        let mut room =
            room(EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap());
        room.tenant = *tenant.get_or_insert(room.tenant);
        if round > 0 {
            assert_eq!(room.read(round - 1).await, Some(vec![1; 100]));
        }
        let mut reading = room.begin().await;
        assert_eq!(reading.get(&room.row(99)).await.unwrap(), None);
        assert_eq!(reading.commit().await.unwrap(), last);
        let stamp = room.put(&[(round, &[1; 100])]).await;
        assert!(stamp > last);
        last = stamp;
    }
}

#[test]
fn only_the_owner_may_read_what_was_made() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    drop(EmbeddedStore::open(&folder, EmbeddedOptions::default()).unwrap());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(FILE_NAME)), 0o600);
    assert_eq!(folder.read_dir().unwrap().count(), 1);
}

#[test]
fn a_file_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap();
    assert!(refusal(folder.path()).contains("in use by another process"));
    drop(store);
    EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap();
}

#[test]
fn a_half_made_file_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("conclave.store.new"),
        "a crash left this",
    )
    .unwrap();
    EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap();
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let text = b"A letter to a friend, much longer than a magic number. ".repeat(500);
    for (content, complaint) in [
        (&text[..], "not a Conclave store"),
        (b"short", "not a Conclave store"),
        (b"", "empty"),
    ] {
        std::fs::write(&path, content).unwrap();
        assert!(refusal(folder.path()).contains(complaint));
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    std::fs::remove_file(&path).unwrap();
    drop(Database::create(&path).unwrap());
    assert!(refusal(folder.path()).contains("not a Conclave store"));
}

#[test]
fn a_file_that_has_gone_is_not_replaced_while_the_store_runs() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::new(folder.path(), EmbeddedOptions::default());
    drop(location.open_or_create().unwrap());
    std::fs::remove_file(folder.path().join(FILE_NAME)).unwrap();
    assert!(matches!(location.open(), Err(StoreError::Unavailable(_))));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    refusal(&folder.path().join("file"));
}
