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
    /// Parses the value of Sec-WebSocket-Key.
    pub fn parse(value: &'a str) -> Result<SecWebSocketKey<'a>, InvalidKey> {
        // RFC 6455 §4.2.1: it decodes to 16 bytes. So it has 24 characters: 21 of base64, one more
        // whose four low bits are 0, and two of padding.
        let [digits @ .., last, b'=', b'='] = value.as_bytes() else {
            return Err(InvalidKey);
        };
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let is_valid = digits.len() == 21
            && digits.iter().all(is_base64)
            && matches!(last, b'A' | b'Q' | b'g' | b'w');
        match is_valid {
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
    fn exactly_the_keys_that_decode_to_16_bytes_are_accepted() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ ";
        for last in alphabet.chars() {
            let value = format!("dGhlIHNhbXBsZSBub25jZ{last}==");
            let expected = STANDARD.decode(&value).is_ok_and(|bytes| bytes.len() == 16);
            assert_eq!(SecWebSocketKey::parse(&value).is_ok(), expected, "{value}");
            assert_eq!(expected, "AQgw".contains(last), "{value}");
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
            "badlastcharacterinkey+==",
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
