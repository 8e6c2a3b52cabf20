//! Who waits for the socket.
//!
//! A driver calls [`Session::turn`](session::Session::turn) and waits for what it answers. What happens in a turn is the same for every driver.

pub mod blocking;
pub mod event;
