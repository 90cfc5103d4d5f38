//! A request as the rest of the program sees it: the path canonical, the verb decided, every part within its limit.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::auth::token::id::MAX_TEXT_BYTES as MAX_TOKEN_BYTES;
use crate::duration::GoDuration;
use crate::engines::Verb;
use crate::error::Error;
use crate::fields::{Fields, parse_bool};
use crate::secret::Secret;

/// The longest path and the longest query, in bytes. The longest secret path in use anywhere is far shorter; each
/// directory of a path is a row.
const MAX_PATH_BYTES: usize = 4 * 1024;
const MAX_QUERY_BYTES: usize = 16 * 1024;

/// The longest wrapping time that is looked at.
const MAX_HEADER_BYTES: usize = 256;

/// What is escaped again when a client is sent to the cleaned path.
const PATH_ESCAPES: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    // Browsers take it for a slash.
    .add(b'\\')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// What a path turned out to be.
pub enum PathOutcome {
    /// The canonical path, without the leading slash.
    Path(String),
    /// The client should ask at this location: the path had empty or dot segments.
    Redirect(String),
}

/// One request below `/v1/`.
pub struct Request {
    /// What to do.
    pub verb: Verb,
    /// Below `/v1/`, decoded once, with a trailing slash for lists: the string that routing, policies and Biscuits see.
    pub path: String,
    /// The query, for what reads it.
    pub query: Fields,
    /// The body as sent.
    pub body: Bytes,
    /// Media type of the body in lower case, without parameters.
    pub content_type: Option<String>,
    /// The caller's token.
    pub token: Option<Secret<String>>,
    /// The add-on that the caller names.
    pub namespace: Option<String>,
    /// The host that the caller thinks this is, without port, in lower case.
    pub host: Option<String>,
    /// The reply is to be wrapped for this long.
    pub wrap_ttl: Option<Duration>,
    /// Who calls.
    pub source: Option<IpAddr>,
}

impl Request {
    /// The parameters: the body's of writes and patches, the query's of everything else.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the body is neither a JSON object nor a form.
    pub fn fields(&self) -> Result<Fields, Error> {
        if !matches!(self.verb, Verb::Write | Verb::Patch) {
            return Ok(Fields::default());
        }
        let starts_as_json = matches!(self.body.trim_ascii_start().first(), Some(b'{' | b'['));
        let is_form = self.content_type.as_deref() == Some("application/x-www-form-urlencoded");
        if is_form && !starts_as_json {
            return Fields::from_pairs(
                serde_urlencoded::from_bytes::<Vec<(String, String)>>(&self.body)
                    .map_err(|_| Error::bad_request("failed to parse form data"))?,
            );
        }
        Fields::from_json(&self.body)
    }
}

/// Decodes and checks the path of a URI.
///
/// # Errors
/// [`Error::Invalid`] when it is too long, not UTF-8, or not printable.
pub fn canonical_path(raw: &str) -> Result<PathOutcome, Error> {
    if raw.len() > MAX_PATH_BYTES {
        return Err(Error::bad_request(format!(
            "path is longer than {MAX_PATH_BYTES} bytes"
        )));
    }
    // An escape that is none would be read one way by a proxy and another way here.
    let mut escapes = raw.split('%').skip(1);
    if escapes.any(|rest| {
        let digits = rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        digits < 2
    }) {
        return Err(Error::bad_request("path has an invalid percent escape"));
    }
    let decoded = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| Error::bad_request("path is not valid UTF-8"))?;
    if decoded.chars().any(char::is_control) {
        return Err(Error::bad_request(
            "path cannot contain non-printable characters",
        ));
    }
    let path = decoded.trim_start_matches('/');
    let needs_cleaning = decoded.len() - path.len() > 1
        || path.contains("//")
        || path.split('/').any(|segment| matches!(segment, "." | ".."));
    if !needs_cleaning {
        return Ok(PathOutcome::Path(path.to_owned()));
    }
    let mut clean: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(clean.pop()),
            segment => clean.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !clean.is_empty() {
        "/"
    } else {
        ""
    };
    let clean = format!("/{}{slash}", clean.join("/"));
    Ok(PathOutcome::Redirect(
        utf8_percent_encode(&clean, PATH_ESCAPES).to_string(),
    ))
}

/// Decodes a query string.
///
/// # Errors
/// [`Error::Invalid`] when it is too long or not decodable.
pub fn query(raw: &str) -> Result<Fields, Error> {
    if raw.len() > MAX_QUERY_BYTES {
        return Err(Error::bad_request(format!(
            "query is longer than {MAX_QUERY_BYTES} bytes"
        )));
    }
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(raw)
        .map_err(|_| Error::bad_request("failed to parse the query"))?;
    Fields::from_pairs(pairs)
}

/// What the method and the query together ask for.
///
/// # Errors
/// [`Error::UnsupportedOperation`] for other methods, [`Error::Invalid`] for `list` and `scan` that are no booleans.
pub fn verb(method: &Method, query: &Fields) -> Result<Verb, Error> {
    match method.as_str() {
        "GET" => {}
        "LIST" => return Ok(Verb::List),
        "SCAN" => return Ok(Verb::Scan),
        "POST" | "PUT" => return Ok(Verb::Write),
        "PATCH" => return Ok(Verb::Patch),
        "DELETE" => return Ok(Verb::Delete),
        _ => return Err(Error::UnsupportedOperation),
    }
    let flag = |name: &'static str| match query.string(name)?.as_deref() {
        None | Some("") => Ok(false),
        Some(text) => parse_bool(text)
            .ok_or_else(|| Error::invalid(name, format!("{name} must be true or false"))),
    };
    match (flag("list")?, flag("scan")?) {
        (true, true) => Err(Error::bad_request("list and scan exclude each other")),
        (true, false) => Ok(Verb::List),
        (false, true) => Ok(Verb::Scan),
        (false, false) => Ok(Verb::Read),
    }
}

/// The token: `X-Vault-Token`, else a bearer token.
///
/// # Errors
/// [`Error::Denied`] when it is longer than any valid one.
pub fn token(headers: &HeaderMap) -> Result<Option<Secret<String>>, Error> {
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    };
    let text = match headers.get("x-vault-token") {
        Some(value) => value.to_str().ok(),
        None => bearer(),
    };
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) if text.len() > MAX_TOKEN_BYTES => Err(Error::no_token()),
        text => Ok(text.map(|text| Secret::new(text.to_owned()))),
    }
}

/// The add-on named by `X-Vault-Namespace`, with or without slashes; `root` and nothing mean none.
pub fn namespace(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-vault-namespace")?.to_str().unwrap_or("?");
    let text = text.trim().trim_matches('/');
    (!text.is_empty() && text != "root").then(|| text.to_owned())
}

/// How long the reply is to be wrapped; `None` for not at all.
///
/// # Errors
/// [`Error::Invalid`] in Vault's words.
pub fn wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get("x-vault-wrap-ttl") else {
        return Ok(None);
    };
    let wrong =
        |why: &str| Error::bad_request(format!("error parsing X-Vault-Wrap-TTL header: {why}"));
    let text = value
        .to_str()
        .ok()
        .filter(|text| text.len() <= MAX_HEADER_BYTES)
        .ok_or_else(|| wrong("not a duration"))?;
    let ttl = GoDuration::parse("X-Vault-Wrap-TTL", text).map_err(|_| wrong("not a duration"))?;
    let ttl = ttl
        .unsigned()
        .ok_or_else(|| wrong("requested wrap ttl is negative"))?;
    Ok(Some(ttl).filter(|ttl| !ttl.is_zero()))
}

/// The media type without parameters, in lower case.
pub fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (media_type, _) = value.split_once(';').unwrap_or((value, ""));
    Some(media_type.trim().to_ascii_lowercase())
}

/// The host name of the request, without port, in lower case.
pub fn host(headers: &HeaderMap, uri_host: Option<&str>) -> Option<String> {
    let host = match uri_host {
        Some(host) => host,
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    Some(name.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> String {
        match canonical_path(raw).unwrap() {
            PathOutcome::Path(path) => path,
            PathOutcome::Redirect(location) => format!("-> {location}"),
        }
    }

    #[test]
    fn paths_are_decoded_once_and_cleaned() {
        for (raw, expected) in [
            ("/v1/secret/data/a", "v1/secret/data/a"),
            ("/v1/kv%2Fnested/x", "v1/kv/nested/x"),
            ("/v1/secret/a%2520b", "v1/secret/a%20b"),
            ("/v1/secret/a%20b/", "v1/secret/a b/"),
            ("/v1//sys/mounts", "-> /v1/sys/mounts"),
            ("/v1/a/../b/", "-> /v1/b/"),
            ("/v1/a/%2e%2e/b%20c", "-> /v1/b%20c"),
            ("/../..", "-> /"),
        ] {
            assert_eq!(path(raw), expected, "{raw}");
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = format!("/v1/{}", "a".repeat(MAX_PATH_BYTES));
        for raw in [
            "/v1/%00",
            "/v1/%ff",
            "/v1/a%0Ab",
            "/v1/%zz",
            "/v1/a%2",
            &long,
        ] {
            assert!(canonical_path(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn verbs_come_from_method_and_query() {
        let ask = |method: &str, raw: &str| {
            verb(
                &Method::from_bytes(method.as_bytes()).unwrap(),
                &query(raw).unwrap(),
            )
        };
        assert_eq!(ask("GET", "list=true").unwrap(), Verb::List);
        assert_eq!(ask("GET", "list=1").unwrap(), Verb::List);
        assert_eq!(ask("GET", "list=false").unwrap(), Verb::Read);
        assert_eq!(ask("LIST", "").unwrap(), Verb::List);
        assert_eq!(ask("PUT", "").unwrap(), Verb::Write);
        assert_eq!(ask("POST", "").unwrap(), Verb::Write);
        assert!(ask("GET", "list=maybe").is_err());
        assert!(ask("GET", "list=true&scan=true").is_err());
        assert!(matches!(ask("TRACE", ""), Err(Error::UnsupportedOperation)));
    }

    #[test]
    fn headers_are_read_as_vault_reads_them() {
        let headers = |name: &str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name.parse().unwrap(), value.parse().unwrap());
            headers
        };
        let token_of = |name, value| {
            let token = token(&headers(name, value)).unwrap();
            token.map(|token| token.expose().clone())
        };
        assert_eq!(token_of("x-vault-token", "abc").as_deref(), Some("abc"));
        assert_eq!(
            token_of("authorization", "Bearer abc").as_deref(),
            Some("abc")
        );
        assert_eq!(token_of("authorization", "Basic abc"), None);
        assert!(token(&headers("x-vault-token", &"x".repeat(9000))).is_err());
        assert_eq!(
            namespace(&headers("x-vault-namespace", "/a/")).as_deref(),
            Some("a")
        );
        assert_eq!(namespace(&headers("x-vault-namespace", "root/")), None);
        let minute = Some(Duration::from_secs(60));
        assert_eq!(
            wrap_ttl(&headers("x-vault-wrap-ttl", "1m0s")).unwrap(),
            minute
        );
        assert_eq!(wrap_ttl(&headers("x-vault-wrap-ttl", "0")).unwrap(), None);
        assert!(wrap_ttl(&headers("x-vault-wrap-ttl", "-1s")).is_err());
        assert_eq!(
            host(&headers("host", "A.Example:8200"), None).as_deref(),
            Some("a.example")
        );
        assert_eq!(
            content_type(&headers("content-type", "Application/JSON; charset=utf-8")).as_deref(),
            Some("application/json")
        );
    }
}
