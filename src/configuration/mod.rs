//! What an operator writes, and what becomes of it.
//!
//! | file | what lives there |
//! |---|---|
//! | [`directives`], [`limit_directives`], [`topic_directives`] | the command table, and its parsers |
//! | [`values`] | what their arguments may be |
//! | [`config`] | what the directives of one scope say, and how scopes merge |
//! | [`section`], [`sections`] | a section, whose options its plugin checks when all has been read; all of them |
//! | [`process_options`] | the options of a plugin for the whole process |
//! | [`capacity`] | at start-up: how many WebSockets the MPM and the system allow |
//! | [`message_memory`] | at start-up: how much memory their unfinished messages may take |
//! | [`handlers`] | at start-up: whether SetHandler and WebSocketHandler have found each other |
//! | [`databases`] | at start-up: whether WebSockets keep connections to one |
//! | [`scope`] | where in the configuration something holds |
//!
//! Read by every room above, changed by httpd's reading of the configuration only. Calls the plugin room to load and configure.

pub mod capacity;
pub mod config;
pub mod databases;
pub mod directives;
pub mod handlers;
pub mod limit_directives;
pub mod message_memory;
pub mod process_options;
pub mod scope;
mod section;
pub mod sections;
pub mod topic_directives;
pub mod values;
