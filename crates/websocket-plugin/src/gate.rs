//! Server functions that may be asked for when there is no server any more.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use crate::host::Host;

/// A server's table and the gate in front of it.
pub(crate) struct Gated {
    host: Host,
    gate: Gate,
    /// Whose table is used once this gate is shut.
    successor: OnceLock<Arc<Gated>>,
}

// SAFETY: `host` is a pointer that is only used in `call`, for functions that the ABI allows from
// any thread as long as the table is alive, and the gate is shut before it is not. A successor is another of these.
unsafe impl Send for Gated {}
// SAFETY: as for Send; the ABI allows these functions on many threads at once.
unsafe impl Sync for Gated {}

impl Gated {
    /// # Safety
    /// The table of `host` is alive until [`shut`](Self::shut) has returned.
    pub(crate) unsafe fn new(host: Host) -> Self {
        Self {
            host,
            gate: Gate::default(),
            successor: OnceLock::new(),
        }
    }

    /// Runs `f` while the table is sure to be alive, or a successor's; `None`, without running it, once the gate is
    /// shut. `f` keeps to functions that the ABI allows from any thread.
    pub(crate) fn call<T>(&self, f: impl FnOnce(Host) -> T) -> Option<T> {
        let (host, _pass) = self.enter()?;
        Some(f(host))
    }

    /// The table, or a successor's, which is sure to be alive as long as the pass is kept; `None` once the gate is shut. The
    /// same holds as for [`call`](Self::call).
    pub(crate) fn enter(&self) -> Option<(Host, Pass<'_>)> {
        let mut gated = self;
        loop {
            if let Some(pass) = gated.gate.enter() {
                return Some((gated.host, pass));
            }
            gated = gated.successor.get()?;
        }
    }

    /// Has another one, which is not shut, do what is asked of this one once it is. The first to be named counts.
    pub(crate) fn hand_over(&self, successor: Arc<Self>) {
        let _ = self.successor.set(successor);
    }

    /// Lets no call in any more, and waits for those under way.
    pub(crate) fn shut(&self) {
        self.gate.shut();
    }

    /// The table, for a running callback.
    pub(crate) fn host(&self) -> Host {
        self.host
    }
}

/// Counts the calls under way, and lets no more in once it is shut.
///
/// No lock is held while a call is under way, for it may block as long as the peer likes.
#[derive(Default)]
struct Gate {
    /// [`SHUT`], plus [`CALL`] for each call under way.
    state: AtomicUsize,
    last_call: Mutex<()>,
    left: Condvar,
}

const SHUT: usize = 1;
const CALL: usize = 2;

impl Gate {
    fn enter(&self) -> Option<Pass<'_>> {
        // Who asks on and on must not hold up who waits in `shut`. Acquire, as below.
        if self.state.load(Ordering::Acquire) & SHUT != 0 {
            return None;
        }
        // The pass is made in any case, and leaves again when it should not have been let in. Acquire: who finds the gate
        // shut sees what was done before, as a successor.
        let before = self.state.fetch_add(CALL, Ordering::Acquire);
        let pass = Pass(self);
        (before & SHUT == 0).then_some(pass)
    }

    fn shut(&self) {
        self.state.fetch_or(SHUT, Ordering::AcqRel);
        let mut guard = self
            .last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while self.state.load(Ordering::Acquire) != SHUT {
            guard = self
                .left
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A call under way.
pub(crate) struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Release: `shut` returns after everything this call did.
        if self.0.state.fetch_sub(CALL, Ordering::Release) == SHUT + CALL {
            // Under the lock, or it could fall between the look and the wait in `shut`.
            let _guard = self
                .0
                .last_call
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            self.0.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_shut_gate_lets_nobody_in() {
        let gate = Gate::default();
        assert!(gate.enter().is_some());
        gate.shut();
        assert!(gate.enter().is_none());
        gate.shut();
    }

    #[test]
    fn who_asks_at_a_shut_gate_is_not_counted() {
        let gate = Gate::default();
        gate.shut();
        thread::scope(|scope| {
            let asking = [(); 2].map(|()| {
                scope.spawn(|| {
                    (0..if cfg!(miri) { 50 } else { 10_000 }).all(|_| gate.enter().is_none())
                })
            });
            while !asking.iter().all(|thread| thread.is_finished()) {
                assert_eq!(gate.state.load(Ordering::Relaxed), SHUT);
            }
            assert!(asking.into_iter().all(|thread| thread.join().unwrap()));
        });
    }

    #[test]
    fn shutting_waits_for_the_calls_under_way() {
        let gate = Gate::default();
        let finished = AtomicUsize::new(0);
        thread::scope(|scope| {
            let passes: Vec<_> = (0..4).map(|_| gate.enter().unwrap()).collect();
            for pass in passes {
                scope.spawn(|| {
                    let pass = pass;
                    thread::sleep(Duration::from_millis(20));
                    finished.fetch_add(1, Ordering::Relaxed);
                    drop(pass);
                });
            }
            gate.shut();
            assert_eq!(finished.load(Ordering::Relaxed), 4);
        });
    }

    #[test]
    fn nobody_is_inside_after_a_gate_was_shut_in_a_crowd() {
        for _ in 0..200 {
            let gate = Gate::default();
            let inside = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while let Some(_pass) = gate.enter() {
                            inside.fetch_add(1, Ordering::Relaxed);
                            inside.fetch_sub(1, Ordering::Relaxed);
                        }
                    });
                }
                gate.shut();
                assert_eq!(inside.load(Ordering::Relaxed), 0);
            });
        }
    }
}
