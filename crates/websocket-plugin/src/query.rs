//! Query strings, as browsers write and read them: `application/x-www-form-urlencoded`.

/// The decoded value of the first parameter of that name.
pub(crate) fn parameter(query: &[u8], name: &str) -> Option<String> {
    query
        .split(|byte| *byte == b'&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let mut halves = parameter.splitn(2, |byte| *byte == b'=');
            (halves.next().unwrap_or(&[]), halves.next().unwrap_or(&[]))
        })
        .find(|(key, _)| decode(key) == name.as_bytes())
        .map(|(_, value)| String::from_utf8_lossy(&decode(value)).into_owned())
}

/// A `%` that no two hexadecimal digits follow stands for itself.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return decoded,
            [b'+', rest @ ..] => {
                decoded.push(b' ');
                rest
            }
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(digit(*high) << 4 | digit(*low));
                rest
            }
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
        };
    }
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(query: &str, name: &str) -> Option<String> {
        parameter(query.as_bytes(), name)
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        assert_eq!(value("room=blue&room=red", "room").as_deref(), Some("blue"));
        assert_eq!(value("a=1&&b=2&", "b").as_deref(), Some("2"));
        assert_eq!(value("a=1&b=2", "c"), None);
        assert_eq!(value("", ""), None);
    }

    #[test]
    fn a_value_may_be_empty_or_hold_an_equals_sign() {
        assert_eq!(value("a", "a").as_deref(), Some(""));
        assert_eq!(value("a=", "a").as_deref(), Some(""));
        assert_eq!(value("a=b=c", "a").as_deref(), Some("b=c"));
    }

    #[test]
    fn names_and_values_are_decoded() {
        assert_eq!(
            value("gr%C3%bc%C3%9fe=a+b%20c%2B", "grüße").as_deref(),
            Some("a b c+")
        );
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        assert_eq!(value("a=100%&b=%4", "a").as_deref(), Some("100%"));
        assert_eq!(value("a=100%&b=%4", "b").as_deref(), Some("%4"));
        assert_eq!(value("a=%zz%+1", "a").as_deref(), Some("%zz% 1"));
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(value("a=b%ff", "a").as_deref(), Some("b\u{fffd}"));
    }
}
