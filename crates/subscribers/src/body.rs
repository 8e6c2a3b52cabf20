//! What a body is that comes over HTTP to be published.

use std::fmt;

use topics::Kind;

/// A body is said to be text, and is not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotUtf8;

/// What a body is, by its media type as Content-Type has it (RFC 9110, 8.3): `text/*` and `application/json` are text,
/// whatever their parameters say, and have to be UTF-8; everything else, and what has no type, is binary.
pub fn kind_of(media_type: &str, body: &[u8]) -> Result<Kind, NotUtf8> {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let is_text = essence.starts_with("text/") || essence == "application/json";
    match is_text {
        true if str::from_utf8(body).is_err() => Err(NotUtf8),
        true => Ok(Kind::Text),
        false => Ok(Kind::Binary),
    }
}

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is text, and not UTF-8")
    }
}

impl std::error::Error for NotUtf8 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_says_so() {
        for text in [
            "text/plain",
            " TEXT/html;charset=latin1",
            "Application/JSON ; x=y",
        ] {
            assert_eq!(kind_of(text, "ä".as_bytes()), Ok(Kind::Text), "{text}");
            assert_eq!(kind_of(text, b"\xe4"), Err(NotUtf8), "{text}");
        }
        for binary in [
            "",
            "text",
            "application/json-seq",
            "image/png",
            "x;text/plain",
        ] {
            assert_eq!(kind_of(binary, b"\xe4"), Ok(Kind::Binary), "{binary}");
        }
    }
}
