//! The figures of topics, as whoever has the log of them reads it.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::form::escape_html;

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
    /// Some topics: as many as were asked for, those to which most was published.
    pub list: Vec<Topic>,
}

/// One topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its subscribers, on all children.
    pub subscribers: u64,
    /// Messages that were published to it since it is known.
    pub published: u64,
    /// Messages of it that were handed to subscribers, once for each.
    pub delivered: u64,
    /// Messages of it that slow subscribers have not got.
    pub dropped: u64,
    /// Times that a subscriber has missed something of it.
    pub gaps: u64,
    /// Subscribers of it that came back and got what they had missed.
    pub resumed: u64,
}

/// What is counted of a topic: its name, what it is, and the figure.
pub(crate) type TopicCount = (&'static str, &'static str, fn(&Topic) -> u64);

pub(crate) const TOPIC_COUNTS: [TopicCount; 5] = [
    (
        "published",
        "Messages that were published to a topic.",
        |topic| topic.published,
    ),
    (
        "delivered",
        "Messages of a topic that were handed to subscribers.",
        |topic| topic.delivered,
    ),
    (
        "dropped",
        "Messages of a topic that slow subscribers have not got.",
        |topic| topic.dropped,
    ),
    (
        "gaps",
        "Times that a subscriber has missed something of a topic.",
        |topic| topic.gaps,
    ),
    (
        "resumed",
        "Subscribers of a topic that came back and got what they had missed.",
        |topic| topic.resumed,
    ),
];

impl Topics {
    pub(crate) fn json(&self) -> Value {
        let child = |&(pid, lag): &(u32, u64)| json!({ "pid": pid, "lag_bytes": lag });
        let topic = |topic: &Topic| {
            let mut value = json!({ "topic": topic.name, "subscribers": topic.subscribers });
            for (name, _, count) in TOPIC_COUNTS {
                value[name] = count(topic).into();
            }
            value
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
        // Writing to a string cannot fail.
        for (name, _, _, _, value) in self.families() {
            let _ = writeln!(text, "WebSocketTopics{}: {value}", capitals(name));
        }
        for (index, (pid, lag)) in self.children.iter().enumerate() {
            let _ = writeln!(text, "WebSocketTopicsChild[{index}]Pid: {pid}");
            let _ = writeln!(text, "WebSocketTopicsChild[{index}]LagBytes: {lag}");
        }
        for (index, topic) in self.list.iter().enumerate() {
            let prefix = format!("WebSocketTopic[{index}]");
            // A name has no control characters.
            let _ = writeln!(text, "{prefix}Name: {}", topic.name);
            let _ = writeln!(text, "{prefix}Subscribers: {}", topic.subscribers);
            for (name, _, count) in TOPIC_COUNTS {
                let _ = writeln!(text, "{prefix}{}: {}", capitals(name), count(topic));
            }
        }
    }

    /// A paragraph for all, and tables of the children and of some topics.
    pub(crate) fn html(&self, page: &mut String) {
        let _ = writeln!(
            page,
            "<p>Topics: {} known, of {}; messages: {} published, {} delivered, {} dropped, {} gaps, {} clients came back \
             without one; {} of {} bytes used.</p>",
            self.known,
            self.most,
            self.published,
            self.delivered,
            self.dropped,
            self.gaps,
            self.resumed,
            self.used,
            self.memory
        );
        let children = self.children.iter();
        let children = children.map(|&(pid, lag)| [pid.to_string(), lag.to_string()].into());
        table(page, &["Process", "Bytes behind"], children);
        let topics = self.list.iter().map(|topic| {
            let counts = TOPIC_COUNTS.map(|(_, _, count)| count(topic).to_string());
            let first = [topic.name.clone(), topic.subscribers.to_string()];
            first.into_iter().chain(counts).collect()
        });
        let titles = [
            "Topic",
            "Subscribers",
            "Published",
            "Delivered",
            "Dropped",
            "Gaps",
            "Came back",
        ];
        table(page, &titles, topics);
    }
}

/// The first column is text, the others are figures. Without a row there is no table.
fn table(page: &mut String, titles: &[&str], rows: impl ExactSizeIterator<Item = Vec<String>>) {
    if rows.len() == 0 {
        return;
    }
    page.push_str("<table border=\"0\"><tr>");
    for title in titles {
        let _ = write!(page, "<th>{title}</th>");
    }
    page.push_str("</tr>\n");
    for row in rows {
        page.push_str("<tr>");
        for (index, text) in row.iter().enumerate() {
            let align = if index == 0 { "" } else { " align=\"right\"" };
            let _ = write!(page, "<td{align}>{}</td>", escape_html(text));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

/// `used_bytes` as `UsedBytes`.
fn capitals(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics {
            published: 7,
            children: vec![(41, 0), (42, 512)],
            list: vec![Topic {
                name: "a<b>\"\\&".to_owned(),
                subscribers: 1,
                published: 2,
                delivered: 3,
                dropped: 4,
                gaps: 5,
                resumed: 6,
            }],
            ..Topics::default()
        }
    }

    #[test]
    fn a_topics_name_is_escaped_in_html_and_whole_in_a_line() {
        let mut page = String::new();
        topics().html(&mut page);
        assert!(!page.contains("a<b>"), "{page}");
        assert!(page.contains("<td>a&lt;b&gt;"), "{page}");
        assert!(
            page.contains("<td>42</td><td align=\"right\">512</td>"),
            "{page}"
        );
        let mut text = String::new();
        topics().lines(&mut text);
        for line in [
            "WebSocketTopicsPublished: 7",
            "WebSocketTopicsLagBytes: 512",
            "WebSocketTopicsChild[1]Pid: 42",
            "WebSocketTopicsChild[1]LagBytes: 512",
            "WebSocketTopic[0]Name: a<b>\"\\&",
            "WebSocketTopic[0]Subscribers: 1",
            "WebSocketTopic[0]Published: 2",
            "WebSocketTopic[0]Delivered: 3",
            "WebSocketTopic[0]Dropped: 4",
            "WebSocketTopic[0]Gaps: 5",
            "WebSocketTopic[0]Resumed: 6",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
    }

    #[test]
    fn no_topics_and_no_children_are_no_tables() {
        let mut page = String::new();
        Topics::default().html(&mut page);
        assert!(!page.contains("<table"), "{page}");
    }
}
