//! POST and PATCH `metadata/:path`: the settings and notes of a secret.

use std::collections::BTreeMap;

use serde_json::Value;

use super::KvEngine;
use super::config::{self, MountSettings};
use super::metadata::{Metadata, Settings};
use super::patch_data::require_merge_patch;
use super::path::SecretPath;
use super::rows::SecretRows;
use crate::duration::GoDuration;
use crate::engines::{Call, Reply};
use crate::error::Error;
use crate::fields::Fields;

const FIELDS: &[&str] = &[
    "max_versions",
    "cas_required",
    "metadata_cas_required",
    "delete_version_after",
    "custom_metadata",
    "metadata_cas",
];

/// Vault's bounds of `custom_metadata`.
const MAX_NOTES: usize = 64;
const MAX_NOTE_KEY_BYTES: usize = 128;
const MAX_NOTE_VALUE_BYTES: usize = 512;

/// A note that a patch removes, or the text that it gets.
type NoteChanges = BTreeMap<String, Option<String>>;

/// What a request changes; `None` leaves things as they are.
#[derive(Default)]
struct Changes {
    max_versions: Option<u64>,
    cas_required: Option<bool>,
    metadata_cas_required: Option<bool>,
    delete_version_after: Option<GoDuration>,
    notes: Option<Notes>,
}

/// What becomes of `custom_metadata`.
enum Notes {
    Replace(BTreeMap<String, String>),
    Merge(NoteChanges),
    Remove,
}

/// POST `metadata/:path`: sets what is given, on a new and empty secret if there is none.
pub(super) async fn write(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    let path = SecretPath::writable(path)?;
    let mut changes = Changes::parse(call.fields)?;
    if let Some(notes) = call.fields.map("custom_metadata")? {
        changes.notes = Some(Notes::Replace(notes));
    }
    change(engine, call, path, &changes, true).await
}

/// PATCH `metadata/:path`: the same for a secret that exists, and `null` takes a setting or a note away.
pub(super) async fn patch(engine: &KvEngine, call: &Call<'_>, path: &str) -> Result<Reply, Error> {
    require_merge_patch(call)?;
    let path = SecretPath::writable(path)?;
    let mut changes = Changes::parse(call.fields)?;
    changes.reset_nulls(call.fields);
    if let Some(value) = call.fields.value("custom_metadata") {
        changes.notes = Some(Notes::Merge(note_changes(value)?));
    }
    change(engine, call, path, &changes, false).await
}

async fn change(
    engine: &KvEngine,
    call: &Call<'_>,
    path: SecretPath<'_>,
    changes: &Changes,
    may_create: bool,
) -> Result<Reply, Error> {
    let cas = call.fields.integer("metadata_cas")?;
    let is_overruled = engine
        .view
        .run_once(call.now, async |rows| {
            let mount = config::load(rows).await?;
            let mut secret = SecretRows::new(rows, path);
            let stored = secret.metadata().await?;
            let is_new = stored.is_none();
            if is_new && !may_create {
                return Err(Error::not_found());
            }
            let mut metadata = stored.unwrap_or_else(|| Metadata::new(call.now));
            check_and_set(&metadata, cas, &mount)?;
            metadata.set_settings(changes.apply(metadata.settings())?, call.now);
            if is_new {
                secret.create(&metadata)?;
            } else {
                secret.update(&metadata)?;
            }
            Ok(mount.cas_required && changes.cas_required == Some(false))
        })
        .await?;
    let overruled = is_overruled.then(|| {
        "\"cas_required\" set to false, but is mandated by backend config. This value will be ignored."
            .to_owned()
    });
    Ok(Reply::empty()
        .with_warning(overruled)
        .with_warning(call.fields.unrecognized(FIELDS)))
}

/// Refuses a `metadata_cas` that is not the number of changes so far, or its lack where it is required.
fn check_and_set(
    metadata: &Metadata,
    cas: Option<i64>,
    mount: &MountSettings,
) -> Result<(), Error> {
    match cas {
        Some(cas) if u64::try_from(cas) == Ok(metadata.settings_version()) => Ok(()),
        Some(_) => Err(Error::invalid(
            "metadata_cas",
            "metadata check-and-set parameter did not match the current version",
        )),
        None if mount.metadata_cas_required || metadata.settings().metadata_cas_required => {
            Err(Error::invalid(
                "metadata_cas",
                "metadata check-and-set parameter required for this call",
            ))
        }
        None => Ok(()),
    }
}

impl Changes {
    /// Everything but the notes.
    fn parse(fields: &Fields) -> Result<Self, Error> {
        let delete_version_after = fields.duration("delete_version_after")?;
        if delete_version_after.is_some_and(|duration| duration < GoDuration::default()) {
            return Err(Error::invalid(
                "delete_version_after",
                "error converting input for field \"delete_version_after\": cannot provide negative value",
            ));
        }
        Ok(Self {
            max_versions: config::max_versions(fields)?,
            cas_required: fields.boolean("cas_required")?,
            metadata_cas_required: fields.boolean("metadata_cas_required")?,
            delete_version_after,
            notes: None,
        })
    }

    /// What a patch sets to `null` goes back to its default.
    fn reset_nulls(&mut self, fields: &Fields) {
        let is_null = |name| fields.raw(name).as_deref() == Some("null");
        if is_null("max_versions") {
            self.max_versions = Some(0);
        }
        if is_null("cas_required") {
            self.cas_required = Some(false);
        }
        if is_null("metadata_cas_required") {
            self.metadata_cas_required = Some(false);
        }
        if is_null("delete_version_after") {
            self.delete_version_after = Some(GoDuration::default());
        }
        if is_null("custom_metadata") {
            self.notes = Some(Notes::Remove);
        }
    }

    fn apply(&self, old: &Settings) -> Result<Settings, Error> {
        let custom_metadata = match &self.notes {
            None => old.custom_metadata.clone(),
            Some(Notes::Remove) => None,
            Some(Notes::Replace(notes)) => Some(notes.clone()),
            Some(Notes::Merge(changes)) => {
                let mut notes = old.custom_metadata.clone().unwrap_or_default();
                for (key, value) in changes {
                    match value {
                        Some(value) => notes.insert(key.clone(), value.clone()),
                        None => notes.remove(key),
                    };
                }
                Some(notes)
            }
        }
        .filter(|notes| !notes.is_empty());
        if let Some(notes) = &custom_metadata {
            check_notes(notes)?;
        }
        Ok(Settings {
            max_versions: self.max_versions.unwrap_or(old.max_versions),
            cas_required: self.cas_required.unwrap_or(old.cas_required),
            metadata_cas_required: self
                .metadata_cas_required
                .unwrap_or(old.metadata_cas_required),
            delete_version_after: self
                .delete_version_after
                .unwrap_or(old.delete_version_after),
            custom_metadata,
        })
    }
}

/// The members of a patch's `custom_metadata`.
fn note_changes(value: Value) -> Result<NoteChanges, Error> {
    let wrong = || {
        Error::invalid(
            "custom_metadata",
            "error converting input for field \"custom_metadata\": expected a map of strings",
        )
    };
    let Value::Object(members) = value else {
        return Err(wrong());
    };
    members
        .into_iter()
        .map(|(key, value)| {
            let text = match value {
                Value::Null => None,
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(flag) => Some(flag.to_string()),
                Value::Array(_) | Value::Object(_) => return Err(wrong()),
            };
            Ok((key, text))
        })
        .collect()
}

/// Vault's bounds.
fn check_notes(notes: &BTreeMap<String, String>) -> Result<(), Error> {
    let refuse = |why: String| {
        Err(Error::invalid(
            "custom_metadata",
            format!("custom_metadata validation failed: {why}"),
        ))
    };
    if notes.len() > MAX_NOTES {
        return refuse(format!(
            "payload must contain at most {MAX_NOTES} keys, provided {}",
            notes.len()
        ));
    }
    for (key, value) in notes {
        if !(1..=MAX_NOTE_KEY_BYTES).contains(&key.len()) {
            return refuse(format!(
                "length of key {key:?} is {} but must be 0 < len(key) <= {MAX_NOTE_KEY_BYTES}",
                key.len()
            ));
        }
        if !(1..=MAX_NOTE_VALUE_BYTES).contains(&value.len()) {
            return refuse(format!(
                "length of value for key {key:?} is {} but must be 0 < len(value) <= {MAX_NOTE_VALUE_BYTES}",
                value.len()
            ));
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return refuse(format!(
                "key {key:?} or its value contains unprintable characters"
            ));
        }
    }
    Ok(())
}
