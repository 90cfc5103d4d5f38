//! Health: Vault's `sys/health` and `sys/leader`, and the probes of load balancers.

use actix_web::http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::fields::{Fields, parse_bool};
use crate::http::request;
use crate::http::respond::Answer;
use crate::node::Node;

/// Vault's health object.
#[derive(Serialize)]
struct Health<'a> {
    initialized: bool,
    sealed: bool,
    standby: bool,
    performance_standby: bool,
    replication_performance_mode: &'static str,
    replication_dr_mode: &'static str,
    server_time_utc: i64,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
}

/// Answers `/healthz` (the process serves) and `/readyz` (send it requests); `None` for other paths.
pub fn probe(node: &Node, path: &str) -> Option<Answer> {
    let (status, text) = match path {
        "healthz" => (StatusCode::OK, "ok\n"),
        "readyz" if node.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        "readyz" if !node.freshness.is_fresh() => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store does not answer\n",
        ),
        "readyz" => (StatusCode::OK, "ok\n"),
        _ => return None,
    };
    Some(Answer::Text(status, text.to_owned()))
}

/// Vault's health: the status code says it all, and the query may choose other codes. It speaks of the default add-on.
///
/// # Errors
/// [`Error::Invalid`] for codes that are none.
pub fn health(node: &Node, uri: &Uri) -> Result<(StatusCode, Box<RawValue>), Error> {
    let query = request::query(uri.query().unwrap_or_default())?;
    let tenant = node.tenants.named(&node.settings.default_addon);
    let status = tenant.as_ref().map(|tenant| tenant.seal().status());
    let initialized = status.as_ref().is_some_and(|status| status.initialized);
    let sealed = status.as_ref().is_none_or(|status| status.sealed);
    // Vault calls a server that serves nothing a standby, and does not know its replication.
    let unknown_mode = if sealed { "unknown" } else { "disabled" };
    let shown = |value| (!sealed).then_some(value);
    let health = Health {
        initialized,
        sealed,
        standby: sealed,
        performance_standby: false,
        replication_performance_mode: unknown_mode,
        replication_dr_mode: unknown_mode,
        server_time_utc: node.clock.now().unix_seconds(),
        version: &node.settings.version,
        cluster_name: shown(node.settings.cluster_name.as_str()),
        cluster_id: tenant
            .as_ref()
            .filter(|_| !sealed)
            .map(|tenant| super::cluster_id(tenant)),
    };
    let code = match (initialized, sealed) {
        (false, _) => code(&query, "uninitcode", 501)?,
        (true, true) => code(&query, "sealedcode", 503)?,
        (true, false) => code(&query, "activecode", 200)?,
    };
    let body = serde_json::value::to_raw_value(&health)
        .map_err(|_| Error::Bug("a reply could not be encoded".into()))?;
    Ok((code, body))
}

/// Every node is active, so there is no leader to tell of.
///
/// # Errors
/// [`Error::Bug`] when it cannot be encoded.
pub fn leader() -> Result<Answer, Error> {
    Answer::bare(StatusCode::OK, &json!({"ha_enabled": false}))
}

/// The code that the query chooses under `name`, else `default`. All of Vault's choices are checked, also the unused.
fn code(query: &Fields, name: &'static str, default: u16) -> Result<StatusCode, Error> {
    for flag in ["standbyok", "perfstandbyok"] {
        if let Some(text) = query.string(flag)?.filter(|text| !text.is_empty()) {
            parse_bool(&text)
                .ok_or_else(|| Error::invalid(flag, format!("bad value for {flag:?}")))?;
        }
    }
    let wrong = || Error::invalid(name, format!("bad value for {name:?}: want a status code"));
    let chosen = query.integer(name).map_err(|_| wrong())?;
    let code = chosen
        .map_or(Ok(default), u16::try_from)
        .map_err(|_| wrong())?;
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| status.as_u16() >= 200)
        .ok_or_else(wrong)
}
