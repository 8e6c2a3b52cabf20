//! Close codes, close reasons and Close frames (RFC 6455 §5.5.1, §7.4).

use std::fmt;
use std::ops::Deref;

use crate::error::{LocalError, ProtocolError};

/// Whether close codes that nobody has registered are accepted from the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReservedCloseCodes {
    /// Only 1000–1003, 1007–1014 and 3000–4999.
    #[default]
    Refuse,
    /// Also every other code in 1000–2999, except 1005, 1006 and 1015.
    Allow,
}

/// A close code that may stand in a Close frame.
///
/// It cannot hold 1005, 1006 or 1015, which only ever describe the lack of a Close frame, nor a
/// number below 1000 or above 4999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

/// Makes the constants, their documentation and their names from one table.
macro_rules! close_codes {
    ($($(#[$doc:meta])* $number:literal $constant:ident $name:literal,)+) => {
        impl CloseCode {
            $($(#[$doc])* pub const $constant: CloseCode = CloseCode($number);)+

            /// The registered name of this code, if it has one.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)+
                    _ => None,
                }
            }
        }
    };
}

close_codes! {
    /// 1000: the purpose of the connection is fulfilled.
    1000 NORMAL_CLOSURE "NormalClosure",
    /// 1001: the endpoint goes away: a server shuts down, a browser leaves the page.
    1001 GOING_AWAY "GoingAway",
    /// 1002: the peer broke the protocol.
    1002 PROTOCOL_ERROR "ProtocolError",
    /// 1003: the endpoint does not take this type of data.
    1003 UNSUPPORTED_DATA "UnsupportedData",
    /// 1004: "frame too large" in versions 7 and 8; reserved since RFC 6455.
    1004 FRAME_TOO_LARGE "FrameTooLarge",
    /// 1007: a payload is not what its type says, such as text that is not UTF-8.
    1007 INVALID_FRAME_PAYLOAD_DATA "InvalidFramePayloadData",
    /// 1008: a message violates the endpoint's policy.
    1008 POLICY_VIOLATION "PolicyViolation",
    /// 1009: a message is too big to process.
    1009 MESSAGE_TOO_BIG "MessageTooBig",
    /// 1010: the server did not agree to an extension that the client needs.
    1010 MANDATORY_EXT "MandatoryExt",
    /// 1011: the server met an unexpected condition.
    1011 INTERNAL_ERROR "InternalError",
    /// 1012: the service restarts.
    1012 SERVICE_RESTART "ServiceRestart",
    /// 1013: the service is overloaded; try again later.
    1013 TRY_AGAIN_LATER "TryAgainLater",
    /// 1014: a gateway got an invalid response from its upstream server.
    1014 BAD_GATEWAY "BadGateway",
}

impl CloseCode {
    /// The code as it stands on the wire, if it may stand there.
    pub fn from_wire(number: u16, reserved: ReservedCloseCodes) -> Option<CloseCode> {
        let accepted = match number {
            // RFC 6455 §7.4.1: these stand for the lack of a Close frame, never in one.
            1005 | 1006 | 1015 => false,
            // RFC 6455 §7.4.1 and the IANA WebSocket Close Code Number Registry.
            1000..=1003 | 1007..=1014 => true,
            // RFC 6455 §7.4.2: the rest of 1000–2999 waits for a registration.
            1000..=2999 => reserved == ReservedCloseCodes::Allow,
            // RFC 6455 §7.4.2: libraries and frameworks 3000–3999, private use 4000–4999.
            3000..=4999 => true,
            // RFC 6455 §7.4.2: 0–999 are not used; nothing is defined from 5000 on.
            _ => false,
        };
        accepted.then_some(CloseCode(number))
    }

    /// The number.
    pub fn as_u16(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        code.0
    }
}

/// A close reason: UTF-8 of at most [`CloseReason::MAX_LEN`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloseReason(String);

impl CloseReason {
    /// What a control frame of 125 bytes (RFC 6455 §5.5) leaves beside the status code.
    pub const MAX_LEN: usize = 123;

    /// The longest prefix of `text` that fits and ends between two characters.
    pub fn truncated(text: &str) -> CloseReason {
        let mut end = text.len().min(Self::MAX_LEN);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        CloseReason(text[..end].to_owned())
    }
}

impl TryFrom<String> for CloseReason {
    type Error = LocalError;

    fn try_from(text: String) -> Result<CloseReason, LocalError> {
        match text.len() <= Self::MAX_LEN {
            true => Ok(CloseReason(text)),
            false => Err(LocalError::ControlTooLong),
        }
    }
}

impl TryFrom<&str> for CloseReason {
    type Error = LocalError;

    fn try_from(text: &str) -> Result<CloseReason, LocalError> {
        CloseReason::try_from(text.to_owned())
    }
}

impl Deref for CloseReason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of a Close frame that has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the connection is closed, as a number.
    pub code: CloseCode,
    /// Why, in words; often empty.
    pub reason: CloseReason,
}

impl CloseFrame {
    /// A Close frame; a reason of more than [`CloseReason::MAX_LEN`] bytes is cut.
    pub fn new(code: CloseCode, reason: &str) -> CloseFrame {
        CloseFrame {
            code,
            reason: CloseReason::truncated(reason),
        }
    }

    /// Parses the payload data of a Close frame; an empty one has no content.
    pub fn parse(
        payload: &[u8],
        reserved: ReservedCloseCodes,
    ) -> Result<Option<CloseFrame>, ProtocolError> {
        let (number, text) = match payload {
            [] => return Ok(None),
            // RFC 6455 §5.5.1: a body starts with a two-byte status code.
            [_] => return Err(ProtocolError::TruncatedClose),
            [high, low, text @ ..] => (u16::from_be_bytes([*high, *low]), text),
        };
        let code =
            CloseCode::from_wire(number, reserved).ok_or(ProtocolError::BadCloseCode(number))?;
        // RFC 6455 §5.5.1: the reason is UTF-8 (§8.1 applies).
        let text = simdutf8::basic::from_utf8(text).map_err(|_| ProtocolError::InvalidUtf8)?;
        let reason = CloseReason::try_from(text).map_err(|_| ProtocolError::ControlTooLong)?;
        Ok(Some(CloseFrame { code, reason }))
    }

    /// The payload data of this frame.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.code.as_u16().to_be_bytes());
        out.extend_from_slice(self.reason.as_bytes());
    }
}

impl From<CloseCode> for CloseFrame {
    fn from(code: CloseCode) -> CloseFrame {
        CloseFrame {
            code,
            reason: CloseReason::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReservedCloseCodes::{Allow, Refuse};

    #[test]
    fn registered_and_private_codes_are_accepted_and_nothing_else() {
        for number in 0..=u16::MAX {
            let expected = (1000..=1003).contains(&number)
                || (1007..=1014).contains(&number)
                || (3000..=4999).contains(&number);
            let code = CloseCode::from_wire(number, Refuse);
            assert_eq!(code.is_some(), expected, "{number}");
            assert_eq!(code.map_or(number, CloseCode::as_u16), number);
        }
    }

    #[test]
    fn allowing_reserved_codes_adds_all_below_3000_that_may_be_sent() {
        for number in 0..=u16::MAX {
            let expected = (1000..=4999).contains(&number) && ![1005, 1006, 1015].contains(&number);
            let code = CloseCode::from_wire(number, Allow);
            assert_eq!(code.is_some(), expected, "{number}");
        }
    }

    #[test]
    fn codes_display_with_their_registered_name() {
        assert_eq!(CloseCode::NORMAL_CLOSURE.to_string(), "1000 NormalClosure");
        assert_eq!(
            CloseCode::from_wire(4711, Refuse).unwrap().to_string(),
            "4711"
        );
        assert_eq!(u16::from(CloseCode::BAD_GATEWAY), 1014);
    }

    #[test]
    fn close_frames_decode_and_encode_from_the_same_bytes() {
        let cases: [(&[u8], CloseFrame); 2] = [
            (b"\x03\xe8", CloseCode::NORMAL_CLOSURE.into()),
            (
                b"\x03\xe9bye",
                CloseFrame::new(CloseCode::GOING_AWAY, "bye"),
            ),
        ];
        for (bytes, frame) in &cases {
            let parsed = CloseFrame::parse(bytes, Refuse).unwrap().unwrap();
            assert_eq!(&parsed, frame);
            let mut out = Vec::new();
            frame.encode(&mut out);
            assert_eq!(&out, bytes);
        }
    }

    #[test]
    fn an_empty_close_has_no_content() {
        assert_eq!(CloseFrame::parse(b"", Refuse), Ok(None));
    }

    #[test]
    fn a_close_of_one_byte_is_truncated() {
        assert_eq!(
            CloseFrame::parse(b"\x03", Refuse),
            Err(ProtocolError::TruncatedClose)
        );
    }

    #[test]
    fn a_bad_code_is_reported_before_a_bad_reason() {
        let parsed = CloseFrame::parse(b"\x03\xed\xff", Refuse);
        assert_eq!(parsed, Err(ProtocolError::BadCloseCode(1005)));
    }

    #[test]
    fn a_reason_that_is_not_utf8_is_invalid() {
        let parsed = CloseFrame::parse(b"\x03\xe8\xce", Refuse);
        assert_eq!(parsed, Err(ProtocolError::InvalidUtf8));
    }

    #[test]
    fn a_reason_of_123_bytes_fits_and_one_of_124_does_not() {
        assert!(CloseReason::try_from("x".repeat(123)).is_ok());
        let too_long = CloseReason::try_from("x".repeat(124));
        assert_eq!(too_long, Err(LocalError::ControlTooLong));
    }

    #[test]
    fn a_truncated_reason_ends_between_two_characters() {
        let text = format!("{}é", "x".repeat(122));
        assert_eq!(&*CloseReason::truncated(&text), "x".repeat(122));
        assert_eq!(&*CloseReason::truncated("é"), "é");
    }
}
