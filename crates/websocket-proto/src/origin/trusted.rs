use std::fmt;

use super::{Fault, InvalidOrigin, Origin, Parts, TrustedHost, is_of_web, write_origin};
use crate::origin::Host;

/// An origin that is trusted, or a family of them: one whose first host label is `*`, or, for a
/// scheme that is not one of web pages, whose whole host is.
///
/// `https://*.example.com` matches any one or more labels in the place of `*`, but not
/// `https://example.com`; `chrome-extension://*` matches every extension. Scheme and port are exact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustedOrigin {
    scheme: String,
    host: Trust,
    /// `None` is the scheme's default.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    Named(TrustedHost),
    /// One that no web page has: empty, or a dot.
    OfApplication(Host),
    /// Any, of a scheme that is not one of web pages.
    Any,
}

impl TrustedOrigin {
    /// Parses the argument of a directive.
    pub fn parse(text: &str) -> Result<TrustedOrigin, InvalidOrigin> {
        let parts = Parts::split(text)?;
        let is_of_web = is_of_web(&parts.scheme);
        let host = match parts.host {
            "*" if !is_of_web => Ok(Trust::Any),
            "" | "." if !is_of_web => {
                Host::parse_of_application(parts.host).map(Trust::OfApplication)
            }
            host => TrustedHost::parse_in_url(host).map(Trust::Named),
        };
        Ok(TrustedOrigin {
            host: host.map_err(|fault| InvalidOrigin::new(text, Fault::Host(fault)))?,
            scheme: parts.scheme,
            port: parts.port,
        })
    }

    /// Whether `origin` is this one, or one of this family.
    pub fn matches(&self, origin: &Origin) -> bool {
        let is_host = match &self.host {
            Trust::Named(host) => host.matches(&origin.host),
            Trust::OfApplication(host) => *host == origin.host,
            Trust::Any => true,
        };
        is_host && self.scheme == origin.scheme && self.port == origin.port
    }
}

impl fmt::Display for TrustedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host: &dyn fmt::Display = match &self.host {
            Trust::Named(host) => host,
            Trust::OfApplication(host) => host,
            Trust::Any => &"*",
        };
        write_origin(f, &self.scheme, host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
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
            "https://www.example.com.",
        ] {
            assert!(family.matches(&origin(text)), "{text}");
        }
        for text in [
            "https://example.com",
            "https://wwwexample.com",
            "https://www.example.com.evil.test",
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

    #[test]
    fn applications_and_extensions_are_trusted_one_by_one_or_by_their_scheme() {
        for (trusted, good, bad) in [
            (
                "file://",
                &["file://", "FILE://"][..],
                &["file://host", "app://", "http://file"][..],
            ),
            ("app://.", &["app://."], &["app://", "app://a.", "file://."]),
            (
                "chrome-extension://abcdef",
                &["chrome-extension://ABCDEF"],
                &["chrome-extension://abcdefg", "moz-extension://abcdef"],
            ),
            (
                "Chrome-Extension://*",
                &[
                    "chrome-extension://a",
                    "chrome-extension://",
                    "chrome-extension://.",
                ],
                &["moz-extension://a", "https://a", "chrome-extension://a:1"],
            ),
            (
                "app://*.example",
                &["app://a.example"],
                &["app://example", "app://."],
            ),
        ] {
            let trusted = TrustedOrigin::parse(trusted).unwrap();
            for text in good {
                assert!(trusted.matches(&origin(text)), "{trusted} {text}");
            }
            for text in bad {
                assert!(!trusted.matches(&origin(text)), "{trusted} {text}");
            }
            assert_eq!(TrustedOrigin::parse(&trusted.to_string()), Ok(trusted));
        }
        for text in [
            "ws://*",
            "wss://*:8443",
            "file://*x",
            "app://x*",
            "http://.",
            "https://",
        ] {
            assert!(TrustedOrigin::parse(text).is_err(), "{text}");
        }
    }
}
