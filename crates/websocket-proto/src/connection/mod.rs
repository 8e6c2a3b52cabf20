//! The two halves of an endpoint: [`Receiver`] for what comes in, [`Sender`] for what goes out.
//!
//! They share no state. What ties them together is the caller's: it answers a Ping with
//! [`Sender::send_pong`], a Close and a failure with [`Sender::send_close`].

mod event;
mod receive;
mod send;

pub use crate::message::ControlPayload;
pub use event::{Event, Payload};
pub use receive::{Receiver, ReceiverConfig};
pub use send::{Compression, Sender};
