//! `keys/:name`: what a key is, without its material. The same object answers writes to the key.

use std::collections::BTreeMap;

use serde::Serialize;

use super::TransitEngine;
use super::key::{KeyPolicy, KeyVersion};
use super::path::KeyName;
use crate::engines::Reply;
use crate::error::Error;

/// What Vault calls the derivation that `cipher.rs` describes.
const KDF: &str = "hkdf_sha256";

/// What Vault shows for keys whose convergent construction is bound to the key version, as here.
const CONVERGENT_VERSION: i32 = -1;

/// A key as shown.
#[derive(Serialize)]
pub(super) struct KeyView<'k> {
    name: &'k str,
    #[serde(rename = "type")]
    key_type: &'static str,
    /// Unix time of each version that still decrypts.
    keys: BTreeMap<u32, i64>,
    latest_version: KeyVersion,
    min_available_version: KeyVersion,
    min_decryption_version: KeyVersion,
    min_encryption_version: KeyVersion,
    deletion_allowed: bool,
    derived: bool,
    exportable: bool,
    allow_plaintext_backup: bool,
    auto_rotate_period: u64,
    imported_key: bool,
    soft_deleted: bool,
    supports_encryption: bool,
    supports_decryption: bool,
    supports_derivation: bool,
    supports_signing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kdf: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergent_encryption: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergent_encryption_version: Option<i32>,
}

impl<'k> KeyView<'k> {
    /// What to show of `policy`.
    pub(super) fn of(policy: &'k KeyPolicy) -> Self {
        let can = policy.key_type.capabilities();
        Self {
            name: &policy.name,
            key_type: policy.key_type.name(),
            keys: policy
                .shown_versions()
                .map(|(number, version)| (number.0, version.created.unix_seconds()))
                .collect(),
            latest_version: policy.latest(),
            min_available_version: policy.min_available_version,
            min_decryption_version: policy.min_decryption_version,
            min_encryption_version: policy.min_encryption_version,
            deletion_allowed: policy.deletion_allowed,
            derived: policy.derived,
            exportable: policy.exportable,
            allow_plaintext_backup: policy.allow_plaintext_backup,
            auto_rotate_period: policy.auto_rotate_period_s,
            imported_key: false,
            soft_deleted: false,
            supports_encryption: can.encryption,
            supports_decryption: can.decryption,
            supports_derivation: can.derivation,
            supports_signing: can.signing,
            kdf: policy.derived.then_some(KDF),
            convergent_encryption: policy.derived.then_some(policy.convergent),
            convergent_encryption_version: policy.convergent.then_some(CONVERGENT_VERSION),
        }
    }
}

/// Answers GET `keys/:name`, as of the last acknowledged change through any node.
pub(super) async fn read(engine: &TransitEngine, name: KeyName<'_>) -> Result<Reply, Error> {
    let key = engine.keys.confirmed(name).await?;
    let key = key.ok_or_else(Error::not_found)?;
    Reply::data(&KeyView::of(key.policy()))
}
