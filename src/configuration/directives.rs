//! The command table: one type for each directive, with its parser.

use std::ffi::CString;
use std::sync::Arc;

use httpd::config::{Command, Context, Directive, Flag, Take1, Take2, Take3, Take12};
use httpd::log::Subject;
use websocket_proto::close::ReservedCloseCodes;
use websocket_proto::extension::permessage_deflate::{CompressionLevel, WindowBits};
use websocket_proto::origin::{TrustedHost, TrustedOrigin};

use crate::configuration::config::{Config, HostRule, OriginCheck, RateLimit};
use crate::configuration::limit_directives;
use crate::configuration::message_memory;
use crate::configuration::process_options;
use crate::configuration::sections::section_of;
use crate::configuration::topic_directives;
use crate::configuration::values::{parse_number, parse_size, parse_some_time, parse_time};
use crate::log::{self, Level, Tag};
use crate::plugin;

/// Messages in a second; more would not be a limit.
const MOST_MESSAGES: u32 = 1_000_000;

/// Every directive of the module.
pub const COMMANDS: &[Command] = &[
    // It loads code, so it is not for .htaccess.
    Command::take2::<WebSocketHandler>(
        c"WebSocketHandler",
        Context::Configuration,
        c"a plugin's shared object, and its init function",
    ),
    Command::take2::<WebSocketPluginOption>(
        c"WebSocketPluginOption",
        Context::Configuration,
        c"a name and a value for the plugin; may be repeated",
    ),
    Command::take3::<WebSocketProcessOption>(
        c"WebSocketProcessOption",
        Context::Configuration,
        c"an init function, and a name and a value for its plugin in each process; may be repeated",
    ),
    Command::take1::<WebSocketOriginCheck>(
        c"WebSocketOriginCheck",
        Context::ConfigurationAndHtaccess,
        c"Same (default), Trusted or Off: which Origins may open a WebSocket",
    ),
    Command::iterate::<WebSocketTrustedOrigin>(
        c"WebSocketTrustedOrigin",
        Context::ConfigurationAndHtaccess,
        c"one or more origins, as https://example.com or https://*.example.com:8443, for WebSocketOriginCheck Trusted",
    ),
    Command::iterate::<WebSocketTrustedHost>(
        c"WebSocketTrustedHost",
        Context::ConfigurationAndHtaccess,
        c"one or more hosts, as www.example.com or *.example.com, ServerName, or * (default): those that WebSocketOriginCheck Same believes to be this server",
    ),
    Command::take1::<WebSocketMaxMessageSize>(
        c"WebSocketMaxMessageSize",
        Context::ConfigurationAndHtaccess,
        c"the largest message to accept, in bytes or with K, M or G (default 32M)",
    ),
    Command::take1::<WebSocketMaxMessageSize>(
        c"MaxMessageSize",
        Context::ConfigurationAndHtaccess,
        c"deprecated; the directive is WebSocketMaxMessageSize",
    ),
    Command::take1::<WebSocketMessageMemory>(
        c"WebSocketMessageMemory",
        Context::Configuration,
        c"what all unfinished messages of a child take together, in bytes or with K, M or G (default: four times the largest WebSocketMaxMessageSize)",
    ),
    Command::take1::<WebSocketMessageTimeout>(
        c"WebSocketMessageTimeout",
        Context::ConfigurationAndHtaccess,
        c"how long a message may take from its first byte to its last (default 5min; 0: as long as it likes)",
    ),
    Command::flag::<WebSocketAllowReservedStatusCodes>(
        c"WebSocketAllowReservedStatusCodes",
        Context::ConfigurationAndHtaccess,
        c"On to accept close codes from 1000 to 2999 that are not registered (default Off)",
    ),
    Command::flag::<WebSocketCompression>(
        c"WebSocketCompression",
        Context::ConfigurationAndHtaccess,
        c"On to compress messages for clients that offer it, permessage-deflate (default Off)",
    ),
    Command::take1::<WebSocketCompressionLevel>(
        c"WebSocketCompressionLevel",
        Context::ConfigurationAndHtaccess,
        c"1, the fastest, to 9, the smallest (default 6)",
    ),
    Command::take1::<WebSocketCompressionMinSize>(
        c"WebSocketCompressionMinSize",
        Context::ConfigurationAndHtaccess,
        c"messages with fewer bytes go uncompressed, in bytes or with K, M or G (default 256)",
    ),
    Command::take1::<WebSocketCompressionWindowBits>(
        c"WebSocketCompressionWindowBits",
        Context::ConfigurationAndHtaccess,
        c"9 to 15: the largest window that the server uses and grants, as a power of two (default 15)",
    ),
    Command::flag::<WebSocketCompressionContextTakeover>(
        c"WebSocketCompressionContextTakeover",
        Context::ConfigurationAndHtaccess,
        c"Off to keep no compressor between messages (default On)",
    ),
    Command::take1::<WebSocketSendBuffer>(
        c"WebSocketSendBuffer",
        Context::ConfigurationAndHtaccess,
        c"output that may wait for one peer, in bytes or with K, M or G; past it send blocks (default 1M)",
    ),
    Command::take1::<WebSocketSendTimeout>(
        c"WebSocketSendTimeout",
        Context::ConfigurationAndHtaccess,
        c"how long output may wait for a peer that takes none (default 60s)",
    ),
    Command::take1::<WebSocketPingInterval>(
        c"WebSocketPingInterval",
        Context::ConfigurationAndHtaccess,
        c"ping a client after this long without input (default 30s; 0 never does)",
    ),
    Command::take1::<WebSocketPongTimeout>(
        c"WebSocketPongTimeout",
        Context::ConfigurationAndHtaccess,
        c"give a client up that shows no sign of life this long after a ping (default 30s; 0 never does)",
    ),
    Command::take1::<WebSocketIdleTimeout>(
        c"WebSocketIdleTimeout",
        Context::ConfigurationAndHtaccess,
        c"close after this long without a message in either direction (default 0: never)",
    ),
    Command::take1::<WebSocketCloseTimeout>(
        c"WebSocketCloseTimeout",
        Context::ConfigurationAndHtaccess,
        c"how long to wait for the client's answer to a Close (default 5s)",
    ),
    Command::take1::<WebSocketMaxLifetime>(
        c"WebSocketMaxLifetime",
        Context::ConfigurationAndHtaccess,
        c"close a WebSocket that has been open this long, or up to a tenth less (default 0: never)",
    ),
    Command::take12::<WebSocketRateLimit>(
        c"WebSocketRateLimit",
        Context::ConfigurationAndHtaccess,
        c"messages that a client may send in a second, and at once (default 0: any number; the second: the first)",
    ),
    limit_directives::MAX,
    limit_directives::PER_CLIENT,
    limit_directives::PER_LOCATION,
    Command::flag::<WebSocketStatusActions>(
        c"WebSocketStatusActions",
        Context::Configuration,
        c"On or Off: whether the status handler closes WebSockets (default: where a Require or the like says who may ask it)",
    ),
    Command::take12::<WebSocketThreads>(
        c"WebSocketThreads",
        Context::Configuration,
        c"threads that serve the WebSockets of a child, at least and at most (event MPM; default: the number of cores, and ThreadsPerChild)",
    ),
    Command::take1::<WebSocketDrainTimeout>(
        c"WebSocketDrainTimeout",
        Context::Configuration,
        c"the time over which a stopping child closes its WebSockets (default 30s; 0 waits for the clients)",
    ),
    topic_directives::TOPIC,
    topic_directives::FROM_CLIENT,
    topic_directives::HISTORY,
    topic_directives::SLOW,
    topic_directives::MEMORY_SIZE,
    Command::END,
];

struct WebSocketHandler;

impl Take2 for WebSocketHandler {
    type Config = Config;

    fn set(
        directive: &Directive<'_>,
        config: &mut Config,
        path: &str,
        init: &str,
    ) -> Result<(), String> {
        let file = directive.server_root_relative(path);
        let mut remarks = Vec::new();
        let plugin = plugin::load_once(directive.pool(), &file, init, &mut remarks);
        for (tag, text) in remarks {
            let subject = Subject::Server(directive.server());
            log::log(&subject, Level::Warn, tag, || {
                format!("{}: {text}", directive.place())
            });
        }
        let plugin = plugin?;
        section_of(directive, config).set_plugin(&plugin);
        config.plugin = Some(plugin);
        config.path = Some(directive.section_path().into());
        Ok(())
    }
}

struct WebSocketPluginOption;

impl Take2 for WebSocketPluginOption {
    type Config = Config;

    fn set(
        directive: &Directive<'_>,
        config: &mut Config,
        name: &str,
        value: &str,
    ) -> Result<(), String> {
        if name.is_empty() {
            return Err("the option has no name".to_owned());
        }
        let text = |text| CString::new(text).map_err(|_| "a NUL in the option".to_owned());
        let (name, value) = (text(name)?, text(value)?);
        section_of(directive, config).set_option(&name, &value);
        let options = config.plugin_options.get_or_insert_default();
        Arc::make_mut(options).set(name, value);
        Ok(())
    }
}

struct WebSocketProcessOption;

impl Take3 for WebSocketProcessOption {
    type Config = Config;

    fn set(
        directive: &Directive<'_>,
        _: &mut Config,
        init: &str,
        name: &str,
        value: &str,
    ) -> Result<(), String> {
        directive.require_global()?;
        if name.is_empty() {
            return Err("the option has no name".to_owned());
        }
        let text = |text| CString::new(text).map_err(|_| "a NUL in the option".to_owned());
        process_options::set(directive, init, text(name)?, text(value)?);
        Ok(())
    }
}

struct WebSocketOriginCheck;

impl Take1 for WebSocketOriginCheck {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.origin_check = Some(match value {
            _ if value.eq_ignore_ascii_case("Off") => OriginCheck::Off,
            _ if value.eq_ignore_ascii_case("Same") => OriginCheck::Same,
            _ if value.eq_ignore_ascii_case("Trusted") => OriginCheck::Trusted,
            _ => return Err(format!("'{value}' is not Same, Trusted or Off")),
        });
        Ok(())
    }
}

struct WebSocketTrustedOrigin;

impl Take1 for WebSocketTrustedOrigin {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        let origin = TrustedOrigin::parse(value).map_err(|reason| reason.to_string())?;
        let origins = config.trusted_origins.get_or_insert_default();
        Arc::make_mut(origins).push(origin);
        Ok(())
    }
}

struct WebSocketTrustedHost;

impl Take1 for WebSocketTrustedHost {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        let rule = match value {
            "*" => HostRule::Any,
            _ if value.eq_ignore_ascii_case("ServerName") => HostRule::ServerName,
            _ => HostRule::Named(TrustedHost::parse(value).map_err(|reason| reason.to_string())?),
        };
        let hosts = config.trusted_hosts.get_or_insert_default();
        Arc::make_mut(hosts).push(rule);
        Ok(())
    }
}

struct WebSocketMaxMessageSize;

impl Take1 for WebSocketMaxMessageSize {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        // Not for each request that an .htaccess file is read for.
        if directive.name() == "MaxMessageSize" && !directive.is_in_htaccess() {
            let subject = Subject::Server(directive.server());
            log::log(&subject, Level::Warn, Tag::DeprecatedDirective, || {
                let place = directive.place();
                format!("MaxMessageSize ({place}) is deprecated; use WebSocketMaxMessageSize")
            });
        }
        let size = parse_size(value)?;
        message_memory::note_size(directive.pool(), size);
        config.max_message_size = Some(size);
        Ok(())
    }
}

struct WebSocketMessageMemory;

impl Take1 for WebSocketMessageMemory {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        directive.require_global()?;
        // parse_size gives no more than isize::MAX.
        config.message_memory = Some(parse_size(value)? as usize);
        Ok(())
    }
}

struct WebSocketMessageTimeout;

impl Take1 for WebSocketMessageTimeout {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.message_timeout = Some(parse_time(value)?);
        Ok(())
    }
}

struct WebSocketAllowReservedStatusCodes;

impl Flag for WebSocketAllowReservedStatusCodes {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, on: bool) -> Result<(), String> {
        config.reserved_close_codes = Some(if on {
            ReservedCloseCodes::Allow
        } else {
            ReservedCloseCodes::Refuse
        });
        Ok(())
    }
}

struct WebSocketCompression;

impl Flag for WebSocketCompression {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, on: bool) -> Result<(), String> {
        config.compression = Some(on);
        Ok(())
    }
}

struct WebSocketCompressionLevel;

impl Take1 for WebSocketCompressionLevel {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        let level = value.parse().ok().and_then(CompressionLevel::new);
        let level = level.ok_or_else(|| format!("'{value}' is not a level, 1 to 9"))?;
        config.compression_level = Some(level);
        Ok(())
    }
}

struct WebSocketCompressionMinSize;

impl Take1 for WebSocketCompressionMinSize {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.compression_min_size = Some(match value {
            "0" => 0,
            // parse_size gives no more than isize::MAX.
            value => parse_size(value)? as usize,
        });
        Ok(())
    }
}

struct WebSocketCompressionWindowBits;

impl Take1 for WebSocketCompressionWindowBits {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        let bits = value.parse().ok().and_then(WindowBits::new);
        let bits = bits.ok_or_else(|| format!("'{value}' is not a number of bits, 9 to 15"))?;
        config.compression_window_bits = Some(bits);
        Ok(())
    }
}

struct WebSocketCompressionContextTakeover;

impl Flag for WebSocketCompressionContextTakeover {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, on: bool) -> Result<(), String> {
        config.compression_context_takeover = Some(on);
        Ok(())
    }
}

struct WebSocketSendBuffer;

impl Take1 for WebSocketSendBuffer {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        // parse_size gives no more than isize::MAX.
        config.send_buffer = Some(parse_size(value)? as usize);
        Ok(())
    }
}

struct WebSocketSendTimeout;

impl Take1 for WebSocketSendTimeout {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.send_timeout = Some(parse_some_time(value)?);
        Ok(())
    }
}

struct WebSocketPingInterval;

impl Take1 for WebSocketPingInterval {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.ping_interval = Some(parse_time(value)?);
        Ok(())
    }
}

struct WebSocketPongTimeout;

impl Take1 for WebSocketPongTimeout {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.pong_timeout = Some(parse_time(value)?);
        Ok(())
    }
}

struct WebSocketIdleTimeout;

impl Take1 for WebSocketIdleTimeout {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.idle_timeout = Some(parse_time(value)?);
        Ok(())
    }
}

struct WebSocketMaxLifetime;

impl Take1 for WebSocketMaxLifetime {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.max_lifetime = Some(parse_time(value)?);
        Ok(())
    }
}

struct WebSocketCloseTimeout;

impl Take1 for WebSocketCloseTimeout {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        config.close_timeout = Some(parse_some_time(value)?);
        Ok(())
    }
}

struct WebSocketRateLimit;

impl Take12 for WebSocketRateLimit {
    type Config = Config;

    fn set(
        directive: &Directive<'_>,
        config: &mut Config,
        rate: &str,
        burst: Option<&str>,
    ) -> Result<(), String> {
        let rate = parse_number(rate, MOST_MESSAGES)?;
        let burst = match burst {
            Some(burst) => parse_number(burst, MOST_MESSAGES)?,
            None => rate,
        };
        config.rate_limit = Some(match (rate, burst) {
            (0, _) => None,
            (_, 0) => return Err("a burst of 0 would let nothing through".to_owned()),
            (rate, burst) => Some(RateLimit {
                rate,
                burst,
                path: directive.section_path().into(),
            }),
        });
        Ok(())
    }
}

struct WebSocketStatusActions;

impl Flag for WebSocketStatusActions {
    type Config = Config;

    fn set(_: &Directive<'_>, config: &mut Config, on: bool) -> Result<(), String> {
        config.status_actions = Some(on);
        Ok(())
    }
}

struct WebSocketThreads;

impl Take12 for WebSocketThreads {
    type Config = Config;

    fn set(
        directive: &Directive<'_>,
        config: &mut Config,
        min: &str,
        max: Option<&str>,
    ) -> Result<(), String> {
        directive.require_global()?;
        let most = reactor::Config::THREADS_LIMIT;
        let number = |text: &str| match text.parse::<usize>() {
            // parse would take a sign.
            Ok(number) if (1..=most).contains(&number) && !text.starts_with('+') => Ok(number),
            _ => Err(format!("'{text}' is not a number of threads, 1 to {most}")),
        };
        let min = number(min)?;
        let max = max.map(number).transpose()?;
        if let Some(max) = max.filter(|&max| max < min) {
            return Err(format!("the most, {max}, is less than the least, {min}"));
        }
        config.threads = Some((min, max));
        Ok(())
    }
}

struct WebSocketDrainTimeout;

impl Take1 for WebSocketDrainTimeout {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        directive.require_global()?;
        config.drain_timeout = Some(parse_time(value)?);
        Ok(())
    }
}
