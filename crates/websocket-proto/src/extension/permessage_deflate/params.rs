use std::fmt::Write as _;
use std::sync::Arc;

use super::{CodecPool, CompressionLevel, MessageDeflater, MessageInflater, WindowBits};
use crate::extension::negotiation::{Offer, Parameter, parse_offers};
use crate::frame::Role;

/// The extension's token (RFC 7692 §7).
const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// What a server wants of permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermessageDeflateConfig {
    /// How hard to compress.
    pub level: CompressionLevel,
    /// Messages with fewer bytes are sent uncompressed. 0: every message that is not empty is compressed, even
    /// when that makes it longer.
    pub min_size: usize,
    /// The largest window that the server uses, and that it grants to a client that lets itself be
    /// limited.
    pub max_window_bits: WindowBits,
    /// Whether a message may refer to those before it, both ways.
    pub context_takeover: bool,
}

impl Default for PermessageDeflateConfig {
    fn default() -> PermessageDeflateConfig {
        PermessageDeflateConfig {
            level: CompressionLevel::DEFAULT,
            min_size: 256,
            max_window_bits: WindowBits::MAX,
            context_takeover: true,
        }
    }
}

/// Picks the first offer that a server can accept from the client's Sec-WebSocket-Extensions, the
/// values of all such header fields in their order.
///
/// Other extensions are skipped. An offer with an unknown, repeated or ill-valued parameter, and one
/// that asks for a window of 256 bytes, is declined and the next one tried (RFC 7692 §5.1, §7.1).
/// A malformed header field declines everything; RFC 6455 §9.1 would fail the handshake, but
/// without the extension that header field would not even have been read.
pub fn negotiate<'a>(
    offers: impl Iterator<Item = &'a str>,
    config: &PermessageDeflateConfig,
) -> Option<Agreed> {
    let mut agreed = None;
    for field in offers {
        for offer in parse_offers(field).ok()? {
            agreed = agreed.or_else(|| Offered::parse(&offer)?.accept(config));
        }
    }
    agreed
}

/// The agreed parameters of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    level: CompressionLevel,
    min_size: usize,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    /// What the server keeps to, and whether it says so.
    server_window_bits: WindowBits,
    says_server_max_window_bits: bool,
    /// What the client has to keep to, said when less than everything.
    client_window_bits: WindowBits,
}

impl Agreed {
    /// The value of the response's Sec-WebSocket-Extensions.
    ///
    /// It has `server_max_window_bits` only when that was offered: RFC 7692 §7.1.2.1 allows it
    /// unasked, but there are clients that do not, and any client's decompressor takes a smaller
    /// window than it has room for.
    pub fn response(&self) -> String {
        let mut text = NAME.to_owned();
        let mut say = |name: &str, bits: Option<WindowBits>| {
            let _ = write!(text, "; {name}");
            if let Some(bits) = bits {
                let _ = write!(text, "={}", bits.get());
            }
        };
        if self.server_no_context_takeover {
            say(SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if self.client_no_context_takeover {
            say(CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        if self.says_server_max_window_bits {
            say(SERVER_MAX_WINDOW_BITS, Some(self.server_window_bits));
        }
        if self.client_window_bits < WindowBits::MAX {
            say(CLIENT_MAX_WINDOW_BITS, Some(self.client_window_bits));
        }
        text
    }

    /// How far back a server's compressor refers at most.
    pub fn server_window_bits(&self) -> WindowBits {
        self.server_window_bits
    }

    /// Whether a server's message may refer to those before it, so that its compressor and the
    /// client's decompressor stay with the connection.
    pub fn server_context_takeover(&self) -> bool {
        !self.server_no_context_takeover
    }

    /// Whether a client's message may refer to those before it, so that its compressor and the
    /// server's decompressor stay with the connection.
    pub fn client_context_takeover(&self) -> bool {
        !self.client_no_context_takeover
    }

    pub(crate) fn deflater(&self, role: Role, pool: &Arc<CodecPool>) -> MessageDeflater {
        let (window_bits, context_takeover) = match role {
            Role::Server => (self.server_window_bits, self.server_context_takeover()),
            Role::Client => (self.client_window_bits, self.client_context_takeover()),
        };
        let pool = Arc::clone(pool);
        MessageDeflater::new(
            pool,
            self.level,
            window_bits,
            context_takeover,
            self.min_size,
        )
    }

    pub(crate) fn inflater(&self, role: Role, pool: &Arc<CodecPool>) -> MessageInflater {
        let context_takeover = match role {
            Role::Server => self.client_context_takeover(),
            Role::Client => self.server_context_takeover(),
        };
        MessageInflater::new(Arc::clone(pool), context_takeover)
    }
}

/// The parameters of one offer, each as its section of RFC 7692 wants it.
#[derive(Debug, Default)]
struct Offered {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<OfferedBits>,
    /// With a value or without: `Some(None)` says only that the client can be limited.
    client_max_window_bits: Option<Option<OfferedBits>>,
}

/// A window size that the wire allows: 8 to 15.
#[derive(Clone, Copy, Debug)]
enum OfferedBits {
    /// 8, too small for us.
    Eight,
    Usable(WindowBits),
}

impl Offered {
    /// `None` when it is another extension's offer, or not a valid one.
    fn parse(offer: &Offer<'_>) -> Option<Offered> {
        if offer.name != NAME {
            return None;
        }
        let mut offered = Offered::default();
        for parameter in &offer.parameters {
            let is_repeated = match parameter.name {
                SERVER_NO_CONTEXT_TAKEOVER => {
                    // RFC 7692 §7.1.1.1: it has no value.
                    has_no_value(parameter)?;
                    std::mem::replace(&mut offered.server_no_context_takeover, true)
                }
                CLIENT_NO_CONTEXT_TAKEOVER => {
                    // RFC 7692 §7.1.1.2: it has no value.
                    has_no_value(parameter)?;
                    std::mem::replace(&mut offered.client_no_context_takeover, true)
                }
                SERVER_MAX_WINDOW_BITS => {
                    // RFC 7692 §7.1.2.1: it has a value.
                    let bits = OfferedBits::parse(parameter.value.as_deref()?)?;
                    offered.server_max_window_bits.replace(bits).is_some()
                }
                CLIENT_MAX_WINDOW_BITS => {
                    // RFC 7692 §7.1.2.2: it may have a value.
                    let bits = match parameter.value.as_deref() {
                        Some(value) => Some(OfferedBits::parse(value)?),
                        None => None,
                    };
                    offered.client_max_window_bits.replace(bits).is_some()
                }
                // RFC 7692 §7.1: an undefined parameter declines the offer.
                _ => return None,
            };
            // RFC 7692 §7.1: so does a repeated one.
            if is_repeated {
                return None;
            }
        }
        Some(offered)
    }

    /// `None` when the server cannot do what is asked.
    fn accept(&self, config: &PermessageDeflateConfig) -> Option<Agreed> {
        let ours = config.max_window_bits;
        let server_window_bits = match self.server_max_window_bits {
            None => ours,
            // RFC 7692 §7.1.2.1: the same value or a smaller one.
            Some(OfferedBits::Usable(theirs)) => ours.min(theirs),
            Some(OfferedBits::Eight) => return None,
        };
        let client_window_bits = match self.client_max_window_bits {
            // RFC 7692 §7.1.2.2: not offered, so not in the response.
            None => WindowBits::MAX,
            Some(None) => ours,
            Some(Some(OfferedBits::Usable(theirs))) => ours.min(theirs),
            // The client will not use more; we need not say it.
            Some(Some(OfferedBits::Eight)) => WindowBits::MAX,
        };
        Some(Agreed {
            level: config.level,
            min_size: config.min_size,
            // RFC 7692 §7.1.1.1: allowed unasked.
            server_no_context_takeover: self.server_no_context_takeover || !config.context_takeover,
            // RFC 7692 §7.1.1.2: allowed unasked; a client that offers it does without anyway.
            client_no_context_takeover: self.client_no_context_takeover || !config.context_takeover,
            server_window_bits,
            says_server_max_window_bits: self.server_max_window_bits.is_some(),
            client_window_bits,
        })
    }
}

impl OfferedBits {
    /// RFC 7692 §7.1.2: a decimal number without leading zeros from 8 to 15.
    fn parse(value: &str) -> Option<OfferedBits> {
        match value {
            "8" => Some(OfferedBits::Eight),
            _ if value.starts_with(['0', '+']) => None,
            _ => WindowBits::new(value.parse().ok()?).map(OfferedBits::Usable),
        }
    }
}

fn has_no_value(parameter: &Parameter<'_>) -> Option<()> {
    parameter.value.is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bits: u8, context_takeover: bool) -> PermessageDeflateConfig {
        PermessageDeflateConfig {
            max_window_bits: WindowBits::new(bits).unwrap(),
            context_takeover,
            ..PermessageDeflateConfig::default()
        }
    }

    fn respond(offers: &[&str], config: &PermessageDeflateConfig) -> Option<String> {
        negotiate(offers.iter().copied(), config).map(|agreed| agreed.response())
    }

    #[track_caller]
    fn assert_response(offers: &str, config: &PermessageDeflateConfig, parameters: &str) {
        let expected = format!("permessage-deflate{parameters}");
        assert_eq!(respond(&[offers], config), Some(expected), "{offers:?}");
    }

    #[test]
    fn the_examples_of_section_7_1_3_are_answered() {
        let config = config(15, true);
        assert_response("permessage-deflate", &config, "");
        assert_response(
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            &config,
            "; server_max_window_bits=10",
        );
        assert_response(
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10, \
             permessage-deflate; client_max_window_bits",
            &config,
            "; server_max_window_bits=10",
        );
    }

    #[test]
    fn a_smaller_window_of_ours_is_said_where_the_offer_has_the_parameter() {
        let config = config(11, true);
        for (offer, parameters) in [
            ("", ""),
            ("; client_max_window_bits", "; client_max_window_bits=11"),
            ("; client_max_window_bits=15", "; client_max_window_bits=11"),
            ("; client_max_window_bits=10", "; client_max_window_bits=10"),
            ("; client_max_window_bits=8", ""),
            ("; server_max_window_bits=15", "; server_max_window_bits=11"),
            ("; server_max_window_bits=9", "; server_max_window_bits=9"),
            (
                "; server_max_window_bits=\"1\\2\"",
                "; server_max_window_bits=11",
            ),
        ] {
            assert_response(&format!("permessage-deflate{offer}"), &config, parameters);
        }
        let agreed = negotiate(["permessage-deflate"].into_iter(), &config).unwrap();
        assert_eq!(agreed.server_window_bits.get(), 11);
        assert_eq!(agreed.client_window_bits.get(), 15);
    }

    #[test]
    fn the_full_window_is_said_only_for_the_server() {
        assert_response(
            "permessage-deflate; client_max_window_bits=15; server_max_window_bits=15",
            &config(15, true),
            "; server_max_window_bits=15",
        );
    }

    #[test]
    fn context_takeover_ends_where_either_endpoint_wants_no_more_of_it() {
        let (server, client) = (
            "; server_no_context_takeover",
            "; client_no_context_takeover",
        );
        for (offer, with, without) in [
            ("", "", format!("{server}{client}")),
            (server, server, format!("{server}{client}")),
            (client, client, format!("{server}{client}")),
        ] {
            let offer = format!("permessage-deflate{offer}");
            assert_response(&offer, &config(15, true), with);
            assert_response(&offer, &config(15, false), &without);
        }
    }

    #[test]
    fn invalid_offers_are_declined() {
        for parameters in [
            "unknown",
            "unknown=1",
            "Server_no_context_takeover",
            "server_no_context_takeover=1",
            "server_no_context_takeover=\"\"",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover=true",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits",
            "server_max_window_bits=8",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=010",
            "server_max_window_bits=+10",
            "server_max_window_bits=1e1",
            "server_max_window_bits=\"\"",
            "server_max_window_bits=\" 10\"",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits=7",
            "client_max_window_bits=08",
            "client_max_window_bits=16",
            "client_max_window_bits=256",
            "client_max_window_bits=4294967306",
            "client_max_window_bits; client_max_window_bits",
            "client_max_window_bits; client_max_window_bits=10",
        ] {
            let offer = format!("permessage-deflate; {parameters}");
            let config = PermessageDeflateConfig::default();
            assert_eq!(respond(&[&offer], &config), None, "{offer:?}");
            // The next one is tried, in the same header field and in another.
            let next = "permessage-deflate; server_no_context_takeover";
            let expected = Some(next.to_owned());
            let list = format!("{offer}, {next}, permessage-deflate");
            assert_eq!(respond(&[&list], &config), expected, "{offer:?}");
            assert_eq!(respond(&[&offer, next], &config), expected, "{offer:?}");
        }
    }

    #[test]
    fn other_extensions_are_skipped_and_malformed_lists_decline_everything() {
        let config = PermessageDeflateConfig::default();
        for offers in [&[][..], &[""], &["x-webkit-deflate-frame, mux; a=\"b, c\""]] {
            assert_eq!(respond(offers, &config), None);
        }
        assert_response("mux; a=\"b, c\", permessage-deflate", &config, "");
        assert_eq!(respond(&["permessage-deflate, a b"], &config), None);
        assert_eq!(respond(&["permessage-deflate", "a;"], &config), None);
    }

    #[test]
    fn window_bits_and_levels_hold_nothing_out_of_range() {
        let bits: Vec<u8> = (0..=255)
            .filter(|&n| WindowBits::new(n).is_some())
            .collect();
        assert_eq!(bits, (9..=15).collect::<Vec<_>>());
        let levels = (0..=255).filter(|&n| CompressionLevel::new(n).is_some());
        assert_eq!(levels.collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    }
}
