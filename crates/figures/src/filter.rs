//! Which connections an operator means.

use std::net::IpAddr;

/// Which connections are meant: those that match each of what is there, exactly.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Their user's name.
    pub user: Option<String>,
    /// Their Location's name.
    pub location: Option<String>,
    /// Their client's address.
    pub client: Option<IpAddr>,
    /// Their child's process id.
    pub child: Option<u32>,
}

impl Filter {
    /// All connections.
    pub const ALL: Filter = Filter {
        user: None,
        location: None,
        client: None,
        child: None,
    };

    /// Whether every connection is meant.
    pub fn is_all(&self) -> bool {
        *self == Filter::ALL
    }
}
