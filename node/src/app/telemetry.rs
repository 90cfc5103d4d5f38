//! The operator's listener for Prometheus: `GET /metrics`, for the node and all its add-ons.
//!
//! It is apart from the API because it tells of every add-on. What one add-on may know of itself is at `sys/metrics`.

use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};

use super::tls;
use crate::config::Telemetry;
use crate::error::Error;
use crate::metrics::scrape;
use crate::node::Node;

/// Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Binds the listener.
///
/// # Errors
/// [`Error::Invalid`] when that is not possible.
pub fn listen(node: &Arc<Node>, settings: &Telemetry) -> Result<Server, Error> {
    let node = Data::from(Arc::clone(node));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(node.clone())
            .route("/metrics", web::get().to(metrics))
    })
    .workers(1)
    .client_request_timeout(super::HEAD_TIMEOUT)
    .shutdown_timeout(1)
    .disable_signals();
    let address = settings.address;
    let server = match &settings.tls {
        None => server.bind(address),
        Some(files) => server.bind_rustls_0_23(address, tls::server_config(files)?),
    };
    let server = server.map_err(|error| {
        let message = format!("cannot listen on {address}: {error}");
        Error::invalid("prometheus_address", message)
    })?;
    for address in server.addrs() {
        tracing::info!(%address, "metrics are at /metrics");
    }
    Ok(server.run())
}

async fn metrics(node: Data<Node>) -> HttpResponse {
    match scrape::text(&node) {
        Ok(text) => HttpResponse::Ok().content_type(TEXT_FORMAT).body(text),
        Err(error) => {
            tracing::error!(%error, "metrics could not be shown");
            HttpResponse::InternalServerError().finish()
        }
    }
}
