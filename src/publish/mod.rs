//! Publishing over HTTP: `SetHandler websocket-publish`.
//!
//! [`handler`] answers POST and PUT, which publish, GET, which shows a topic's figures, and DELETE, which forgets its history;
//! [`asked`] says which topics it is for, [`draft`] is the message that a request brings, and [`answer`] what it is answered with.
//!
//! Called by httpd, by way of `module`. It publishes through the child's exchange.

mod answer;
mod asked;
mod draft;
mod handler;

pub use handler::handle;
