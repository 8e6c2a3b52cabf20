//! What an operator writes, and what becomes of it.
//!
//! [`directives`] is the command table and its parsers, but for those of [`limit_directives`] and [`topic_directives`], [`values`] what their arguments may be, [`config`] what the directives of one scope say and how scopes
//! merge, [`sections`] has each plugin check the options of each `section` when all has been read, and
//! [`capacity`] looks at start-up how many WebSockets the MPM and the system allow, [`message_memory`] how much memory their
//! unfinished messages, [`handlers`] whether SetHandler and WebSocketHandler have found each other, and [`databases`] whether
//! WebSockets keep connections to one.
//!
//! Read by every room above, changed by httpd's reading of the configuration only. Calls the plugin room to load and configure.

pub mod capacity;
pub mod config;
pub mod databases;
pub mod directives;
pub mod handlers;
pub mod limit_directives;
pub mod message_memory;
mod place;
pub mod process_options;
mod section;
pub mod sections;
pub mod topic_directives;
pub mod values;
