use super::token::is_token;

/// Whether `name` and `value` can be a header field (RFC 9110 §5.1, §5.5).
///
/// A name is a token. A value has no control character but tabs: CR and LF would end the field and
/// begin another one. The value is taken as it is, white space around it included.
pub fn is_header_field(name: &[u8], value: &[u8]) -> bool {
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    str::from_utf8(name).is_ok_and(is_token) && !value.iter().any(is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_have_anything_but_control_characters() {
        for byte in 0..=u8::MAX {
            let expected = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            assert_eq!(
                is_header_field(b"X-Name", &[b'a', byte, b'b']),
                expected,
                "{byte}"
            );
        }
        assert!(is_header_field(b"X-Name", b""));
    }

    #[test]
    fn a_name_is_a_token() {
        for name in ["", "a b", "a:", "a\r\nb", "a\n", "\u{e9}"] {
            assert!(!is_header_field(name.as_bytes(), b"value"), "{name:?}");
        }
        assert!(!is_header_field(b"\xff", b"value"));
        assert!(is_header_field(b"X-Name.1", b"value"));
    }
}
