//! What the publish handler answers with: JSON, never kept by a cache.

use httpd::request::{HandlerResult, Request};
use serde_json::{Value, json};

pub const OK: u16 = 200;
pub const CREATED: u16 = 201;
pub const ACCEPTED: u16 = 202;
pub const BAD_REQUEST: u16 = 400;
pub const FORBIDDEN: u16 = 403;
pub const NOT_FOUND: u16 = 404;
pub const METHOD_NOT_ALLOWED: u16 = 405;
pub const CONTENT_TOO_LARGE: u16 = 413;
pub const UNPROCESSABLE_CONTENT: u16 = 422;
pub const TOO_MANY_REQUESTS: u16 = 429;
pub const INTERNAL_SERVER_ERROR: u16 = 500;
pub const SERVICE_UNAVAILABLE: u16 = 503;

/// Why a request is not served.
pub struct Fault {
    pub status: u16,
    /// A sentence.
    pub reason: String,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}

impl Fault {
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Fault {
            status,
            reason: reason.into(),
            retry_after: (status == SERVICE_UNAVAILABLE).then_some(1),
        }
    }
}

/// A document.
pub fn answer(request: &Request<'_>, status: u16, document: &Value) -> HandlerResult {
    request.set_status(status);
    request.set_content_type("application/json");
    let headers = request.headers_out();
    headers.set(c"Cache-Control", c"no-store");
    headers.set(c"X-Content-Type-Options", c"nosniff");
    headers.set(c"Cross-Origin-Resource-Policy", c"same-origin");
    request.write(&format!("{document}\n"));
    HandlerResult::Done
}

/// An error. What may be left of the body is not worth reading.
pub fn refuse(request: &Request<'_>, fault: &Fault) -> HandlerResult {
    request.close_connection();
    if let Some(seconds) = fault.retry_after {
        let headers = request.headers_out();
        headers.set_text(c"Retry-After", &seconds.to_string());
    }
    request.allow_status(fault.status);
    answer(request, fault.status, &json!({ "error": fault.reason }))
}
