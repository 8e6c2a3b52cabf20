//! Header fields that a plugin sets.

use core::fmt;
use std::ffi::CString;

/// A name and a value that can stand in an HTTP response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HeaderField {
    pub(crate) name: CString,
    pub(crate) value: CString,
}

impl HeaderField {
    pub(crate) fn new(name: &str, value: &str) -> Result<Self, InvalidHeader> {
        if !is_token(name)
            || value
                .bytes()
                .any(|byte| byte != b'\t' && byte.is_ascii_control())
        {
            return Err(InvalidHeader);
        }
        Ok(Self {
            name: CString::new(name).map_err(|_| InvalidHeader)?,
            value: CString::new(value).map_err(|_| InvalidHeader)?,
        })
    }
}

/// A name or a value that cannot stand in a header field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidHeader;

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this cannot stand in a header field")
    }
}

impl std::error::Error for InvalidHeader {}

/// RFC 9110 §5.6.2
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_separators() {
        for good in ["a", "X-Name", "chat.v1", "!#$%&'*+-.^_`|~09"] {
            assert!(is_token(good), "{good}");
        }
        for bad in ["", "a b", "a:", "a\r\n", "a\0", "ä", "a,b", "(a)"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }
}
