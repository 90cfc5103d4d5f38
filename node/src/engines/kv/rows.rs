//! [`SecretRows`]: where the rows of one secret stand.

use zeroize::Zeroizing;

use super::metadata::Metadata;
use super::path::SecretPath;
use crate::barrier::{Domain, Rows, names};
use crate::error::Error;
use crate::store::key::{Part, Table};

/// The rows of one secret inside one transaction.
pub(super) struct SecretRows<'r, 't, 'p> {
    rows: &'r mut Rows<'t>,
    path: SecretPath<'p>,
    name: Part,
}

impl<'r, 't, 'p> SecretRows<'r, 't, 'p> {
    pub(super) fn new(rows: &'r mut Rows<'t>, path: SecretPath<'p>) -> Self {
        let name = rows.pseudonym(Domain::Path, path.as_str().as_bytes());
        Self {
            rows,
            path,
            name: name.into(),
        }
    }

    /// Whether there is such a secret, be all its versions deleted.
    pub(super) async fn exists(&mut self) -> Result<bool, Error> {
        let row = self.rows.get(Table::KvMetadata, &[self.name]).await?;
        Ok(row.is_some())
    }

    pub(super) async fn metadata(&mut self) -> Result<Option<Metadata>, Error> {
        self.rows.get_json(Table::KvMetadata, &[self.name]).await
    }

    /// Writes the metadata of a secret that is there already.
    pub(super) fn update(&mut self, metadata: &Metadata) -> Result<(), Error> {
        self.rows
            .put_json(Table::KvMetadata, &[self.name], metadata)
    }

    /// Writes the metadata of a new secret, and its name into the index.
    pub(super) fn create(&mut self, metadata: &Metadata) -> Result<(), Error> {
        self.update(metadata)?;
        names::insert(self.rows, self.path.as_str())
    }

    /// Removes the secret with all its versions and its name.
    pub(super) async fn remove(&mut self) -> Result<(), Error> {
        self.rows.delete_below(Table::KvVersion, &[self.name]);
        self.rows.delete(Table::KvMetadata, &[self.name]);
        names::remove(self.rows, self.path.as_str()).await
    }

    /// The JSON text of a version that the metadata says is there.
    pub(super) async fn data(&mut self, number: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.rows
            .get(Table::KvVersion, &self.version(number))
            .await?
            .ok_or_else(|| Error::Corrupt("a version of a secret lacks its data".into()))
    }

    pub(super) fn put_data(&mut self, number: u64, text: &[u8]) -> Result<(), Error> {
        self.rows.put(Table::KvVersion, &self.version(number), text)
    }

    pub(super) fn delete_data(&mut self, number: u64) {
        self.rows.delete(Table::KvVersion, &self.version(number));
    }

    fn version(&self, number: u64) -> [Part; 2] {
        [self.name, number.into()]
    }
}
