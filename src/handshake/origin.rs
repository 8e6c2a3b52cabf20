//! Which Origins may open a WebSocket (RFC 6455 §10.2).

use httpd::request::Request;
use websocket_proto::handshake::ProtocolVersion;
use websocket_proto::origin::{Host, Origin};

use super::host;
use crate::configuration::config::{Config, OriginCheck};

/// Checks the request's Origin; the error is the reason of the refusal, for the log.
///
/// A request without one was not made by a page in a browser, so that there is nobody to protect from it.
pub fn check(
    request: &Request<'_>,
    config: &Config,
    version: ProtocolVersion,
) -> Result<(), String> {
    let Some(sent) = request.header_in(version.origin_field()) else {
        return Ok(());
    };
    match config.origin_check() {
        OriginCheck::Off => Ok(()),
        OriginCheck::Same => {
            let named = request.host().and_then(|host| Host::parse(&host).ok());
            let named =
                named.ok_or_else(|| format!("Origin '{sent}' has no host to be compared with"))?;
            let own = Origin::of_request(&request.scheme(), &named, request.port());
            if !Origin::parse(&sent).is_ok_and(|sent| sent == own) {
                return Err(format!(
                    "Origin '{sent}' is not the server's own '{own}' (WebSocketOriginCheck Same)"
                ));
            }
            match host::is_trusted(request, config, &named) {
                true => Ok(()),
                false => Err(format!(
                    "Origin '{sent}' is the same, but its host is not in WebSocketTrustedHost"
                )),
            }
        }
        OriginCheck::Trusted => {
            let trusted = Origin::parse(&sent).is_ok_and(|sent| {
                config
                    .trusted_origins()
                    .iter()
                    .any(|trusted| trusted.matches(&sent))
            });
            match trusted {
                true => Ok(()),
                false => Err(format!("Origin '{sent}' is not in WebSocketTrustedOrigin")),
            }
        }
    }
}
