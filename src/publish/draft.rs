//! The message that a request brings.

use httpd::content::Body;
use httpd::request::Request;
use subscribers::body::kind_of;
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
        let media_type = request.header_in("Content-Type").unwrap_or_default();
        let kind = kind_of(&media_type, &payload)
            .map_err(|not_utf8| Fault::new(BAD_REQUEST, not_utf8.to_string()))?;
        Ok(Draft { kind, payload, key })
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
