//! How mounts look in replies: to `sys/mounts`, `sys/auth` and the preflight of the CLI.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::TenantId;
use crate::tenant::mount::{EngineKind, Mount};

/// One mount as `sys/mounts` shows it.
#[derive(Serialize)]
pub struct MountView<'a> {
    accessor: Cow<'a, str>,
    config: ConfigView<'a>,
    deprecation_status: &'static str,
    description: &'a str,
    external_entropy_access: bool,
    local: bool,
    options: Option<&'a BTreeMap<String, String>>,
    plugin_version: &'static str,
    running_plugin_version: &'static str,
    running_sha256: &'static str,
    seal_wrap: bool,
    r#type: &'static str,
    uuid: String,
}

#[derive(Serialize)]
struct ConfigView<'a> {
    default_lease_ttl: i64,
    force_no_cache: bool,
    max_lease_ttl: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    listing_visibility: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    token_type: &'static str,
}

impl<'a> MountView<'a> {
    /// How a mount looks.
    pub fn of(mount: &'a Mount) -> Self {
        Self {
            accessor: Cow::Borrowed(&mount.accessor),
            config: ConfigView {
                default_lease_ttl: mount.config.default_lease_ttl,
                force_no_cache: mount.config.force_no_cache,
                max_lease_ttl: mount.config.max_lease_ttl,
                listing_visibility: &mount.config.listing_visibility,
                token_type: "",
            },
            deprecation_status: "supported",
            description: &mount.description,
            external_entropy_access: false,
            local: mount.kind == EngineKind::Cubbyhole,
            options: (!mount.options.is_empty()).then_some(&mount.options),
            plugin_version: "",
            running_plugin_version: concat!("v", env!("CARGO_PKG_VERSION"), "+builtin"),
            running_sha256: "",
            seal_wrap: false,
            r#type: mount.kind.name(),
            uuid: mount.id.to_string(),
        }
    }

    /// How the token store of an add-on looks, the one way to log in that is always there.
    pub fn of_tokens(tenant: TenantId) -> MountView<'static> {
        let accessor = accessor("auth_token", tenant);
        let mut view = Self::built_in("token", accessor, "token based credentials");
        view.config.token_type = "default-service";
        view
    }

    /// How the add-on's own affairs look in the mount table.
    pub fn of_sys(tenant: TenantId) -> MountView<'static> {
        Self::built_in(
            "system",
            accessor("system", tenant),
            "system endpoints used for control, policy and debugging",
        )
    }

    fn built_in(
        r#type: &'static str,
        accessor: String,
        description: &'static str,
    ) -> MountView<'static> {
        MountView {
            accessor: Cow::Owned(accessor),
            config: ConfigView {
                default_lease_ttl: 0,
                force_no_cache: false,
                max_lease_ttl: 0,
                listing_visibility: "",
                token_type: "",
            },
            deprecation_status: "supported",
            description,
            external_entropy_access: false,
            local: false,
            options: None,
            plugin_version: "",
            running_plugin_version: concat!("v", env!("CARGO_PKG_VERSION"), "+builtin"),
            running_sha256: "",
            seal_wrap: false,
            r#type,
            uuid: String::new(),
        }
    }
}

/// The accessor of what every add-on has: of the form of other accessors, and the same at each look.
fn accessor(kind: &str, tenant: TenantId) -> String {
    let [a, b, c, d, ..] = tenant.as_bytes();
    format!("{kind}_{}", hex::encode([*a, *b, *c, *d]))
}
