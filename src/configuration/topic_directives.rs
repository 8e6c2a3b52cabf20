//! The directives of topics.

use std::sync::Arc;

use httpd::config::{Command, Context, Directive, Flag, Take1, Take12, has_directive};
use httpd::expression::Expression;
use subscribers::{MOST_TOPICS, Slow};

use crate::configuration::config::{Config, TopicName};
use crate::configuration::values::{parse_number, parse_size, parse_time};

/// Messages of a history; more would be no limit.
const MOST_MESSAGES: u32 = 1_000_000;
/// What the log takes at least, in bytes, and at most.
const MEMORY: std::ops::RangeInclusive<u64> = 64 << 10..=64 << 30;

pub const TOPIC: Command = Command::take1::<WebSocketTopic>(
    c"WebSocketTopic",
    Context::Configuration,
    c"the name of a topic, an expression as /room/%{env:MATCH_ROOM}; may be repeated (default: what follows the location's path)",
);
pub const FROM_CLIENT: Command = Command::flag::<WebSocketTopicFromClient>(
    c"WebSocketTopicFromClient",
    Context::Configuration,
    c"On to publish what clients send to their topics (default Off)",
);
pub const HISTORY: Command = Command::take12::<WebSocketTopicHistory>(
    c"WebSocketTopicHistory",
    Context::Configuration,
    c"how many messages a client may have missed and still get, and how old they may be (default 1000)",
);
pub const SLOW: Command = Command::take1::<WebSocketTopicSlow>(
    c"WebSocketTopicSlow",
    Context::Configuration,
    c"close (default), drop or latest: what becomes of a client for which WebSocketSendBuffer is full",
);
pub const MEMORY_SIZE: Command = Command::take1::<WebSocketTopicMemory>(
    c"WebSocketTopicMemory",
    Context::Configuration,
    c"the memory for the messages of all topics, in bytes or with K, M or G (default 16M)",
);

/// Whether the configuration has a location whose WebSockets listen to topics.
pub fn are_wanted() -> bool {
    has_directive("SetHandler", "websocket-topics")
}

/// Topics are wanted in the section that a directive stands in. One outside of all sections says that of no place.
fn is_here(directive: &Directive<'_>, config: &mut Config) {
    config.is_for_topics |= !directive.section_path().is_empty();
}

struct WebSocketTopic;

impl Take1 for WebSocketTopic {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        let expression = Expression::parse(directive, value)
            .map_err(|error| format!("'{value}' is no expression that gives a text: {error}"))?;
        let names = config.topics.get_or_insert_default();
        if names.len() >= MOST_TOPICS {
            return Err(format!(
                "there are {MOST_TOPICS} already, which is the most"
            ));
        }
        Arc::make_mut(names).push(TopicName {
            text: value.into(),
            expression,
        });
        config.path = Some(directive.section_path().into());
        is_here(directive, config);
        Ok(())
    }
}

struct WebSocketTopicFromClient;

impl Flag for WebSocketTopicFromClient {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, on: bool) -> Result<(), String> {
        is_here(directive, config);
        config.topic_from_client = Some(on);
        Ok(())
    }
}

struct WebSocketTopicHistory;

impl Take12 for WebSocketTopicHistory {
    type Config = Config;

    fn set(
        directive: &Directive<'_>,
        config: &mut Config,
        messages: &str,
        age: Option<&str>,
    ) -> Result<(), String> {
        let messages = parse_number(messages, MOST_MESSAGES)? as usize;
        let age = age.map(parse_time).transpose()?;
        is_here(directive, config);
        config.topic_history = Some((messages, age));
        Ok(())
    }
}

struct WebSocketTopicSlow;

impl Take1 for WebSocketTopicSlow {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        is_here(directive, config);
        config.topic_slow = Some(match value {
            _ if value.eq_ignore_ascii_case("close") => Slow::Close,
            _ if value.eq_ignore_ascii_case("drop") => Slow::Drop,
            _ if value.eq_ignore_ascii_case("latest") => Slow::Latest,
            _ => return Err(format!("'{value}' is not close, drop or latest")),
        });
        Ok(())
    }
}

struct WebSocketTopicMemory;

impl Take1 for WebSocketTopicMemory {
    type Config = Config;

    fn set(directive: &Directive<'_>, config: &mut Config, value: &str) -> Result<(), String> {
        directive.require_global()?;
        let size = parse_size(value)?;
        if !MEMORY.contains(&size) {
            return Err(format!("'{value}' is not from 64K to 64G"));
        }
        config.topic_memory = Some(size as usize);
        Ok(())
    }
}
