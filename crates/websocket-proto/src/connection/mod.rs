//! The two halves of an endpoint: [`ReceivingHalf`] for what comes in, [`SendingHalf`] for what goes out.
//!
//! They share no state. What ties them together is the caller's: it answers a Ping with
//! [`SendingHalf::send_pong`], a Close and a failure with [`SendingHalf::send_close`].

mod compression;
mod event;
mod prepared;
mod receive;
mod send;

pub use crate::message::ControlPayload;
pub use compression::Compression;
pub use event::{Event, Payload};
pub use prepared::PreparedMessage;
pub use receive::{ReceivingConfig, ReceivingHalf};
pub use send::SendingHalf;
