//! The figures of topics, as whoever has the log of them reads it.

use std::fmt::Write;

use serde_json::{Value, json};

/// The figures of all topics, and of some.
#[derive(Clone, Default, Debug)]
pub struct Topics {
    /// Messages that were published.
    pub published: u64,
    /// Messages that were handed to subscribers, once for each.
    pub delivered: u64,
    /// Messages that slow subscribers have not got.
    pub dropped: u64,
    /// Times that a subscriber has missed something.
    pub gaps: u64,
    /// Subscribers that came back and got what they had missed.
    pub resumed: u64,
    /// Topics that are known, and how many may be.
    pub known: usize,
    /// See `known`.
    pub most: usize,
    /// Topics that were forgotten to make room.
    pub evicted: u64,
    /// Bytes of messages that are there, and for how many there is room.
    pub used: u64,
    /// See `used`.
    pub memory: u64,
    /// The children that have subscribers: the process's number, and how many bytes of messages it is behind.
    pub children: Vec<(u32, u64)>,
    /// Some topics.
    pub list: Vec<Topic>,
}

/// One topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Messages that were published to it since it is known.
    pub published: u64,
    /// Its subscribers, on all children.
    pub subscribers: u64,
}

impl Topics {
    pub(crate) fn json(&self) -> Value {
        let child = |&(pid, lag): &(u32, u64)| json!({ "pid": pid, "lag_bytes": lag });
        let topic = |topic: &Topic| {
            json!({
                "topic": topic.name,
                "published": topic.published,
                "subscribers": topic.subscribers,
            })
        };
        json!({
            "published": self.published,
            "delivered": self.delivered,
            "dropped": self.dropped,
            "gaps": self.gaps,
            "resumed": self.resumed,
            "known": self.known,
            "most": self.most,
            "evicted": self.evicted,
            "used_bytes": self.used,
            "memory_bytes": self.memory,
            "children": self.children.iter().map(child).collect::<Value>(),
            "list": self.list.iter().map(topic).collect::<Value>(),
        })
    }

    /// Name, kind, unit, help and value of each that is one number.
    pub(crate) fn families(
        &self,
    ) -> [(&'static str, &'static str, &'static str, &'static str, u64); 9] {
        let lag = self.children.iter().map(|&(_, lag)| lag).max();
        [
            (
                "published",
                "counter",
                "",
                "Messages that were published to topics.",
                self.published,
            ),
            (
                "delivered",
                "counter",
                "",
                "Messages that were handed to subscribers.",
                self.delivered,
            ),
            (
                "dropped",
                "counter",
                "",
                "Messages that slow subscribers have not got.",
                self.dropped,
            ),
            (
                "gaps",
                "counter",
                "",
                "Times that a subscriber has missed something.",
                self.gaps,
            ),
            (
                "resumed",
                "counter",
                "",
                "Subscribers that came back and got what they had missed.",
                self.resumed,
            ),
            (
                "evicted",
                "counter",
                "",
                "Topics that were forgotten to make room.",
                self.evicted,
            ),
            (
                "known",
                "gauge",
                "",
                "Topics that are known.",
                self.known as u64,
            ),
            (
                "used_bytes",
                "gauge",
                "bytes",
                "Bytes of messages that are there.",
                self.used,
            ),
            (
                "lag_bytes",
                "gauge",
                "bytes",
                "Bytes of messages that the slowest child is behind.",
                lag.unwrap_or(0),
            ),
        ]
    }

    /// One figure a line.
    pub(crate) fn lines(&self, text: &mut String) {
        for (name, _, _, _, value) in self.families() {
            let words = name.split('_').map(|word| {
                let (first, rest) = word.split_at(1);
                format!("{}{rest}", first.to_ascii_uppercase())
            });
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "WebSocketTopics{}: {value}",
                words.collect::<String>()
            );
        }
    }
}
