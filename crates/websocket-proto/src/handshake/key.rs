use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A well-formed Sec-WebSocket-Key: 16 bytes in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecWebSocketKey<'a>(&'a str);

impl<'a> SecWebSocketKey<'a> {
    /// Parses the value of Sec-WebSocket-Key: 22 digits of base64 and `==`.
    ///
    /// The last digit has four bits more than 16 bytes need. Many clients set them, RFC 6455 §4.1 in
    /// its own example too; nobody looks at them, since the key is answered as text.
    pub fn parse(value: &'a str) -> Result<SecWebSocketKey<'a>, InvalidKey> {
        // RFC 6455 §4.2.1: it decodes to 16 bytes.
        let digits = value.as_bytes().strip_suffix(b"==").ok_or(InvalidKey)?;
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        match digits.len() == 22 && digits.iter().all(is_digit) {
            true => Ok(SecWebSocketKey(value)),
            false => Err(InvalidKey),
        }
    }

    /// The value of Sec-WebSocket-Accept that answers this key (RFC 6455 §4.2.2).
    pub fn accept(self) -> String {
        let digest = Sha1::new()
            .chain_update(self.0)
            .chain_update(GUID)
            .finalize();
        STANDARD.encode(digest)
    }
}

/// A Sec-WebSocket-Key that is not 16 bytes in base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sec-WebSocket-Key is not 16 bytes in base64")
    }
}

impl std::error::Error for InvalidKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_section_1_3_gets_the_answer_printed_there() {
        let key = SecWebSocketKey::parse("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_example_of_section_4_1_is_a_key_though_it_has_unused_bits_set() {
        // "AQIDBAUGBwgJCgsMDQ4PEC==": the bytes 0x01 to 0x10, were it not for its last digit.
        assert!(SecWebSocketKey::parse("AQIDBAUGBwgJCgsMDQ4PEC==").is_ok());
    }

    #[test]
    fn every_digit_of_base64_may_be_the_last_and_nothing_else() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for last in (0..=127u8).map(char::from) {
            let value = format!("dGhlIHNhbXBsZSBub25jZ{last}==");
            let expected = alphabet.contains(last);
            assert_eq!(SecWebSocketKey::parse(&value).is_ok(), expected, "{value}");
        }
    }

    #[test]
    fn malformed_keys_are_refused() {
        for value in [
            "",
            "==",
            "A==",
            "toosmall",
            "wayyyyyyyyyyyyyyyyyyyytoobig",
            "invalid!characters_89A==",
            "badlastcharacterinkey-==",
            "WRONGPADDINGLENGTH012A?=",
            "JUNKATENDOFPADDING456A=?",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
            " dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub2éjZQ==",
            "========================",
        ] {
            assert_eq!(SecWebSocketKey::parse(value), Err(InvalidKey), "{value:?}");
        }
    }
}
