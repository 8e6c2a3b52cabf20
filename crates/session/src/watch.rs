//! What a turn keeps an eye on while a WebSocket is open: signs of life, idleness, age and rate.

use std::time::{Duration, Instant};

use websocket_proto::{Beat, Heartbeat, HeartbeatPayload, RateLimit};

use crate::config::Config;
use crate::environment::Machine;

/// How long a peer may stay above its rate.
const RATE_PATIENCE: Duration = Duration::from_secs(10);
/// No pause of reading is shorter than this part of a second: timers have a grain. What may come in so long has to pass
/// at once, or the rate would not be reached.
const PAUSES_PER_SECOND: u32 = 50;

/// The watch over one session. The thread that has the turn has it.
pub struct Watch {
    heartbeat: Heartbeat,
    /// Zero: never.
    idle_timeout: Duration,
    /// When the last message came.
    last_message: Instant,
    /// How long a message may be unfinished; zero: for ever.
    message_timeout: Duration,
    /// Since when there is a message that has begun and is not complete, without the times in which nothing was read.
    unfinished_since: Option<Instant>,
    /// Since when nothing is read.
    stopped_since: Option<Instant>,
    /// What has come since the last look at the clock.
    has_input: bool,
    has_message: bool,
    /// When the session is old enough.
    ends_at: Option<Instant>,
    rate: Option<Box<RateLimit>>,
    /// What the last check has said, if it was that all is well: nothing is due earlier.
    well_until: Option<WellUntil>,
}

/// All is well until then; for ever, when there is no time.
type WellUntil = Option<Instant>;

/// What the watch has to say of the peer.
pub enum Finding {
    /// All is well until then.
    Well(Option<Instant>),
    /// A ping with this payload is due.
    Ping(HeartbeatPayload),
    /// No sign of life in time.
    Dead,
    /// No message either way for too long.
    Idle,
    /// A message is not complete in time.
    Unfinished,
    /// As old as it may get.
    Old,
    /// The peer does not keep to its rate.
    TooFast,
}

impl Watch {
    /// The watch over a session that opens now.
    pub fn new(config: &Config, machine: &impl Machine) -> Self {
        let now = machine.now();
        let lifetime = config.max_lifetime;
        let rate = config.rate_limit;
        Watch {
            heartbeat: Heartbeat::new(config.ping_interval, config.pong_timeout, now),
            idle_timeout: config.idle_timeout,
            last_message: now,
            message_timeout: config.message_timeout,
            unfinished_since: None,
            stopped_since: None,
            has_input: false,
            has_message: false,
            // Clients that came together do not all have to come back together.
            ends_at: (!lifetime.is_zero())
                .then(|| now + lifetime.mul_f64(1.0 - fraction(machine) / 10.0)),
            rate: rate.map(|(rate, burst)| {
                let burst = burst.max(rate / PAUSES_PER_SECOND);
                Box::new(RateLimit::new(rate, burst, now))
            }),
            well_until: None,
        }
    }

    /// Something has been read.
    pub fn input(&mut self) {
        self.has_input = true;
    }

    /// There was nothing to read.
    pub fn no_input(&mut self) {
        if let Some(rate) = &mut self.rate {
            rate.caught_up();
        }
    }

    /// A message has come.
    pub fn message(&mut self, machine: &impl Machine) {
        self.has_message = true;
        self.counted(machine);
    }

    /// Something that counts for the rate has come: a message, a ping or a pong.
    pub fn counted(&mut self, machine: &impl Machine) {
        if let Some(rate) = &mut self.rate {
            rate.message(machine.now());
        }
    }

    /// A pong has come: the round-trip time, when it answers the heartbeat.
    pub fn pong(&mut self, payload: &[u8], machine: &impl Machine) -> Option<Duration> {
        self.heartbeat.pong(payload, machine.now())
    }

    /// Until when nothing may be read, because the peer is above its rate.
    pub fn paused_until(&self, machine: &impl Machine) -> Option<Instant> {
        let rate = self.rate.as_ref()?;
        Some(rate.next_at()).filter(|&next| next > machine.now())
    }

    /// Whether the last check's word still holds, which most turns find: input and messages only put off what is due. `None`
    /// when it is to be checked again. No output waits for the peer.
    #[inline]
    pub fn glance(&mut self, now: Instant, is_mid_message: bool) -> Option<WellUntil> {
        let until = self.well_until?;
        let is_over = until.is_some_and(|until| until <= now);
        if is_over || is_mid_message || self.rate.is_some() {
            return None;
        }
        self.unfinished_since = None;
        self.stopped_since = None;
        if std::mem::take(&mut self.has_input) {
            self.heartbeat.input(now);
        }
        if std::mem::take(&mut self.has_message) {
            self.last_message = now;
        }
        Some(until)
    }

    /// What is to be done now. `last_sent`: when the last message went. `is_sending`: output waits for the peer.
    /// `is_mid_message`: a message has begun and is not complete. `is_stopped`: input waits, for room or for its rate.
    pub fn check(
        &mut self,
        now: Instant,
        last_sent: Instant,
        is_sending: bool,
        is_mid_message: bool,
        is_stopped: bool,
        machine: &impl Machine,
    ) -> Finding {
        self.well_until = None;
        // A ping would wait behind the output, and what is not read tells nothing: WebSocketSendTimeout judges then.
        if std::mem::take(&mut self.has_input)
            || is_sending
            || is_stopped
            || self.paused_until(machine).is_some()
        {
            self.heartbeat.input(now);
        }
        if is_sending {
            // It may be slow to read; that it writes too much is not sure.
            self.no_input();
        }
        if std::mem::take(&mut self.has_message) {
            self.last_message = now;
            // What is unfinished now is another message.
            self.unfinished_since = None;
        }
        // What the server itself does not read is not late; what it has read is bounded by WebSocketMessageMemory.
        let stopped_since = std::mem::replace(&mut self.stopped_since, is_stopped.then_some(now));
        if let (Some(unfinished_since), Some(stopped_since)) =
            (&mut self.unfinished_since, stopped_since)
        {
            *unfinished_since += now.saturating_duration_since(stopped_since);
        }
        // Whatever comes of it meanwhile: a peer that trickles holds as much memory as one that is silent.
        self.unfinished_since = is_mid_message.then(|| self.unfinished_since.unwrap_or(now));
        let is_over = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if is_over(self.ends_at) {
            return Finding::Old;
        }
        let last_message = self.last_message.max(last_sent);
        let idle_at = (!self.idle_timeout.is_zero()).then(|| last_message + self.idle_timeout);
        if is_over(idle_at) {
            return Finding::Idle;
        }
        let message_ends = self
            .unfinished_since
            .filter(|_| !self.message_timeout.is_zero() && !is_stopped)
            .map(|since| since + self.message_timeout);
        if is_over(message_ends) {
            return Finding::Unfinished;
        }
        let over_since = self.rate.as_ref().and_then(|rate| rate.over_since());
        let patience_ends = over_since.map(|since| since + RATE_PATIENCE);
        if is_over(patience_ends) {
            return Finding::TooFast;
        }
        match self.heartbeat.check(now) {
            Beat::Ping(payload) => Finding::Ping(payload),
            Beat::Dead => Finding::Dead,
            Beat::Wait(beat_at) => {
                let times = [self.ends_at, idle_at, message_ends, patience_ends, beat_at];
                let until = earliest(&times);
                self.well_until = Some(until);
                Finding::Well(until)
            }
        }
    }
}

/// The earliest of some times.
#[inline]
pub(crate) fn earliest(times: &[Option<Instant>]) -> Option<Instant> {
    let mut earliest = None;
    // A chain of iterators is not taken apart by the compiler, and costs as much as the rest of a turn's last look.
    for &time in times {
        if let Some(time) = time
            && earliest.is_none_or(|earliest| time < earliest)
        {
            earliest = Some(time);
        }
    }
    earliest
}

/// A number from 0 to 1.
fn fraction(machine: &impl Machine) -> f64 {
    machine.random() as f64 / u64::MAX as f64
}
