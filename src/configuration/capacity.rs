//! How many WebSockets one child can hold, and the warning when that is few.

use httpd::config::find_global_directive;
use httpd::log::Subject;
use httpd::mpm;
use httpd::server::Server;

use crate::log::{self, Level, Tag};

/// A child that holds fewer is worth a warning.
const FEW: usize = 1000;
/// AsyncRequestWorkerFactor's default.
const DEFAULT_FACTOR: f64 = 2.0;

/// Warns at start-up when the event MPM will stop accepting connections long before WebSockets run out of anything
/// else: it counts a suspended connection like one that waits for a worker thread.
pub fn check(server: Server<'_>) {
    let Some(threads) = mpm::max_threads().filter(|_| mpm::is_async()) else {
        return;
    };
    let factor = find_global_directive("AsyncRequestWorkerFactor");
    let factor = factor
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT_FACTOR);
    let most = limit(threads, factor);
    if most < FEW {
        log::log(
            &Subject::Server(server),
            Level::Warn,
            Tag::FewConnections,
            || {
                let others = threads.saturating_sub(1).max(1);
                let enough = FEW.saturating_sub(threads).div_ceil(others).max(1);
                format!(
                    "a child accepts at most {most} connections, WebSockets included (ThreadsPerChild {threads}, \
                 AsyncRequestWorkerFactor {factor}); AsyncRequestWorkerFactor {enough} would allow {}",
                    limit(threads, enough as f64)
                )
            },
        );
    }
}

/// The event MPM's own limit, with every worker thread idle but the one that takes the connection. It drops the
/// factor's fraction.
fn limit(threads: usize, factor: f64) -> usize {
    threads + threads.saturating_sub(1) * (factor as usize).max(1)
}
