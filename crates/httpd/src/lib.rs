//! Safe wrappers of the parts of Apache httpd 2.4 and APR that mod_websocket uses.
//!
//! Nothing outside this crate and `httpd-sys` names a raw httpd type. The wrappers follow httpd's own areas:
//!
//! | module | what it wraps |
//! |---|---|
//! | [`apr`] | status codes, pools, tables, bucket brigades |
//! | [`request`] | `request_rec` while a handler runs |
//! | [`variable`] | a request's CGI variables |
//! | [`upgraded`] | a connection after its 101: bytes in and out through its filters, and its end |
//! | [`config`] | per-directory configuration and directives |
//! | [`hook`] | the hooks that a module registers |
//! | [`log`] | the error log |
//! | [`module`] | `module_rec`, the one exported symbol |
//! | [`mpm`] | what the running MPM can do |
//! | [`guard`] | no panic crosses into C |
//!
//! Lifetimes carry httpd's: a [`request::Request`] lives as long as the call that httpd made with it, a
//! [`apr::Pool`] no longer than what it was taken from. These types are neither `Send` nor `Sync`;
//! [`upgraded::Upgraded`] is the one that may move between threads.

pub mod apr;
mod bypass;
pub mod config;
pub mod guard;
pub mod hook;
pub mod log;
pub mod module;
pub mod mpm;
pub mod request;
pub mod server;
pub mod socket;
pub mod upgraded;
pub mod variable;

#[doc(hidden)]
pub use httpd_sys as sys;
