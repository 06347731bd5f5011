//! The page: a few files that are compiled in.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::routing::{MethodRouter, get};

/// Nothing but this server's own files runs, and nobody else frames the page. `'self'` includes the
/// WebSocket of the same origin.
const POLICY: &str = "default-src 'self'; img-src data:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Serves the page at `/`, and what it needs.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", file("text/html", include_str!("index.html")))
        .route("/chat.css", file("text/css", include_str!("chat.css")))
        .route("/chat.js", file("text/javascript", include_str!("chat.js")))
        .route("/stomp.js", file("text/javascript", include_str!("stomp.js")))
}

fn file(content_type: &str, content: &'static str) -> MethodRouter {
    let headers = [
        (CONTENT_TYPE, format!("{content_type}; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    get(async move || (headers.clone(), content))
}
