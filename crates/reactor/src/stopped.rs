//! Why a call was refused.

use std::fmt;

/// The reactor has been stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reactor has been stopped")
    }
}

impl std::error::Error for Stopped {}
