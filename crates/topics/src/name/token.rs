//! Where a subscriber is, as it is told and as it tells when it comes back.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use super::{Epoch, RecordId};

/// The last record that a subscriber knows of, written `epoch-id`: 16 lower-case hexadecimal digits, a hyphen, a decimal
/// number. One token does for any number of topics, because the numbers rise over all of them.
///
/// ```
/// # use topics::Token;
/// let token: Token = "00c0ffee00c0ffee-42".parse().unwrap();
/// assert_eq!(token.id.0, 42);
/// assert_eq!(token.to_string(), "00c0ffee00c0ffee-42");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token {
    /// Which log the number is of.
    pub epoch: Epoch,
    /// The last record that is known; [`RecordId::NONE`] when none is.
    pub id: RecordId,
}

/// A text is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadToken;

const EPOCH_DIGITS: usize = 16;

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.id)
    }
}

impl FromStr for Token {
    type Err = BadToken;

    /// Takes what `Display` writes and nothing else, so that equal tokens are equal texts.
    fn from_str(text: &str) -> Result<Self, BadToken> {
        let (epoch, id) = text.split_once('-').ok_or(BadToken)?;
        let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_canonical = epoch.len() == EPOCH_DIGITS
            && epoch.bytes().all(is_lower_hex)
            && id.bytes().all(|byte| byte.is_ascii_digit())
            && (id == "0" || !id.starts_with('0'));
        if !is_canonical {
            return Err(BadToken);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| BadToken)?;
        Ok(Token {
            epoch: Epoch(NonZeroU64::new(epoch).ok_or(BadToken)?),
            id: RecordId(id.parse().map_err(|_| BadToken)?),
        })
    }
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not of the form epoch-id")
    }
}

impl std::error::Error for BadToken {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_written_is_read() {
        let good = [
            "0000000000000001-0",
            "ffffffffffffffff-18446744073709551615",
        ];
        for text in good {
            assert_eq!(text.parse::<Token>().unwrap().to_string(), text);
        }
        let bad = [
            "",
            "-",
            "1-1",
            "0000000000000000-1",
            "0000000000000001-",
            "0000000000000001-01",
            "0000000000000001-+1",
            "0000000000000001--1",
            "0000000000000001-1-1",
            "000000000000000A-1",
            "+00000000000000a-1",
            "0000000000000001-18446744073709551616",
            "0000000000000001-1 ",
        ];
        for text in bad {
            assert_eq!(text.parse::<Token>(), Err(BadToken), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(text in "[0-9a-f]{16}-[0-9]{1,21}|\\PC*") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
