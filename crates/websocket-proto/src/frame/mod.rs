//! The base framing protocol (RFC 6455 §5.2): bytes ⇄ frames.

mod decoder;
mod header;
mod mask;
mod opcode;
mod trace;

pub use decoder::{FrameDecoder, PayloadStretch};
pub use header::{
    FrameHeader, FrameHeaderBytes, FrameRules, FrameStart, NoRules, encode_header, parse_header,
};
pub use mask::apply_mask;
pub use opcode::Opcode;
pub use trace::{FrameTrace, TracedFrame};

/// Which endpoint of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives masked frames and sends unmasked ones.
    Server,
    /// Receives unmasked frames and sends masked ones.
    Client,
}
