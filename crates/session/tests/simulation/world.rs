//! What all parts of the simulation share: the time, the network, the chances, and the story of what happened.
//!
//! The world's state is under a lock of std's, which is held for moments without a step in between, so that looking at the
//! world is no step of the schedule. Only what waits does so by shuttle: each part of the world has a [`Sleeper`] of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shuttle::sync::{Condvar, Mutex};

use crate::chance::Chance;
use crate::network::Direction;

/// The world of one seed, as one of its connections has it.
pub struct World {
    shared: Arc<Shared>,
    /// Which of the connections.
    number: usize,
}

struct Shared {
    state: StdMutex<State>,
    /// Where the time begins.
    origin: Instant,
    /// Nothing is going to happen any more: who waits goes home.
    is_over: AtomicBool,
    tells: bool,
}

/// What is under the world's lock; and, by itself, the connection of whoever has it.
pub struct State {
    pub now: Duration,
    pub chance: Chance,
    /// How long a piece of the network's takes at most, in microseconds.
    pub most_latency: u64,
    /// Most worlds have one connection.
    lines: Vec<Line>,
    current: usize,
    /// Who is to be woken when.
    alarms: BTreeMap<(Duration, u64), Arc<Sleeper>>,
    next_alarm: u64,
    /// How often each task has begun to write what the outbox had.
    loads: BTreeMap<usize, u32>,
    marks: BTreeSet<&'static str>,
    story: Vec<String>,
}

/// One connection.
pub struct Line {
    /// From the peer to the server, and back.
    pub inward: Direction,
    pub outward: Direction,
    /// The connection was reset; neither direction goes on.
    pub is_reset: bool,
    /// The layer above the server's end of it has failed, and has said so.
    pub is_layer_broken: bool,
    /// The peer has sent a Close, or something has made the session fail: it reads nothing behind it.
    pub reads_no_more: bool,
    /// Since when the peer says nothing more.
    pub silent_since: Option<Duration>,
}

impl Line {
    fn new(chance: &mut Chance) -> Self {
        let capacities = [64, 256, 2_000, 20_000];
        let mut capacity = || capacities[chance.below(4) as usize];
        let (inward, outward) = (capacity(), capacity());
        Line {
            inward: Direction::new(inward),
            outward: Direction::new(outward),
            is_reset: false,
            is_layer_broken: false,
            reads_no_more: false,
            silent_since: None,
        }
    }
}

impl Deref for State {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.lines[self.current]
    }
}

impl DerefMut for State {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.lines[self.current]
    }
}

/// Where one part of the world waits: until it is woken, whatever for.
#[derive(Default)]
pub struct Sleeper {
    is_woken: Mutex<bool>,
    wakes: Condvar,
}

impl Sleeper {
    /// Ends the wait, or the next one.
    pub fn wake(&self) {
        *lock(&self.is_woken) = true;
        self.wakes.notify_one();
    }

    /// Waits until woken.
    pub fn sleep(&self) {
        let mut is_woken = lock(&self.is_woken);
        while !*is_woken {
            is_woken = self
                .wakes
                .wait(is_woken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *is_woken = false;
    }
}

impl World {
    /// The world of a seed. `tells`: it keeps its story.
    pub fn new(seed: u64, origin: Instant, tells: bool) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let line = Line::new(&mut chance);
        let most_latency = [0, 300, 20_000][chance.below(3) as usize];
        let shared = Shared {
            state: StdMutex::new(State {
                now: Duration::ZERO,
                chance,
                most_latency,
                lines: vec![line],
                current: 0,
                alarms: BTreeMap::new(),
                next_alarm: 0,
                loads: BTreeMap::new(),
                marks: BTreeSet::new(),
                story: Vec::new(),
            }),
            origin,
            is_over: AtomicBool::new(false),
            tells,
        };
        Arc::new(World {
            shared: Arc::new(shared),
            number: 0,
        })
    }

    /// The same world, as another connection has it.
    #[allow(dead_code, reason = "for worlds of more than one")]
    pub fn beside(&self) -> Arc<Self> {
        let mut state = self.state();
        let line = Line::new(&mut state.chance);
        state.lines.push(line);
        Arc::new(World {
            shared: Arc::clone(&self.shared),
            number: state.lines.len() - 1,
        })
    }

    /// The world's state, with this connection; not to be kept over a step.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.current = self.number;
        state
    }

    /// The time as the session has it.
    pub fn instant(&self) -> Instant {
        self.shared.origin + self.state().now
    }

    /// A moment as time since the beginning.
    pub fn since_begin(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.shared.origin)
    }

    /// Draws from the seed's chances.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.state().chance)
    }

    /// Some time passes while a part of the world is busy.
    pub fn spend(&self, time: Duration) {
        self.state().now += time;
    }

    /// Waits for a time, or until the world is over.
    pub fn pause(&self, time: Duration) {
        let sleeper = Arc::new(Sleeper::default());
        let until = self.state().now + time;
        while !self.is_over() && self.state().now < until {
            self.state().set_alarm(until, &sleeper);
            sleeper.sleep();
        }
    }

    /// Tells what has happened, when somebody listens.
    pub fn tell(&self, happening: impl FnOnce() -> String) {
        if self.shared.tells {
            let line = happening();
            let mut state = self.state();
            let now = state.now;
            state
                .story
                .push(format!("{:>11.3} ms  {line}", now.as_secs_f64() * 1e3));
        }
    }

    /// A rare path has been gone.
    pub fn mark(&self, name: &'static str) {
        if self.state().marks.insert(name) {
            self.tell(|| format!("  [{name}]"));
        }
    }

    pub fn story(&self) -> Vec<String> {
        self.state().story.clone()
    }

    pub fn marks(&self) -> BTreeSet<&'static str> {
        self.state().marks.clone()
    }

    /// Whether everything has ended.
    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::SeqCst)
    }

    /// Ends the world: whoever waits for a time goes on.
    pub fn end(&self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let alarms = std::mem::take(&mut self.state().alarms);
        for sleeper in alarms.into_values() {
            sleeper.wake();
        }
    }
}

impl State {
    /// The task begins to write what the outbox had.
    pub fn load(&mut self, task: usize) {
        *self.loads.entry(task).or_default() += 1;
    }

    /// How often the task has.
    pub fn loads(&self, task: usize) -> u32 {
        self.loads.get(&task).copied().unwrap_or(0)
    }

    /// Has `sleeper` woken at a time.
    pub fn set_alarm(&mut self, at: Duration, sleeper: &Arc<Sleeper>) {
        let number = self.next_alarm;
        self.next_alarm += 1;
        self.alarms.insert((at, number), Arc::clone(sleeper));
    }

    /// The next moment at which something is going to happen by itself.
    pub fn next_moment(&self) -> Option<Duration> {
        let alarm = self.alarms.keys().next().map(|&(at, _)| at);
        let arrivals = self
            .lines
            .iter()
            .flat_map(|line| [line.inward.next_arrival(), line.outward.next_arrival()]);
        arrivals.chain([alarm]).flatten().min()
    }

    /// Takes those whose time has come.
    pub fn take_due(&mut self) -> Vec<Arc<Sleeper>> {
        let mut due = Vec::new();
        while let Some(entry) = self.alarms.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }

    /// How long the next piece is on its way.
    pub fn latency(&mut self) -> Duration {
        match self.most_latency {
            0 => Duration::ZERO,
            most => Duration::from_micros(self.chance.below(most)),
        }
    }
}

/// Locks, whoever has panicked meanwhile.
pub fn lock<T>(mutex: &Mutex<T>) -> shuttle::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
