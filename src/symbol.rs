//! The module's symbol, for files that have to name it to httpd: to log, and to find their configuration.
//!
//! `lib.rs` defines it, out of all that the module consists of. What those parts know of it is this declaration, as in C
//! a header's.

use httpd::module::Module;

// SAFETY: `lib.rs` of this crate defines it, with this type.
unsafe extern "C" {
    /// The module.
    pub safe static websocket_module: Module;
}
