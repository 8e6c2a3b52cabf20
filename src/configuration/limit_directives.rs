//! The directives that limit how many WebSockets there are.

use httpd::config::{Command, Context, Directive, Take1};

use crate::configuration::config::Config;
use crate::configuration::values::parse_number;

/// Connections; more than a process has descriptors.
const MOST_CONNECTIONS: u32 = 10_000_000;

pub const MAX: Command = Command::take1::<WebSocketMaxConnections>(
    c"WebSocketMaxConnections",
    Context::Configuration,
    c"WebSockets that a child holds at most; one more gets 503 (default 0: any number)",
);
pub const PER_CLIENT: Command = Command::take1::<WebSocketMaxConnectionsPerClient>(
    c"WebSocketMaxConnectionsPerClient",
    Context::Configuration,
    c"WebSockets that a client address holds at most; one more gets 429 (default 0: any number)",
);
pub const PER_LOCATION: Command = Command::take1::<WebSocketMaxConnectionsPerLocation>(
        c"WebSocketMaxConnectionsPerLocation",
        Context::Configuration,
        c"WebSockets that a Location holds at most, in all children; one more gets 503 (default 0: any number)",
    );

struct WebSocketMaxConnections;

impl Take1 for WebSocketMaxConnections {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        directive.require_global()?;
        config.max_connections = Some(parse_number(value, MOST_CONNECTIONS)? as usize);
        Ok(())
    }
}

struct WebSocketMaxConnectionsPerClient;

impl Take1 for WebSocketMaxConnectionsPerClient {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.max_connections_per_client = Some(parse_number(value, MOST_CONNECTIONS)? as usize);
        Ok(())
    }
}

struct WebSocketMaxConnectionsPerLocation;

impl Take1 for WebSocketMaxConnectionsPerLocation {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        let most = parse_number(value, MOST_CONNECTIONS)? as usize;
        config.max_connections_per_location = Some(most);
        Ok(())
    }
}
