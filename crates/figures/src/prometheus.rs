//! The figures in the older text format of Prometheus (version 0.0.4), for readers that know no OpenMetrics.

use crate::openmetrics::openmetrics;
use crate::snapshot::Snapshot;

/// The media type of [`prometheus`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The same as [`openmetrics`]: samples are written alike. Families of counters and builds are called as their samples, and
/// units and the end are not there.
pub fn prometheus(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let mut suffix = "";
    for line in openmetrics(snapshot).lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let line = match words[..] {
            ["#", "TYPE", name, kind] => {
                suffix = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                let kind = if kind == "info" { "gauge" } else { kind };
                format!("# TYPE {name}{suffix} {kind}")
            }
            ["#", "HELP", name, help] => {
                format!("# HELP {name}{suffix} {}", help.replace("\\\"", "\""))
            }
            ["#", ..] => continue,
            _ => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}
