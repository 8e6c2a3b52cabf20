//! The callbacks that run now: what keeps the process from its end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use session::sync::lock;

/// The callbacks that run now, in the order in which they began.
#[derive(Default)]
pub struct Running {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: BTreeMap<u64, Call>,
    count: u64,
}

/// One that has not returned.
#[derive(Clone, Copy)]
pub struct Call {
    name: &'static str,
    /// `None`: of the process.
    connection: Option<u64>,
    since: Instant,
}

/// Dropped when the callback has returned.
pub struct Begun {
    running: Arc<Running>,
    number: u64,
}

impl Running {
    /// A callback begins, of this connection or of the process.
    pub fn begin(self: &Arc<Self>, name: &'static str, connection: Option<u64>) -> Begun {
        let mut state = lock(&self.state);
        state.count += 1;
        let number = state.count;
        let since = Instant::now();
        state.calls.insert(
            number,
            Call {
                name,
                connection,
                since,
            },
        );
        Begun {
            running: Arc::clone(self),
            number,
        }
    }

    /// Those that have not returned.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.values().copied().collect()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        lock(&self.running.state).calls.remove(&self.number);
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(number) = self.connection {
            write!(f, " of #{number}")?;
        }
        let seconds = self.since.elapsed().as_secs_f64();
        write!(f, " has not returned for {seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_returned_runs_no_more() {
        let running = Arc::<Running>::default();
        let start = running.begin("child_start", None);
        let message = running.begin("on_message", Some(3));
        drop(start);
        let calls: Vec<_> = running.calls().iter().map(Call::to_string).collect();
        assert!(calls.len() == 1 && calls[0].starts_with("on_message of #3 has not returned for"));
        drop(message);
        assert!(running.calls().is_empty());
    }
}
