//! The server's part of the opening handshake (RFC 6455 §4): judging the client's request.

mod field;
mod key;
mod request;
mod subprotocol;
mod token;
mod version;

pub use field::is_header_field;
pub use key::{InvalidKey, SecWebSocketKey};
pub use request::{Accepted, HandshakeError, Request};
pub use subprotocol::{InvalidSubprotocols, parse_subprotocols};
pub use token::{InvalidList, TokenList, contains_token, is_token};
pub use version::{InvalidVersion, ProtocolVersion, SUPPORTED_VERSIONS};
