//! Flipped bytes and cut files: an error, never wrong data, and never another tenant's error.

use futures_util::future::join_all;

use super::power::Seeded;
use super::*;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::store::Row;
use crate::store::key::{KeyRange, Scope};

/// Rows of three sizes: many to a page, one to a page, one over many pages.
fn value(number: u64) -> Vec<u8> {
    let length = match number % 10 {
        0..=6 => 60,
        7 | 8 => 3_000,
        _ => 30_000,
    };
    // Bytes that occur nowhere else.
    let mut seeded = Seeded(number);
    (0..length).map(|_| seeded.next() as u8).collect()
}

const ROWS: u64 = 60;

/// A closed store's disk, and what the two rooms in it hold.
async fn image() -> (Vec<u8>, [Expected; 2]) {
    let disk = Disk::default();
    let first = room(open_on(&disk).unwrap());
    let second = Room {
        tenant: TenantId::generate(&OsRandom),
        ..first.clone()
    };
    let mut expected = Vec::new();
    for room in [first, second] {
        let rows: Vec<Row> = (0..ROWS)
            .map(|number| (room.row(number), value(number)))
            .collect();
        let mut transaction = room.begin().await;
        for (key, value) in &rows {
            transaction.set(key, value);
        }
        transaction.append_change(b"filled");
        transaction.commit().await.unwrap();
        expected.push(Expected {
            tenant: room.tenant,
            rows,
        });
    }
    (disk.image(), expected.try_into().ok().unwrap())
}

/// What a room holds.
struct Expected {
    tenant: TenantId,
    rows: Vec<Row>,
}

impl Expected {
    fn room(&self, store: &Arc<dyn Store>) -> Room {
        Room {
            store: Arc::clone(store),
            tenant: self.tenant,
        }
    }

    /// Reads all, and panics on anything that was never written. Returns how many reads were refused.
    async fn count_unreadable(&self, store: &Arc<dyn Store>) -> usize {
        let mut unreadable = 0;
        let mut transaction = self.room(store).begin().await;
        for (key, value) in &self.rows {
            match transaction.get(key).await {
                Ok(found) => assert!(found.as_ref() == Some(value), "wrong data was served"),
                Err(StoreError::Corrupt(_)) => unreadable += 1,
                Err(other) => panic!("{other}"),
            }
        }
        let all = KeyRange::scope(Scope::Tenant(self.tenant));
        match transaction.range(&all, 1000, false).await {
            Ok(found) => assert!(found == self.rows, "wrong data was served"),
            // The page behind the last row is looked at too.
            Err(StoreError::Corrupt(_)) => unreadable += 1,
            Err(other) => panic!("{other}"),
        }
        unreadable
    }
}

#[tokio::test]
async fn a_flipped_byte_is_never_wrong_data() {
    let (image, [first, second]) = image().await;
    let (mut refused, mut noticed, mut harmless) = (0, 0, 0);
    let preamble = 0..360;
    let everywhere = (360..image.len()).step_by(2_003);
    for (offset, bit) in preamble.chain(everywhere).zip((0..8).cycle()) {
        let disk = Disk::holding(image.clone());
        disk.flip(offset, 1 << bit);
        match open_on(&disk) {
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
                assert!(!error.to_string().contains('\n'));
                refused += 1;
            }
            Ok(store) => {
                let store: Arc<dyn Store> = Arc::new(store);
                let unreadable =
                    first.count_unreadable(&store).await + second.count_unreadable(&store).await;
                noticed += usize::from(unreadable > 0);
                harmless += usize::from(unreadable == 0);
            }
        }
    }
    // All of the preamble is needed; of the rest, some bytes belong to free pages.
    assert!(
        refused >= 360 && noticed > 25,
        "{refused} refused, {noticed} noticed, {harmless} harmless"
    );
}

#[tokio::test]
async fn a_cut_file_is_refused() {
    let (closed, _) = image().await;
    let disk = Disk::holding(closed.clone());
    let store = open_on(&disk).unwrap();
    let open = disk.image();
    drop(store);
    for image in [closed, open] {
        let lengths = (1..image.len()).step_by(4_096 * 3 + 17);
        let whole_blocks = (4_096..image.len()).step_by(4_096);
        for length in lengths.chain(whole_blocks).chain([image.len() - 1]) {
            let error = open_on(&Disk::holding(image[..length].to_vec()))
                .err()
                .expect("was opened");
            let text = error.to_string();
            assert!(
                text.contains("cut short") || text.contains("not a Conclave store"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn damage_to_one_row_stops_nobody_else() {
    let (image, [first, second]) = image().await;
    // The middle of a large value of the first room.
    let needle = &value(19)[15_000..15_100];
    let offset = image
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    let disk = Disk::holding(image);
    disk.flip(offset, 0x10);
    for _restart in 0..2 {
        let store: Arc<dyn Store> = Arc::new(open_on(&disk).unwrap());
        let [first, second] = [&first, &second].map(|expected| expected.room(&store));
        let damaged = if is_damaged(&first).await {
            &first
        } else {
            &second
        };
        let intact = if is_damaged(&first).await {
            &second
        } else {
            &first
        };
        assert!(is_damaged(damaged).await && !is_damaged(intact).await);
        // In one group, a write to the damaged page fails and the others do not.
        let mut overwriting = damaged.begin().await;
        overwriting.set(&damaged.row(19), b"new");
        let mut writing = [intact.begin().await, intact.begin().await];
        writing[0].set(&intact.row(100), b"a");
        writing[1].set(&intact.row(101), b"b");
        let [first, second] = writing;
        let group = [first.commit(), overwriting.commit(), second.commit()];
        let [first, refused, second]: [_; 3] = join_all(group).await.try_into().unwrap();
        assert!(first.is_ok() && second.is_ok());
        assert!(
            matches!(refused, Err(StoreError::Corrupt(_))),
            "{refused:?}"
        );
        assert_eq!(intact.read(101).await.as_deref(), Some(&b"b"[..]));
        assert_eq!(damaged.read(18).await, Some(value(18)));
    }
}

async fn is_damaged(room: &Room) -> bool {
    match room.begin().await.get(&room.row(19)).await {
        Ok(found) => {
            assert_eq!(found, Some(value(19)));
            false
        }
        Err(StoreError::Corrupt(_)) => true,
        Err(other) => panic!("{other}"),
    }
}
