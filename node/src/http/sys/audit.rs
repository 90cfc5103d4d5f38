//! `sys/audit` and `sys/audit-hash`. The devices are the node's: an add-on sees which there are, but not their files, and
//! changes nothing about them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::http::respond::Answer;
use crate::http::session::{Session, plain_operation};

/// A device in Vault's terms.
#[derive(Serialize)]
struct DeviceView {
    r#type: &'static str,
    description: &'static str,
    options: BTreeMap<&'static str, &'static str>,
    local: bool,
    path: String,
}

/// `sys/audit` and what is below it.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for any change.
pub async fn route(session: &Session<'_>, name: &str) -> Result<Answer, Error> {
    let fields = session.request.fields()?;
    let operation = plain_operation(session.request.verb);
    session.authorize(operation, &fields).await?;
    match (name, session.request.verb) {
        ("", Verb::Read) => {
            let devices = session.node.audit.devices().iter();
            let devices: BTreeMap<String, DeviceView> = devices
                .map(|device| {
                    let path = format!("{}/", device.options().name);
                    let view = DeviceView {
                        r#type: "file",
                        description: "",
                        options: BTreeMap::new(),
                        local: true,
                        path: path.clone(),
                    };
                    (path, view)
                })
                .collect();
            Reply::data(&devices).map(Answer::Flattened)
        }
        ("", _) => Err(Error::UnsupportedOperation),
        (_, Verb::Write | Verb::Delete) => Err(Error::bad_request(
            "audit devices are the operator's: they are set by audit \"file\" {} in the nodes' configuration",
        )),
        _ => Err(Error::UnsupportedOperation),
    }
}

/// `sys/audit-hash/:path`: what stands in the log for a value of this add-on.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for an unknown device.
pub async fn hash(session: &Session<'_>, name: &str) -> Result<Answer, Error> {
    let fields = session.request.fields()?;
    let operation = plain_operation(session.request.verb);
    session.authorize(operation, &fields).await?;
    if session.request.verb != Verb::Write {
        return Err(Error::UnsupportedOperation);
    }
    let name = name.trim_matches('/');
    let mut devices = session.node.audit.devices().iter();
    if !devices.any(|device| device.options().name == name) {
        return Err(Error::bad_request(format!(
            "unknown audit backend \"{name}/\""
        )));
    }
    let input = fields.required_string("input", "the \"input\" parameter is empty")?;
    let hash = session.opened.tenant.audit_salt().hash(&input);
    Reply::data(&json!({ "hash": hash })).map(Answer::Flattened)
}
