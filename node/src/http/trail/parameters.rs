//! What was sent along with a request, as JSON, for its lines.

use actix_web::web::Bytes;
use serde_json::value::RawValue;

use crate::engines::Verb;
use crate::http::request::Request;

/// What was sent along, as JSON.
pub enum Parameters {
    /// Nothing, or nothing readable.
    None,
    /// A body that is an object.
    Body(Bytes),
    /// A form or a query.
    Pairs(String),
}

impl Parameters {
    /// Those of a request. A body that is no object is left out.
    pub fn of(request: &Request) -> Self {
        let is_written = matches!(request.verb, Verb::Write | Verb::Patch);
        if is_written && request.body.trim_ascii_start().first() == Some(&b'{') {
            return match serde_json::from_slice::<&RawValue>(&request.body) {
                Ok(_) => Self::Body(request.body.clone()),
                Err(_) => Self::None,
            };
        }
        members(request).map_or(Self::None, Self::Pairs)
    }

    /// As JSON.
    pub fn json(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Body(body) => std::str::from_utf8(body).ok(),
            Self::Pairs(pairs) => Some(pairs),
        }
    }
}

/// The parameters of a form or a query as JSON.
fn members(request: &Request) -> Option<String> {
    let form;
    let fields = match request.verb {
        Verb::Write | Verb::Patch => {
            form = request.fields().ok()?;
            &form
        }
        _ => &request.query,
    };
    let mut json = String::new();
    for name in fields.names() {
        json.push(if json.is_empty() { '{' } else { ',' });
        json.push_str(&serde_json::Value::from(name).to_string());
        json.push(':');
        json.push_str(&fields.raw(name)?);
    }
    (!json.is_empty()).then(|| json + "}")
}
