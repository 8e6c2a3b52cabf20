//! What time it is for the timers of connections: the machine's, or that of a test's world.

use std::time::Instant;

/// The time, by the clock that also the server's timers go by.
pub(crate) fn now() -> Instant {
    #[cfg(feature = "testing")]
    if let Some(now) = virtual_clock::now() {
        return now;
    }
    Instant::now()
}

/// The clock of a world, which stands still until that has it go on. There is one world at a time.
#[cfg(feature = "testing")]
pub(crate) mod virtual_clock {
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::{Duration, Instant};

    /// When the world began, and how much of its own time has passed since. `None`: there is no world.
    static CLOCK: Mutex<Option<(Instant, Duration)>> = Mutex::new(None);

    /// A world begins.
    pub(crate) fn start() {
        *clock() = Some((Instant::now(), Duration::ZERO));
    }

    /// So much has passed since it began.
    pub(crate) fn set(passed: Duration) {
        if let Some(clock) = &mut *clock() {
            clock.1 = passed;
        }
    }

    /// The world ends.
    pub(crate) fn stop() {
        *clock() = None;
    }

    pub(super) fn now() -> Option<Instant> {
        clock().map(|(began, passed)| began + passed)
    }

    fn clock() -> MutexGuard<'static, Option<(Instant, Duration)>> {
        CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
