use std::fmt;

use super::key::{InvalidKey, SecWebSocketKey};
use super::subprotocol::{InvalidSubprotocols, parse_subprotocols};
use super::token::contains_token;
use super::version::{InvalidVersion, ProtocolVersion, SUPPORTED_VERSIONS};

/// What the opening handshake depends on in the client's request.
///
/// Each header field is its whole value, without white space around it, several fields of one name
/// joined by commas; `None` when the request does not have it.
///
/// Drive it so: a request that [is no upgrade](Self::is_upgrade) is plain HTTP; any other is either
/// [accepted](Self::accept) or refused with the error's reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Whether the method is GET (and not HEAD).
    pub method_is_get: bool,
    /// Whether the HTTP version is 1.1 or later.
    pub http_1_1_or_later: bool,
    /// Host.
    pub host: Option<&'a str>,
    /// Upgrade.
    pub upgrade: Option<&'a str>,
    /// Connection.
    pub connection: Option<&'a str>,
    /// Sec-WebSocket-Key.
    pub key: Option<&'a str>,
    /// Sec-WebSocket-Version.
    pub version: Option<&'a str>,
    /// Sec-WebSocket-Protocol.
    pub protocol: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Whether the client asks for a WebSocket at all.
    pub fn is_upgrade(&self) -> bool {
        let contains = |value: Option<&str>, name| value.is_some_and(|v| contains_token(v, name));
        // RFC 6455 §4.2.1, items 1, 3 and 4; RFC 9110 §7.8: no upgrade from HTTP/1.0.
        self.http_1_1_or_later
            && contains(self.upgrade, "websocket")
            && contains(self.connection, "upgrade")
    }

    /// What a request that is [no upgrade](Self::is_upgrade) lacks to be one; empty for one that lacks nothing.
    pub fn lacks(&self) -> Vec<&'static str> {
        let contains = |value: Option<&str>, name| value.is_some_and(|v| contains_token(v, name));
        let wanted = [
            (self.http_1_1_or_later, "HTTP/1.1"),
            (contains(self.upgrade, "websocket"), "Upgrade: websocket"),
            (contains(self.connection, "upgrade"), "Connection: Upgrade"),
        ];
        let lacking = wanted.into_iter().filter(|(is_there, _)| !is_there);
        lacking.map(|(_, what)| what).collect()
    }

    /// Judges the request: what to answer it with, or what is wrong with it.
    ///
    /// A fault of the version is reported before any other, since its response tells the client the
    /// supported ones.
    pub fn accept(&self) -> Result<Accepted<'a>, HandshakeError> {
        if !self.is_upgrade() {
            return Err(HandshakeError::NotAnUpgrade);
        }
        // RFC 6455 §4.2.1, item 6, and §4.2.2.
        let version = self.version.ok_or(HandshakeError::MissingVersion)?;
        let version = ProtocolVersion::parse(version).map_err(HandshakeError::InvalidVersion)?;
        // RFC 6455 §4.2.1, item 1.
        if !self.method_is_get {
            return Err(HandshakeError::MethodNotGet);
        }
        // RFC 6455 §4.2.1, item 2.
        if self.host.is_none() {
            return Err(HandshakeError::MissingHost);
        }
        // RFC 6455 §4.2.1, item 5.
        let key = self.key.ok_or(HandshakeError::MissingKey)?;
        let key = SecWebSocketKey::parse(key).map_err(HandshakeError::InvalidKey)?;
        // RFC 6455 §4.2.1, item 8.
        let subprotocols = match self.protocol {
            Some(value) => {
                parse_subprotocols(value).map_err(HandshakeError::InvalidSubprotocols)?
            }
            None => Vec::new(),
        };
        Ok(Accepted {
            version,
            accept: key.accept(),
            subprotocols,
        })
    }
}

/// What an acceptable request agrees to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The version of the connection.
    pub version: ProtocolVersion,
    /// The value of Sec-WebSocket-Accept.
    pub accept: String,
    /// The subprotocols that the client speaks, the preferred one first; the server may choose one.
    pub subprotocols: Vec<&'a str>,
}

/// Why an opening handshake is refused.
///
/// `Display` gives the reason for a log line and for the body of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Upgrade has no `websocket`, Connection no `upgrade`, or HTTP is older than 1.1.
    NotAnUpgrade,
    /// No Sec-WebSocket-Version.
    MissingVersion,
    /// A Sec-WebSocket-Version that is malformed or not supported.
    InvalidVersion(InvalidVersion),
    /// A method other than GET.
    MethodNotGet,
    /// No Host.
    MissingHost,
    /// No Sec-WebSocket-Key.
    MissingKey,
    /// A malformed Sec-WebSocket-Key.
    InvalidKey(InvalidKey),
    /// A malformed Sec-WebSocket-Protocol.
    InvalidSubprotocols(InvalidSubprotocols),
}

impl HandshakeError {
    /// Whether the version is at fault (unknown, malformed or missing), so that the response has to
    /// carry [`SUPPORTED_VERSIONS`] in Sec-WebSocket-Version (RFC 6455 §4.2.2, §4.4).
    pub fn is_unsupported_version(&self) -> bool {
        match self {
            HandshakeError::MissingVersion | HandshakeError::InvalidVersion(_) => true,
            HandshakeError::NotAnUpgrade
            | HandshakeError::MethodNotGet
            | HandshakeError::MissingHost
            | HandshakeError::MissingKey
            | HandshakeError::InvalidKey(_)
            | HandshakeError::InvalidSubprotocols(_) => false,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::NotAnUpgrade => f.write_str("the request asks for no WebSocket"),
            HandshakeError::MissingVersion => {
                write!(
                    f,
                    "Sec-WebSocket-Version is missing (supported: {SUPPORTED_VERSIONS})"
                )
            }
            HandshakeError::InvalidVersion(error) => error.fmt(f),
            HandshakeError::MethodNotGet => f.write_str("the method is not GET"),
            HandshakeError::MissingHost => f.write_str("Host is missing"),
            HandshakeError::MissingKey => f.write_str("Sec-WebSocket-Key is missing"),
            HandshakeError::InvalidKey(error) => error.fmt(f),
            HandshakeError::InvalidSubprotocols(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HandshakeError {}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Request<'_> = Request {
        method_is_get: true,
        http_1_1_or_later: true,
        host: Some("server.example.com"),
        upgrade: Some("websocket"),
        connection: Some("Upgrade"),
        key: Some("dGhlIHNhbXBsZSBub25jZQ=="),
        version: Some("13"),
        protocol: Some("chat, superchat"),
    };

    #[test]
    fn the_request_of_section_1_2_is_accepted() {
        let accepted = GOOD.accept().unwrap();
        assert_eq!(accepted.version, ProtocolVersion::V13);
        assert_eq!(accepted.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accepted.subprotocols, ["chat", "superchat"]);
    }

    #[test]
    fn a_request_without_subprotocols_is_accepted() {
        let request = Request {
            protocol: None,
            ..GOOD
        };
        assert_eq!(request.accept().unwrap().subprotocols, [""; 0]);
    }

    #[test]
    fn upgrade_and_connection_are_token_lists_in_any_case() {
        for (upgrade, connection) in [
            ("WebSocket", "upgrade"),
            ("h2c, websocket", "keep-alive, Upgrade"),
            ("HTTP/2.0, websocket", "close, Upgrade,"),
            ("websocket,", "odd member, UPGRADE"),
        ] {
            let request = Request {
                upgrade: Some(upgrade),
                connection: Some(connection),
                ..GOOD
            };
            assert!(request.is_upgrade(), "{upgrade:?} {connection:?}");
            assert!(request.lacks().is_empty());
            assert!(request.accept().is_ok());
        }
    }

    #[test]
    fn a_request_that_asks_for_no_websocket_is_no_upgrade() {
        for request in [
            Request::default(),
            Request {
                http_1_1_or_later: false,
                ..GOOD
            },
            Request {
                upgrade: None,
                ..GOOD
            },
            Request {
                upgrade: Some("h2c"),
                ..GOOD
            },
            Request {
                connection: None,
                ..GOOD
            },
            Request {
                connection: Some("keep-alive"),
                ..GOOD
            },
        ] {
            assert!(!request.is_upgrade(), "{request:?}");
            assert!(!request.lacks().is_empty(), "{request:?}");
            assert_eq!(request.accept(), Err(HandshakeError::NotAnUpgrade));
        }
    }

    #[test]
    fn each_fault_is_reported_as_itself() {
        use HandshakeError as E;
        for (request, error) in [
            (
                Request {
                    method_is_get: false,
                    ..GOOD
                },
                E::MethodNotGet,
            ),
            (Request { host: None, ..GOOD }, E::MissingHost),
            (Request { key: None, ..GOOD }, E::MissingKey),
            (
                Request {
                    key: Some("short"),
                    ..GOOD
                },
                E::InvalidKey(InvalidKey),
            ),
            (
                Request {
                    version: None,
                    ..GOOD
                },
                E::MissingVersion,
            ),
            (
                Request {
                    version: Some("14"),
                    ..GOOD
                },
                E::InvalidVersion(InvalidVersion::Unknown(14)),
            ),
            (
                Request {
                    version: Some("013"),
                    ..GOOD
                },
                E::InvalidVersion(InvalidVersion::Malformed),
            ),
            (
                Request {
                    protocol: Some(","),
                    ..GOOD
                },
                E::InvalidSubprotocols(InvalidSubprotocols::Empty),
            ),
        ] {
            assert!(request.is_upgrade());
            assert_eq!(request.accept(), Err(error));
            assert!(!error.to_string().is_empty());
            let is_version = matches!(error, E::MissingVersion | E::InvalidVersion(_));
            assert_eq!(error.is_unsupported_version(), is_version);
        }
    }

    #[test]
    fn an_unsupported_version_wins_over_every_other_fault() {
        let request = Request {
            method_is_get: false,
            host: None,
            key: None,
            version: Some("9"),
            protocol: Some(""),
            ..GOOD
        };
        let error = request.accept().unwrap_err();
        assert!(error.is_unsupported_version());
        assert_eq!(
            error.to_string(),
            "Sec-WebSocket-Version 9 is not supported (supported: 13, 8, 7)"
        );
    }
}
