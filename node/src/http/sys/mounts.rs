//! `sys/mounts`: the mount table as the API shows and changes it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::mount_view::MountView;
use crate::duration::GoDuration;
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::http::respond::Answer;
use crate::http::session::{Session, plain_operation};
use crate::id::MountId;
use crate::tenant::keeper::Change;
use crate::tenant::mount::{EngineKind, Mount, MountConfig, checked_path};

/// Parameters of enabling and tuning that are known; others only warn.
const KNOWN: [&str; 17] = [
    "type",
    "description",
    "config",
    "options",
    "local",
    "seal_wrap",
    "external_entropy_access",
    "plugin_name",
    "plugin_version",
    "default_lease_ttl",
    "max_lease_ttl",
    "force_no_cache",
    "listing_visibility",
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "token_type",
    "allowed_managed_keys",
];

/// Longest description, and most options, of a mount.
const MAX_DESCRIPTION_BYTES: usize = 1024;
const MAX_OPTIONS: usize = 32;

/// `GET sys/mounts`.
///
/// # Errors
/// [`Error::Denied`].
pub async fn list(session: &Session<'_>) -> Result<Answer, Error> {
    session
        .authorize(
            plain_operation(session.request.verb),
            &session.request.query,
        )
        .await?;
    if session.request.verb != Verb::Read {
        return Err(Error::UnsupportedOperation);
    }
    let mounts = session.opened.tenant.mounts();
    let mut views: BTreeMap<&str, MountView<'_>> = mounts
        .iter()
        .map(|mounted| (mounted.mount.path.as_str(), MountView::of(&mounted.mount)))
        .collect();
    views.insert("sys/", MountView::of_sys(session.tenant.id()));
    Ok(Answer::Flattened(Reply::data(&views)?))
}

/// `GET sys/auth`: the ways to log in.
///
/// # Errors
/// [`Error::Denied`].
pub async fn list_auth(session: &Session<'_>) -> Result<Answer, Error> {
    let request = session.request;
    session
        .authorize(plain_operation(request.verb), &request.query)
        .await?;
    if request.verb != Verb::Read {
        return Err(Error::UnsupportedOperation);
    }
    let views = BTreeMap::from([("token/", MountView::of_tokens(session.tenant.id()))]);
    Ok(Answer::Flattened(Reply::data(&views)?))
}

/// `sys/mounts/<path>` and `sys/mounts/<path>/tune`.
///
/// # Errors
/// [`Error::Denied`], [`Error::Invalid`] in Vault's words.
pub async fn route(session: &Session<'_>, path: &str) -> Result<Answer, Error> {
    let request = session.request;
    let fields = request.fields()?;
    // With or without a slash at the end it is the same mount, so it is the same path to policies.
    let trimmed = path.trim_end_matches('/');
    session
        .authorize_path(
            plain_operation(request.verb),
            &format!("sys/mounts/{trimmed}"),
            &fields,
        )
        .await?;
    if let Some(path) = trimmed.strip_suffix("/tune") {
        let mount = existing(session, path).ok_or_else(|| {
            Error::bad_request(format!("cannot fetch sysview for path \"{path}/\""))
        })?;
        return match request.verb {
            Verb::Read => tuned(session, &mount),
            Verb::Write => tune(session, mount.id, fields).await,
            _ => Err(Error::UnsupportedOperation),
        };
    }
    match request.verb {
        Verb::Read => {
            let mount = existing(session, trimmed).ok_or_else(|| {
                Error::bad_request(format!("No secret engine mount at {trimmed}/"))
            })?;
            Ok(Answer::Flattened(Reply::data(&MountView::of(&mount))?))
        }
        Verb::Write => enable(session, trimmed, &fields).await,
        Verb::Delete => {
            let path = format!("{trimmed}/");
            if matches!(path.as_str(), "sys/" | "cubbyhole/" | "auth/" | "identity/") {
                return Err(Error::bad_request(format!("cannot unmount \"{path}\"")));
            }
            session.change(Change::Disable(path)).await?;
            Ok(Answer::Enveloped(Reply::empty()))
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

async fn enable(session: &Session<'_>, path: &str, fields: &Fields) -> Result<Answer, Error> {
    let path = checked_path(path)?;
    let requested = fields.required_string("type", "backend type must be specified as a string")?;
    let mut options = fields.map("options")?.unwrap_or_default();
    let (kind, versioned) = match requested.as_str() {
        "kv" => (EngineKind::Kv, false),
        "kv-v2" => (EngineKind::Kv, true),
        "kv-v1" => (EngineKind::Kv, false),
        "transit" => (EngineKind::Transit, false),
        other => {
            return Err(Error::invalid(
                "type",
                format!("plugin not found in the catalog: {other}"),
            ));
        }
    };
    if versioned {
        options.insert("version".to_owned(), "2".to_owned());
    } else if kind == EngineKind::Kv {
        options
            .entry("version".to_owned())
            .or_insert_with(|| "1".to_owned());
    }
    check_options(kind, &options)?;
    let mut mount = Mount::new(&session.node.random, &path, kind, options);
    mount.description = description(fields)?.unwrap_or_default();
    if let Some(config) = fields.raw("config").filter(|config| config != "null") {
        let config = Fields::from_json(config.as_bytes())?;
        apply_config(&mut mount.config, &config)?;
    }
    session.change(Change::Enable(mount)).await?;
    Ok(Reply::empty()
        .with_warning(fields.unrecognized(&KNOWN))
        .into())
}

async fn tune(session: &Session<'_>, id: MountId, fields: Fields) -> Result<Answer, Error> {
    let warning = fields.unrecognized(&KNOWN);
    let tuning = Box::new(move |mount: &mut Mount| retune(mount, &fields));
    session.change(Change::Tune(id, tuning)).await?;
    Ok(Reply::empty().with_warning(warning).into())
}

/// Changes a mount as the parameters say.
fn retune(mount: &mut Mount, fields: &Fields) -> Result<(), Error> {
    apply_config(&mut mount.config, fields)?;
    if let Some(description) = description(fields)? {
        mount.description = description;
    }
    if let Some(options) = fields.map("options")?.filter(|options| !options.is_empty()) {
        let before = mount.is_versioned();
        mount.options.extend(options);
        if mount.kind == EngineKind::Kv && mount.is_versioned() != before {
            return Err(Error::invalid(
                "options",
                "the version of a kv mount cannot be changed; mount another one",
            ));
        }
        check_options(mount.kind, &mount.options)?;
    }
    Ok(())
}

/// `GET .../tune`: effective seconds, where `sys/mounts` shows 0 for the default.
fn tuned(session: &Session<'_>, mount: &Mount) -> Result<Answer, Error> {
    #[derive(Serialize)]
    struct Tuned<'a> {
        default_lease_ttl: i64,
        description: &'a str,
        force_no_cache: bool,
        max_lease_ttl: i64,
        #[serde(skip_serializing_if = "str::is_empty")]
        listing_visibility: &'a str,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        options: &'a BTreeMap<String, String>,
    }
    let limits = session.opened.tenant.limits();
    let or = |ttl: i64, default: i64| if ttl == 0 { default } else { ttl };
    Reply::data(&Tuned {
        default_lease_ttl: or(mount.config.default_lease_ttl, limits.default_ttl_s),
        description: &mount.description,
        force_no_cache: mount.config.force_no_cache,
        max_lease_ttl: or(mount.config.max_lease_ttl, limits.max_ttl_s),
        listing_visibility: &mount.config.listing_visibility,
        options: &mount.options,
    })
    .map(Answer::Enveloped)
}

fn existing(session: &Session<'_>, path: &str) -> Option<Mount> {
    let mounts = session.opened.tenant.mounts();
    let mounted = mounts.get(&format!("{}/", path.trim_matches('/')))?;
    Some(mounted.mount.clone())
}

fn description(fields: &Fields) -> Result<Option<String>, Error> {
    let description = fields.string("description")?;
    if description
        .as_ref()
        .is_some_and(|text| text.len() > MAX_DESCRIPTION_BYTES)
    {
        return Err(Error::invalid(
            "description",
            format!("description is longer than {MAX_DESCRIPTION_BYTES} bytes"),
        ));
    }
    Ok(description)
}

/// Takes over what was given; the empty text leaves a setting as it is, `-1` and `system` set it to the default.
fn apply_config(config: &mut MountConfig, fields: &Fields) -> Result<(), Error> {
    let ttl = |name: &'static str, current: i64| -> Result<i64, Error> {
        match fields.string(name)?.as_deref() {
            None | Some("") => Ok(current),
            Some("-1" | "system") => Ok(0),
            Some(text) => match GoDuration::parse(name, text)?.seconds() {
                negative if negative < 0 => {
                    Err(Error::invalid(name, format!("{name} must not be negative")))
                }
                seconds => Ok(seconds),
            },
        }
    };
    config.default_lease_ttl = ttl("default_lease_ttl", config.default_lease_ttl)?;
    config.max_lease_ttl = ttl("max_lease_ttl", config.max_lease_ttl)?;
    if config.max_lease_ttl > 0 && config.default_lease_ttl > config.max_lease_ttl {
        return Err(Error::invalid(
            "default_lease_ttl",
            "backend max lease TTL of less than its default lease TTL",
        ));
    }
    if let Some(flag) = fields.boolean("force_no_cache")? {
        config.force_no_cache = flag;
    }
    match fields.string("listing_visibility")?.as_deref() {
        None => {}
        Some(value @ ("" | "hidden" | "unauth")) => {
            value.clone_into(&mut config.listing_visibility)
        }
        Some(_) => {
            return Err(Error::invalid(
                "listing_visibility",
                "listing_visibility must be \"\", \"hidden\" or \"unauth\"",
            ));
        }
    }
    Ok(())
}

/// Refuses options that would be ignored: a setting that does nothing is worse than an error.
fn check_options(kind: EngineKind, options: &BTreeMap<String, String>) -> Result<(), Error> {
    let allowed: &[(&str, &[&str])] = match kind {
        EngineKind::Kv => &[
            ("version", &["1", "2"]),
            ("read_deleted", &["live", "strict"]),
        ],
        EngineKind::Transit => &[("legacy_key_reply", &["true", "false"])],
        EngineKind::Cubbyhole => &[],
    };
    let wrong = |message: String| Err(Error::invalid("options", message));
    if options.len() > MAX_OPTIONS {
        return wrong(format!("a mount has at most {MAX_OPTIONS} options"));
    }
    for (name, value) in options {
        match allowed.iter().find(|(known, _)| known == name) {
            None => {
                return wrong(format!(
                    "unknown option {name:?} for a {} mount",
                    kind.name()
                ));
            }
            Some((_, values)) if !values.contains(&value.as_str()) => {
                return wrong(format!(
                    "option {name:?} must be one of {}",
                    values.join(", ")
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::from_json(body.as_bytes()).unwrap()
    }

    #[test]
    fn tuning_takes_vaults_forms() {
        let mut config = MountConfig::default();
        apply_config(
            &mut config,
            &fields(r#"{"max_lease_ttl":"48h0m0s","default_lease_ttl":""}"#),
        )
        .unwrap();
        assert_eq!(config.max_lease_ttl, 48 * 3600);
        assert_eq!(config.default_lease_ttl, 0);
        apply_config(&mut config, &fields(r#"{"max_lease_ttl":"system"}"#)).unwrap();
        assert_eq!(config.max_lease_ttl, 0);
        for body in [
            r#"{"max_lease_ttl":"-5"}"#,
            r#"{"max_lease_ttl":"1h","default_lease_ttl":"2h"}"#,
            r#"{"listing_visibility":"everybody"}"#,
            r#"{"force_no_cache":"maybe"}"#,
        ] {
            assert!(
                apply_config(&mut config.clone(), &fields(body)).is_err(),
                "{body}"
            );
        }
    }

    #[test]
    fn options_that_mean_nothing_are_refused() {
        let options =
            |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check_options(EngineKind::Kv, &options("read_deleted", "strict")).unwrap();
        assert!(check_options(EngineKind::Kv, &options("read_deleted", "loose")).is_err());
        assert!(check_options(EngineKind::Transit, &options("version", "2")).is_err());
    }
}
