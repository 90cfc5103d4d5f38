//! The head of a request, taken away from the library.
//!
//! actix keeps heads of requests for reuse. With their headers it would keep the buffers that tokens and bodies came in,
//! and with their URIs the names of secrets, long after an add-on was sealed.

use std::net::SocketAddr;

use actix_web::dev::{ServiceRequest, Url};
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, Uri};

/// What a request says before its body.
pub struct Head {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Who sent it.
    pub peer: Option<SocketAddr>,
}

impl Head {
    /// Takes it, and leaves nothing.
    pub fn take(request: &mut ServiceRequest) -> Self {
        let peer = request.peer_addr();
        request.match_info_mut().set(Url::new(Uri::default()));
        let head = request.head_mut();
        Self {
            method: head.method.clone(),
            uri: std::mem::take(&mut head.uri),
            headers: std::mem::take(&mut head.headers),
            peer,
        }
    }
}
