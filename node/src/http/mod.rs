//! The HTTP edge, thin: a request is parsed, one call is made, its result is encoded.
//!
//! [`bare`] and [`within`] are the route table. The first has what must work while an add-on is sealed and decides for
//! itself who may use it; everything else goes through a [`Session`]: add-on, caller, rights. Status codes are chosen in
//! [`error`] only.

pub mod body;
mod cluster;
mod engines;
mod error;
mod head;
mod operator;
mod request;
mod respond;
mod session;
mod sys;
mod token;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use tokio::sync::SemaphorePermit;
use tracing::Instrument;

use self::head::Head;
use self::request::{PathOutcome, Request};
use self::respond::{Answer, answered, failed, redirect};
use self::session::{Caller, Session};
use self::trail::Trail;
use crate::engines::Verb;
use crate::error::Error;
use crate::metrics::route;
use crate::node::Node;

/// What the paths of the API begin with.
const API: &str = "v1/";

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
///
/// # Errors
/// None.
pub async fn serve(
    mut request: ServiceRequest,
    endpoint: Arc<Endpoint>,
) -> Result<ServiceResponse, actix_web::Error> {
    let head = Head::take(&mut request);
    let (http, payload) = request.into_parts();
    let response = respond_to(&head, payload, &endpoint).await;
    Ok(ServiceResponse::new(http, response))
}

async fn respond_to(http: &Head, payload: Payload, endpoint: &Endpoint) -> HttpResponse {
    let node = &endpoint.node;
    let path = match request::canonical_path(http.uri.path()) {
        Ok(PathOutcome::Path(path)) => Ok(path),
        Ok(PathOutcome::Redirect(location)) => {
            let query = http.uri.query().map(|query| format!("?{query}"));
            return redirect(&(location + query.as_deref().unwrap_or_default()));
        }
        Err(error) => Err(error),
    };
    if let Some(probe) = path
        .as_ref()
        .ok()
        .and_then(|path| sys::health::probe(node, path))
    {
        return answered(&probe, "");
    }
    let _in_flight = match node.enter() {
        Ok(in_flight) => in_flight,
        Err(error) => return failed(&error),
    };
    let is_api = match &path {
        Ok(path) => path.len() > API.len() && path.starts_with(API),
        Err(_) => http.uri.path().trim_start_matches('/').starts_with(API),
    };
    if !is_api {
        return failed(&path.err().unwrap_or_else(Error::not_found));
    }
    let path = path.map(|path| path.strip_prefix(API).unwrap_or(&path).to_owned());
    if http.method == Method::HEAD && path.as_deref().is_ok_and(|path| path == "sys/health") {
        return match sys::health::health(node, &http.uri) {
            Ok((status, _)) => HttpResponse::new(status),
            Err(error) => failed(&error),
        };
    }
    answer(endpoint, http, payload, path).await
}

/// Answers one request to the API within its time, with an audit line before and after.
async fn answer(
    endpoint: &Endpoint,
    http: &Head,
    payload: Payload,
    path: Result<String, Error>,
) -> HttpResponse {
    let node = &endpoint.node;
    let started = node.clock.since_boot();
    let id = node.random.uuid().hyphenated().to_string();
    let span = tracing::info_span!("request", id);
    let mut trail = Trail::new(node, id, http.peer);
    let (result, audited) = async {
        let result = match path {
            Err(error) => Err(error),
            Ok(path) => match parse(http, &path) {
                Err(error) => Err(error),
                Ok(request) => tokio::time::timeout(
                    endpoint.max_request_duration,
                    handle(endpoint, http, request, payload, &mut trail),
                )
                .await
                .unwrap_or_else(|_| {
                    Err(Error::Unavailable(
                        "the request took longer than max_request_duration".into(),
                    ))
                }),
            },
        };
        if let Err(error @ (Error::Bug(_) | Error::Corrupt(_))) = &result {
            tracing::error!(%error, "a request failed");
        }
        let raw_path = http.uri.path().trim_start_matches('/');
        let raw_path = raw_path.strip_prefix(API).unwrap_or(raw_path);
        let audited = trail.finish(http.method.as_str(), raw_path, &result).await;
        (result, audited)
    }
    .instrument(span)
    .await;
    let result = audited.and(result);
    node.metrics.request(
        trail.route,
        respond::status_of(&result).as_u16(),
        node.clock.since_boot().saturating_sub(started),
    );
    match result {
        Ok(answer) => answered(&answer, trail.id()),
        Err(error) => failed(&error),
    }
}

async fn handle(
    endpoint: &Endpoint,
    http: &Head,
    mut request: Request,
    payload: Payload,
    trail: &mut Trail<'_>,
) -> Result<Answer, Error> {
    let node = &endpoint.node;
    trail.route = route::label(&request.path, None);
    if request.path == "sys/health" {
        trail.exempt();
        if request.verb != Verb::Read {
            return no_such_verb();
        }
        let (status, body) = sys::health::health(node, &http.uri)?;
        return Ok(Answer::Bare(status, body));
    }
    let started = node.clock.since_boot();
    let admitted = match admit(endpoint, &mut request, payload).await {
        Ok(admitted) => admitted,
        Err(error) => {
            trail.request(node, &request, None, Some(&error)).await?;
            return Err(error);
        }
    };
    if tells_nothing(&request) {
        trail.exempt();
    }
    let caller = match admitted.route {
        Route::Within(caller) => caller,
        Route::Bare => {
            trail.request(node, &request, None, None).await?;
            return bare(node, &request).await;
        }
        Route::OfBiscuit => {
            trail.request(node, &request, None, None).await?;
            return token::of_biscuit(node, &request).await;
        }
    };
    if let Some((mounted, rest)) = caller.opened.tenant.route(&request.path) {
        trail.route = route::label(&request.path, Some((mounted.mount.kind, rest)));
    }
    trail.request(node, &request, Some(&caller), None).await?;
    let session = Session::new(node, &request, caller);
    let result = within(&session).await;
    session.tenant.metrics().request(
        session::plain_operation(request.verb).as_str(),
        respond::status_of(&result).as_u16(),
        node.clock.since_boot().saturating_sub(started),
    );
    result
}

/// The request without its body.
fn parse(http: &Head, path: &str) -> Result<Request, Error> {
    let headers = &http.headers;
    let query = request::query(http.uri.query().unwrap_or_default())?;
    let verb = request::verb(&http.method, &query)?;
    let mut path = path.to_owned();
    if matches!(verb, Verb::List | Verb::Scan) && !path.ends_with('/') {
        path.push('/');
    }
    Ok(Request {
        verb,
        path,
        query,
        body: Bytes::new(),
        content_type: request::content_type(headers),
        token: request::token(headers)?,
        namespace: request::namespace(headers),
        host: request::host(headers, http.uri.host()),
        wrap_ttl: request::wrap_ttl(headers)?,
        source: http.peer.map(|address| address.ip()),
    })
}

/// Where a request goes on.
enum Route {
    /// To what decides by itself who may use it.
    Bare,
    /// To what the bearer of a Biscuit may ask about it.
    OfBiscuit,
    /// Into an unsealed add-on.
    Within(Caller),
}

/// A request that may go on, with room for its body.
struct Admitted<'n> {
    route: Route,
    _room: Option<SemaphorePermit<'n>>,
}

/// Finds out where a request goes on, and reads its body. Who calls is known before: memory is for callers who have a
/// token.
async fn admit<'n>(
    endpoint: &'n Endpoint,
    request: &mut Request,
    payload: Payload,
) -> Result<Admitted<'n>, Error> {
    let node = &endpoint.node;
    refuse_wrapping(request)?;
    let route = if token::concerns_biscuit(node, request)? {
        Route::OfBiscuit
    } else if is_bare(request) {
        Route::Bare
    } else {
        Route::Within(Caller::of(node, request).await?)
    };
    let max_bytes = match route {
        Route::Within(_) => endpoint.max_request_bytes,
        Route::Bare | Route::OfBiscuit => endpoint.max_request_bytes.min(MAX_BARE_BYTES),
    };
    let (body, room) = body::read(payload, max_bytes, &node.body_room).await?;
    request.body = body;
    Ok(Admitted { route, _room: room })
}

/// What anybody may ask and learns nothing of an add-on's content by. Clients ask it all the time.
fn tells_nothing(request: &Request) -> bool {
    request.verb == Verb::Read
        && match request.path.as_str() {
            "sys/seal-status" | "sys/leader" | "sys/init" => true,
            "sys/internal/ui/mounts" => request.token.is_none(),
            _ => false,
        }
}

/// Whether the route decides by itself who may use it, without an unsealed add-on.
fn is_bare(request: &Request) -> bool {
    match request.path.as_str() {
        "sys/seal-status" | "sys/leader" | "sys/init" | "sys/unseal" | "sys/seal" => true,
        "sys/internal/ui/mounts" => request.token.is_none(),
        "conclave/cluster" | "conclave/metrics" => true,
        path => path.starts_with("conclave/addons") || sys::ceremony::is_bare(path),
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
        ("conclave/cluster", _) => cluster::status(node, request),
        (path, _) if sys::ceremony::is_bare(path) => {
            let answer = sys::ceremony::bare(node, request).await?;
            answer.map_or_else(no_such_verb, Ok)
        }
        (path, _) => match path.strip_prefix("conclave/addons") {
            Some(rest) => operator::route(node, request, rest).await,
            None => no_such_verb(),
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
    // What a ceremony's last step hands out exists once: it leaves even if the add-on was sealed meanwhile.
    if !sys::ceremony::is_enveloped(&session.request.path) {
        session.still_open().await?;
    }
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
