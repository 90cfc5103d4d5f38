//! Every kind of damage that a check promises to find, planted one at a time.

use super::super::tests::{Sample, empty, sample};
use super::*;
use crate::seal::offline::{self, SealRows};
use crate::store::key::{Part, Pseudonym, Table};
use crate::tenant::registry;

async fn checked(sample: &Sample, open: bool) -> Findings {
    let keys = open.then_some(&sample.unsealed);
    check(sample.store.as_ref(), keys, &mut |_| {})
        .await
        .unwrap()
}

/// Sets a row, or removes it.
async fn plant(sample: &Sample, key: &Key, value: Option<&[u8]>) {
    let planted = transact(sample.store.as_ref(), async |transaction, _| {
        match value {
            Some(value) => transaction.set(key, value),
            None => transaction.clear(key),
        }
        Ok(())
    });
    planted.await.unwrap();
}

async fn read(sample: &Sample, key: &Key) -> Option<Vec<u8>> {
    let read = transact(sample.store.as_ref(), async |transaction, _| {
        Ok(transaction.get(key).await?)
    });
    read.await.unwrap().0
}

#[actix::test]
async fn a_whole_store_has_no_faults() {
    let sample = sample().await;
    let findings = checked(&sample, false).await;
    assert_eq!(findings.faults, []);
    assert_eq!((findings.add_ons, findings.initialised), (2, 1));
    // A policy and every fiftieth of 300 secrets.
    assert_eq!((findings.long_values, findings.opened), (7, 0));
    assert!(findings.changes > 0);
    let opened = checked(&sample, true).await;
    assert_eq!((opened.fault_count, opened.opened), (0, 301));
}

#[actix::test]
async fn a_store_without_a_life_is_told() {
    let findings = check(empty().as_ref(), None, &mut |_| {}).await.unwrap();
    assert_eq!(findings.fault_count, 1);
    assert!(findings.faults[0].what.contains("no incarnation"));
}

#[actix::test]
async fn each_fault_is_found_at_its_place() {
    let sample = sample().await;
    let tenant = Scope::Tenant(sample.addon.id);
    let mount = Scope::Mount(sample.addon.id, sample.mount);
    let version = |number: u64| Key::row(mount, Table::KvVersion, &[number.into()]);
    let piece = |index| Key::chunk(mount, Table::KvVersion, &[50_u64.into()], index);
    let id = Part::Name(Pseudonym(*sample.addon.id.as_bytes()));
    let stranger = Scope::Tenant(TenantId::from_bytes([9; 16]));
    let envelope = read(&sample, &version(7)).await.unwrap();
    let mut newer = envelope.clone();
    newer[0] = 9;
    let foreign = Key::from_stored(b"\x01\x00\x01\x00\x15\xee".to_vec());
    let faults: [(Key, Option<&[u8]>, &str, &str); 19] = [
        (version(7), Some(&[]), "KvVersion 7", "cut short"),
        (version(7), Some(&newer), "KvVersion 7", "newer version"),
        (
            version(7),
            Some(&envelope[..30]),
            "KvVersion 7",
            "cut short",
        ),
        (version(50), None, "KvVersion 50", "without a value"),
        (version(50), Some(&[0, 1]), "KvVersion 50", "long value"),
        (piece(1), None, "KvVersion 50, piece 2", "missing"),
        (piece(3), None, "KvVersion 50", "has pieces of"),
        (piece(9), Some(b"x"), "KvVersion 50, piece 9", "missing"),
        (
            Key::row(tenant, Table::Epoch, &[]),
            None,
            "addon_",
            "some of the rows",
        ),
        (
            Key::row(tenant, Table::Epoch, &[]),
            Some(b"x"),
            "Epoch",
            "newer version",
        ),
        (
            Key::row(tenant, Table::SealConfig, &[]),
            Some(b"\x01"),
            "SealConfig",
            "decode",
        ),
        (
            Key::row(tenant, Table::Keyring, &[]),
            Some(b"\x01"),
            "Keyring",
            "cut short",
        ),
        (
            Key::row(tenant, Table::ChangeStamp, &[]),
            Some(b"x"),
            "ChangeStamp",
            "length",
        ),
        (
            Key::row(tenant, Table::KvPlain, &[]),
            Some(&envelope),
            "KvPlain",
            "does not belong",
        ),
        (
            Key::row(stranger, Table::Epoch, &[]),
            Some(b"x"),
            "addon_0909",
            "not in the registry",
        ),
        (
            Key::row(Scope::Node, Table::AddOn, &[id]),
            Some(b"{}"),
            "AddOn",
            "registry row",
        ),
        (
            Key::row(Scope::Node, Table::AddOn, &[id]),
            None,
            "addon_",
            "not in the registry",
        ),
        (
            registry::name_key("used"),
            None,
            "addon_",
            "name is missing",
        ),
        (foreign, Some(b"x"), "key 0100", "does not know"),
    ];
    for (key, value, place, what) in faults {
        let before = read(&sample, &key).await;
        plant(&sample, &key, value).await;
        let findings = checked(&sample, false).await;
        let found = findings
            .faults
            .iter()
            .any(|fault| fault.place.contains(place) && fault.what.contains(what));
        assert!(found, "no {place}: {what} in {:?}", findings.faults);
        plant(&sample, &key, before.as_deref()).await;
    }
    assert_eq!(checked(&sample, true).await.fault_count, 0);
}

#[actix::test]
async fn what_only_keys_can_tell_is_found_with_them() {
    let sample = sample().await;
    let mount = Scope::Mount(sample.addon.id, sample.mount);
    let version = |number: u64| Key::row(mount, Table::KvVersion, &[number.into()]);
    let moved = read(&sample, &version(8)).await.unwrap();
    plant(&sample, &version(7), Some(&moved)).await;
    let piece = Key::chunk(mount, Table::KvVersion, &[50_u64.into()], 2);
    let mut flipped = read(&sample, &piece).await.unwrap();
    flipped[100] ^= 1;
    plant(&sample, &piece, Some(&flipped)).await;
    assert_eq!(checked(&sample, false).await.fault_count, 0);
    let opened = checked(&sample, true).await;
    assert_eq!((opened.fault_count, opened.opened), (2, 299));
    for (fault, place) in opened.faults.iter().zip(["KvVersion 7", "KvVersion 50"]) {
        assert!(fault.place.ends_with(place), "{fault:?}");
        assert!(fault.what.contains("does not authenticate"), "{fault:?}");
    }
}

#[actix::test]
async fn shares_open_the_rows_offline() {
    let sample = sample().await;
    let rows = transact(sample.store.as_ref(), async |transaction, _| {
        SealRows::read(transaction, sample.addon.id).await
    });
    let rows = rows.await.unwrap().0.unwrap();
    assert_eq!(offline::quorum(&rows).unwrap().threshold(), 2);
    assert!(offline::recognises(&rows, &sample.shares[0]).unwrap());
    let keys = offline::open(sample.addon.id, &rows, &sample.shares[..2]).unwrap();
    let findings = check(sample.store.as_ref(), Some(&keys), &mut |_| {}).await;
    assert_eq!(findings.unwrap().opened, 301);
    assert!(offline::open(sample.addon.id, &rows, &sample.shares[..1]).is_err());
}
