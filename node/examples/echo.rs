//! The ceiling for `scripts/bench`: the same HTTP server with nothing behind it. Answers everything with a small JSON object.

use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8399".to_owned());
    let reply = || async {
        HttpResponse::Ok()
            .content_type("application/json")
            .body(r#"{"data":{"value":"0123456789abcdef"}}"#)
    };
    HttpServer::new(move || App::new().default_service(web::to(reply)))
        .bind(address)?
        .run()
        .await
}
