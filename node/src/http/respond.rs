//! Replies: Vault's envelope around data, bare objects, Vault's error list. The headers are the same on all.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{outcome_status, retry_after_s, status_and_messages};
use crate::engines::{Outcome, Reply};
use crate::error::Error;

/// Exactly this, without a charset: some clients compare it to decide whether to read the error list.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a handler answers.
pub enum Answer {
    /// Data in the envelope; nothing to say is 204.
    Enveloped(Reply),
    /// The same, with each member of `data` also at the top level, as Vault's oldest routes have it.
    Flattened(Reply),
    /// An object without envelope.
    Bare(StatusCode, Box<RawValue>),
    /// Text for people and probes.
    Text(StatusCode, String),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Enveloped(reply)
    }
}

impl Answer {
    /// A bare object.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn bare(status: StatusCode, value: &impl Serialize) -> Result<Self, Error> {
        serde_json::value::to_raw_value(value)
            .map(|value| Self::Bare(status, value))
            .map_err(|_| Error::Bug("a reply could not be encoded".into()))
    }
}

/// The status that a result goes out with.
pub fn status_of(result: &Result<Answer, Error>) -> StatusCode {
    match result {
        Ok(Answer::Enveloped(reply) | Answer::Flattened(reply)) if is_empty(reply) => {
            StatusCode::NO_CONTENT
        }
        Ok(Answer::Enveloped(reply) | Answer::Flattened(reply)) => outcome_status(reply.outcome),
        Ok(Answer::Bare(status, _) | Answer::Text(status, _)) => *status,
        Err(error) => status_and_messages(error).0,
    }
}

/// The response to a request that was answered.
pub fn answered(answer: &Answer, request_id: &str) -> HttpResponse {
    match answer {
        Answer::Enveloped(reply) | Answer::Flattened(reply) if is_empty(reply) => {
            start(StatusCode::NO_CONTENT)
                .insert_header((header::CONTENT_TYPE, JSON))
                .finish()
        }
        Answer::Enveloped(reply) => enveloped(reply, request_id, false),
        Answer::Flattened(reply) => enveloped(reply, request_id, true),
        Answer::Bare(status, value) => json(*status, format!("{}\n", value.get())),
        Answer::Text(status, text) => start(*status)
            .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
            .body(text.clone()),
    }
}

/// The response to a request that failed.
pub fn failed(error: &Error) -> HttpResponse {
    #[derive(Serialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let (status, errors) = status_and_messages(error);
    let body = serde_json::to_string(&Errors { errors }).unwrap_or_default();
    let mut response = json(status, body + "\n");
    if let Some(seconds) = retry_after_s(error) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Sends the client to the cleaned path, method and body kept.
pub fn redirect(location: &str) -> HttpResponse {
    start(StatusCode::TEMPORARY_REDIRECT)
        .insert_header((header::LOCATION, location))
        .finish()
}

fn is_empty(reply: &Reply) -> bool {
    reply.outcome == Outcome::Done
        && reply.data.is_none()
        && reply.auth.is_none()
        && reply.warnings.is_empty()
}

/// Writes the envelope by hand: its members are fixed, in Vault's order, and data is already text.
fn enveloped(reply: &Reply, request_id: &str, flatten: bool) -> HttpResponse {
    let data = reply.data.as_deref().map_or("null", RawValue::get);
    let auth = reply.auth.as_deref().map_or("null", RawValue::get);
    let warnings = if reply.warnings.is_empty() {
        "null".to_owned()
    } else {
        serde_json::to_string(&reply.warnings).unwrap_or_else(|_| "null".to_owned())
    };
    let members = match data
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(members) if flatten && !members.is_empty() => format!(",{members}"),
        _ => String::new(),
    };
    let body = format!(
        "{{\"request_id\":\"{request_id}\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":{},\"data\":{data},\
         \"wrap_info\":null,\"warnings\":{warnings},\"auth\":{auth}{members}}}\n",
        reply.lease_duration_s
    );
    json(outcome_status(reply.outcome), body)
}

fn json(status: StatusCode, body: String) -> HttpResponse {
    let mut response = start(status);
    response.insert_header((header::CONTENT_TYPE, JSON));
    // These have no body by definition (RFC 9110, 15.3 and 15.4): one sent all the same would be read as the next reply.
    match status {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => {
            response.finish()
        }
        _ => response.body(body),
    }
}

fn start(status: StatusCode) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    builder
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((
            header::STRICT_TRANSPORT_SECURITY,
            "max-age=31536000; includeSubDomains",
        ));
    builder
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    async fn body(response: HttpResponse) -> Value {
        let bytes = to_bytes(response.into_body()).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[actix::test]
    async fn all_eight_members_are_always_there() {
        let reply = Reply::data(&json!({"keys": ["a"]})).unwrap();
        let response = answered(&Answer::Enveloped(reply), "id");
        assert_eq!(
            response.headers().get("content-type").unwrap(),
            "application/json"
        );
        assert_eq!(
            body(response).await,
            json!({"request_id": "id", "lease_id": "", "renewable": false, "lease_duration": 0,
                "data": {"keys": ["a"]}, "wrap_info": null, "warnings": null, "auth": null})
        );
    }

    #[actix::test]
    async fn old_routes_repeat_their_data_at_the_top() {
        let reply = Reply::data(&json!({"term": 1})).unwrap();
        let body = body(answered(&Answer::Flattened(reply), "id")).await;
        assert_eq!(body["term"], 1);
        assert_eq!(body["data"]["term"], 1);
    }

    #[actix::test]
    async fn nothing_to_say_is_204_and_a_warning_is_200() {
        let empty = Answer::Enveloped(Reply::empty());
        assert_eq!(answered(&empty, "id").status(), 204);
        let warned = Reply::empty().with_warning(Some("careful".into()));
        let response = answered(&Answer::Enveloped(warned), "id");
        assert_eq!(response.status(), 200);
        let body = body(response).await;
        assert_eq!(body["warnings"], json!(["careful"]));
        assert_eq!(body["data"], Value::Null);
    }

    #[actix::test]
    async fn a_status_without_body_gets_none() {
        for status in [204, 205, 304] {
            let status = StatusCode::from_u16(status).unwrap();
            let response = answered(&Answer::bare(status, &json!({"a": 1})).unwrap(), "id");
            let bytes = to_bytes(response.into_body()).await.unwrap();
            assert!(bytes.is_empty(), "{status}");
        }
    }

    #[actix::test]
    async fn errors_are_a_list() {
        assert_eq!(
            body(failed(&Error::not_found())).await,
            json!({"errors": []})
        );
        let busy = failed(&Error::Unavailable("full".into()));
        assert_eq!(busy.headers().get("retry-after").unwrap(), "1");
        assert_eq!(body(busy).await, json!({"errors": ["full"]}));
    }
}
