use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A host as it stands in a URL or in Host (RFC 3986 §3.2.2), normalised.
///
/// Letter case, the spelling of an IPv6 address and a dot at the end, which names the root, make no
/// difference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// In lower case; an IPv6 address in brackets.
    text: String,
}

impl Host {
    /// Parses a host without a port; an IPv6 address may lack its brackets.
    pub fn parse(text: &str) -> Result<Host, InvalidHost> {
        let host = match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Host::from(address)),
            Err(_) => Host::parse_in_url(text),
        };
        host.map_err(|fault| InvalidHost::new(text, fault))
    }

    /// Parses the host of a URL or an origin: an IPv6 address is in brackets.
    pub(super) fn parse_in_url(text: &str) -> Result<Host, HostFault> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').map(str::parse::<Ipv6Addr>);
            return match address {
                Some(Ok(address)) => Ok(Host::from(address)),
                _ => Err(HostFault::Ipv6),
            };
        }
        // Browsers send a dot at the end in Host and Origin when it is in the URL.
        let labels = text.strip_suffix('.').unwrap_or(text);
        if labels.is_empty() {
            return Err(HostFault::Missing);
        }
        if labels.contains('*') {
            return Err(HostFault::Wildcard);
        }
        let is_label = |label: &str| {
            let is_character = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !label.is_empty() && label.bytes().all(is_character)
        };
        match labels.split('.').all(is_label) {
            true => Ok(Host {
                text: labels.to_ascii_lowercase(),
            }),
            false => Err(HostFault::Label),
        }
    }

    /// The host of an origin whose scheme is not one of web pages: nothing, a dot, or what a URL
    /// of the web has.
    pub(super) fn parse_of_application(text: &str) -> Result<Host, HostFault> {
        match text {
            "" | "." => Ok(Host {
                text: text.to_owned(),
            }),
            _ => Host::parse_in_url(text),
        }
    }

    /// The normalised text, an IPv6 address in brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is an IP address, so that no name server has a say in it.
    pub fn is_address(&self) -> bool {
        self.text.starts_with('[') || self.text.parse::<Ipv4Addr>().is_ok()
    }

    /// Whether it is `localhost`, for which browsers ask no name server (RFC 6761 §6.3).
    pub fn is_localhost(&self) -> bool {
        self.text == "localhost"
    }
}

impl From<Ipv6Addr> for Host {
    fn from(address: Ipv6Addr) -> Host {
        Host {
            text: format!("[{address}]"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A host, or a family of them: one whose first label is `*`.
///
/// `*.example.com` matches any one or more labels in the place of `*`, but not `example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustedHost {
    is_family: bool,
    /// In a family, the part after `*.`.
    host: Host,
}

impl TrustedHost {
    /// Parses the argument of a directive; an IPv6 address may lack its brackets.
    pub fn parse(text: &str) -> Result<TrustedHost, InvalidHost> {
        let host = match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(TrustedHost {
                is_family: false,
                host: Host::from(address),
            }),
            Err(_) => TrustedHost::parse_in_url(text),
        };
        host.map_err(|fault| InvalidHost::new(text, fault))
    }

    pub(super) fn parse_in_url(text: &str) -> Result<TrustedHost, HostFault> {
        let Some(domain) = text.strip_prefix("*.") else {
            return Ok(TrustedHost {
                is_family: false,
                host: Host::parse_in_url(text)?,
            });
        };
        let host = Host::parse_in_url(domain)?;
        // A `*` stands for names; addresses are exact.
        let last_label = host.text.rsplit('.').next().unwrap_or_default();
        match host.is_address() || last_label.bytes().all(|b| b.is_ascii_digit()) {
            true => Err(HostFault::Wildcard),
            false => Ok(TrustedHost {
                is_family: true,
                host,
            }),
        }
    }

    /// Whether `host` is this one, or one of this family.
    pub fn matches(&self, host: &Host) -> bool {
        if !self.is_family {
            return self.host == *host;
        }
        let labels = host.text.strip_suffix(&self.host.text);
        let labels = labels.and_then(|front| front.strip_suffix('.'));
        labels.is_some_and(|labels| !labels.is_empty())
    }
}

impl fmt::Display for TrustedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_family {
            true => write!(f, "*.{}", self.host),
            false => self.host.fmt(f),
        }
    }
}

/// Why a text is no host; `Display` says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHost {
    text: String,
    fault: HostFault,
}

impl InvalidHost {
    fn new(text: &str, fault: HostFault) -> InvalidHost {
        InvalidHost {
            text: text.to_owned(),
            fault,
        }
    }
}

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text is escaped: it may come from a request and go to a log.
        let InvalidHost { text, fault } = self;
        write!(f, "{text:?} is not a host: {fault}; ")?;
        f.write_str("write it without scheme and port, such as www.example.com or *.example.com")
    }
}

impl std::error::Error for InvalidHost {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostFault {
    Missing,
    Label,
    Ipv6,
    Wildcard,
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostFault::Missing => "the host is missing",
            HostFault::Label => {
                "a host has labels of letters, digits, \"-\" and \"_\" with \".\" between them \
                 (an international name in its \"xn--\" form)"
            }
            HostFault::Ipv6 => {
                "an IPv6 address must be well-formed and in brackets, as in [2001:db8::1]"
            }
            HostFault::Wildcard => {
                "\"*\" can only be the whole first label of a host name, or the whole host of an \
                 application's scheme, as in chrome-extension://*"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn letter_case_the_last_dot_and_ipv6_spelling_make_no_difference() {
        for (text, normalised) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("LocalHost.", "localhost"),
            ("my_host", "my_host"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ] {
            assert_eq!(host(text).to_string(), normalised, "{text}");
            assert_eq!(host(text), host(normalised), "{text}");
        }
    }

    #[test]
    fn malformed_hosts_are_refused_with_what_would_be_right() {
        for (text, hint) in [
            ("", "missing"),
            (".", "missing"),
            ("example.com..", "labels"),
            ("example.com:80", "labels"),
            ("http://example.com", "labels"),
            ("user@example.com", "labels"),
            ("bücher.example", "xn--"),
            ("[::1", "IPv6"),
            ("[::1]:80", "IPv6"),
            ("*", "\"*\""),
            ("a.*.com", "\"*\""),
        ] {
            let message = Host::parse(text).unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
            assert!(message.contains("without scheme and port"), "{message}");
            assert!(TrustedHost::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_names_that_look_like_them() {
        for (text, is_address) in [
            ("127.0.0.1", true),
            ("127.0.0.1.", true),
            ("[2001:db8::1]", true),
            ("127.0.0.1.example.com", false),
            ("127.1", false),
            ("1.2.3.256", false),
            ("0x7f.0.0.1", false),
            ("localhost", false),
        ] {
            assert_eq!(host(text).is_address(), is_address, "{text}");
        }
        assert!(host("LOCALHOST").is_localhost());
        assert!(!host("localhost.example.com").is_localhost());
    }

    #[test]
    fn a_trusted_host_is_exact_or_a_family() {
        for (trusted, good, bad) in [
            (
                "www.Example.com",
                &["www.example.com", "WWW.example.com."][..],
                &[
                    "example.com",
                    "a.www.example.com",
                    "www.example.com.evil.test",
                ][..],
            ),
            (
                "*.example.com",
                &["www.example.com", "a.b.example.com."],
                &["example.com", "wwwexample.com", "www.example.com.evil.test"],
            ),
            ("::1", &["[::1]"], &["[::2]", "127.0.0.1"]),
            ("192.0.2.1", &["192.0.2.1"], &["192.0.2.10"]),
        ] {
            let trusted = TrustedHost::parse(trusted).unwrap();
            for text in good {
                assert!(trusted.matches(&host(text)), "{trusted} {text}");
            }
            for text in bad {
                assert!(!trusted.matches(&host(text)), "{trusted} {text}");
            }
        }
        for text in ["*.0.0.1", "*.[::1]", "*.*.com", "*.", "*..com"] {
            assert!(TrustedHost::parse(text).is_err(), "{text}");
        }
    }
}
