use std::fmt;

use super::token::{InvalidList, TokenList};

/// Parses the value of Sec-WebSocket-Protocol: the subprotocols that the client speaks, the
/// preferred one first (RFC 6455 §11.3.4).
///
/// A client must not name one twice (§4.1). Some do, and it harms nobody, so that is accepted.
pub fn parse_subprotocols(value: &str) -> Result<Vec<&str>, InvalidSubprotocols> {
    let subprotocols = TokenList::new(value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(InvalidSubprotocols::InvalidList)?;
    // RFC 6455 §4.3: `1#token`, one at least.
    match subprotocols.is_empty() {
        true => Err(InvalidSubprotocols::Empty),
        false => Ok(subprotocols),
    }
}

/// Why a Sec-WebSocket-Protocol is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidSubprotocols {
    /// It names none.
    Empty,
    /// A member is not a token.
    InvalidList(InvalidList),
}

impl fmt::Display for InvalidSubprotocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidSubprotocols::Empty => {
                f.write_str("Sec-WebSocket-Protocol names no subprotocol")
            }
            InvalidSubprotocols::InvalidList(error) => {
                write!(f, "Sec-WebSocket-Protocol is malformed: {error}")
            }
        }
    }
}

impl std::error::Error for InvalidSubprotocols {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_subprotocols_parse_in_the_clients_order() {
        for (value, expected) in [
            ("chat", &["chat"][..]),
            ("   chat  ,", &["chat"]),
            ("\tchat\t", &["chat"]),
            ("superchat, chat", &["superchat", "chat"]),
            (", , chat, ", &["chat"]),
            ("chat, chat", &["chat", "chat"]),
            ("v1.chat.example.com", &["v1.chat.example.com"]),
        ] {
            assert_eq!(parse_subprotocols(value).unwrap(), expected, "{value:?}");
        }
    }

    #[test]
    fn lists_without_a_subprotocol_are_refused() {
        for value in ["", " ", "\t", ",", ",,", " , "] {
            let result = parse_subprotocols(value);
            assert_eq!(result, Err(InvalidSubprotocols::Empty), "{value:?}");
        }
    }

    #[test]
    fn lists_with_an_invalid_character_are_refused() {
        for value in [
            "bad token",
            "\"token\"",
            "bad/token",
            "bad\\token",
            "valid, invalid{}",
            "bad; separator",
            "control\u{5}character",
            "bad\ttoken",
        ] {
            let result = parse_subprotocols(value);
            assert!(
                matches!(result, Err(InvalidSubprotocols::InvalidList(_))),
                "{value:?}"
            );
        }
    }
}
