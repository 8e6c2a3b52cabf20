//! RFC 6455 and RFC 7692 without I/O: bytes in, events and bytes out.
//!
//! This crate holds no socket and no clock and knows no HTTP server. Its parts, in the order in
//! which a connection meets them:
//!
//! | module | what it does |
//! |---|---|
//! | [`handshake`] | judges an opening handshake (§4): versions, key, token lists, subprotocols |
//! | [`origin`] | decides whether an `Origin` is the same or a trusted one (RFC 6454) |
//! | [`frame`] | bytes ⇄ frame headers, masking (§5.2, §5.3) |
//! | [`message`] | frames → messages: fragmentation, limits, UTF-8 (§5.4 to §5.6) |
//! | `message_buffer` | what has come of a message that does not lie whole in the input |
//! | [`utf8`] | UTF-8 checked while it arrives, failed at the first wrong byte (§8.1) |
//! | [`close`] | close codes, close reasons, Close frames (§7.4) |
//! | [`connection`] | both halves of an endpoint: [`ReceivingHalf`] and [`SendingHalf`]; [`PreparedMessage`] for many of them |
//! | [`extension`] | negotiates permessage-deflate (RFC 6455 §9), and compresses (RFC 7692) |
//! | `control` | the payload of a control frame (§5.5) |
//! | [`heartbeat`], [`rate`] | when a peer is to be pinged, and counts as dead; whether it keeps to its rate |
//! | `budget` | what the unfinished messages of all connections may take together: [`MessageBudget`] |
//! | [`error`] | [`ProtocolError`], the peer's fault, and [`LocalError`], our own |
//!
//! The three layers of receiving stay apart: [`frame::FrameDecoder`] turns bytes into frames,
//! [`message::MessageAssembler`] frames into messages, and [`ReceivingHalf`] messages into events. The
//! two halves of an endpoint share nothing, so that one thread may send while another receives.
//!
//! # Example
//!
//! A server receives the masked "Hello" of RFC 6455 §5.7 and echoes it:
//!
//! ```
//! use websocket_proto::{Event, ReceivingHalf, ReceivingConfig, ReservedCloseCodes, Role, SendingHalf};
//!
//! let mut receiver = ReceivingHalf::new(ReceivingConfig {
//!     role: Role::Server,
//!     max_message_size: 32 << 20,
//!     reserved_close_codes: ReservedCloseCodes::Refuse,
//! });
//! let mut sender = SendingHalf::new(Role::Server);
//!
//! let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let mut output = Vec::new();
//!
//! let (consumed, event) = receiver.receive(&mut input);
//! assert_eq!(consumed, 11);
//! if let Some(Event::Message { kind, payload }) = event {
//!     assert_eq!(&*payload, b"Hello");
//!     sender.send_message(kind, &payload, &mut output)?;
//! }
//! assert_eq!(output, b"\x81\x05Hello");
//! # Ok::<(), websocket_proto::LocalError>(())
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod budget;
pub mod close;
pub mod connection;
mod control;
pub mod error;
pub mod extension;
pub mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod handshake;
pub mod heartbeat;
pub mod message;
mod message_buffer;
pub mod origin;
pub mod rate;
pub mod utf8;

pub use budget::MessageBudget;
pub use close::{CloseCode, CloseFrame, CloseReason, ReservedCloseCodes};
pub use connection::{
    Compression, ControlPayload, Event, Payload, PreparedMessage, ReceivingConfig, ReceivingHalf,
    SendingHalf,
};
pub use error::{LocalError, ProtocolError};
pub use frame::Role;
pub use handshake::{HandshakeError, ProtocolVersion};
pub use heartbeat::{Beat, Heartbeat, HeartbeatPayload};
pub use message::MessageKind;
pub use origin::{Host, Origin, TrustedHost, TrustedOrigin};
pub use rate::RateLimit;
