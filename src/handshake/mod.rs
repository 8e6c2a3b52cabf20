//! A request for a WebSocket, up to the driver (RFC 6455 §4.2).
//!
//! [`handler`] judges it: not ours, an HTTP error ([`refused_upgrade`]), or an upgrade. [`fields`] are the header fields that it judges by,
//! [`origin`] the policy for pages of other sites, [`host`] what a request may take for the server's own name, and [`subscription`] what a client
//! subscribes to where no plugin is asked.
//!
//! Called by httpd, by way of `module`. Makes a connection, asks its plugin, and gives it to a driver.

mod fields;
pub mod handler;
pub mod host;
pub mod origin;
mod refused_upgrade;
mod subscription;
