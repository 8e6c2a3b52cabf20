//! What an operator writes, and what becomes of it.
//!
//! [`directives`] is the command table and its parsers, [`config`] what the directives of one scope say and how scopes
//! merge, [`options`] a plugin's own settings. [`section`] has each plugin check its options when all has been read, and
//! [`capacity`] warns at start-up when the MPM allows few WebSockets.
//!
//! Read by everybody, changed by httpd's reading of the configuration only. Calls the plugin room to load and configure.

pub mod capacity;
pub mod config;
pub mod directives;
pub mod options;
pub mod process_options;
pub mod section;
