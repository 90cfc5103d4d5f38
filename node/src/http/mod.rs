//! The HTTP edge, thin: a request is parsed, one call is made, its result is encoded.
//!
//! [`route`] is the route table. What stands before it is for everybody (probes, seal state); everything else goes
//! through a [`Session`]: add-on, caller, rights. Status codes are chosen in [`error`] only.

mod engines;
mod error;
mod operator;
mod request;
mod respond;
mod session;
mod sys;
mod token;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::web::{BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use tracing::Instrument;

use self::request::{PathOutcome, Request};
use self::respond::{Answer, answered, failed, redirect};
use self::session::Session;
use crate::engines::Verb;
use crate::error::Error;
use crate::node::Node;

/// What one listener serves.
pub struct Endpoint {
    /// The node.
    pub node: Arc<Node>,
    /// The longest body, in bytes.
    pub max_request_bytes: usize,
    /// How long a request may take.
    pub max_request_duration: Duration,
}

/// Serves one request.
pub async fn serve(http: HttpRequest, payload: Payload, endpoint: Data<Endpoint>) -> HttpResponse {
    let node = &endpoint.node;
    let path = match request::canonical_path(http.uri().path()) {
        Ok(PathOutcome::Path(path)) => path,
        Ok(PathOutcome::Redirect(location)) => {
            let query = http.uri().query().map(|query| format!("?{query}"));
            return redirect(&(location + query.as_deref().unwrap_or_default()));
        }
        Err(error) => return failed(&error),
    };
    if let Some(probe) = sys::health::probe(node, &path) {
        return answered(&probe, "");
    }
    let _in_flight = match node.enter() {
        Ok(in_flight) => in_flight,
        Err(error) => return failed(&error),
    };
    let Some(path) = path.strip_prefix("v1/").filter(|path| !path.is_empty()) else {
        return failed(&Error::not_found());
    };
    if http.method() == Method::HEAD && path == "sys/health" {
        return match sys::health::health(node, &http) {
            Ok((status, _)) => HttpResponse::new(status),
            Err(error) => failed(&error),
        };
    }
    let id = node.random.uuid();
    let span = tracing::debug_span!("request", %id, method = %http.method(), path);
    let handled = tokio::time::timeout(
        endpoint.max_request_duration,
        handle(&endpoint, &http, payload, path).instrument(span),
    );
    let result = handled.await.unwrap_or_else(|_| {
        Err(Error::Unavailable(
            "the request took longer than max_request_duration".into(),
        ))
    });
    match result {
        Ok(answer) => answered(&answer, &id.hyphenated().to_string()),
        Err(error) => {
            if matches!(error, Error::Bug(_) | Error::Corrupt(_)) {
                tracing::error!(%id, %error, "a request failed");
            }
            failed(&error)
        }
    }
}

async fn handle(
    endpoint: &Endpoint,
    http: &HttpRequest,
    payload: Payload,
    path: &str,
) -> Result<Answer, Error> {
    let headers = http.headers();
    let query = request::query(http.uri().query().unwrap_or_default())?;
    let verb = request::verb(http.method(), &query)?;
    let mut path = path.to_owned();
    if matches!(verb, Verb::List | Verb::Scan) && !path.ends_with('/') {
        path.push('/');
    }
    let request = Request {
        verb,
        path,
        query,
        body: body(payload, endpoint.max_request_bytes).await?,
        content_type: request::content_type(headers),
        token: request::token(headers)?,
        namespace: request::namespace(headers),
        host: request::host(headers, http.uri().host()),
        wrap_ttl: request::wrap_ttl(headers)?,
        source: http.peer_addr().map(|address| address.ip()),
    };
    if request.path.trim_end_matches('/') == "sys/health" {
        let (status, body) = sys::health::health(&endpoint.node, http)?;
        return Ok(Answer::Bare(status, body));
    }
    route(&endpoint.node, &request).await
}

/// Reads the whole body, which must not be longer than `max_bytes`.
async fn body(mut payload: Payload, max_bytes: usize) -> Result<actix_web::web::Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::bad_request("the body could not be read"))?;
        if body.len() + chunk.len() > max_bytes {
            return Err(Error::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The route table.
async fn route(node: &Node, request: &Request) -> Result<Answer, Error> {
    let path = request.path.as_str();
    match (path, request.verb) {
        ("sys/seal-status", Verb::Read) => return sys::seal::status(node, request).await,
        ("sys/leader", Verb::Read) => return sys::health::leader(),
        ("sys/init", Verb::Read) => return sys::seal::init_status(node, request).await,
        ("sys/init", Verb::Write) => return sys::seal::init(node, request).await,
        ("sys/unseal", Verb::Write) => return sys::seal::unseal(node, request).await,
        ("sys/seal", Verb::Write) => return sys::seal::seal(node, request).await,
        ("sys/seal-status" | "sys/leader" | "sys/init" | "sys/unseal" | "sys/seal", _) => {
            return no_such_verb();
        }
        ("auth/token/lookup-self" | "auth/token/revoke-self", _) => {
            if let Some(answer) = token::of_biscuit(node, request).await? {
                return Ok(answer);
            }
        }
        ("sys/internal/ui/mounts", Verb::Read) if request.token.is_none() => {
            return sys::preflight::visible_to_all(node, request);
        }
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("conclave/addons") {
        return operator::route(node, request, rest).await;
    }
    refuse_wrapping(request)?;
    let started = node.clock.since_boot();
    let session = Session::open(node, request).await?;
    let result = within(&session).await;
    session.tenant.metrics().request(
        session::plain_operation(request.verb).as_str(),
        respond::status_of(&result).as_u16(),
        node.clock.since_boot().saturating_sub(started),
    );
    result
}

/// The routes within an unsealed add-on.
async fn within(session: &Session<'_>) -> Result<Answer, Error> {
    let answer = match session.request.path.split_once('/') {
        Some(("sys", rest)) => sys::route(session, rest).await,
        Some(("auth", rest)) => token::route(session, rest).await,
        _ => engines::route(session).await,
    };
    session.end_spent_token().await?;
    let answer = answer?;
    session.still_open()?;
    Ok(answer)
}

/// A caller who wants the reply wrapped must not get it plain.
fn refuse_wrapping(request: &Request) -> Result<(), Error> {
    match request.wrap_ttl {
        None => Ok(()),
        Some(_) => Err(Error::bad_request(
            "response wrapping is not supported by this server; send the request without X-Vault-Wrap-TTL",
        )),
    }
}

/// A bare route with a verb that it does not have: Vault says nothing about it.
fn no_such_verb() -> Result<Answer, Error> {
    Answer::bare(
        StatusCode::METHOD_NOT_ALLOWED,
        &serde_json::json!({"errors": []}),
    )
}
