//! Publishing over HTTP: `SetHandler websocket-publish`.
//!
//! [`handler`] answers POST and PUT, which publish, GET, which shows a topic's figures, and DELETE, which forgets its history;
//! [`page`] says whose pages may, [`asked`] which topics it is for, [`rate`] whether its client has published too often, [`draft`] is the
//! message that it brings, and [`answer`] what it is answered with.
//!
//! Called by httpd, by way of `module`. It publishes through the child's exchange.

mod answer;
mod asked;
mod draft;
mod handler;
mod page;
mod rate;

pub use handler::handle;
