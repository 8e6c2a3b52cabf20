//! The figures as JSON. Times are in seconds, moments in seconds of Unix time.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::rates::BusyClient;
use crate::snapshot::{Child, Connection, Figures, LocationFigures, Snapshot};
use crate::topics::Topics;

/// The whole snapshot, on one line. `server` says what answers, `mpm` which MPM it has.
pub fn json(snapshot: &Snapshot, server: &str, mpm: &str) -> String {
    let threads = snapshot.threads();
    let document = json!({
        "server": server,
        "build": snapshot.build,
        "mpm": mpm,
        "now": seconds(snapshot.now),
        "since": seconds(snapshot.since),
        "threads": { "busy": threads.busy, "idle": threads.idle },
        "total": figures(&snapshot.total),
        "locations": snapshot.locations.iter().map(location).collect::<Value>(),
        "children_died": snapshot.children_died,
        "children": snapshot.children.iter().map(child).collect::<Value>(),
        "busy_clients": snapshot.busy.clients.iter().map(busy_client).collect::<Value>(),
        "matching": snapshot.matching,
        "connections": snapshot.connections.iter().map(connection).collect::<Value>(),
        "topics": snapshot.topics.as_ref().map(Topics::json),
        "next": snapshot.next,
    });
    format!("{document}\n")
}

fn location(location: &LocationFigures) -> Value {
    let mut value = figures(&location.figures);
    value["location"] = location.name.as_str().into();
    value["plugin"] = location.plugin.as_str().into();
    value
}

fn figures(figures: &Figures) -> Value {
    let refused = figures.refused.iter();
    let closes = figures.closes.iter().filter(|(_, count)| *count > 0);
    let quantile = |part| figures.round_trips.quantile(part).map(seconds);
    json!({
        "opening": figures.opening,
        "open": figures.open,
        "closing": figures.closing,
        "accepted": figures.accepted,
        "refused": refused.map(|(reason, count)| (reason.name().to_owned(), (*count).into())).collect::<Map<_, _>>(),
        "messages": { "in": figures.messages_in, "out": figures.messages_out },
        "bytes": { "in": figures.bytes_in, "out": figures.bytes_out },
        "queued_bytes": figures.queued,
        "ping_round_trip": {
            "count": figures.round_trips.count(),
            "p50": quantile(0.5),
            "p99": quantile(0.99),
        },
        "longest_callback": seconds(figures.longest_callback),
        "closes": closes.map(|(code, count)| (code.name(), (*count).into())).collect::<Map<_, _>>(),
    })
}

fn child(child: &Child) -> Value {
    json!({
        "pid": child.pid,
        "generation": child.generation,
        "stopping": child.is_stopping,
        "since": seconds(child.since),
        "threads": { "busy": child.threads.busy, "idle": child.threads.idle },
        "connections": child.connections,
        "build": child.build,
        "outdated": child.is_outdated,
        "limits": {
            "connections": limit(child.limits.connections),
            "websockets": limit(child.limits.websockets),
            "message_bytes": limit(child.limits.message_memory),
        },
        "message_bytes": child.message_memory,
    })
}

fn busy_client(client: &BusyClient) -> Value {
    json!({
        "client": client.client.map(|_| client.name()),
        "connections": client.connections,
        "handshakes_per_second": client.handshakes,
        "refused_per_second": client.refused,
        "bytes_per_second": client.bytes,
    })
}

fn connection(connection: &Connection) -> Value {
    // Of one that is opening nothing is known yet.
    let about = connection.about.clone().unwrap_or_default();
    json!({
        "id": connection.id,
        "pid": connection.pid,
        "location": connection.location,
        "client": connection.client.map(|client| client.to_string()),
        "user": about.user,
        "path": about.path,
        "subprotocol": about.subprotocol,
        "origin": about.origin,
        "tls": connection.about.as_ref().map(|about| about.is_tls),
        "compressed": connection.about.as_ref().map(|about| about.is_compressed),
        "state": connection.state.name(),
        "since": seconds(connection.since),
        "messages": { "in": connection.messages_in, "out": connection.messages_out },
        "bytes": { "in": connection.bytes_in, "out": connection.bytes_out },
        "queued_bytes": connection.queued,
        "ping_round_trip": connection.round_trip.map(seconds),
    })
}

/// `null` for none.
fn limit(limit: u64) -> Option<u64> {
    (limit > 0).then_some(limit)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
