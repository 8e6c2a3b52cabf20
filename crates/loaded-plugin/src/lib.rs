//! A plugin that has been loaded, by whomever: its table, checked, and the calls to it.
//!
//! The module uses it under httpd, and `plugin-host` without. Where the file lies, how it is opened and what the server
//! functions do is theirs.
//!
//! | file | what lives there |
//! |---|---|
//! | [`table`] | what the init function gives, checked and read once |
//! | [`callbacks`] | the plugin, and the calls to it |

#![deny(missing_docs)]

pub mod callbacks;
pub mod table;

pub use callbacks::{Plugin, PluginPrivate, Verdict};
