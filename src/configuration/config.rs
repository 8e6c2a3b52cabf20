//! What the directives of one scope say, and how scopes merge.

use std::sync::Arc;
use std::time::Duration;

use httpd::config::DirConfig;
use httpd::expression::Expression;
use subscribers::{Form, Slow, Terms};
use websocket_proto::close::ReservedCloseCodes;
use websocket_proto::extension::permessage_deflate::{
    CompressionLevel, PermessageDeflateConfig, WindowBits,
};
use websocket_proto::origin::{TrustedHost, TrustedOrigin};

use crate::configuration::section::Section;
use crate::plugin::Options;
use crate::plugin::Plugin;

/// Per-directory configuration. `None` is "not set here": merging keeps the outer scope's value, and only the
/// accessors know defaults.
#[derive(Clone, Default)]
pub struct Config {
    pub(crate) plugin: Option<Arc<Plugin>>,
    /// The path of the section that names the plugin, or the topics.
    pub(crate) path: Option<Arc<str>>,
    pub(crate) origin_check: Option<OriginCheck>,
    pub(crate) trusted_origins: Option<Arc<Vec<TrustedOrigin>>>,
    pub(crate) trusted_hosts: Option<Arc<Vec<HostRule>>>,
    pub(crate) max_message_size: Option<u64>,
    pub(crate) message_memory: Option<usize>,
    pub(crate) message_timeout: Option<Duration>,
    pub(crate) reserved_close_codes: Option<ReservedCloseCodes>,
    pub(crate) compression: Option<bool>,
    pub(crate) compression_level: Option<CompressionLevel>,
    pub(crate) compression_min_size: Option<usize>,
    pub(crate) compression_window_bits: Option<WindowBits>,
    pub(crate) compression_context_takeover: Option<bool>,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) threads: Option<(usize, Option<usize>)>,
    pub(crate) drain_timeout: Option<Duration>,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) pong_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) close_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) rate_limit: Option<Option<RateLimit>>,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_client: Option<usize>,
    pub(crate) max_connections_per_location: Option<usize>,
    pub(crate) status_actions: Option<bool>,
    pub(crate) plugin_options: Option<Arc<Options>>,
    pub(crate) topics: Option<Arc<Vec<TopicName>>>,
    /// A section of the server's configuration has a directive of topics.
    pub(crate) is_for_topics: bool,
    pub(crate) topic_from_client: Option<bool>,
    pub(crate) topic_history: Option<(usize, Option<Duration>)>,
    pub(crate) topic_slow: Option<Slow>,
    pub(crate) topic_memory: Option<usize>,
    /// What `configure` gets for this section; not merged.
    pub(crate) section: Option<Arc<Section>>,
}

/// `WebSocketOriginCheck`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginCheck {
    /// Every origin may connect.
    Off,
    /// Only the request's own.
    Same,
    /// Only those of WebSocketTrustedOrigin.
    Trusted,
}

/// One of `WebSocketTrustedHost`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostRule {
    /// Every host.
    Any,
    /// The names of the virtual host, addresses, and localhost.
    ServerName,
    /// This one, or one of this family.
    Named(TrustedHost),
}

/// `WebSocketRateLimit`.
#[derive(Clone)]
pub struct RateLimit {
    /// Messages in a second.
    pub rate: u32,
    /// Messages at once.
    pub burst: u32,
    /// The path of the section that it stands in.
    pub path: Arc<str>,
}

/// One of `WebSocketTopic`.
#[derive(Clone)]
pub struct TopicName {
    /// As it stands in the configuration.
    pub text: Box<str>,
    pub expression: Expression,
}

impl Config {
    /// WebSocketMaxMessageSize's default, in bytes.
    pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 32 << 20;

    /// `WebSocketHandler`.
    pub fn plugin(&self) -> Option<&Arc<Plugin>> {
        self.plugin.as_ref()
    }

    /// The path of the section that has `WebSocketHandler` or `WebSocketTopic`.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_default()
    }

    /// `WebSocketOriginCheck`.
    pub fn origin_check(&self) -> OriginCheck {
        self.origin_check.unwrap_or(OriginCheck::Same)
    }

    /// `WebSocketTrustedOrigin`.
    pub fn trusted_origins(&self) -> &[TrustedOrigin] {
        self.trusted_origins.as_deref().map_or(&[], Vec::as_slice)
    }

    /// `WebSocketTrustedHost`.
    pub fn trusted_hosts(&self) -> &[HostRule] {
        let hosts = self.trusted_hosts.as_deref();
        hosts.map_or(&[HostRule::Any], Vec::as_slice)
    }

    /// Whether `WebSocketTrustedHost` is configured at all.
    pub fn has_trusted_hosts(&self) -> bool {
        self.trusted_hosts.is_some()
    }

    /// `WebSocketMaxMessageSize`, in bytes.
    pub fn max_message_size(&self) -> u64 {
        self.max_message_size
            .unwrap_or(Self::DEFAULT_MAX_MESSAGE_SIZE)
    }

    /// `WebSocketMessageMemory`, in bytes; `largest` is the largest WebSocketMaxMessageSize of all.
    pub fn message_memory(&self, largest: u64) -> usize {
        self.message_memory.unwrap_or_else(|| {
            let largest = largest.max(Self::DEFAULT_MAX_MESSAGE_SIZE);
            usize::try_from(largest.saturating_mul(4)).unwrap_or(usize::MAX)
        })
    }

    /// `WebSocketMessageTimeout`; zero: none.
    pub fn message_timeout(&self) -> Duration {
        self.message_timeout.unwrap_or(Duration::from_secs(5 * 60))
    }

    /// `WebSocketAllowReservedStatusCodes`.
    pub fn reserved_close_codes(&self) -> ReservedCloseCodes {
        self.reserved_close_codes
            .unwrap_or(ReservedCloseCodes::Refuse)
    }

    /// `WebSocketCompression` and the directives that refine it; `None` for Off.
    pub fn permessage_deflate(&self) -> Option<PermessageDeflateConfig> {
        let default = PermessageDeflateConfig::default();
        self.compression
            .filter(|&on| on)
            .map(|_| PermessageDeflateConfig {
                level: self.compression_level.unwrap_or(default.level),
                min_size: self.compression_min_size.unwrap_or(default.min_size),
                max_window_bits: self
                    .compression_window_bits
                    .unwrap_or(default.max_window_bits),
                context_takeover: self
                    .compression_context_takeover
                    .unwrap_or(default.context_takeover),
            })
    }

    /// `WebSocketSendBuffer`, in bytes.
    pub fn send_buffer(&self) -> usize {
        self.send_buffer.unwrap_or(1 << 20)
    }

    /// `WebSocketSendTimeout`.
    pub fn send_timeout(&self) -> Duration {
        self.send_timeout.unwrap_or(Duration::from_secs(60))
    }

    /// `WebSocketThreads`: the reactor's threads in each child, at least and at most. To be asked for when the
    /// configuration is whole: ThreadsPerChild is the default of the second.
    pub fn threads(&self) -> (usize, usize) {
        let most = reactor::Config::THREADS_LIMIT;
        let (min, max) = self.threads.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (cores.min(most), None)
        });
        let max = max.or_else(httpd::mpm::max_threads).unwrap_or(min);
        (min, max.clamp(min, most))
    }

    /// `WebSocketDrainTimeout`; zero: wait for the clients.
    pub fn drain_timeout(&self) -> Duration {
        self.drain_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// `WebSocketPingInterval`; zero: no pings.
    pub fn ping_interval(&self) -> Duration {
        self.ping_interval.unwrap_or(Duration::from_secs(30))
    }

    /// `WebSocketPongTimeout`; zero: no end.
    pub fn pong_timeout(&self) -> Duration {
        self.pong_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// `WebSocketIdleTimeout`; zero: none.
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout.unwrap_or(Duration::ZERO)
    }

    /// `WebSocketCloseTimeout`.
    pub fn close_timeout(&self) -> Duration {
        self.close_timeout.unwrap_or(Duration::from_secs(5))
    }

    /// `WebSocketMaxLifetime`; zero: none.
    pub fn max_lifetime(&self) -> Duration {
        self.max_lifetime.unwrap_or(Duration::ZERO)
    }

    /// `WebSocketRateLimit`.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.rate_limit.as_ref()?.as_ref()
    }

    /// `WebSocketMaxConnections`, of a child; 0: any number.
    pub fn max_connections(&self) -> usize {
        self.max_connections.unwrap_or(0)
    }

    /// `WebSocketMaxConnectionsPerClient`; 0: any number.
    pub fn max_connections_per_client(&self) -> usize {
        self.max_connections_per_client.unwrap_or(0)
    }

    /// `WebSocketMaxConnectionsPerLocation`; 0: any number.
    pub fn max_connections_per_location(&self) -> usize {
        self.max_connections_per_location.unwrap_or(0)
    }

    /// `WebSocketStatusActions`; `None`: where there is access control.
    pub fn status_actions(&self) -> Option<bool> {
        self.status_actions
    }

    /// `WebSocketTopic`; none: what is left of the path.
    pub fn topics(&self) -> &[TopicName] {
        self.topics.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether a section of the server's configuration has a directive of topics.
    pub fn is_for_topics(&self) -> bool {
        self.is_for_topics
    }

    /// `WebSocketTopicFromClient`.
    pub fn topic_from_client(&self) -> bool {
        self.topic_from_client.unwrap_or(false)
    }

    /// `WebSocketTopicHistory` and `WebSocketTopicSlow`.
    pub fn topic_terms(&self, form: Form) -> Terms {
        let (messages, age) = self.topic_history.unwrap_or((1000, None));
        Terms {
            form,
            slow: self.topic_slow.unwrap_or(Slow::Close),
            messages,
            age,
            is_told_of_members: false,
            origin: 0,
        }
    }

    /// `WebSocketTopicMemory`, in bytes.
    pub fn topic_memory(&self) -> usize {
        self.topic_memory.unwrap_or(16 << 20)
    }

    /// `WebSocketPluginOption`.
    pub fn plugin_options(&self) -> Arc<Options> {
        self.plugin_options.clone().unwrap_or_default()
    }
}

impl DirConfig for Config {
    fn create() -> Self {
        Config::default()
    }

    fn merge(base: &Self, add: &Self) -> Self {
        Config {
            plugin: add.plugin.clone().or_else(|| base.plugin.clone()),
            path: add.path.clone().or_else(|| base.path.clone()),
            origin_check: add.origin_check.or(base.origin_check),
            trusted_origins: add
                .trusted_origins
                .clone()
                .or_else(|| base.trusted_origins.clone()),
            trusted_hosts: add
                .trusted_hosts
                .clone()
                .or_else(|| base.trusted_hosts.clone()),
            max_message_size: add.max_message_size.or(base.max_message_size),
            message_memory: add.message_memory.or(base.message_memory),
            message_timeout: add.message_timeout.or(base.message_timeout),
            reserved_close_codes: add.reserved_close_codes.or(base.reserved_close_codes),
            compression: add.compression.or(base.compression),
            compression_level: add.compression_level.or(base.compression_level),
            compression_min_size: add.compression_min_size.or(base.compression_min_size),
            compression_window_bits: add.compression_window_bits.or(base.compression_window_bits),
            compression_context_takeover: add
                .compression_context_takeover
                .or(base.compression_context_takeover),
            send_buffer: add.send_buffer.or(base.send_buffer),
            send_timeout: add.send_timeout.or(base.send_timeout),
            threads: add.threads.or(base.threads),
            drain_timeout: add.drain_timeout.or(base.drain_timeout),
            ping_interval: add.ping_interval.or(base.ping_interval),
            pong_timeout: add.pong_timeout.or(base.pong_timeout),
            idle_timeout: add.idle_timeout.or(base.idle_timeout),
            close_timeout: add.close_timeout.or(base.close_timeout),
            max_lifetime: add.max_lifetime.or(base.max_lifetime),
            rate_limit: add.rate_limit.clone().or_else(|| base.rate_limit.clone()),
            max_connections: add.max_connections.or(base.max_connections),
            max_connections_per_client: add
                .max_connections_per_client
                .or(base.max_connections_per_client),
            max_connections_per_location: add
                .max_connections_per_location
                .or(base.max_connections_per_location),
            status_actions: add.status_actions.or(base.status_actions),
            topics: add.topics.clone().or_else(|| base.topics.clone()),
            is_for_topics: add.is_for_topics || base.is_for_topics,
            topic_from_client: add.topic_from_client.or(base.topic_from_client),
            topic_history: add.topic_history.or(base.topic_history),
            topic_slow: add.topic_slow.or(base.topic_slow),
            topic_memory: add.topic_memory.or(base.topic_memory),
            plugin_options: match (&base.plugin_options, &add.plugin_options) {
                (Some(base), Some(add)) => Some(Arc::new(add.within(base))),
                (base, add) => add.clone().or_else(|| base.clone()),
            },
            section: None,
        }
    }
}
