//! The header fields of an opening handshake (RFC 6455 §4.2.1), taken from httpd's table.

use httpd::request::Request;
use websocket_proto::handshake;

/// The header fields of an opening handshake, as text.
pub struct Fields {
    method_is_get: bool,
    http_1_1_or_later: bool,
    host: Option<String>,
    upgrade: Option<String>,
    connection: Option<String>,
    key: Option<String>,
    version: Option<String>,
    protocol: Option<String>,
}

impl Fields {
    pub fn of(request: &Request<'_>) -> Self {
        // A byte that is not UTF-8 becomes U+FFFD, which no field of a handshake may have.
        let field = |name| {
            request
                .headers_in()
                .get_text(name)
                .map(|value| value.into_owned())
        };
        Fields {
            method_is_get: request.is_get(),
            http_1_1_or_later: request.is_http_1_1_or_later(),
            host: field(c"Host"),
            upgrade: field(c"Upgrade"),
            connection: field(c"Connection"),
            key: field(c"Sec-WebSocket-Key"),
            version: field(c"Sec-WebSocket-Version"),
            protocol: field(c"Sec-WebSocket-Protocol"),
        }
    }

    pub fn as_request(&self) -> handshake::Request<'_> {
        handshake::Request {
            method_is_get: self.method_is_get,
            http_1_1_or_later: self.http_1_1_or_later,
            host: self.host.as_deref(),
            upgrade: self.upgrade.as_deref(),
            connection: self.connection.as_deref(),
            key: self.key.as_deref(),
            version: self.version.as_deref(),
            protocol: self.protocol.as_deref(),
        }
    }
}
