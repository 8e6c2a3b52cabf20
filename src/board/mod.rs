//! The figures of all children: the board in shared memory (the crate `figures`), and this child's seat at it.
//!
//! The parent makes the board when it starts, and keeps it through every reload: counters go on, and a child of an
//! old generation is still seen while it drains. Each child takes a seat, and has a [`watcher`] that is told, through the
//! board, which of its connections an operator wants closed.

mod calling;
mod death;
mod watcher;

use std::ffi::CStr;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError, Weak};
use std::time::{Duration, Instant};

pub use calling::{Callback, Calling, VERY_LONG};
pub use figures::{
    About, CloseRequest, Filter, Limits, Location, Order, RefusedFor, Threads, Wish,
};
use figures::{Board, Layout, Listing, Posted, PostedForMany, Process, Seat, Snapshot};
use httpd::log::Subject;
use httpd::random::random;
use httpd::server::Server;
use httpd::{futex, mpm, process, shared_memory};

use crate::log::{self, Level, Tag};
use crate::version;
use watcher::Watcher;

const NAME: &CStr = c"mod_websocket.board";
/// Slots, at least and at most.
const SLOTS: std::ops::RangeInclusive<usize> = 16..=4096;
/// Entries of a child whose connections hold no thread.
pub const MANY_ENTRIES: usize = 1 << 16;
/// Threads of a child that can be seen calling a plugin at once, at least and at most.
const THREADS: std::ops::RangeInclusive<usize> = 16..=4096;
/// What the board may take of a process's addresses, in words: 12 GiB. Memory it takes when it is used.
const MOST_WORDS: usize = 3 << 29;
/// Fewer entries are worth no try.
const FEW_ENTRIES: usize = 64;
/// How long the children have for saying what their threads do before the child that asked reads it.
const SAY: Duration = Duration::from_millis(1);

/// A connection's entry.
pub type Entry = figures::Entry<'static>;

/// Makes the board, in the parent, unless there is one. One that another build of the module has made, in another form,
/// is replaced.
pub fn make(server: Server<'_>) {
    let before = shared_memory::find(server, NAME);
    if let Some(board) = before.and_then(Board::find) {
        board.set_build(version::build());
        return;
    }
    let server_limit = mpm::server_limit().unwrap_or_default();
    let entries = match mpm::is_async() {
        true => MANY_ENTRIES,
        // One for each thread, and some whose thread is at the next connection already.
        false => 2 * mpm::thread_limit().unwrap_or_default().max(2),
    };
    let mut layout = Layout {
        // Those of children that are gone are free only when a new child takes them.
        slots: (2 * server_limit).clamp(*SLOTS.start(), *SLOTS.end()),
        entries,
        // Those of the MPM, and as many of the reactor.
        threads: (2 * mpm::thread_limit().unwrap_or_default())
            .clamp(*THREADS.start(), *THREADS.end()),
    };
    let warn = |tag: Tag, text: String| {
        log::log(&Subject::Server(server), Level::Warn, tag, || text);
    };
    if before.is_some() {
        warn(
            Tag::FiguresAnew,
            "this build of the module keeps the figures in another form: they begin anew, and WebSockets that are \
             draining are neither listed nor counted"
                .to_owned(),
        );
    }
    let mut refusal = None;
    loop {
        let words = match layout.words() > MOST_WORDS {
            true => Err(std::io::Error::other(
                "more than 12 GiB for all children that ServerLimit allows",
            )),
            // SAFETY: this is post_config, in the parent, and what was found above is not used any more.
            false => unsafe { shared_memory::make(server, NAME, layout.words()) },
        };
        match words {
            Ok(words) => {
                if let Some(board) = Board::new(words, layout, random()) {
                    board.set_build(version::build());
                }
                if let Some(refusal) = refusal {
                    warn(
                        Tag::NoFigures,
                        format!(
                            "shared memory for {} WebSockets in each child: more are neither listed nor counted for \
                             WebSocketMaxConnectionsPerClient. More was refused: {refusal}",
                            layout.entries
                        ),
                    );
                }
                return;
            }
            Err(error) if layout.entries > FEW_ENTRIES => {
                refusal = Some(format!("{} bytes: {error}", 8 * layout.words()));
                layout.entries /= 2;
            }
            Err(error) => {
                warn(
                    Tag::NoFigures,
                    format!(
                        "no shared memory, so that no child sees the figures of another: {error}"
                    ),
                );
                return;
            }
        }
    }
}

/// A child has ended; called in the parent. What its clients had with it no longer counts, and if it was not told to end, it
/// is said what was lost.
pub fn ended(server: Server<'_>, pid: u32) {
    if let Some(board) = shared_memory::find(server, NAME).and_then(Board::find)
        && let Some(death) = board.ended(pid)
    {
        death::tell(server, board, &death);
    }
}

/// What the board wants of the child.
pub trait Occupant: Send + Sync {
    /// Does with connections what an operator wants, as far as they are still there; called on a thread of the board's own.
    fn obey(&self, order: &Order);

    /// Looks for callbacks that do not return; called on that thread every few seconds.
    fn look_at_callbacks(&self);

    /// What the child's threads are doing.
    fn threads(&self) -> Threads;

    /// How many bytes its unfinished messages have.
    fn message_memory(&self) -> u64;
}

/// A child's part of the figures.
pub struct Figures {
    board: Board<'static>,
    seat: OnceLock<Arc<Seat<'static>>>,
    occupant: Weak<dyn Occupant>,
    limits: Limits,
    watcher: Mutex<Option<Watcher>>,
}

impl Figures {
    /// For the child that begins; `occupant` stands for it.
    pub fn new(server: Server<'_>, occupant: Weak<dyn Occupant>, limits: Limits) -> Self {
        let words = shared_memory::find(server, NAME);
        let figures = Figures {
            board: words.and_then(Board::find).unwrap_or_else(private_board),
            seat: OnceLock::new(),
            occupant,
            limits,
            watcher: Mutex::new(None),
        };
        if mpm::is_async() {
            // The child has threads already, to be seen.
            figures.seat();
        }
        figures
    }

    /// The Location of this name.
    pub fn location(&self, name: &str, plugin: &str) -> Location {
        self.board.location(name, plugin)
    }

    /// An entry for a connection whose handshake has begun.
    pub fn open(&self, location: Location, client: Option<IpAddr>) -> Entry {
        let entry = self.seat().open(location, client);
        self.watch();
        entry
    }

    /// A client's handshake was refused.
    pub fn refused(&self, location: Location, client: Option<IpAddr>, reason: RefusedFor) {
        self.seat().refused(location, client, reason);
    }

    /// Whether a connection is among the first `limit` of its client, over all children.
    pub fn is_within(&self, entry: &Entry, limit: u64) -> bool {
        entry.is_within(limit, &is_alive)
    }

    /// Whether a connection's Location has no more than `limit`, over all children.
    pub fn is_within_location(&self, entry: &Entry, limit: u64) -> bool {
        entry.is_within_location(limit, &is_alive)
    }

    /// The child is to end.
    pub fn set_stopping(&self) {
        if let Some(seat) = self.seat.get() {
            seat.set_stopping();
        }
    }

    /// The child has been told to end, and has done what is to be done then.
    pub fn leave(&self) {
        if let Some(seat) = self.seat.get() {
            seat.leave();
        }
    }

    /// What the child itself calls of a plugin.
    pub fn calling(&self, plugin: &str) -> Calling {
        let seat = self.seat();
        Calling::of_process(seat.caller(plugin), seat.calls())
    }

    /// The callbacks that run in this child, one sentence's beginning each.
    pub fn running(&self) -> Vec<String> {
        let Some(seat) = self.seat.get() else {
            return Vec::new();
        };
        let calls = seat.calls().running();
        let told = calls.map(|seen| death::told(seat.board(), &seen.call));
        told.collect()
    }

    /// Looks for callbacks that have been running for very long, which nobody has said yet. `say` gets the connection's
    /// number, and says so if it can; what it has been given then gives it the callback's name, once.
    pub fn look_at_callbacks(&self, say: impl Fn(u64, &dyn Fn() -> Option<&'static str>)) {
        let now = Instant::now();
        let seat = self.seat.get();
        for seen in seat.into_iter().flat_map(|seat| seat.calls().running()) {
            if calling::has_run_very_long(&seen, now) {
                say(seen.call.id, &|| {
                    seen.tell().then(|| Callback::name_of(&seen.call))
                });
            }
        }
    }

    /// All there is to say at this moment.
    pub fn read(&self, listing: &Listing) -> Snapshot {
        for bell in self.board.bells() {
            ring(bell);
        }
        std::thread::sleep(SAY);
        self.board.read(listing, &is_alive)
    }

    /// Has whichever child has it close a connection.
    pub fn post(&self, request: &CloseRequest) -> Posted<'static> {
        let posted = self.board.post(request, &is_alive);
        if let Posted::Waits(bell) = &posted {
            futex::wake(bell);
        }
        posted
    }

    /// Has whichever children have them do what is wished with the WebSockets that a filter means, if these are as many as
    /// expected: evenly over the time `over`.
    pub fn post_for_many(
        &self,
        filter: &Filter,
        expected: u64,
        wish: &Wish,
        over: Duration,
    ) -> PostedForMany<'static> {
        let posted = self
            .board
            .post_for_many(filter, expected, wish, over, &is_alive);
        if let PostedForMany::Waits(bells) = &posted {
            for bell in bells {
                futex::wake(bell);
            }
        }
        posted
    }

    /// Ends the watcher. prefork calls this from a signal handler, on any thread and at any instruction: there the
    /// watcher is not waited for, and ends with the process.
    pub fn stop(&self) {
        let watcher = match self.watcher.try_lock() {
            Ok(mut watcher) => watcher.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(watcher) = watcher {
            watcher.stop(mpm::is_threaded());
        }
    }

    /// The child's seat, taken when it is first needed: most children of prefork never serve a WebSocket.
    fn seat(&self) -> &Arc<Seat<'static>> {
        self.seat.get_or_init(|| {
            let (pid, started) = process::this();
            let process = Process { pid, started };
            let claim = |board| Seat::claim(board, process, mpm::generation(), &is_alive);
            let (seat, death) = claim(self.board)
                .or_else(|| claim(private_board()))
                .expect("a board of its own has a seat");
            if let (Some(death), Some(server)) = (death, Server::main()) {
                death::tell(server, self.board, &death);
            }
            seat.set_limits(self.limits, version::build());
            seat
        })
    }

    /// Has a watcher from here on, if there is none.
    pub fn watch(&self) {
        let Ok(mut watcher) = self.watcher.try_lock() else {
            // Another thread is at it.
            return;
        };
        if watcher.is_none() {
            // Without one, nobody can close this child's connections, which is no reason to have none.
            *watcher = Watcher::start(Arc::clone(self.seat()), Weak::clone(&self.occupant)).ok();
        }
    }
}

/// A board that only this process sees. It stays for as long.
fn private_board() -> Board<'static> {
    let words = (0..Layout::PRIVATE.words()).map(|_| Default::default());
    let words = Vec::leak(words.collect());
    Board::new(words, Layout::PRIVATE, random()).expect("there are enough words")
}

fn is_alive(process: Process) -> bool {
    process::is_alive(process.pid, process.started)
}

/// Has a child's watcher look.
fn ring(bell: &AtomicU64) {
    bell.fetch_add(1, Ordering::Release);
    futex::wake(bell);
}
