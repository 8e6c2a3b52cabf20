//! What the status handler answers with: never kept by a cache, nor taken for what it is not.

use httpd::request::{HandlerResult, Request};

pub const OK: u16 = 200;
pub const BAD_REQUEST: u16 = 400;
pub const METHOD_NOT_ALLOWED: u16 = 405;
pub const SERVICE_UNAVAILABLE: u16 = 503;

/// One sentence.
pub fn answer(request: &Request<'_>, status: u16, text: &str) -> HandlerResult {
    begin(request, status, "text/plain; charset=utf-8");
    request.write(text);
    request.write("\n");
    HandlerResult::Done
}

/// The head of an answer.
pub fn begin(request: &Request<'_>, status: u16, media_type: &str) {
    request.set_status(status);
    request.set_content_type(media_type);
    let headers = request.headers_out();
    headers.set(c"Cache-Control", c"no-store");
    headers.set(c"X-Content-Type-Options", c"nosniff");
    headers.set(c"Cross-Origin-Resource-Policy", c"same-origin");
    headers.set(c"Referrer-Policy", c"no-referrer");
}
