//! Which pages may publish: those that may open a WebSocket, of a host that is this server for sure.

use httpd::request::Request;
use websocket_proto::ProtocolVersion;
use websocket_proto::origin::Host;

use crate::configuration::config::{Config, OriginCheck};
use crate::handshake::host::is_servers;
use crate::handshake::origin;

/// Checks the page that a request comes from, if it comes from one; the error is for the client and for the log.
pub fn check(request: &Request<'_>, config: &Config) -> Result<(), String> {
    origin::check(request, config, ProtocolVersion::V13)?;
    // What publishes is most often let in by its address, and so would be any page whose name server answers with this
    // server's (DNS rebinding): a default that believes each Host is for WebSockets, whose plugins know their clients.
    let is_by_host = config.origin_check() == OriginCheck::Same && !config.has_trusted_hosts();
    let origin = request.header_in(ProtocolVersion::V13.origin_field());
    let (true, Some(origin)) = (is_by_host, origin) else {
        return Ok(());
    };
    let host = request.host().and_then(|host| Host::parse(&host).ok());
    match host.is_some_and(|host| is_servers(request, &host)) {
        true => Ok(()),
        false => Err(format!(
            "Origin '{origin}' is the same, but its host is none of this server's: if it is, name it in ServerAlias or \
             WebSocketTrustedHost"
        )),
    }
}
