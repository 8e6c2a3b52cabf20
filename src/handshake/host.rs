//! Which hosts a request may name.
//!
//! A browser sends in Host what its address line says, and sends to whatever address the name server answers with. So a
//! page of a site whose name server answers with this server's address is "the same origin" here, though it is
//! anybody's (DNS rebinding). What that name server has no say in is safe.

use httpd::request::Request;
use websocket_proto::origin::Host;

use crate::configuration::config::{Config, HostRule};

/// Whether `host` is the server's own for sure: a ServerName or ServerAlias of the virtual host, an address, or
/// localhost.
pub fn is_servers(request: &Request<'_>, host: &Host) -> bool {
    host.is_address() || host.is_localhost() || request.is_to_server_name(host.as_str())
}

/// Whether WebSocketTrustedHost lets `host` count as the server's own.
pub fn is_trusted(request: &Request<'_>, config: &Config, host: &Host) -> bool {
    config.trusted_hosts().iter().any(|rule| match rule {
        HostRule::Any => true,
        HostRule::ServerName => is_servers(request, host),
        HostRule::Named(trusted) => trusted.matches(host),
    })
}
