//! The board as one child has it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use figures::{
    Allowance, Board, CloseRequest, Filter, Layout, Limits, Listing, Location, Posted,
    PostedForMany, Process, RefusedFor, Seat, Snapshot, Wish,
};
use httpd::random::random;
use httpd::server::Server;
use httpd::{futex, mpm, process};

use super::calling::{self, Callback, Calling};
use super::watcher::{Occupant, Watcher, ring};
use super::{Entry, death, making};
use crate::lock::lock_at_end;
use crate::version;

/// How long the children have for saying what their threads do before the child that asked reads it.
const SAY: Duration = Duration::from_millis(1);

/// The board as one child has it: its seat, once there is one, and all that it counts, reads and asks for.
pub struct ChildBoard {
    board: Board<'static>,
    seat: OnceLock<Arc<Seat<'static>>>,
    occupant: Weak<dyn Occupant>,
    limits: Limits,
    watcher: Mutex<Option<Watcher>>,
}

impl ChildBoard {
    /// For the child that begins; `occupant` stands for it.
    pub fn new(server: Server<'_>, occupant: Weak<dyn Occupant>, limits: Limits) -> Self {
        let child = ChildBoard {
            board: making::find(server).unwrap_or_else(private_board),
            seat: OnceLock::new(),
            occupant,
            limits,
            watcher: Mutex::new(None),
        };
        if mpm::is_async() {
            // The child has threads already, to be seen.
            child.seat();
        }
        child
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

    /// Uses `count` of what a client is allowed at a place, over all children; `Err`: how long to wait.
    pub fn use_allowance(
        &self,
        client: Option<IpAddr>,
        place: u64,
        allowance: Allowance,
        count: u32,
    ) -> Result<(), Duration> {
        self.board.use_allowance(client, place, allowance, count)
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
        let watcher = lock_at_end(&self.watcher).and_then(|mut watcher| watcher.take());
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
