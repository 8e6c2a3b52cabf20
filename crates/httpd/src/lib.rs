//! Safe wrappers of the parts of Apache httpd 2.4 and APR that mod_websocket uses.
//!
//! Nothing outside this crate and `httpd-sys` names a raw httpd type. The wrappers follow httpd's own areas:
//!
//! | module | what it wraps |
//! |---|---|
//! | [`apr`] | status codes, pools, tables, bucket brigades |
//! | [`request`] | `request_rec` while a handler runs |
//! | [`content`] | what a content handler reads of a request, and writes |
//! | [`lookup`] | what httpd would do with another request of the same client |
//! | [`variable`] | a request's CGI variables |
//! | [`upgraded`] | a connection after its 101: bytes in and out through its filters, and its end |
//! | `bypass`, [`socket`] | when bytes go past the filters; a socket's own system calls |
//! | [`tls`] | mod_ssl's TLS of a connection, to end it early |
//! | [`config_tree`], [`pattern`] | the directives of all modules, as they stand in the files; the regular expressions in them |
//! | [`config`], [`expression`] | per-directory configuration and directives; httpd's expressions in them |
//! | [`hook`] | the hooks that a module registers |
//! | [`suspension`] | one more of them, for connections that the MPM suspends |
//! | `kept` | what a module keeps on a connection, for its hooks |
//! | [`log`], [`pen`] | the error log; lines that another thread writes |
//! | [`module`] | `module_rec`, the one exported symbol |
//! | [`server`], [`mpm`] | a virtual host, or the main server; what the running MPM can do |
//! | [`dbd`] | mod_dbd's connections, given back early |
//! | `linked` | what is part of httpd's program, and what of a shared object |
//! | [`mod_status`] | a part of its page |
//! | [`shared_memory`], [`futex`] | what processes share |
//! | [`cache`] | memory that the processor is to have at hand |
//! | [`process`], [`thread`], [`host_thread`], [`random`] | who lives; a thread of the module's own, and what httpd calls it; numbers that nobody can guess |
//! | [`termination`], [`forks`] | SIGTERM, where the MPM does not look; a graceful end, where a child has forked |
//! | [`retained`] | memory that outlives a configuration |
//! | [`guard`] | no panic crosses into C |
//!
//! Lifetimes carry httpd's: a [`request::Request`] lives as long as the call that httpd made with it, a
//! [`apr::Pool`] no longer than what it was taken from. These types are neither `Send` nor `Sync`;
//! [`upgraded::Upgraded`] is the one that may move between threads.

pub mod apr;
mod bypass;
pub mod cache;
pub mod config;
pub mod config_tree;
pub mod content;
pub mod dbd;
pub mod expression;
pub mod forks;
pub mod futex;
pub mod guard;
pub mod hook;
pub mod host_thread;
mod kept;
mod linked;
pub mod log;
pub mod lookup;
pub mod mod_status;
pub mod module;
pub mod mpm;
pub mod pattern;
pub mod pen;
pub mod process;
pub mod random;
pub mod request;
pub mod retained;
pub mod server;
pub mod shared_memory;
pub mod socket;
pub mod suspension;
pub mod termination;
pub mod thread;
pub mod tls;
pub mod upgraded;
pub mod variable;

#[doc(hidden)]
pub use httpd_sys as sys;
