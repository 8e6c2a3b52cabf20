//! What an operator writes, and what becomes of it.
//!
//! [`directives`] is the command table and its parsers, [`values`] what their arguments may be, [`config`] what the directives of one scope say and how scopes
//! merge, [`options`] a plugin's own settings. [`section`] has each plugin check its options when all has been read, and
//! [`capacity`] looks at start-up how many WebSockets the MPM and the system allow, [`message_memory`] how much memory their
//! unfinished messages.
//!
//! Read by everybody, changed by httpd's reading of the configuration only. Calls the plugin room to load and configure.

pub mod capacity;
pub mod config;
pub mod directives;
pub mod message_memory;
pub mod options;
pub mod process_options;
pub mod section;
pub mod values;
