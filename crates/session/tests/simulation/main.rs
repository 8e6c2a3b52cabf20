//! One WebSocket in a world in which a seed decides everything: the time, what the network does, what the peer, the
//! application and its threads do, and who takes the next step. Run by scripts/simulate.
#![cfg(shuttle)]

mod chance;
mod kept;
mod letter;
mod network;
mod peer;
mod poller;
mod promises;
mod runner;
mod schedule;
mod server;
mod settings;
mod transport;
mod world;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use session::limits::DEAF;

use crate::kept::KEPT;
use crate::peer::Peer;
use crate::poller::Poller;
use crate::promises::{Behind, Call, Promises};
use crate::runner::Simulation;
use crate::server::{Server, SimulatedSession};
use crate::settings::Settings;
use crate::world::World;

/// What a held-up message costs beside its bytes.
const HELD_UP_OVERHEAD: usize = 64;

/// A WebSocket that lives on beyond this is told to end.
const LONG: Duration = Duration::from_secs(20);

/// How many workers, threads and others there are, whether they are all done, and what must be so while nobody moves.
struct Life {
    world: Arc<World>,
    promises: Arc<Promises>,
    poller: Arc<Poller>,
    session: Arc<SimulatedSession>,
    settings: Settings,
    is_told_to_end: bool,
    /// When output last waited for the peer.
    waited_at: Duration,
}

/// Lives one seed. Runs as the timekeeper: only when nobody else can take a step.
fn live(seed: u64, origin: Instant, tells: bool, last_world: &Mutex<Option<Arc<World>>>) {
    let world = World::new(seed, origin, tells);
    *last_world.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&world));
    let settings = Settings::of(seed);
    let promises = Arc::new(Promises::default());
    let poller = Poller::new(&world, settings.is_blocking, settings.is_deaf);
    let session = Server::open(&world, &promises, &poller, &settings);
    let mut threads = Vec::new();
    let (workers, work): (u64, fn(&SimulatedSession)) = match settings.is_blocking {
        true => (1, Server::stay),
        false => (settings.workers, Server::work),
    };
    for _ in 0..workers {
        let session = Arc::clone(&session);
        threads.push(shuttle::thread::spawn(move || work(&session)));
    }
    for origin in 1..=settings.threads {
        let session = Arc::clone(&session);
        threads.push(shuttle::thread::spawn(move || {
            Server::live(&session, origin as u16)
        }));
    }
    let peer = Peer::new(&world, &promises, &poller, &settings);
    threads.push(shuttle::thread::spawn(move || peer.live()));
    if world.draw(|chance| chance.percent(15)) {
        let (world, session) = (Arc::clone(&world), Arc::clone(&session));
        threads.push(shuttle::thread::spawn(move || {
            world.pause(world.draw(|chance| Duration::from_micros(chance.below(3_000_000))));
            world.tell(|| "the process drains".to_owned());
            session.drain_at(world.instant());
        }));
    }
    poller.arm();
    let mut life = Life {
        world,
        promises,
        poller,
        session,
        settings,
        is_told_to_end: false,
        waited_at: Duration::ZERO,
    };
    loop {
        // Until nobody else can take a step.
        shuttle::thread::yield_now();
        if !life.goes_on() {
            break;
        }
    }
    life.world.end();
    life.poller.stop();
    life.poller.peer().wake();
    for thread in threads {
        thread.join().expect("a part of the world has failed");
    }
    life.promises.at_the_end();
}

impl Life {
    /// Lets the time pass until something happens. Says whether anything is going to.
    fn goes_on(&mut self) -> bool {
        self.promises.are_kept();
        let has_ended = self.session.environment().has_ended();
        if !has_ended && !self.poller.is_deaf_now() {
            self.is_at_rest();
            self.is_in_time();
        }
        let timer = if has_ended { None } else { self.poller.timer() };
        let next = [self.world.state().next_moment(), timer]
            .into_iter()
            .flatten()
            .min();
        // Who waits without anybody to hear for it looks itself, from time to time.
        let is_deaf = self.poller.is_deaf_now();
        let look = is_deaf.then(|| self.world.state().now + DEAF);
        let next = next.into_iter().chain(look).min();
        let Some(next) = next else {
            if has_ended {
                return false;
            }
            assert!(
                !self.is_told_to_end,
                "the session neither ends nor waits for anything"
            );
            self.is_told_to_end = true;
            self.world
                .tell(|| "nothing more happens: the process drains".to_owned());
            self.session.drain_at(self.world.instant());
            return true;
        };
        let next = match has_ended || self.is_told_to_end {
            true => next,
            false => next.min(LONG),
        };
        let due = {
            let mut state = self.world.state();
            state.now = state.now.max(next);
            state.take_due()
        };
        assert!(
            has_ended || self.world.state().now < 2 * LONG,
            "the session has outlived its timeouts"
        );
        if !self.is_told_to_end && !has_ended && self.world.state().now >= LONG {
            self.is_told_to_end = true;
            self.world
                .tell(|| "it has been long: the process drains".to_owned());
            self.session.drain_at(self.world.instant());
        }
        for sleeper in due {
            sleeper.wake();
        }
        self.poller.look();
        self.poller.time_has_passed();
        if is_deaf {
            self.world.mark("nobody hears of room but who waits for it");
            self.session.time_passes();
        }
        true
    }

    /// A peer that is as good as gone is given up within the timeouts.
    fn is_in_time(&mut self) {
        // While output waits for it, the send timeout is what judges it.
        if self.session.buffered() > 0 {
            self.waited_at = self.world.state().now;
        }
        let (now, silent_since) = {
            let state = self.world.state();
            (state.now, state.silent_since)
        };
        if let (Some(since), Some(patience)) = (silent_since, self.settings.patience()) {
            let since = since.max(self.waited_at);
            assert!(
                now <= since + patience,
                "the peer is silent since {since:?}, and the session lives on at {now:?}"
            );
        }
    }

    /// The peer is gone, and nobody can take a step: then nobody waits for it, and the session has ended as soon as a turn could
    /// find out.
    fn is_over(&self) {
        let blocked = self.promises.blocked();
        let is_callback = |(origin, _): &(_, _)| *origin == letter::CALLBACKS;
        if self.promises.callback() && !blocked.iter().any(is_callback) {
            // It does something else, which takes time.
            return;
        }
        assert!(
            blocked.is_empty(),
            "{blocked:?} is blocked in send, and the peer is gone"
        );
        // What has come from it may have to wait for its rate.
        assert!(
            self.settings.config.rate_limit.is_some(),
            "the peer is gone, and the session lives on"
        );
    }

    /// What waits does not exceed its bounds.
    fn waits_within_bounds(&self, buffered: usize, behind: &Behind) {
        let limit = self.settings.config.send_buffer;
        // A message is taken whole while there is room, by each sender; beside them there may be a Close and a pong. What
        // has to wait for the end of a message in parts has a limit of its own, if nothing else waited when it came.
        let senders = self.settings.threads as usize + 1;
        let message = self.session.environment().most_message();
        let limits = if self.settings.sends_parts { 4 } else { 2 };
        assert!(
            buffered <= limits * limit + (senders + 1) * message + 300,
            "{buffered} bytes wait, at a limit of {limit}"
        );
        let held_up = behind.least.bytes + behind.least.messages * HELD_UP_OVERHEAD;
        assert!(
            held_up <= 2 * limit + message + HELD_UP_OVERHEAD,
            "{behind:?} waits behind a message in parts, at a limit of {limit}"
        );
    }

    /// Nobody can take a step: then nobody may be waiting for something that is possible.
    fn is_at_rest(&self) {
        let (session, limit) = (&self.session, self.settings.config.send_buffer);
        let (is_broken, has_input, has_room, reads_no_more) = {
            let state = self.world.state();
            (
                state.is_reset || state.is_layer_broken,
                state.inward.has_arrived(),
                state.outward.room() > 0,
                state.reads_no_more,
            )
        };
        let Some(told) = session.environment().queued() else {
            // Somebody is in the middle of something.
            return;
        };
        if is_broken {
            return self.is_over();
        }
        let buffered = session.buffered();
        // Behind a message in parts wait whole messages, each of which takes more memory than its bytes.
        let behind = self.promises.behind();
        let most_cost = buffered + behind.most.messages * HELD_UP_OVERHEAD;
        let most_queued = buffered - behind.least.bytes.min(buffered);
        self.waits_within_bounds(buffered, &behind);
        assert!(
            told <= buffered || session.has_ended(),
            "{told} bytes are said to wait, and {buffered} do"
        );
        let in_callback = self.promises.callback();
        let blocked = self.promises.blocked();
        for (origin, call) in &blocked {
            let most = if *origin == letter::CALLBACKS {
                2 * limit
            } else {
                limit
            };
            let waits = match call {
                // The end of the message in parts may be a callback's to send.
                Call::Message if *origin != letter::CALLBACKS => most_cost,
                _ => most_queued,
            };
            assert!(
                waits >= most && !session.has_ended(),
                "{origin} is blocked in send although there is room"
            );
            if *call == Call::Message && most_queued < most {
                self.world.mark("one waits behind held-up ones");
            }
        }
        let is_gathering = in_callback
            && !blocked
                .iter()
                .any(|(origin, _)| *origin == letter::CALLBACKS);
        assert!(
            !has_room || buffered <= behind.most.bytes || is_gathering,
            "{buffered} bytes wait although the socket has room"
        );
        // Whoever takes edges goes on with the output, whatever the thread does that has the turn.
        let is_told = !self.settings.is_blocking && self.poller.is_heard();
        assert!(
            !(is_told && has_room && session.is_stalled() && !session.has_ended()),
            "the wire is stalled, although the poller has said that there is room"
        );
        if in_callback {
            return;
        }
        let server = session.environment();
        let is_ample = |waits: usize| waits <= limit / 2 && !session.has_ended();
        assert!(
            !(server.wants_room() && is_ample(most_cost)),
            "on_writable was promised, and does not come although {buffered} of {limit} bytes wait"
        );
        assert!(
            !(server.wants_room_for_part() && is_ample(most_queued)),
            "on_writable was promised for a part, and does not come although {buffered} of {limit} bytes wait"
        );
        let is_paced = self.settings.config.rate_limit.is_some();
        // A layer is not read from while it holds output.
        let is_clogged = self.settings.is_layered && !has_room;
        let may_read = most_cost < 2 * limit
            && !is_paced
            && !is_clogged
            && !(session.has_ended() && reads_no_more);
        assert!(
            !has_input || !may_read,
            "input lies in the socket, and nobody reads it, while {buffered} bytes wait of {limit}"
        );
    }
}

/// Rare paths that many seeds have to go, or they prove little.
const REQUIRED: [&str; 16] = [
    "a callback panics",
    "a message is held up",
    "a message leaves from where it is",
    "a part finds no room",
    "a part of one that leaves from where it is has to be kept",
    "a thread leaves the rest to others",
    "a read goes into its message",
    "a read goes beside the wire",
    "a try_send finds no room",
    "a wake during a last look",
    "nobody hears of room but who waits for it",
    "on_writable",
    "one waits behind held-up ones",
    "room comes between two looks",
    "several pieces leave in one write",
    "the socket is full",
];

#[test]
fn every_seed_keeps_the_promises() {
    let simulation = Simulation {
        live,
        kept: KEPT,
        required: &REQUIRED,
        share: 1,
    };
    simulation.run();
}
