//! How many connections one child takes: the MPM's limit, which the module raises where nobody has set it, and warnings at
//! start-up where MPM, system and module do not fit together.

use std::sync::atomic::{AtomicUsize, Ordering};

use httpd::config::find_global_directive;
use httpd::log::Subject;
use httpd::server::Server;
use httpd::{mpm, process};

use crate::board;
use crate::configuration::config::Config;
use crate::log::{self, Level, Tag};
use crate::symbol::websocket_module;

/// What a thread of httpd's needs at least, in bytes. httpd's own `ap_log_error` has 25 KiB of buffers on the stack; the
/// module stays below 16 KiB beside it, a plugin's callback has the rest.
const STACK: usize = 64 << 10;
/// A child that holds fewer is worth a warning.
const FEW: usize = 1000;
/// As many connections as the board can list are enough by themselves; the MPM makes room for them all in advance.
const MANY: usize = board::MANY_ENTRIES;
const FACTOR: &std::ffi::CStr = c"AsyncRequestWorkerFactor";
/// Its default.
const DEFAULT_FACTOR: f64 = 2.0;
/// Descriptors of a child that are no connections: logs, listening sockets, the poller's, a plugin's; and a file for
/// each thread.
const OTHER_DESCRIPTORS: usize = 64;

/// What [`prepare`] has found; the children inherit it.
static OF_CHILD: AtomicUsize = AtomicUsize::new(0);

/// How many connections a child accepts, those for pages included; 0: nobody knows, since no WebSocket is configured.
pub fn of_child() -> usize {
    OF_CHILD.load(Ordering::Relaxed)
}

/// At start-up: has the MPM accept as many connections as the system lets a child have, unless the configuration says
/// how many, and warns of what does not fit.
pub fn prepare(server: Server<'_>) {
    let threads = mpm::max_threads().unwrap_or(1).max(1);
    let descriptors = process::descriptor_limit().unwrap_or(usize::MAX);
    let spare = OTHER_DESCRIPTORS + threads;
    let needed = match mpm::is_async() {
        true => {
            let most = accepted(server, threads, descriptors.saturating_sub(spare));
            OF_CHILD.store(most, Ordering::Relaxed);
            check_most(server, most);
            most.min(wanted(server, threads)) + spare
        }
        // A blocking driver has one for its wake-ups; and under worker, one of its own for the socket.
        false => {
            OF_CHILD.store(threads, Ordering::Relaxed);
            check_most(server, threads);
            (if mpm::is_threaded() { 3 } else { 2 }) * threads + spare
        }
    };
    if needed > descriptors {
        warn(server, Tag::FewDescriptors, || {
            format!(
                "a child accepts more connections than it has file descriptors: it may need {needed} and has \
                 {descriptors} (RLIMIT_NOFILE). At that limit httpd retires the child, and closes its WebSockets"
            )
        });
    }
    check_slots(server);
    check_stack(server);
}

/// How many connections a child of an asynchronous MPM accepts, WebSockets included: a suspended connection counts like
/// one that waits for a worker thread.
fn accepted(server: Server<'_>, threads: usize, descriptors: usize) -> usize {
    let set = find_global_directive("AsyncRequestWorkerFactor");
    if set.is_none()
        && let Some(most) = raise(server, threads, descriptors)
    {
        return most;
    }
    let factor = set
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT_FACTOR);
    let most = limit(threads, factor);
    if most < FEW {
        warn(server, Tag::FewConnections, || {
            let enough = FEW.saturating_sub(threads).div_ceil(others(threads)).max(1);
            format!(
                "a child accepts at most {most} connections, WebSockets included (ThreadsPerChild {threads}, \
                 AsyncRequestWorkerFactor {factor}); AsyncRequestWorkerFactor {enough} would allow {}, and without the \
                 directive it is as many as there are file descriptors",
                limit(threads, enough as f64)
            )
        });
    }
    most
}

/// Sets AsyncRequestWorkerFactor so high that a child accepts as many connections as it has descriptors for. Says how
/// many that are, if the MPM agrees.
fn raise(server: Server<'_>, threads: usize, descriptors: usize) -> Option<usize> {
    let most = descriptors.min(MANY);
    let factor = most.saturating_sub(threads) / others(threads);
    // Never below httpd's own default.
    let factor = factor.max(DEFAULT_FACTOR as usize);
    let set = mpm::configure(server, FACTOR, &factor.to_string());
    let most = limit(threads, factor as f64);
    log::log(
        &Subject::Server(server),
        Level::Info,
        Tag::FactorSet,
        || match &set {
            Ok(()) => format!(
                "a child accepts up to {most} connections, WebSockets included: AsyncRequestWorkerFactor, which the \
                 configuration does not set, is {factor}"
            ),
            Err(reason) => format!("AsyncRequestWorkerFactor {factor} cannot be set: {reason}"),
        },
    );
    set.is_ok().then_some(most)
}

/// The event MPM's own limit, with every worker thread idle but the one that takes the connection. It drops the
/// factor's fraction.
fn limit(threads: usize, factor: f64) -> usize {
    threads + threads.saturating_sub(1) * (factor as usize).max(1)
}

/// The threads that are idle at most when a connection is accepted.
fn others(threads: usize) -> usize {
    threads.saturating_sub(1).max(1)
}

/// Warns when WebSocketMaxConnections is more than the connections that a child accepts at all: then it is they that decide,
/// and new clients wait instead of being refused.
fn check_most(server: Server<'_>, most: usize) {
    let config = server.config::<Config>(&websocket_module);
    let wanted = config.map_or(0, Config::max_connections);
    if wanted > most {
        warn(server, Tag::NeverReached, || {
            format!(
                "WebSocketMaxConnections {wanted} is never reached: a child accepts at most {most} connections, those for \
                 pages included. Further clients wait until they give up, instead of getting 503"
            )
        });
    }
}

/// How many connections a child gets at most because of WebSocketMaxConnections, ordinary ones included.
fn wanted(server: Server<'_>, threads: usize) -> usize {
    let config = server.config::<Config>(&websocket_module);
    match config.map_or(0, Config::max_connections) {
        0 => usize::MAX,
        most => most.saturating_add(threads),
    }
}

/// Warns when children that MaxConnectionsPerChild retires may take every slot with the WebSockets that they hold: then
/// httpd can start none in their place.
fn check_slots(server: Server<'_>) {
    let per_child = ["MaxConnectionsPerChild", "MaxRequestsPerChild"]
        .into_iter()
        .find_map(|name| find_global_directive(name)?.trim().parse::<u64>().ok())
        .unwrap_or(0);
    // A child of prefork has nothing else to do than its one WebSocket.
    if per_child == 0 || !mpm::is_threaded() {
        return;
    }
    let (Some(children), Some(slots)) = (mpm::max_daemons(), mpm::server_limit()) else {
        return;
    };
    if slots < 2 * children {
        warn(server, Tag::FewSlots, || {
            format!(
                "MaxConnectionsPerChild {per_child} retires children that hold WebSockets, and they keep their slots \
                 until these have ended; ServerLimit {slots} may leave none for new children, of which there are up to \
                 {children}: ServerLimit {} has room, MaxConnectionsPerChild 0 needs none",
                2 * children
            )
        });
    }
}

/// Warns when httpd's threads, which run WebSockets of worker and the handshakes of event, have too little stack.
fn check_stack(server: Server<'_>) {
    let set = find_global_directive("ThreadStackSize");
    let size = set.and_then(|text| text.trim().parse::<usize>().ok());
    if let Some(size) = size.filter(|&size| size < STACK && mpm::is_threaded()) {
        warn(server, Tag::SmallStack, || {
            format!(
                "ThreadStackSize {size} is too little: one line of httpd's error log takes 25 KiB of it, and a WebSocket up \
                 to 16 KiB; the least is {STACK}"
            )
        });
    }
}

fn warn(server: Server<'_>, tag: Tag, text: impl FnOnce() -> String) {
    log::log(&Subject::Server(server), Level::Warn, tag, text);
}
