//! Pings that find out whether the peer still lives (RFC 6455 §5.5.2).

use std::time::{Duration, Instant};

/// When to ping a peer that says nothing, and when to give it up.
///
/// Time is what the caller says it is. Whatever the peer sends is a sign of life, so that a busy connection is
/// never pinged; a Pong that answers one of these pings also tells the round-trip time.
#[derive(Debug)]
pub struct Heartbeat {
    /// Zero: never ping.
    interval: Duration,
    /// Zero: never give up.
    timeout: Duration,
    quiet_since: Instant,
    /// The first ping that nothing has come after.
    unanswered: Option<Instant>,
    /// The latest ping, until its pong.
    latest: Option<(u64, Instant)>,
    count: u64,
}

/// The payload of a heartbeat's ping.
pub type HeartbeatPayload = [u8; MARK.len() + 8];

/// What a heartbeat wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing before this time; `None`: never.
    Wait(Option<Instant>),
    /// A Ping with this payload, now.
    Ping(HeartbeatPayload),
    /// The peer has shown no life for too long.
    Dead,
}

/// The beginning of a ping's payload; its number follows.
const MARK: &[u8] = b"beat";

impl Heartbeat {
    /// A heartbeat that pings after `interval` without input (zero: never), and gives the peer up when `timeout`
    /// after that there still is none (zero: never).
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Heartbeat {
        Heartbeat {
            interval,
            timeout,
            quiet_since: now,
            unanswered: None,
            latest: None,
            count: 0,
        }
    }

    /// The peer has sent something.
    pub fn input(&mut self, now: Instant) {
        self.quiet_since = now;
        self.unanswered = None;
    }

    /// A Pong has come: the round-trip time, when it answers the latest ping of this heartbeat.
    pub fn pong(&mut self, payload: &[u8], now: Instant) -> Option<Duration> {
        let number = payload.strip_prefix(MARK)?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        let (_, sent) = self.latest.take_if(|(latest, _)| *latest == number)?;
        Some(now.saturating_duration_since(sent))
    }

    /// What is to be done at this time.
    pub fn check(&mut self, now: Instant) -> Beat {
        if self.interval.is_zero() {
            return Beat::Wait(None);
        }
        let dead_at = self
            .unanswered
            .filter(|_| !self.timeout.is_zero())
            .map(|sent| sent + self.timeout);
        if dead_at.is_some_and(|dead_at| dead_at <= now) {
            return Beat::Dead;
        }
        // One that is not answered is not the last: what is between here and the peer may want to see some traffic.
        let latest = self.unanswered.and(self.latest).map(|(_, sent)| sent);
        let due = latest.unwrap_or(self.quiet_since) + self.interval;
        if due > now {
            return Beat::Wait(dead_at.into_iter().chain([due]).min());
        }
        self.count += 1;
        self.unanswered.get_or_insert(now);
        self.latest = Some((self.count, now));
        Beat::Ping(payload(self.count))
    }
}

fn payload(number: u64) -> HeartbeatPayload {
    let mut payload = [0; MARK.len() + 8];
    let (mark, rest) = payload.split_at_mut(MARK.len());
    mark.copy_from_slice(MARK);
    rest.copy_from_slice(&number.to_be_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn beating() -> (Heartbeat, Instant) {
        let start = Instant::now();
        (Heartbeat::new(30 * SECOND, 10 * SECOND, start), start)
    }

    fn pinged(heartbeat: &mut Heartbeat, now: Instant) -> HeartbeatPayload {
        match heartbeat.check(now) {
            Beat::Ping(payload) => payload,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_quiet_peer_is_pinged_after_the_interval_and_dead_after_the_timeout() {
        let (mut heartbeat, start) = beating();
        let due = start + 30 * SECOND;
        assert_eq!(heartbeat.check(start), Beat::Wait(Some(due)));
        pinged(&mut heartbeat, due);
        let dead_at = due + 10 * SECOND;
        assert_eq!(heartbeat.check(due + SECOND), Beat::Wait(Some(dead_at)));
        assert_eq!(heartbeat.check(dead_at), Beat::Dead);
    }

    #[test]
    fn any_input_is_a_sign_of_life() {
        let (mut heartbeat, start) = beating();
        heartbeat.input(start + 20 * SECOND);
        let due = start + 50 * SECOND;
        assert_eq!(heartbeat.check(start + 30 * SECOND), Beat::Wait(Some(due)));
        pinged(&mut heartbeat, due);
        heartbeat.input(due + SECOND);
        assert_eq!(
            heartbeat.check(due + 20 * SECOND),
            Beat::Wait(Some(due + 31 * SECOND))
        );
    }

    #[test]
    fn a_pong_tells_the_round_trip_of_the_latest_ping_once() {
        let (mut heartbeat, start) = beating();
        let due = start + 30 * SECOND;
        let first = pinged(&mut heartbeat, due);
        assert_eq!(heartbeat.pong(b"", due + SECOND), None);
        assert_eq!(heartbeat.pong(b"beat", due + SECOND), None);
        assert_eq!(heartbeat.pong(b"a plugin's own", due + SECOND), None);
        assert_eq!(heartbeat.pong(&first, due + SECOND), Some(SECOND));
        assert_eq!(heartbeat.pong(&first, due + SECOND), None);

        heartbeat.input(due + SECOND);
        let second = pinged(&mut heartbeat, due + 31 * SECOND);
        assert_ne!(first, second);
        assert_eq!(heartbeat.pong(&first, due + 32 * SECOND), None);
        assert_eq!(heartbeat.pong(&second, due + 33 * SECOND), Some(2 * SECOND));
    }

    #[test]
    fn zero_is_never() {
        let start = Instant::now();
        let later = start + 100_000 * SECOND;
        let mut none = Heartbeat::new(Duration::ZERO, SECOND, start);
        assert_eq!(none.check(later), Beat::Wait(None));
        let mut patient = Heartbeat::new(SECOND, Duration::ZERO, start);
        for count in 0..3 {
            let now = later + count * SECOND;
            pinged(&mut patient, now);
            assert_eq!(patient.check(now), Beat::Wait(Some(now + SECOND)));
        }
    }

    #[test]
    fn a_patient_heartbeat_goes_on_pinging_until_the_timeout_of_the_first_ping() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(10 * SECOND, 25 * SECOND, start);
        for due in [10, 20, 30] {
            pinged(&mut heartbeat, start + due * SECOND);
        }
        let dead_at = start + 35 * SECOND;
        assert_eq!(
            heartbeat.check(start + 31 * SECOND),
            Beat::Wait(Some(dead_at))
        );
        assert_eq!(heartbeat.check(dead_at), Beat::Dead);
    }
}
