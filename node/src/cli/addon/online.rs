//! The registry of a running node: `/v1/conclave/addons`.

use serde_json::{Value, json};
use ureq::http::StatusCode;

use super::super::Failure;
use super::super::client::{CallError, Client, encode_path};
use super::{AddOn, Request};

const ROUTE: &str = "conclave/addons";

pub(super) fn ask(client: &Client, request: &Request<'_>) -> Result<Vec<AddOn>, CallError> {
    let answer = match request {
        Request::Create { name, org } => {
            client.post(ROUTE, &json!({ "name": name, "org": org }))?
        }
        Request::List => client.get(&format!("{ROUTE}?list=true"))?,
        Request::Find(addon) => client.get(&format!("{ROUTE}/{}", encode_path(addon)))?,
        Request::Delete(id) => client.delete(&format!("{ROUTE}/{id}"))?,
    };
    if matches!(request, Request::List) && answer.status == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    let data = answer.data().map_err(CallError::Failed)?;
    let addons = match request {
        Request::Create { .. } | Request::Find(_) => addon(data.clone()).map(|addon| vec![addon]),
        Request::List => listed(data),
        Request::Delete(_) => Some(Vec::new()),
    };
    addons.ok_or_else(|| {
        CallError::Failed(Failure::Remote(format!(
            "{} answered something else than an add-on; is it a Conclave node?",
            client.address()
        )))
    })
}

fn addon(data: Value) -> Option<AddOn> {
    serde_json::from_value(data).ok()
}

/// A list says of each add-on what `key_info` has; tokens are not minted from it, so epochs do not matter.
fn listed(data: &Value) -> Option<Vec<AddOn>> {
    let information = data.get("key_info")?;
    let ids = data.get("keys")?.as_array()?;
    ids.iter()
        .map(|id| {
            let mut row = information.get(id.as_str()?)?.as_object()?.clone();
            row.insert("id".into(), id.clone());
            row.entry("root_token_epoch").or_insert(Value::from(0));
            row.entry("user_token_epoch").or_insert(Value::from(0));
            addon(Value::Object(row))
        })
        .collect()
}
