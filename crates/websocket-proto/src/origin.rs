//! Origins (RFC 6454): whether a request comes from the same or from a trusted one.

use std::fmt;
use std::net::Ipv6Addr;

/// A serialised origin, `scheme://host[:port]` (RFC 6454 §6.2), normalised.
///
/// Letter case of scheme and host, the spelling of an IPv6 address and a default port make no
/// difference. The opaque origin `null` is none: it is never equal to another one (RFC 6454 §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    /// In lower case; an IPv6 address in brackets.
    host: String,
    /// `None` is the scheme's default.
    port: Option<u16>,
}

impl Origin {
    /// Parses the value of an Origin header field or of a directive.
    pub fn parse(text: &str) -> Result<Origin, InvalidOrigin> {
        let parts = Parts::split(text)?;
        Ok(Origin {
            host: parse_host(text, parts.host)?,
            scheme: parts.scheme,
            port: parts.port,
        })
    }

    /// The origin of a request as a server knows it; an IPv6 address may lack its brackets.
    pub fn from_parts(scheme: &str, host: &str, port: u16) -> Result<Origin, InvalidOrigin> {
        let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
        Origin::parse(&match is_bare_ipv6 {
            true => format!("{scheme}://[{host}]:{port}"),
            false => format!("{scheme}://{host}:{port}"),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_origin(f, &self.scheme, &self.host, self.port)
    }
}

/// An origin that is trusted, or a family of them: one whose first host label is `*`.
///
/// `https://*.example.com` matches any one or more labels in the place of `*`, but not
/// `https://example.com`; scheme and port are exact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustedOrigin {
    is_family: bool,
    /// In a family, the part of the host after `*.`.
    origin: Origin,
}

impl TrustedOrigin {
    /// Parses the argument of a directive.
    pub fn parse(text: &str) -> Result<TrustedOrigin, InvalidOrigin> {
        let parts = Parts::split(text)?;
        let (is_family, host) = match parts.host.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, parts.host),
        };
        let host = parse_host(text, host)?;
        // A `*` stands for names; addresses are exact.
        let last_label = host
            .trim_end_matches('.')
            .rsplit('.')
            .next()
            .unwrap_or_default();
        let is_address = host.starts_with('[') || last_label.bytes().all(|b| b.is_ascii_digit());
        if is_family && is_address {
            return Err(InvalidOrigin::new(text, Fault::Wildcard));
        }
        Ok(TrustedOrigin {
            is_family,
            origin: Origin {
                scheme: parts.scheme,
                host,
                port: parts.port,
            },
        })
    }

    /// Whether `origin` is this one, or one of this family.
    pub fn matches(&self, origin: &Origin) -> bool {
        if !self.is_family {
            return self.origin == *origin;
        }
        let labels = origin
            .host
            .strip_suffix(&self.origin.host)
            .and_then(|front| front.strip_suffix('.'));
        self.origin.scheme == origin.scheme
            && self.origin.port == origin.port
            && labels.is_some_and(|labels| !labels.is_empty())
    }
}

impl fmt::Display for TrustedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { scheme, host, port } = &self.origin;
        match self.is_family {
            true => write_origin(f, scheme, &format!("*.{host}"), *port),
            false => self.origin.fmt(f),
        }
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
    NoHost,
    Host,
    Ipv6,
    Port,
    Wildcard,
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
            Fault::NoHost => "the host is missing",
            Fault::Host => {
                "a host has labels of letters, digits, \"-\" and \"_\" with \".\" between them \
                 (an international name in its \"xn--\" form)"
            }
            Fault::Ipv6 => {
                "an IPv6 address must be well-formed and in brackets, as in [2001:db8::1]"
            }
            Fault::Port => "a port is a number from 1 to 65535",
            Fault::Wildcard => "\"*\" can only be the whole first label of a host name",
        })?;
        f.write_str("; write scheme://host or scheme://host:port, such as https://www.example.com")
    }
}

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
            return Err(invalid(Fault::Ipv6));
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

/// RFC 3986 §3.2.2, without the parts of it that no origin has; `text` is for the error.
fn parse_host(text: &str, host: &str) -> Result<String, InvalidOrigin> {
    let invalid = |fault| Err(InvalidOrigin::new(text, fault));
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').map(str::parse::<Ipv6Addr>);
        return match address {
            Some(Ok(address)) => Ok(format!("[{address}]")),
            _ => invalid(Fault::Ipv6),
        };
    }
    // A dot at the end names the root; browsers send it in the Origin when it is in the URL.
    let labels = host.strip_suffix('.').unwrap_or(host);
    if labels.is_empty() {
        return invalid(Fault::NoHost);
    }
    if labels.contains('*') {
        return invalid(Fault::Wildcard);
    }
    let is_label = |label: &str| {
        let is_character = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.bytes().all(is_character)
    };
    match labels.split('.').all(is_label) {
        true => Ok(host.to_ascii_lowercase()),
        false => invalid(Fault::Host),
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

fn write_origin(
    f: &mut fmt::Formatter<'_>,
    scheme: &str,
    host: &str,
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
            ("http://example.com.", "http://example.com."),
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
            "http://example.com.",
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
    fn an_origin_from_parts_equals_the_parsed_one() {
        for (scheme, host, port, text) in [
            ("http", "Example.com", 80, "http://example.com"),
            ("https", "example.com", 8443, "https://example.com:8443"),
            ("http", "::1", 80, "http://[::1]"),
            ("http", "[::1]", 8080, "http://[::1]:8080"),
        ] {
            assert_eq!(Origin::from_parts(scheme, host, port), Ok(origin(text)));
        }
        assert!(Origin::from_parts("http", "a/b", 80).is_err());
    }

    #[test]
    fn an_exact_trusted_origin_matches_itself_alone() {
        let trusted = TrustedOrigin::parse("HTTPS://Example.com:443").unwrap();
        assert!(trusted.matches(&origin("https://example.com")));
        assert!(!trusted.matches(&origin("https://www.example.com")));
        assert!(!trusted.matches(&origin("https://example.com:8443")));
        assert!(!trusted.matches(&origin("http://example.com")));
        assert_eq!(trusted.to_string(), "https://example.com");

        let trusted = TrustedOrigin::parse("http://[::1]:8080").unwrap();
        assert!(trusted.matches(&origin("http://[0::1]:8080")));
    }

    #[test]
    fn a_family_matches_one_or_more_labels_in_place_of_the_star() {
        let family = TrustedOrigin::parse("https://*.Example.com").unwrap();
        for text in [
            "https://www.example.com",
            "https://a.b.example.com",
            "https://WWW.example.com:443",
        ] {
            assert!(family.matches(&origin(text)), "{text}");
        }
        for text in [
            "https://example.com",
            "https://wwwexample.com",
            "https://www.example.com.evil.test",
            "https://www.example.com.",
            "https://www.example.com:8443",
            "http://www.example.com",
        ] {
            assert!(!family.matches(&origin(text)), "{text}");
        }
        assert_eq!(family.to_string(), "https://*.example.com");

        let family = TrustedOrigin::parse("http://*.example.com:8080").unwrap();
        assert!(family.matches(&origin("http://www.example.com:8080")));
        assert!(!family.matches(&origin("http://www.example.com")));
        assert_eq!(family.to_string(), "http://*.example.com:8080");
    }

    #[test]
    fn a_star_anywhere_but_in_the_first_label_is_refused() {
        for text in [
            "https://*",
            "https://*:443",
            "https://a.*.com",
            "https://*.*.com",
            "https://www*.example.com",
            "https://*www.example.com",
            "https://*.0.0.1",
            "https://*.[::1]",
            "https://[*]",
            "*://example.com",
        ] {
            let error = TrustedOrigin::parse(text).unwrap_err().to_string();
            assert!(
                error.contains('*') && error.contains("write scheme://host"),
                "{error}"
            );
        }
        assert!(TrustedOrigin::parse("https://*.").is_err());
        assert!(TrustedOrigin::parse("https://*.example.com.").is_ok());
        assert!(TrustedOrigin::parse("https://*..com").is_err());
    }
}
