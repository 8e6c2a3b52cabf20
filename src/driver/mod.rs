//! Who waits for the socket.
//!
//! A driver calls [`Session::turn`](session::Session::turn) and waits for what it answers. What happens in a turn is the same for every driver:
//! the [`blocking`] one, on the request's own thread, and the [`event`] one, on those of the reactor.
//!
//! Made by the handshake, and known to a connection as its [`Driver`](crate::websocket::driver::Driver): who waits for it, and is woken.

pub mod blocking;
pub mod event;
