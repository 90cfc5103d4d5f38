//! The HTTP edge, thin: a request is parsed, one call is made, its result is encoded.
//!
//! [`bare`] and [`within`] are the route table. The first has what must work while an add-on is sealed and decides for
//! itself who may use it; everything else goes through a [`Session`]: add-on, caller, rights. Status codes are chosen in
//! [`error`] only.

pub mod body;
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
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tracing::Instrument;

use self::request::{PathOutcome, Request};
use self::respond::{Answer, answered, failed, redirect};
use self::session::{Caller, Session};
use crate::engines::Verb;
use crate::error::Error;
use crate::node::Node;

/// The longest body of a request that needs no token of an unsealed add-on. Shares and add-on names are short.
const MAX_BARE_BYTES: usize = 64 * 1024;

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
    let mut request = Request {
        verb,
        path,
        query,
        body: Bytes::new(),
        content_type: request::content_type(headers),
        token: request::token(headers)?,
        namespace: request::namespace(headers),
        host: request::host(headers, http.uri().host()),
        wrap_ttl: request::wrap_ttl(headers)?,
        source: http.peer_addr().map(|address| address.ip()),
    };
    refuse_wrapping(&request)?;
    let node = &endpoint.node;
    if request.path == "sys/health" {
        if request.verb != Verb::Read {
            return no_such_verb();
        }
        let (status, body) = sys::health::health(node, http)?;
        return Ok(Answer::Bare(status, body));
    }
    if let Some(answer) = token::of_biscuit(node, &request).await? {
        return Ok(answer);
    }
    // Who calls is known before the body is read: memory is for callers who have a token.
    let started = node.clock.since_boot();
    let caller = match is_bare(&request) {
        true => None,
        false => Some(Caller::of(node, &request).await?),
    };
    let max_bytes = match caller {
        Some(_) => endpoint.max_request_bytes,
        None => endpoint.max_request_bytes.min(MAX_BARE_BYTES),
    };
    let (body, _room) = body::read(payload, max_bytes, &node.body_room).await?;
    request.body = body;
    let Some(caller) = caller else {
        return bare(node, &request).await;
    };
    let session = Session::new(node, &request, caller);
    let result = within(&session).await;
    session.tenant.metrics().request(
        session::plain_operation(request.verb).as_str(),
        respond::status_of(&result).as_u16(),
        node.clock.since_boot().saturating_sub(started),
    );
    result
}

/// Whether the route decides by itself who may use it, without an unsealed add-on.
fn is_bare(request: &Request) -> bool {
    match request.path.as_str() {
        "sys/seal-status" | "sys/leader" | "sys/init" | "sys/unseal" | "sys/seal" => true,
        "sys/internal/ui/mounts" => request.token.is_none(),
        path if path.strip_prefix("sys/").is_some_and(sys::is_ceremony) => true,
        path => path.starts_with("conclave/addons") || path == "conclave/metrics",
    }
}

/// The route table, for the routes of [`is_bare`].
async fn bare(node: &Node, request: &Request) -> Result<Answer, Error> {
    match (request.path.as_str(), request.verb) {
        ("sys/seal-status", Verb::Read) => sys::seal::status(node, request).await,
        ("sys/leader", Verb::Read) => sys::health::leader(),
        ("sys/init", Verb::Read) => sys::seal::init_status(node, request).await,
        ("sys/init", Verb::Write) => sys::seal::init(node, request).await,
        ("sys/unseal", Verb::Write) => sys::seal::unseal(node, request).await,
        ("sys/seal", Verb::Write) => sys::seal::seal(node, request).await,
        ("sys/internal/ui/mounts", Verb::Read) => sys::preflight::visible_to_all(node, request),
        ("conclave/metrics", Verb::Read) => operator::metrics(node, request),
        (path, _) => match (
            path.strip_prefix("sys/"),
            path.strip_prefix("conclave/addons"),
        ) {
            (Some(rest), _) if sys::is_ceremony(rest) => {
                let answer = sys::ceremony(node, request, rest).await?;
                answer.map_or_else(no_such_verb, Ok)
            }
            (_, Some(rest)) => operator::route(node, request, rest).await,
            _ => no_such_verb(),
        },
    }
}

/// The route table, for the routes within an unsealed add-on.
async fn within(session: &Session<'_>) -> Result<Answer, Error> {
    let answer = match session.request.path.split_once('/') {
        Some(("sys", rest)) => sys::route(session, rest).await,
        Some(("auth", rest)) => token::route(session, rest).await,
        _ => engines::route(session).await,
    };
    if let Err(error) = session.end_spent_token().await {
        // It is refused from now on all the same; the sweep removes it.
        tracing::warn!(%error, "a token without uses left could not be revoked");
    }
    let answer = answer?;
    session.still_open().await?;
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
