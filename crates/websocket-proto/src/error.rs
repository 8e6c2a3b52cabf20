//! Whose fault it is: [`ProtocolError`] is the peer's, [`LocalError`] our own side's.

use std::fmt;
use std::num::NonZeroU64;

use crate::close::{CloseCode, CloseFrame};
use crate::handshake::ProtocolVersion;

/// The peer broke the protocol, or wants more than there is; the connection has to be failed (RFC
/// 6455 §7.1.7).
///
/// `Display` gives the [reason](Self::reason) for a log line, with the value at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 is set where no agreed extension has given it a meaning (RFC 6455 §5.2,
    /// RFC 7692 §6).
    ReservedBits,
    /// The opcode is one of 0x3–0x7 or 0xb–0xf (RFC 6455 §5.2).
    UnknownOpcode(u8),
    /// A control frame without FIN (RFC 6455 §5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455 §5.5).
    ControlTooLong,
    /// A frame from a client without a masking key (RFC 6455 §5.1).
    Unmasked,
    /// A frame from a server with a masking key (RFC 6455 §5.1).
    Masked,
    /// A payload length that fits fewer bytes than were used (RFC 6455 §5.2).
    NonMinimalLength,
    /// A payload length with its most significant bit set (RFC 6455 §5.2).
    LengthOverflow,
    /// A continuation frame without a message to continue (RFC 6455 §5.4).
    UnexpectedContinuation,
    /// A new message inside an unfinished one (RFC 6455 §5.4).
    ExpectedContinuation,
    /// A message or a control frame larger than the limit (RFC 6455 §7.4.1, 1009): how many bytes were announced, with
    /// what had come before; `None` for a compressed one, which announces less than it becomes.
    MessageTooBig(Option<NonZeroU64>),
    /// No memory is left for the message, which may be no larger than others
    /// ([`MessageBudget`](crate::MessageBudget)): not the peer's fault.
    NoMemory,
    /// Text or a close reason that is not UTF-8 (RFC 6455 §8.1).
    InvalidUtf8,
    /// A compressed message that is not DEFLATE data (RFC 7692 §7.2.2).
    InvalidDeflate,
    /// A Close frame of one byte (RFC 6455 §5.5.1).
    TruncatedClose,
    /// A close code that may not be on the wire (RFC 6455 §7.4).
    BadCloseCode(u16),
}

impl ProtocolError {
    /// The close code that tells the peer, in the words of its protocol version.
    pub fn close_code(self, version: ProtocolVersion) -> CloseCode {
        match (self, version) {
            // RFC 6455 §7.4.1: data not consistent with the type of the message.
            (ProtocolError::InvalidUtf8 | ProtocolError::InvalidDeflate, _) => {
                CloseCode::INVALID_FRAME_PAYLOAD_DATA
            }
            // The registry of close codes: to be tried again later.
            (ProtocolError::NoMemory, ProtocolVersion::V13) => CloseCode::TRY_AGAIN_LATER,
            (ProtocolError::MessageTooBig(_), ProtocolVersion::V13) => CloseCode::MESSAGE_TOO_BIG,
            // Versions 7 and 8 call it "frame too large"; 1009 and 1013 came later.
            (
                ProtocolError::MessageTooBig(_) | ProtocolError::NoMemory,
                ProtocolVersion::V8 | ProtocolVersion::V7,
            ) => CloseCode::FRAME_TOO_LARGE,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The Close frame that tells the peer, with the [reason](Self::reason) for whoever wrote it.
    pub fn close_frame(self, version: ProtocolVersion) -> CloseFrame {
        CloseFrame::new(self.close_code(version), self.reason())
    }
}

/// Makes the reasons, and the list of them, from one table.
macro_rules! reasons {
    ($($error:pat => $reason:literal,)+) => {
        /// Every reason, for those who have to list them.
        const REASONS: &[&str] = &[$($reason),+];

        impl ProtocolError {
            /// Which rule was broken, in at most 40 bytes of ASCII: the reason in the Close frame.
            pub fn reason(self) -> &'static str {
                match self {
                    $($error => $reason,)+
                }
            }
        }
    };
}

reasons! {
    ProtocolError::ReservedBits => "a frame has a reserved bit set",
    ProtocolError::UnknownOpcode(_) => "a frame has an unknown opcode",
    ProtocolError::FragmentedControl => "a control frame is fragmented",
    ProtocolError::ControlTooLong => "a control frame is longer than 125 bytes",
    ProtocolError::Unmasked => "a frame from the client is not masked",
    ProtocolError::Masked => "a frame from the server is masked",
    ProtocolError::NonMinimalLength => "a length is not minimally encoded",
    ProtocolError::LengthOverflow => "a length does not fit 63 bits",
    ProtocolError::UnexpectedContinuation => "a continuation frame continues nothing",
    ProtocolError::ExpectedContinuation => "a message begins inside another",
    ProtocolError::MessageTooBig(_) => "a message is larger than the limit",
    ProtocolError::NoMemory => "no memory is left for a message",
    ProtocolError::InvalidUtf8 => "text is not UTF-8",
    ProtocolError::InvalidDeflate => "a compressed message is not DEFLATE data",
    ProtocolError::TruncatedClose => "a Close frame has one byte only",
    ProtocolError::BadCloseCode(_) => "a close code may not be sent",
}

// A Close frame would have room for 123, but a client's log line has not.
const _: () = {
    let mut at = 0;
    while at < REASONS.len() {
        assert!(REASONS[at].len() <= 40 && REASONS[at].is_ascii());
        at += 1;
    }
};

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            ProtocolError::UnknownOpcode(opcode) => write!(f, ": {opcode:#x}"),
            ProtocolError::BadCloseCode(number) => write!(f, ": {number}"),
            ProtocolError::MessageTooBig(Some(size)) => write!(f, ": {size} bytes are announced"),
            ProtocolError::MessageTooBig(None) => f.write_str(" when it is inflated"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Our own side asked for what must not be sent; nothing was put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalError {
    /// A text message that is not UTF-8 (RFC 6455 §5.6).
    InvalidUtf8,
    /// A control frame of more than 125 bytes, or a close reason of more than 123 (RFC 6455 §5.5).
    ControlTooLong,
    /// Nothing may follow the Close frame (RFC 6455 §5.5.1).
    CloseSent,
    /// A message whose length does not fit 63 bits (RFC 6455 §5.2).
    MessageTooLong,
    /// A message while another one's fragments are being sent (RFC 6455 §5.4).
    MessageUnfinished,
    /// A fragment of another type than its message's first (RFC 6455 §5.4).
    FragmentType,
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LocalError::InvalidUtf8 => "a text message to be sent is not UTF-8",
            LocalError::ControlTooLong => "a control frame to be sent is longer than 125 bytes",
            LocalError::CloseSent => "nothing can be sent after the Close frame",
            LocalError::MessageTooLong => "a message to be sent is longer than 2^63 - 1 bytes",
            LocalError::MessageUnfinished => "a message is to be sent between the parts of another",
            LocalError::FragmentType => "a part to be sent has another type than its message",
        })
    }
}

impl std::error::Error for LocalError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_small() {
        // Two registers.
        assert!(size_of::<ProtocolError>() <= 16);
        assert!(size_of::<LocalError>() == 1);
        assert!(size_of::<Result<(), ProtocolError>>() <= 16);
    }

    #[test]
    fn a_message_too_big_is_1009_or_1013_in_version_13_and_1004_before() {
        for (error, newest) in [
            (ProtocolError::MessageTooBig(None), 1009),
            (ProtocolError::NoMemory, 1013),
        ] {
            let code = |version| error.close_code(version).as_u16();
            assert_eq!(code(ProtocolVersion::V13), newest);
            assert_eq!(code(ProtocolVersion::V8), 1004);
            assert_eq!(code(ProtocolVersion::V7), 1004);
        }
    }

    #[test]
    fn invalid_data_is_1007_and_the_rest_1002_in_every_version() {
        for version in [
            ProtocolVersion::V13,
            ProtocolVersion::V8,
            ProtocolVersion::V7,
        ] {
            for error in [ProtocolError::InvalidUtf8, ProtocolError::InvalidDeflate] {
                assert_eq!(error.close_code(version).as_u16(), 1007);
            }
            assert_eq!(ProtocolError::Unmasked.close_code(version).as_u16(), 1002);
            assert_eq!(
                ProtocolError::BadCloseCode(1005)
                    .close_code(version)
                    .as_u16(),
                1002
            );
        }
    }

    #[test]
    fn errors_display_the_value_at_fault() {
        assert!(
            ProtocolError::UnknownOpcode(0xb)
                .to_string()
                .contains("0xb")
        );
        assert!(ProtocolError::BadCloseCode(999).to_string().contains("999"));
    }

    #[test]
    fn the_close_frame_says_which_rule_was_broken() {
        let frame = ProtocolError::BadCloseCode(1005).close_frame(ProtocolVersion::V13);
        assert_eq!(frame.code, CloseCode::PROTOCOL_ERROR);
        assert_eq!(&*frame.reason, "a close code may not be sent");
    }

    #[test]
    fn the_operators_manual_lists_every_reason() {
        let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
        let manual = std::fs::read_to_string(manual).unwrap();
        for reason in REASONS {
            // A client never meets it here.
            let is_ours = *reason != ProtocolError::Masked.reason();
            assert_eq!(
                manual.contains(&format!("| `{reason}` |")),
                is_ours,
                "{reason}"
            );
        }
    }
}
