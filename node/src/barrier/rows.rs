//! [`Rows`]: plaintext rows of one scope inside one transaction.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{Domain, Unsealed};
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};
use crate::store::change::Facet;
use crate::store::key::{Key, KeyRange, Part, Pseudonym, Scope, Table};
use crate::store::{Attempt, Transaction};

/// The longest envelope kept in one row. FoundationDB takes 100 kB per value; 64 KiB leaves room and keeps pages whole.
const CHUNK_BYTES: usize = 64 * 1024;

/// First byte of a row whose envelope continues in [`Table::Chunk`]; no envelope format begins with it.
const CHUNKED: u8 = 0;

/// The rows of one scope, decrypted and encrypted on the way.
pub struct Rows<'t> {
    pub(super) transaction: &'t mut dyn Transaction,
    pub(super) unsealed: &'t Unsealed,
    scope: Scope,
    attempt: Attempt,
}

impl<'t> Rows<'t> {
    /// The rows of `scope`, after checking that the transaction sees the epoch under which the add-on was opened. The
    /// check also makes the transaction conflict with a seal.
    ///
    /// # Errors
    /// [`Error::Sealed`] when the add-on was sealed meanwhile, or what the store says.
    pub async fn checked(
        transaction: &'t mut dyn Transaction,
        unsealed: &'t Unsealed,
        scope: Scope,
        attempt: Attempt,
    ) -> Result<Self, Error> {
        let epoch_key = Key::row(Scope::Tenant(unsealed.tenant()), Table::Epoch, &[]);
        let epoch_row = transaction.get(&epoch_key).await?;
        if !unsealed.is_current(epoch_row.as_deref()) {
            return Err(Error::Sealed);
        }
        Ok(Self {
            transaction,
            unsealed,
            scope,
            attempt,
        })
    }

    /// The same transaction's rows of another scope of the same add-on.
    pub fn of(&mut self, scope: Scope) -> Rows<'_> {
        Rows {
            transaction: &mut *self.transaction,
            unsealed: self.unsealed,
            scope,
            attempt: self.attempt,
        }
    }

    /// Whose rows these are.
    pub fn tenant(&self) -> TenantId {
        self.unsealed.tenant()
    }

    /// The epoch that was checked.
    pub fn epoch(&self) -> SealEpoch {
        self.unsealed.epoch()
    }

    /// The transaction itself, for the seal's rows, which are no ciphertext.
    pub fn transaction(&mut self) -> &mut dyn Transaction {
        self.transaction
    }

    /// Which round this is.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The pseudonym of a name within this scope.
    pub fn pseudonym(&self, domain: Domain, name: &[u8]) -> Pseudonym {
        self.unsealed.pseudonym(self.scope, domain, name)
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what is stored there was not written there.
    pub async fn get(
        &mut self,
        table: Table,
        parts: &[Part],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let key = Key::row(self.scope, table, parts);
        match self.transaction.get(&key).await? {
            None => Ok(None),
            Some(stored) => {
                let envelope = self.unchunk(table, parts, stored).await?;
                self.open(key.as_bytes(), &envelope).await.map(Some)
            }
        }
    }

    /// Reads a row that holds JSON.
    ///
    /// # Errors
    /// As [`Rows::get`], and when it does not decode.
    pub async fn get_json<T: DeserializeOwned>(
        &mut self,
        table: Table,
        parts: &[Part],
    ) -> Result<Option<T>, Error> {
        match self.get(table, parts).await? {
            None => Ok(None),
            Some(bytes) => decode(&bytes).map(Some),
        }
    }

    /// Writes a row of any length.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encrypted.
    pub fn put(&mut self, table: Table, parts: &[Part], plaintext: &[u8]) -> Result<(), Error> {
        let key = Key::row(self.scope, table, parts);
        let envelope = self.unsealed.seal_row(key.as_bytes(), plaintext)?;
        self.transaction
            .clear_range(&Key::chunk_range(self.scope, table, parts));
        if envelope.len() <= CHUNK_BYTES {
            self.transaction.set(&key, &envelope);
            return Ok(());
        }
        let mut head = vec![CHUNKED];
        head.extend_from_slice(&(envelope.len() as u64).to_be_bytes());
        self.transaction.set(&key, &head);
        for (index, chunk) in (0..).zip(envelope.chunks(CHUNK_BYTES)) {
            let key = Key::chunk(self.scope, table, parts, index);
            self.transaction.set(&key, chunk);
        }
        Ok(())
    }

    /// Writes a row as JSON.
    ///
    /// # Errors
    /// As [`Rows::put`].
    pub fn put_json<T: Serialize>(
        &mut self,
        table: Table,
        parts: &[Part],
        value: &T,
    ) -> Result<(), Error> {
        let bytes = Zeroizing::new(
            serde_json::to_vec(value)
                .map_err(|_| Error::Bug("a row could not be encoded".into()))?,
        );
        self.put(table, parts, &bytes)
    }

    /// Removes a row.
    pub fn delete(&mut self, table: Table, parts: &[Part]) {
        self.transaction.clear(&Key::row(self.scope, table, parts));
        self.transaction
            .clear_range(&Key::chunk_range(self.scope, table, parts));
    }

    /// Removes all rows of `table` whose address begins with `prefix` and goes on.
    pub fn delete_below(&mut self, table: Table, prefix: &[Part]) {
        self.transaction
            .clear_range(&KeyRange::rows(self.scope, table, prefix));
        self.transaction
            .clear_range(&Key::chunk_range(self.scope, table, prefix));
    }

    /// Removes the rows of `table` whose first part is a number below `bound`; they must not be longer than one row.
    pub fn delete_numbers_before(&mut self, table: Table, bound: u64) {
        let mut range = KeyRange::rows(self.scope, table, &[]);
        range.end = Key::row(self.scope, table, &[Part::Number(bound)])
            .as_bytes()
            .to_vec();
        self.transaction.clear_range(&range);
    }

    /// Removes every row of this scope.
    pub fn delete_everything(&mut self) {
        self.transaction.clear_range(&KeyRange::scope(self.scope));
    }

    /// At most `limit` rows of `table` whose address begins with `prefix`, in address order, after `after` if given.
    /// Each comes with the parts of its address beyond the table.
    ///
    /// # Errors
    /// As [`Rows::get`].
    pub async fn scan(
        &mut self,
        table: Table,
        prefix: &[Part],
        after: Option<&[Part]>,
        limit: usize,
    ) -> Result<Vec<(Vec<Part>, Zeroizing<Vec<u8>>)>, Error> {
        let mut range = KeyRange::rows(self.scope, table, prefix);
        if let Some(after) = after {
            range.begin = Key::row(self.scope, table, after).as_bytes().to_vec();
            range.begin.push(0);
        }
        let mut found = Vec::new();
        for (key, stored) in self.transaction.range(&range, limit, false).await? {
            let parts = key.parts()?;
            let envelope = self.unchunk(table, &parts, stored).await?;
            found.push((parts, self.open(key.as_bytes(), &envelope).await?));
        }
        Ok(found)
    }

    /// Whether `table` has a row whose address begins with `prefix` and goes on.
    ///
    /// # Errors
    /// What the store says.
    pub async fn any_below(&mut self, table: Table, prefix: &[Part]) -> Result<bool, Error> {
        let range = KeyRange::rows(self.scope, table, prefix);
        Ok(!self.transaction.range(&range, 1, false).await?.is_empty())
    }

    /// Tells every node, at commit, that cached state changed. Each transaction that alters such state calls it.
    pub fn note_change(&mut self, facet: Facet) {
        let tenant = self.unsealed.tenant();
        self.transaction.append_change(&facet.encode(tenant));
        self.transaction
            .set_stamp(&Key::row(Scope::Tenant(tenant), Table::ChangeStamp, &[]));
    }

    /// Joins the pieces of a long envelope.
    async fn unchunk(
        &mut self,
        table: Table,
        parts: &[Part],
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let Some(length) = length_of_pieces(&stored)? else {
            return Ok(stored);
        };
        let damaged = || Error::Corrupt("a long value lacks a piece".into());
        let length = usize::try_from(length).map_err(|_| damaged())?;
        let range = Key::chunk_range(self.scope, table, parts);
        let pieces = length.div_ceil(CHUNK_BYTES);
        let rows = self.transaction.range(&range, pieces, false).await?;
        let mut envelope = Vec::with_capacity(rows.len() * CHUNK_BYTES);
        for (_, piece) in &rows {
            envelope.extend_from_slice(piece);
        }
        if envelope.len() != length {
            return Err(damaged());
        }
        Ok(envelope)
    }
}

/// Of a row whose envelope lies in pieces, how long that is.
pub(super) fn length_of_pieces(stored: &[u8]) -> Result<Option<u64>, Error> {
    match stored.split_first() {
        Some((&CHUNKED, length)) => <[u8; 8]>::try_from(length)
            .map(|length| Some(u64::from_be_bytes(length)))
            .map_err(|_| Error::Corrupt("the head of a long value".into())),
        _ => Ok(None),
    }
}

/// Decodes a row's JSON. The error says nothing of the content.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|_| Error::Corrupt("a row does not decode".into()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::mount_view;
    use super::*;

    #[actix::test]
    async fn long_values_are_cut_and_joined() {
        let view = mount_view().await;
        let long: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
        let address = [Part::Number(7)];
        view.run(async |rows| rows.put(Table::KvVersion, &address, &long))
            .await
            .unwrap();
        let read = view
            .run(async |rows| rows.get(Table::KvVersion, &address).await)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(*read, long);

        view.run(async |rows| rows.put(Table::KvVersion, &address, b"short"))
            .await
            .unwrap();
        view.run(async |rows| {
            assert_eq!(
                &*rows.get(Table::KvVersion, &address).await?.unwrap(),
                b"short"
            );
            assert_eq!(rows.scan(Table::KvVersion, &[], None, 10).await?.len(), 1);
            assert!(
                !rows.any_below(Table::Chunk, &[]).await?,
                "no piece is left"
            );
            Ok(())
        })
        .await
        .unwrap();
    }

    #[actix::test]
    async fn a_seal_ends_every_view() {
        let view = mount_view().await;
        let tenant = Scope::Tenant(view.unsealed().tenant());
        crate::store::transact(view.store().as_ref(), async |transaction, _| {
            transaction.set(&Key::row(tenant, Table::Epoch, &[]), b"later");
            Ok(())
        })
        .await
        .unwrap();
        let denied = view
            .run(async |rows| rows.put(Table::KvVersion, &[], b"x"))
            .await;
        assert!(matches!(denied, Err(Error::Sealed)));
    }
}
