//! The message that a request brings.

use httpd::content::Body;
use httpd::request::Request;
use topics::Kind;

use super::answer::{BAD_REQUEST, CONTENT_TOO_LARGE, Fault};

/// The most bytes of an Idempotency-Key.
const LONGEST_KEY: usize = 255;

/// A message that is to be published.
pub struct Draft {
    pub kind: Kind,
    pub payload: Vec<u8>,
    /// `Idempotency-Key`.
    pub key: Option<String>,
}

impl Draft {
    /// Reads it from a request; it has `most` bytes at most.
    pub fn read(request: &Request<'_>, most: usize) -> Result<Self, Fault> {
        let key = key(request)?;
        let payload = match request.read_body(most) {
            Body::Whole(payload) => payload,
            Body::TooLong => {
                let reason = format!("a message has at most {most} bytes here");
                return Err(Fault::new(CONTENT_TOO_LARGE, reason));
            }
            Body::Broken => return Err(Fault::new(BAD_REQUEST, "the body has not come whole")),
        };
        let kind = kind(&request.header_in("Content-Type").unwrap_or_default());
        if kind == Kind::Text && str::from_utf8(&payload).is_err() {
            return Err(Fault::new(BAD_REQUEST, "the body is text, and not UTF-8"));
        }
        Ok(Draft { kind, payload, key })
    }
}

/// Text is what says so, and JSON.
fn kind(media_type: &str) -> Kind {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    match essence.starts_with("text/") || essence == "application/json" {
        true => Kind::Text,
        false => Kind::Binary,
    }
}

fn key(request: &Request<'_>) -> Result<Option<String>, Fault> {
    let Some(key) = request.header_in("Idempotency-Key") else {
        return Ok(None);
    };
    match key.len() {
        1..=LONGEST_KEY => Ok(Some(key)),
        _ => Err(Fault::new(
            BAD_REQUEST,
            format!("an Idempotency-Key has 1 to {LONGEST_KEY} bytes"),
        )),
    }
}
