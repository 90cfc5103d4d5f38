//! The audit log: who asked for what, and how it ended. One JSON line before a request has an effect and one before its
//! reply leaves, in Vault's shape, appended to each of the node's files.
//!
//! - A request whose line no file takes is refused, or its reply withheld. One file that works is enough.
//! - Every request to the API is in it, the refused and the malformed too. Left out are, as in Vault, those that anybody
//!   may make and that tell nothing of an add-on's content: health, leader, and the status of a seal.
//! - Values are hashed ([`salt`]); paths, names of members, numbers and booleans stand as they are.
//! - What carries shares of an add-on's keys is logged without content, not even hashed.
//! - The lines are the operator's: an add-on can list the devices but not change them.
//!
//! With no file configured nothing here does any work.

pub mod file;
pub mod line;
pub mod mask;
pub mod salt;

use std::sync::Arc;

use self::file::{FileDevice, FileOptions};
use self::line::Object;
use self::salt::Salt;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TenantId;
use crate::metrics::audit::AuditMetrics;
use crate::rng::OsRandom;

/// Which line of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Before it has an effect; also for what no request asked for.
    Request,
    /// Before its reply leaves.
    Response,
}

/// A node's audit devices.
pub struct Audit {
    devices: Vec<FileDevice>,
    node_salt: Arc<Salt>,
    metrics: AuditMetrics,
}

impl Audit {
    /// Opens the devices.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a file cannot be opened.
    pub fn open(options: &[FileOptions], random: &OsRandom) -> Result<Self, Error> {
        let devices: Result<_, _> = options.iter().cloned().map(FileDevice::open).collect();
        Ok(Self {
            devices: devices?,
            node_salt: Arc::new(Salt::random(random)?),
            metrics: AuditMetrics::new()?,
        })
    }

    /// Whether anything is written at all.
    pub fn is_on(&self) -> bool {
        !self.devices.is_empty()
    }

    /// The devices, in the order of the configuration.
    pub fn devices(&self) -> &[FileDevice] {
        &self.devices
    }

    /// The salt for what belongs to no open add-on.
    pub fn node_salt(&self) -> &Arc<Salt> {
        &self.node_salt
    }

    /// What it counts.
    pub fn metrics(&self) -> &AuditMetrics {
        &self.metrics
    }

    /// Opens the files again.
    pub fn reopen(&self) {
        for device in &self.devices {
            device.reopen();
        }
    }

    /// Writes a line to all devices.
    ///
    /// # Errors
    /// [`Error::Unaudited`] when none took it.
    pub async fn write(&self, stage: Stage, line: &str) -> Result<(), Error> {
        let mut is_written = self.devices.is_empty();
        for device in &self.devices {
            let written = match device.append(line) {
                Ok(number) => device.reached_disk(number).await,
                Err(error) => Err(error),
            };
            device.note_outcome(written.as_ref().err());
            is_written |= written.is_ok();
        }
        self.settle(stage, is_written)
    }

    /// Writes a line to all devices without waiting for any disk: for a request that is given up, whose reply does not
    /// leave anyway.
    pub fn write_at_once(&self, stage: Stage, line: &str) {
        let mut is_written = self.devices.is_empty();
        for device in &self.devices {
            is_written |= device.append(line).is_ok();
        }
        // It is counted, and there is nobody to tell.
        let _ = self.settle(stage, is_written);
    }

    /// Writes down something that no request asked for, such as keys that were handed to another node. `fields` stand as
    /// they are, so they must hold no secret.
    ///
    /// # Errors
    /// [`Error::Unaudited`] when no device took it: what it tells of must then not happen.
    pub async fn note(
        &self,
        now: Timestamp,
        event: &str,
        tenant: Option<TenantId>,
        fields: &[(&'static str, &str)],
    ) -> Result<(), Error> {
        if !self.is_on() {
            return Ok(());
        }
        let namespace = tenant.map(|id| Object::default().text("id", &id.to_string()).finish());
        let data = fields
            .iter()
            .fold(Object::default(), |data, (name, value)| {
                data.text(name, value)
            });
        let line = Object::default()
            .text("time", &now.to_string())
            .text("type", "event")
            .text("event", event)
            .object("namespace", namespace.as_deref().unwrap_or("{}"))
            .object("data", &data.finish())
            .finish();
        self.write(Stage::Request, &line).await
    }

    fn settle(&self, stage: Stage, is_written: bool) -> Result<(), Error> {
        self.metrics.written(stage, is_written);
        if is_written {
            Ok(())
        } else {
            Err(Error::Unaudited)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn audit(paths: &[PathBuf]) -> Audit {
        let options: Vec<FileOptions> = paths
            .iter()
            .map(|path| FileOptions {
                name: "file".into(),
                path: path.clone(),
                sync: false,
                mode: None,
                prefix: String::new(),
            })
            .collect();
        Audit::open(&options, &OsRandom).unwrap()
    }

    #[actix::test]
    async fn one_device_that_works_is_enough_and_none_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (full, good) = (PathBuf::from("/dev/full"), folder.path().join("good"));
        let both = audit(&[full.clone(), good.clone()]);
        both.write(Stage::Request, "{}").await.unwrap();
        both.write_at_once(Stage::Response, "{}");
        assert_eq!(std::fs::read_to_string(good).unwrap(), "{}\n{}\n");
        let none = audit(&[full]);
        let refused = none.write(Stage::Request, "{}").await;
        assert!(matches!(refused, Err(Error::Unaudited)));
        assert_eq!(none.metrics().failures(Stage::Request), 1);
        assert_eq!(none.metrics().failures(Stage::Response), 0);
    }

    #[actix::test]
    async fn events_are_lines_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = audit(std::slice::from_ref(&path));
        let tenant = TenantId::generate(&OsRandom);
        let fields = [("peer", "node-2"), ("empty", "")];
        audit
            .note(Timestamp(0), "keyring-given", Some(tenant), &fields)
            .await
            .unwrap();
        let line: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(
            line,
            serde_json::json!({"time": "1970-01-01T00:00:00Z", "type": "event",
                "event": "keyring-given", "namespace": {"id": tenant.to_string()},
                "data": {"peer": "node-2"}})
        );
    }
}
