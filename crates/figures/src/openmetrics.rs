//! The figures as OpenMetrics text (version 1.0), which Prometheus reads.

use std::fmt::{Display, Write};

use crate::snapshot::{Child, Figures, LocationFigures, Snapshot};
use crate::topics::{TOPIC_COUNTS, Topics};

/// The media type of [`openmetrics`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The whole snapshot but for the list of connections: what has an end does not make a good label.
pub fn openmetrics(snapshot: &Snapshot) -> String {
    let mut text = Text(String::new());
    let locations = &snapshot.locations;
    text.handshakes(locations);
    text.traffic(locations);
    text.ends(locations);
    text.children(snapshot);
    text.busiest(snapshot);
    text.builds(snapshot);
    text.limits(snapshot);
    if let Some(topics) = &snapshot.topics {
        for (name, kind, unit, help, value) in topics.families() {
            let name = format!("websocket_topics_{name}");
            text.family(&name, kind, unit, help);
            let suffix = if kind == "counter" { "_total" } else { "" };
            text.sample(&format!("{name}{suffix}"), &[], value);
        }
        text.topics(topics);
    }
    text.0.push_str("# EOF\n");
    text.0
}

type Labelled<N> = (Option<(&'static str, String)>, N);

fn both_ways(inwards: u64, outwards: u64) -> Vec<Labelled<u64>> {
    let label = |way: &str| Some(("direction", way.to_owned()));
    vec![(label("in"), inwards), (label("out"), outwards)]
}

/// Text in the making. Writing to a string cannot fail.
struct Text(String);

impl Text {
    fn handshakes(&mut self, locations: &[LocationFigures]) {
        self.family(
            "websocket_connections",
            "gauge",
            "",
            "WebSocket connections that are there, by their state.",
        );
        self.samples("websocket_connections", locations, |figures| {
            let states = [
                ("opening", figures.opening),
                ("open", figures.open),
                ("closing", figures.closing),
            ];
            states
                .map(|(state, count)| (Some(("state", state.to_owned())), count))
                .to_vec()
        });
        self.family(
            "websocket_accepted",
            "counter",
            "",
            "Opening handshakes that were accepted.",
        );
        self.samples("websocket_accepted_total", locations, |figures| {
            vec![(None, figures.accepted)]
        });
        self.family(
            "websocket_refused",
            "counter",
            "",
            "Opening handshakes that were refused, by the reason.",
        );
        self.samples("websocket_refused_total", locations, |figures| {
            let refused = figures.refused.iter();
            refused
                .map(|(reason, count)| (Some(("reason", reason.name().to_owned())), *count))
                .collect()
        });
    }

    fn traffic(&mut self, locations: &[LocationFigures]) {
        self.family(
            "websocket_messages",
            "counter",
            "",
            "Messages that came in from clients and went out to them.",
        );
        self.samples("websocket_messages_total", locations, |figures| {
            both_ways(figures.messages_in, figures.messages_out)
        });
        self.family(
            "websocket_transferred_bytes",
            "counter",
            "bytes",
            "Bytes of WebSocket connections, frame headers included.",
        );
        self.samples("websocket_transferred_bytes_total", locations, |figures| {
            both_ways(figures.bytes_in, figures.bytes_out)
        });
        self.family(
            "websocket_queued_bytes",
            "gauge",
            "bytes",
            "Bytes that wait to be taken by clients.",
        );
        self.samples("websocket_queued_bytes", locations, |figures| {
            vec![(None, figures.queued)]
        });
    }

    fn ends(&mut self, locations: &[LocationFigures]) {
        self.family("websocket_closes", "counter", "", "WebSockets that have ended, by their close code; 1005: without one, 1006: without a Close frame.");
        self.samples("websocket_closes_total", locations, |figures| {
            let closes = figures.closes.iter();
            closes
                .map(|(code, count)| (Some(("code", code.name())), *count))
                .collect()
        });
        self.family(
            "websocket_longest_callback_seconds",
            "gauge",
            "seconds",
            "The longest time that a callback of the plugin has taken.",
        );
        self.samples("websocket_longest_callback_seconds", locations, |figures| {
            vec![(None, figures.longest_callback.as_secs_f64())]
        });
        self.family(
            "websocket_ping_round_trip_seconds",
            "histogram",
            "seconds",
            "How long clients took to answer pings.",
        );
        for location in locations {
            self.histogram("websocket_ping_round_trip_seconds", location);
        }
    }

    fn children(&mut self, snapshot: &Snapshot) {
        let threads = snapshot.threads();
        self.family(
            "websocket_threads",
            "gauge",
            "",
            "Threads that serve WebSockets, by what they do.",
        );
        self.sample("websocket_threads", &[("state", "busy")], threads.busy);
        self.sample("websocket_threads", &[("state", "idle")], threads.idle);
        self.family(
            "websocket_children",
            "gauge",
            "",
            "Child processes that have served WebSockets and live.",
        );
        let stopping = snapshot
            .children
            .iter()
            .filter(|child| child.is_stopping)
            .count();
        self.sample(
            "websocket_children",
            &[("state", "running")],
            snapshot.children.len() - stopping,
        );
        self.sample("websocket_children", &[("state", "stopping")], stopping);
        self.family(
            "websocket_children_died",
            "counter",
            "",
            "Child processes that have died, with the WebSockets that they had.",
        );
        self.sample("websocket_children_died_total", &[], snapshot.children_died);
    }

    fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {}", escaped(help));
    }

    fn samples<N: Display>(
        &mut self,
        name: &str,
        locations: &[LocationFigures],
        values: impl Fn(&Figures) -> Vec<Labelled<N>>,
    ) {
        for location in locations {
            for (label, value) in values(&location.figures) {
                let mut labels = labels_of(location).to_vec();
                labels.extend(label.as_ref().map(|(name, value)| (*name, value.as_str())));
                self.sample(name, &labels, value);
            }
        }
    }

    /// Which builds of the module run, and in how many children.
    fn builds(&mut self, snapshot: &Snapshot) {
        self.family(
            "websocket_build",
            "info",
            "",
            "The module that the server has loaded last.",
        );
        let (version, build) = snapshot
            .build
            .split_once(' ')
            .unwrap_or((&snapshot.build, ""));
        let labels = [("version", version), ("build", build)];
        self.sample("websocket_build_info", &labels, 1);
        self.family(
            "websocket_children_outdated",
            "gauge",
            "",
            "Child processes that have another build of the module than the latest.",
        );
        let outdated = snapshot.children.iter().filter(|child| child.is_outdated);
        self.sample("websocket_children_outdated", &[], outdated.count());
    }

    /// What the busiest clients do. Who they are is no label: there are as many as there are addresses.
    fn busiest(&mut self, snapshot: &Snapshot) {
        for (name, help, rate) in [
            (
                "websocket_busiest_client_handshakes_per_second",
                "The most opening handshakes of any one client, over the last minute.",
                snapshot.busy.most_handshakes,
            ),
            (
                "websocket_busiest_client_bytes_per_second",
                "The most bytes of any one client's WebSockets, both ways, over the last minute.",
                snapshot.busy.most_bytes,
            ),
        ] {
            self.family(name, "gauge", "", help);
            self.sample(name, &[], rate);
        }
    }

    /// What each child has, beside what it takes.
    fn limits(&mut self, snapshot: &Snapshot) {
        type Figure = (
            &'static str,
            &'static str,
            &'static str,
            fn(&Child) -> Option<u64>,
        );
        let figures: [Figure; 5] = [
            (
                "websocket_child_websockets",
                "",
                "WebSocket connections of a child process.",
                |child| Some(child.connections),
            ),
            (
                "websocket_child_limit_connections",
                "",
                "Connections that a child process accepts, those for pages included.",
                |child| Some(child.limits.connections).filter(|&limit| limit > 0),
            ),
            (
                "websocket_child_limit_websockets",
                "",
                "WebSocketMaxConnections of a child process.",
                |child| Some(child.limits.websockets).filter(|&limit| limit > 0),
            ),
            (
                "websocket_child_message_bytes",
                "bytes",
                "What the unfinished messages of a child process take.",
                |child| Some(child.message_memory),
            ),
            (
                "websocket_child_limit_message_bytes",
                "bytes",
                "WebSocketMessageMemory of a child process.",
                |child| Some(child.limits.message_memory).filter(|&limit| limit > 0),
            ),
        ];
        for (name, unit, help, figure) in figures {
            self.family(name, "gauge", unit, help);
            for child in &snapshot.children {
                if let Some(value) = figure(child) {
                    self.sample(name, &[("pid", &child.pid.to_string())], value);
                }
            }
        }
    }

    /// The topics that are listed, and how far each child is behind.
    fn topics(&mut self, topics: &Topics) {
        let name = "websocket_topics_child_lag_bytes";
        let help = "Bytes of messages that a child process is behind.";
        self.family(name, "gauge", "bytes", help);
        for (pid, lag) in &topics.children {
            self.sample(name, &[("pid", &pid.to_string())], lag);
        }
        for (name, help, count) in TOPIC_COUNTS {
            let name = format!("websocket_topic_{name}");
            self.family(&name, "counter", "", help);
            for topic in &topics.list {
                let labels = [("topic", topic.name.as_str())];
                self.sample(&format!("{name}_total"), &labels, count(topic));
            }
        }
        let name = "websocket_topic_subscribers";
        self.family(name, "gauge", "", "Subscribers of a topic.");
        for topic in &topics.list {
            let labels = [("topic", topic.name.as_str())];
            self.sample(name, &labels, topic.subscribers);
        }
    }

    fn histogram(&mut self, name: &str, location: &LocationFigures) {
        let round_trips = &location.figures.round_trips;
        let bucket_name = format!("{name}_bucket");
        for (end, count) in round_trips.cumulative() {
            // The form that OpenMetrics wants of a number: 0.1, 1.0, +Inf.
            let end = end.map_or("+Inf".to_owned(), |end| format!("{:?}", end.as_secs_f64()));
            let [location, plugin] = labels_of(location);
            self.sample(&bucket_name, &[location, plugin, ("le", &end)], count);
        }
        self.sample(
            &format!("{name}_count"),
            &labels_of(location),
            round_trips.count(),
        );
        self.sample(
            &format!("{name}_sum"),
            &labels_of(location),
            round_trips.sum().as_secs_f64(),
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let labels = match labels.is_empty() {
            true => labels,
            false => format!("{{{labels}}}"),
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn labels_of(location: &LocationFigures) -> [(&'static str, &str); 2] {
    [("location", &location.name), ("plugin", &location.plugin)]
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
