//! What is shown of all children's figures, and connections that an operator closes.
//!
//! [`handler`] answers `SetHandler websocket-status` and writes the module's part of mod_status' page; [`answer`] is the form that an answer has.
//! [`close`] is its POST: [`guard`] says who may, by what [`access`] reads in the configuration, and [`filter`] which connections are
//! meant.
//!
//! Called by httpd, by way of `module`. Reads the board, and posts to it; the child that has a connection closes it.

mod access;
mod answer;
mod close;
mod filter;
mod guard;
mod handler;

pub use handler::{Section, handle};
