//! [`Intent`]: a seal that is not in the store yet. It holds the signed row that is to be written and no key, so it can
//! be kept on disk and carried out by a node that has restarted and is sealed.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::attempt::Incarnation;
use super::epoch;
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// In which life of the store; void in another.
    #[serde(with = "hex::serde")]
    incarnation: [u8; 16],
    /// All openings up to this epoch are to end.
    through: SealEpoch,
    /// The epoch row to write.
    #[serde(with = "hex::serde")]
    row: Vec<u8>,
}

impl Intent {
    /// To end all openings up to `through`, by writing `row`.
    pub fn new(incarnation: Incarnation, through: SealEpoch, row: Vec<u8>) -> Self {
        Self {
            incarnation: incarnation.0,
            through,
            row,
        }
    }

    /// In which life of the store.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.incarnation)
    }

    /// All openings up to this epoch are to end.
    pub fn through(&self) -> SealEpoch {
        self.through
    }

    /// What is to be written, given what the store holds: nothing when a later epoch is there already, by another node or
    /// by an earlier try whose outcome was in doubt. A row that says nothing is replaced, because damage must not keep
    /// anybody from sealing; one that only claims a later epoch opens nowhere, so it seals as well.
    pub fn row_to_write(&self, incarnation: Incarnation, stored: Option<&[u8]>) -> Option<&[u8]> {
        let claimed = stored.and_then(|row| epoch::claim(row).ok());
        let is_done = claimed.is_some_and(|stored| stored > self.through);
        (incarnation == self.incarnation() && !is_done).then_some(&self.row)
    }
}

/// Where intents are kept: one small file for each add-on in a folder, written whole or not at all.
#[derive(Clone, Debug)]
pub struct IntentFiles(PathBuf);

impl IntentFiles {
    /// In this folder, which is made.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it cannot be.
    pub fn open(folder: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(|error| {
            Error::invalid("state_dir", format!("{}: {error}", folder.display()))
        })?;
        Ok(Self(folder))
    }

    /// Keeps an intent; durable when this returns.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&self, tenant: TenantId, intent: &Intent) -> io::Result<()> {
        let (path, scratch) = (self.path(tenant), self.0.join(format!("{tenant}.new")));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&scratch)?;
        file.write_all(&serde_json::to_vec(intent)?)?;
        file.sync_all()?;
        fs::rename(scratch, path)?;
        fs::File::open(&self.0)?.sync_all()
    }

    /// The intent that was kept for an add-on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the file says nothing: a seal may be lost in it, so it is not passed over.
    pub fn get(&self, tenant: TenantId) -> Result<Option<Intent>, Error> {
        let path = self.path(tenant);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Corrupt(format!("{}: {error}", path.display()))),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
                Error::Corrupt(format!("{}: not a seal that is to be done", path.display()))
            }),
        }
    }

    /// Forgets it, because it is done.
    ///
    /// # Errors
    /// What the file system says; doing it again does no harm.
    pub fn remove(&self, tenant: TenantId) -> io::Result<()> {
        match fs::remove_file(self.path(tenant)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, tenant: TenantId) -> PathBuf {
        self.0.join(format!("{tenant}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::OsRandom;
    use crate::seal::keys::RootKey;

    const HERE: Incarnation = Incarnation([1; 16]);

    fn tenant() -> TenantId {
        TenantId::from_bytes([5; 16])
    }

    fn row_of(number: u64) -> Vec<u8> {
        let key = RootKey::generate(&OsRandom).mac_key().unwrap();
        epoch::encode(&key, tenant(), SealEpoch(number)).unwrap()
    }

    #[test]
    fn it_raises_the_epoch_once_and_in_its_own_life_only() {
        let raised = row_of(4);
        let intent = Intent::new(HERE, SealEpoch(3), raised.clone());
        assert_eq!(intent.row_to_write(HERE, Some(&row_of(3))), Some(&*raised));
        assert_eq!(intent.row_to_write(HERE, Some(&raised)), None);
        assert_eq!(intent.row_to_write(HERE, Some(&row_of(9))), None);
        for damaged in [Some(b"garbage".as_slice()), None] {
            assert_eq!(intent.row_to_write(HERE, damaged), Some(&*raised));
        }
        assert_eq!(
            intent.row_to_write(Incarnation::default(), Some(&row_of(3))),
            None
        );
    }

    #[test]
    fn it_is_kept_until_it_is_removed_and_damage_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let files = IntentFiles::open(folder.path().join("intents")).unwrap();
        assert_eq!(files.get(tenant()).unwrap(), None);
        let intent = Intent::new(HERE, SealEpoch(3), row_of(4));
        files.put(tenant(), &intent).unwrap();
        files.put(tenant(), &intent).unwrap();
        assert_eq!(files.get(tenant()).unwrap(), Some(intent));
        files.remove(tenant()).unwrap();
        files.remove(tenant()).unwrap();
        assert_eq!(files.get(tenant()).unwrap(), None);
        fs::write(files.path(tenant()), "{").unwrap();
        assert!(matches!(files.get(tenant()), Err(Error::Corrupt(_))));
    }
}
