use std::fmt;

/// The value of Sec-WebSocket-Version that lists the versions spoken here, the preferred one first.
pub const SUPPORTED_VERSIONS: &str = "13, 8, 7";

/// A version of the WebSocket protocol that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolVersion {
    /// 13: RFC 6455.
    V13,
    /// 8: the drafts draft-ietf-hybi-thewebsocketprotocol-08 to -12.
    V8,
    /// 7: the draft draft-ietf-hybi-thewebsocketprotocol-07.
    V7,
}

impl ProtocolVersion {
    /// Parses the value of Sec-WebSocket-Version.
    pub fn parse(value: &str) -> Result<ProtocolVersion, InvalidVersion> {
        match parse_number(value) {
            Some(13) => Ok(ProtocolVersion::V13),
            Some(8) => Ok(ProtocolVersion::V8),
            Some(7) => Ok(ProtocolVersion::V7),
            // RFC 6455 §4.2.2 and §4.4: the server names the versions that it speaks.
            Some(number) => Err(InvalidVersion::Unknown(number)),
            None => Err(InvalidVersion::Malformed),
        }
    }

    /// The number.
    pub const fn as_u8(self) -> u8 {
        match self {
            ProtocolVersion::V13 => 13,
            ProtocolVersion::V8 => 8,
            ProtocolVersion::V7 => 7,
        }
    }

    /// The name of the request header field that has the origin: version 7 has one of its own.
    pub const fn origin_field(self) -> &'static str {
        match self {
            ProtocolVersion::V13 | ProtocolVersion::V8 => "Origin",
            ProtocolVersion::V7 => "Sec-WebSocket-Origin",
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_u8().fmt(f)
    }
}

/// Why a version cannot be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidVersion {
    /// A well-formed number of a version that is not spoken here.
    Unknown(u8),
    /// Not a version number at all.
    Malformed,
}

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidVersion::Unknown(number) => {
                write!(f, "Sec-WebSocket-Version {number} is not supported")?;
            }
            InvalidVersion::Malformed => {
                f.write_str("Sec-WebSocket-Version is not a number from 0 to 255")?;
            }
        }
        write!(f, " (supported: {SUPPORTED_VERSIONS})")
    }
}

impl std::error::Error for InvalidVersion {}

/// RFC 6455 §4.3: a number from 0 to 255 in digits alone, without leading zeros.
fn parse_number(value: &str) -> Option<u8> {
    let is_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = value.len() > 1 && value.starts_with('0');
    match is_digits && !has_leading_zero {
        true => value.parse().ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_supported_version_parses_and_is_listed_in_order() {
        let parsed: Vec<_> = SUPPORTED_VERSIONS
            .split(", ")
            .map(|value| ProtocolVersion::parse(value).unwrap())
            .collect();
        use ProtocolVersion::{V7, V8, V13};
        assert_eq!(parsed, [V13, V8, V7]);
        for version in parsed {
            assert_eq!(ProtocolVersion::parse(&version.to_string()), Ok(version));
        }
    }

    #[test]
    fn other_numbers_up_to_255_are_unknown() {
        for number in (0..=255).filter(|number| ![13, 8, 7].contains(number)) {
            let result = ProtocolVersion::parse(&number.to_string());
            assert_eq!(result, Err(InvalidVersion::Unknown(number)));
        }
    }

    #[test]
    fn anything_but_a_plain_number_is_malformed() {
        for value in [
            "", " ", "13 ", " 13", "+13", "-1", "013", "00", "256", "1300", "13sdfj", "8_",
            "abcdef", "13, 8", "13,", "0x0d", "1 3", "١٣",
        ] {
            let result = ProtocolVersion::parse(value);
            assert_eq!(result, Err(InvalidVersion::Malformed), "{value:?}");
        }
    }

    #[test]
    fn only_version_7_has_an_origin_field_of_its_own() {
        assert_eq!(ProtocolVersion::V13.origin_field(), "Origin");
        assert_eq!(ProtocolVersion::V8.origin_field(), "Origin");
        assert_eq!(ProtocolVersion::V7.origin_field(), "Sec-WebSocket-Origin");
    }
}
