//! Topics: what is published on one child reaches the subscribers of all.
//!
//! The crate `topics` is the log that the children share, the crate `subscribers` what one of them delivers of it; here is what they need of httpd.
//! [`memory`] is where the log is: the parent makes it. [`exchange`] is a child's part: it publishes, and has the subscribers' [`deliverer`], a
//! thread. [`naming`] says which topics a request is for, [`places`] where in its path their names begin.
//!
//! Called by the child, which holds the exchange; by the handshake and by an open WebSocket, which subscribe and publish; by the `publish` room,
//! which publishes; by the status, which shows the figures; and by `module`, in the parent.

mod deliverer;
mod exchange;
pub mod memory;
pub mod naming;
pub mod places;

pub use exchange::{Exchange, Unavailable};
