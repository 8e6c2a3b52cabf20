//! The figures for mod_status' page: as a table, as plain text, and as lines for programs.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::form::escape_html;
use crate::snapshot::{Figures, Snapshot};

/// A section of an HTML page, with a table.
pub fn html(snapshot: &Snapshot) -> String {
    let mut page = String::from("<hr>\n<h2>WebSockets</h2>\n");
    let threads = snapshot.threads();
    let children = snapshot.children.len();
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "<p>Children with figures: {children}; their threads: {} busy, {} idle. Children that have died: {}.</p>",
        threads.busy, threads.idle, snapshot.children_died
    );
    page.push_str("<table border=\"0\"><tr>");
    for title in ["Location", "Plugin"]
        .into_iter()
        .chain(COLUMNS.map(|(title, _)| title))
    {
        let _ = write!(page, "<th>{title}</th>");
    }
    page.push_str("</tr>\n");
    for location in &snapshot.locations {
        row(
            &mut page,
            &location.name,
            &location.plugin,
            &location.figures,
        );
    }
    row(&mut page, "All", "", &snapshot.total);
    page.push_str("</table>\n");
    if let Some(topics) = &snapshot.topics {
        topics.html(&mut page);
    }
    page
}

/// The connections that were asked for, as a table; what a browser shows that runs no script.
pub fn connections(snapshot: &Snapshot) -> String {
    let mut page = String::from("<table><tr>");
    let titles = [
        "Number",
        "Process",
        "Client",
        "User",
        "Location",
        "State",
        "Bytes in / out",
        "Queued bytes",
    ];
    for title in titles {
        let _ = write!(page, "<th>{title}</th>");
    }
    page.push_str("</tr>\n");
    for connection in &snapshot.connections {
        let about = connection.about.as_ref();
        let client = connection.client.map(|client| client.to_string());
        page.push_str("<tr>");
        for text in [
            connection.id.to_string(),
            connection.pid.to_string(),
            client.unwrap_or_default(),
            about
                .and_then(|about| about.user.clone())
                .unwrap_or_default(),
            connection.location.clone(),
            connection.state.name().to_owned(),
            format!("{} / {}", connection.bytes_in, connection.bytes_out),
            connection.queued.to_string(),
        ] {
            let _ = write!(page, "<td>{}</td>", escape_html(&text));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
    page
}

/// The same without a table (mod_status' `?notable`).
pub fn pre(snapshot: &Snapshot) -> String {
    format!(
        "<hr>\n<h2>WebSockets</h2>\n<pre>\n{}</pre>\n",
        escape_html(&lines(snapshot))
    )
}

/// One figure a line, `Name: value` (mod_status' `?auto`).
pub fn lines(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let threads = snapshot.threads();
    if !snapshot.build.is_empty() {
        line(&mut text, "WebSocketBuild", one_line(&snapshot.build));
    }
    line(&mut text, "WebSocketChildren", snapshot.children.len());
    line(&mut text, "WebSocketChildrenDied", snapshot.children_died);
    line(&mut text, "WebSocketThreadsBusy", threads.busy);
    line(&mut text, "WebSocketThreadsIdle", threads.idle);
    figures_lines(&mut text, "WebSocket", &snapshot.total);
    if let Some(topics) = &snapshot.topics {
        topics.lines(&mut text);
    }
    for (index, location) in snapshot.locations.iter().enumerate() {
        let prefix = format!("WebSocketLocation[{index}]");
        line(
            &mut text,
            &format!("{prefix}Name"),
            one_line(&location.name),
        );
        line(
            &mut text,
            &format!("{prefix}Plugin"),
            one_line(&location.plugin),
        );
        figures_lines(&mut text, &prefix, &location.figures);
    }
    text
}

type Column = (&'static str, fn(&Figures) -> String);

const COLUMNS: [Column; 12] = [
    ("Opening", |figures| figures.opening.to_string()),
    ("Open", |figures| figures.open.to_string()),
    ("Closing", |figures| figures.closing.to_string()),
    ("Accepted", |figures| figures.accepted.to_string()),
    ("Refused", |figures| {
        list(
            figures
                .refused
                .iter()
                .map(|(reason, count)| (reason.name().replace('_', " "), *count)),
        )
    }),
    ("Messages in / out", |figures| {
        format!("{} / {}", figures.messages_in, figures.messages_out)
    }),
    ("Bytes in / out", |figures| {
        format!("{} / {}", figures.bytes_in, figures.bytes_out)
    }),
    ("Queued bytes", |figures| figures.queued.to_string()),
    ("Ping p50", |figures| {
        milliseconds(figures.round_trips.quantile(0.5))
    }),
    ("Ping p99", |figures| {
        milliseconds(figures.round_trips.quantile(0.99))
    }),
    ("Longest callback", |figures| {
        milliseconds(Some(figures.longest_callback))
    }),
    ("Closes", |figures| {
        list(
            figures
                .closes
                .iter()
                .map(|(code, count)| (code.name(), *count)),
        )
    }),
];

fn row(page: &mut String, name: &str, plugin: &str, figures: &Figures) {
    page.push_str("<tr>");
    for text in [name, plugin] {
        let _ = write!(page, "<td>{}</td>", escape_html(text));
    }
    for (_, column) in COLUMNS {
        let _ = write!(
            page,
            "<td align=\"right\">{}</td>",
            escape_html(&column(figures))
        );
    }
    page.push_str("</tr>\n");
}

/// What there is any of, with its count.
fn list(counts: impl Iterator<Item = (String, u64)>) -> String {
    let there = counts.filter(|(_, count)| *count > 0);
    let texts: Vec<String> = there
        .map(|(name, count)| format!("{name}: {count}"))
        .collect();
    match texts.is_empty() {
        true => "0".to_owned(),
        false => texts.join(", "),
    }
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or("\u{2013}".to_owned(), |time| {
        format!("{:.3} ms", 1000.0 * time.as_secs_f64())
    })
}

fn figures_lines(text: &mut String, prefix: &str, figures: &Figures) {
    let quantile = |part| {
        let quantile = figures.round_trips.quantile(part);
        quantile.map(|quantile| quantile.as_secs_f64())
    };
    let mut put = |name: &str, value: &dyn Display| line(text, &format!("{prefix}{name}"), value);
    put("Opening", &figures.opening);
    put("Open", &figures.open);
    put("Closing", &figures.closing);
    put("Accepted", &figures.accepted);
    for (reason, count) in &figures.refused {
        put(&format!("Refused[{}]", reason.name()), count);
    }
    put("MessagesIn", &figures.messages_in);
    put("MessagesOut", &figures.messages_out);
    put("BytesIn", &figures.bytes_in);
    put("BytesOut", &figures.bytes_out);
    put("QueuedBytes", &figures.queued);
    put("Pings", &figures.round_trips.count());
    for (name, part) in [("PingP50", 0.5), ("PingP99", 0.99)] {
        // Before the first answer there is none, and 0 would be a good one.
        if let Some(quantile) = quantile(part) {
            put(name, &quantile);
        }
    }
    put("LongestCallback", &figures.longest_callback.as_secs_f64());
    for (code, count) in figures.closes.iter().filter(|(_, count)| *count > 0) {
        put(&format!("Closes[{}]", code.name()), count);
    }
}

fn line(text: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(text, "{name}: {value}");
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
