//! What is written for people and programs.

use std::time::Duration;

use figures::{
    About, Limits, RefusedFor, Snapshot, busy_clients, connections, html, json, lines, openmetrics,
    pre, prometheus,
};
use serde_json::Value;

use crate::support::{Processes, SMALL, board};

/// One open connection of a Location whose name is trouble, and one refusal.
fn snapshot() -> Snapshot {
    let (board, processes) = (board(SMALL), Processes::default());
    board.set_build("1.2.3 abcdef");
    let seat = processes.claim(board, 1).unwrap();
    let limits = Limits {
        connections: 100,
        websockets: 0,
        message_memory: 4096,
    };
    seat.set_limits(limits, "1.2.2 012345");
    seat.set_message_memory(77);
    let location = board.location("host/<b>\"\\\n", "echo");
    let other = board.location("other", "echo");
    let entry = seat.open(location, Some("192.0.2.1".parse().unwrap()));
    entry.opened(&About {
        user: Some("\"ann\"\n".to_owned()),
        path: Some("/<b>".to_owned()),
        is_tls: true,
        ..About::default()
    });
    entry.message_in();
    entry.bytes_in(8);
    entry.ping_round_trip(Duration::from_millis(2));
    seat.refused(location, None, RefusedFor::Origin);
    for _ in 0..6_000 {
        seat.refused(
            other,
            Some("2001:db8::1".parse().unwrap()),
            RefusedFor::Other,
        );
    }
    // Another child, whose end nobody has told it of.
    processes.claim(board, 2).unwrap();
    processes.kill(2);
    board.ended(2);
    let snapshot = processes.read(board);
    drop(entry);
    snapshot
}

#[test]
fn json_has_everything() {
    let document: Value = serde_json::from_str(&json(&snapshot(), "httpd", "event")).unwrap();
    assert_eq!(document["mpm"], "event");
    assert_eq!(document["total"]["open"], 1);
    assert_eq!(document["total"]["refused"]["origin"], 1);
    let busy = &document["busy_clients"];
    assert_eq!(busy[0]["client"], "2001:db8::/64");
    assert_eq!(busy[0]["connections"], 0);
    assert!(busy[0]["handshakes_per_second"].as_f64() > Some(50.0));
    assert_eq!(
        busy[0]["refused_per_second"],
        busy[0]["handshakes_per_second"]
    );
    assert_eq!(busy[0]["bytes_per_second"], 0.0);
    assert_eq!(busy[1], Value::Null);
    assert_eq!(document["total"]["refused"]["plugin"], 0);
    assert_eq!(document["locations"][0]["location"], "host/<b>\"\\\n");
    assert_eq!(document["locations"][0]["messages"]["in"], 1);
    assert_eq!(document["locations"][0]["ping_round_trip"]["count"], 1);
    assert_eq!(document["build"], "1.2.3 abcdef");
    let child = &document["children"][0];
    assert_eq!(child["pid"], 1);
    assert_eq!(child["build"], "1.2.2 012345");
    assert_eq!(child["outdated"], true);
    assert_eq!(child["limits"]["connections"], 100);
    assert_eq!(child["limits"]["websockets"], Value::Null);
    assert_eq!(child["limits"]["message_bytes"], 4096);
    assert_eq!(child["message_bytes"], 77);
    assert_eq!(document["children_died"], 1);
    let connection = &document["connections"][0];
    assert_eq!(connection["client"], "192.0.2.1");
    assert_eq!(connection["user"], "\"ann\"\n");
    assert_eq!(connection["path"], "/<b>");
    assert_eq!(connection["origin"], Value::Null);
    assert_eq!(connection["tls"], true);
    assert_eq!(connection["compressed"], false);
    assert_eq!(document["matching"], 1);
    assert_eq!(connection["bytes"]["in"], 8);
    assert_eq!(connection["ping_round_trip"], 0.002);
    assert_eq!(document["next"], Value::Null);
}

#[test]
fn openmetrics_is_one_sample_a_line_and_ends() {
    let text = openmetrics(&snapshot());
    assert!(text.ends_with("\n# EOF\n"));
    let label = r#"location="host/<b>\"\\\n",plugin="echo""#;
    for line in [
        format!("websocket_connections{{{label},state=\"open\"}} 1"),
        format!("websocket_refused_total{{{label},reason=\"origin\"}} 1"),
        format!("websocket_transferred_bytes_total{{{label},direction=\"in\"}} 8"),
        format!("websocket_ping_round_trip_seconds_bucket{{{label},le=\"0.001\"}} 0"),
        format!("websocket_ping_round_trip_seconds_bucket{{{label},le=\"0.002\"}} 1"),
        format!("websocket_ping_round_trip_seconds_bucket{{{label},le=\"+Inf\"}} 1"),
        format!("websocket_ping_round_trip_seconds_count{{{label}}} 1"),
        format!("websocket_ping_round_trip_seconds_sum{{{label}}} 0.002"),
        "websocket_children_died_total 1".to_owned(),
        "websocket_build_info{version=\"1.2.3\",build=\"abcdef\"} 1".to_owned(),
        "websocket_children_outdated 1".to_owned(),
        "websocket_busiest_client_bytes_per_second 0".to_owned(),
        "websocket_child_websockets{pid=\"1\"} 1".to_owned(),
        "websocket_child_limit_connections{pid=\"1\"} 100".to_owned(),
        "websocket_child_message_bytes{pid=\"1\"} 77".to_owned(),
        "# UNIT websocket_transferred_bytes bytes".to_owned(),
    ] {
        assert!(
            text.lines().any(|other| other == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn the_older_text_has_the_same_samples() {
    let snapshot = snapshot();
    let samples = |text: String| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let text = prometheus(&snapshot);
    assert_eq!(samples(text.clone()), samples(openmetrics(&snapshot)));
    assert!(text.contains("# TYPE websocket_accepted_total counter\n"));
    assert!(text.contains("# TYPE websocket_build_info gauge\n"));
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
}

#[test]
fn html_escapes_what_is_not_ours() {
    assert!(!connections(&snapshot()).contains("<b>"));
    assert!(busy_clients(&snapshot()).contains("<td>2001:db8::/64</td><td>0</td>"));
    for page in [html(&snapshot()), pre(&snapshot())] {
        assert!(page.contains("host/&lt;b&gt;&quot;"), "{page}");
        assert!(!page.contains("<b>"));
    }
}

#[test]
fn lines_are_a_name_and_a_value_each() {
    let text = lines(&snapshot());
    for line in text.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        assert!(name.starts_with("WebSocket") && !value.is_empty(), "{line}");
    }
    assert!(text.contains("\nWebSocketOpen: 1\n"));
    assert!(text.contains("\nWebSocketChildrenDied: 1\n"));
    assert!(text.contains("\nWebSocketRefused[origin]: 1\n"));
    assert!(text.contains("\nWebSocketLocation[0]Name: host/<b>\"\\ \n"));
    assert!(text.contains("\nWebSocketLocation[0]PingP50: "));
}

#[test]
fn nothing_at_all_can_be_written_too() {
    let snapshot = Processes::default().read(board(SMALL));
    assert!(snapshot.locations.is_empty());
    assert!(openmetrics(&snapshot).ends_with("# EOF\n"));
    assert!(html(&snapshot).contains("All"));
    assert!(lines(&snapshot).contains("WebSocketOpen: 0\n"));
    let document: Value = serde_json::from_str(&json(&snapshot, "", "")).unwrap();
    assert_eq!(document["total"]["ping_round_trip"]["p99"], Value::Null);
}
