//! Origins (RFC 6454): whether a request comes from the same or from a trusted one, and of which
//! hosts it may be the same.

mod host;
mod trusted;

use std::fmt;

pub use host::{Host, InvalidHost, TrustedHost};
pub use trusted::TrustedOrigin;

use host::HostFault;

/// A serialised origin, `scheme://host[:port]` (RFC 6454 §6.2), normalised.
///
/// Letter case of scheme and host, a dot at the end of the host, the spelling of an IPv6 address and
/// a default port make no difference. Schemes other than those of web pages may have an empty host
/// (`file://`) or a dot for one (`app://.`). The opaque origin `null` is none: it is never equal to
/// another one (RFC 6454 §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: Host,
    /// `None` is the scheme's default.
    port: Option<u16>,
}

impl Origin {
    /// Parses the value of an Origin header field or of a directive.
    pub fn parse(text: &str) -> Result<Origin, InvalidOrigin> {
        let parts = Parts::split(text)?;
        let host = match is_of_web(&parts.scheme) {
            true => Host::parse_in_url(parts.host),
            false => Host::parse_of_application(parts.host),
        };
        Ok(Origin {
            host: host.map_err(|fault| InvalidOrigin::new(text, Fault::Host(fault)))?,
            scheme: parts.scheme,
            port: parts.port,
        })
    }

    /// The origin of a request as a server knows it; without a port it is the scheme's.
    pub fn of_request(scheme: &str, host: &Host, port: Option<u16>) -> Origin {
        let scheme = scheme.to_ascii_lowercase();
        Origin {
            port: port.filter(|&port| default_port(&scheme) != Some(port)),
            host: host.clone(),
            scheme,
        }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_origin(f, &self.scheme, &self.host, self.port)
    }
}

/// Why a text is no origin; `Display` says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin {
    text: String,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Empty,
    Null,
    NoScheme,
    Scheme,
    UserInfo,
    Path,
    Port,
    Host(HostFault),
}

impl InvalidOrigin {
    fn new(text: &str, fault: Fault) -> InvalidOrigin {
        InvalidOrigin {
            text: text.to_owned(),
            fault,
        }
    }
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text is escaped: it may come from a request and go to a log.
        write!(f, "{:?} is not an origin: ", self.text)?;
        f.write_str(match self.fault {
            Fault::Empty => "it is empty",
            Fault::Null => {
                "\"null\" stands for every opaque origin and cannot be told from another"
            }
            Fault::NoScheme => "it does not begin with a scheme and \"://\"",
            Fault::Scheme => "a scheme is a letter, then letters, digits, \"+\", \"-\" and \".\"",
            Fault::UserInfo => "it must not have a user name or password",
            Fault::Path => "it must end after the host or port, without \"/\", \"?\" or \"#\"",
            Fault::Port => "a port is a number from 1 to 65535",
            Fault::Host(fault) => return write!(f, "{fault}{HINT}"),
        })?;
        f.write_str(HINT)
    }
}

const HINT: &str = "; write scheme://host or scheme://host:port, such as https://www.example.com";

impl std::error::Error for InvalidOrigin {}

/// An origin's text cut in three; the host is not judged yet.
struct Parts<'a> {
    scheme: String,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Parts<'a>, InvalidOrigin> {
        let invalid = |fault| InvalidOrigin::new(text, fault);
        if text.is_empty() {
            return Err(invalid(Fault::Empty));
        }
        if text.eq_ignore_ascii_case("null") {
            return Err(invalid(Fault::Null));
        }
        let (scheme, authority) = text.split_once("://").ok_or(invalid(Fault::NoScheme))?;
        // RFC 3986 §3.1.
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme {
            return Err(invalid(Fault::Scheme));
        }
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(invalid(Fault::Path));
        }
        if authority.contains('@') {
            return Err(invalid(Fault::UserInfo));
        }
        let scheme = scheme.to_ascii_lowercase();
        let is_bare_ipv6 = authority.matches(':').count() > 1 && !authority.contains('[');
        if is_bare_ipv6 || (authority.starts_with('[') && !authority.contains(']')) {
            return Err(invalid(Fault::Host(HostFault::Ipv6)));
        }
        let host_len = match authority.rfind(']') {
            Some(bracket) => bracket + 1,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, port) = authority.split_at(host_len);
        let port = match port.strip_prefix(':') {
            Some(digits) => Some(parse_port(digits).ok_or(invalid(Fault::Port))?),
            None if port.is_empty() => None,
            None => return Err(invalid(Fault::Port)),
        };
        Ok(Parts {
            port: port.filter(|&port| default_port(&scheme) != Some(port)),
            scheme,
            host,
        })
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok()?;
    (is_digits && port != 0).then_some(port)
}

/// RFC 9110 §4.2.1 and §4.2.2, RFC 6455 §3.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Whether a scheme is one of web pages and WebSockets, whose hosts are names and addresses.
fn is_of_web(scheme: &str) -> bool {
    default_port(scheme).is_some()
}

fn write_origin(
    f: &mut fmt::Formatter<'_>,
    scheme: &str,
    host: &dyn fmt::Display,
    port: Option<u16>,
) -> fmt::Result {
    write!(f, "{scheme}://{host}")?;
    match port {
        Some(port) => write!(f, ":{port}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    #[test]
    fn letter_case_default_ports_and_ipv6_spelling_make_no_difference() {
        for (text, normalised) in [
            ("http://example.com", "http://example.com"),
            ("HTTP://Example.COM", "http://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("ws://example.com:80", "ws://example.com"),
            ("wss://example.com:443", "wss://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("https://example.com:80", "https://example.com:80"),
            ("https://example.com:08443", "https://example.com:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]", "http://[::1]"),
            ("http://[0:0:0:0:0:0:0:1]:80", "http://[::1]"),
            ("http://[2001:DB8::A]:81", "http://[2001:db8::a]:81"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("http://my_host", "http://my_host"),
            ("http://example.com.", "http://example.com"),
            ("http://example.com.:80", "http://example.com"),
            ("file://", "file://"),
            ("FILE://", "file://"),
            ("app://.", "app://."),
            ("app://obsidian.md", "app://obsidian.md"),
        ] {
            assert_eq!(origin(text).to_string(), normalised, "{text}");
            assert_eq!(origin(text), origin(normalised), "{text}");
        }
    }

    #[test]
    fn origins_that_differ_in_scheme_host_or_port_differ() {
        let base = origin("http://example.com");
        for text in [
            "https://example.com",
            "ws://example.com",
            "http://www.example.com",
            "http://example.com:81",
        ] {
            assert_ne!(base, origin(text), "{text}");
        }
    }

    #[test]
    fn malformed_origins_are_refused_with_what_would_be_right() {
        for (text, hint) in [
            ("", "empty"),
            ("null", "opaque"),
            ("example.com", "scheme"),
            ("//example.com", "scheme"),
            ("http:example.com", "scheme"),
            ("://example.com", "scheme"),
            ("1http://example.com", "scheme"),
            (" http://example.com", "scheme"),
            ("http://", "host is missing"),
            ("http://:80", "host is missing"),
            ("http://.", "host is missing"),
            ("http://example.com/", "without \"/\""),
            ("http://example.com/path", "without \"/\""),
            ("http://example.com?q", "without \"/\""),
            ("http://example.com#f", "without \"/\""),
            ("http://example.com\\", "without \"/\""),
            ("http://user@example.com", "user name"),
            ("http://user:password@example.com", "user name"),
            ("http://example.com:", "port"),
            ("http://example.com:0", "port"),
            ("http://example.com:65536", "port"),
            ("http://example.com:+80", "port"),
            ("http://example.com:80:80", "IPv6"),
            ("http://::1", "brackets"),
            ("http://[::1]80", "port"),
            ("http://[::1", "IPv6"),
            ("http://[]", "IPv6"),
            ("http://[::1%25eth0]", "IPv6"),
            ("http://[::g]", "IPv6"),
            ("http://exa mple.com", "labels"),
            ("http://example..com", "labels"),
            ("http://.example.com", "labels"),
            ("http://bücher.example", "xn--"),
            ("http://a, http://b", "without \"/\""),
            ("http://*.example.com", "\"*\""),
            ("http://*", "\"*\""),
            ("file://*", "\"*\""),
            ("app://..", "labels"),
            ("file:///", "without \"/\""),
        ] {
            let message = Origin::parse(text).unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
            assert!(message.contains("write scheme://host"), "{message}");
        }
    }

    #[test]
    fn error_texts_escape_what_a_request_sent() {
        let message = Origin::parse("\n\u{7}\"").unwrap_err().to_string();
        assert!(!message.contains(['\n', '\u{7}']), "{message}");
    }

    #[test]
    fn the_origin_of_a_request_equals_the_one_that_a_page_of_it_sends() {
        for (scheme, host, port, text) in [
            ("http", "Example.com", Some(80), "http://example.com"),
            ("http", "example.com", None, "http://example.com"),
            (
                "https",
                "example.com.",
                Some(8443),
                "https://example.com:8443",
            ),
            ("https", "example.com", Some(443), "https://example.com."),
            ("http", "::1", None, "http://[::1]"),
            ("http", "[::1]", Some(8080), "http://[::1]:8080"),
        ] {
            let host = Host::parse(host).unwrap();
            assert_eq!(Origin::of_request(scheme, &host, port), origin(text));
        }
    }
}
