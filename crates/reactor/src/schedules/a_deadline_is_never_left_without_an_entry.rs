//! A timer that is set writes its deadline first and then looks which entry there is; the supervisor takes an entry out
//! first and then reads the deadline. So a deadline always has an entry that comes up no later, or is among what is due; and
//! if the supervisor sleeps longer than that, it is called.

use std::sync::Arc;

use schedules::{explore, thread};

use super::{Nothing, core_with};
use crate::core::Core;
use crate::job::Job;
use crate::registry::Token;
use crate::sync::lock;

const OLD: u64 = 10;
const NEW: u64 = 20;

/// The supervisor's part: takes what is due at `now`, and says until when it sleeps.
fn fire(core: &Core, now: u64) -> (Vec<Job>, Option<u64>) {
    let mut due = Vec::new();
    let mut timers = lock(&core.timers);
    timers.take_due(&core.registry, now, &mut due);
    (due, timers.sleep())
}

fn attach(core: &Core) -> Token {
    core.registry.insert(Arc::new(Nothing)).unwrap()
}

/// Fails when `take_due` reads the deadline before it takes the entry out; when `Core::set_deadline` looks at the entry
/// before it writes the deadline; when the update of `SlotTimer::set`, the store in `take_due`, the load of `deadline` or
/// that of the entry's tick is weaker than `SeqCst`; and when `Core::set_deadline` does not wake the supervisor.
#[test]
fn when_it_is_pushed_while_its_old_entry_comes_up() {
    explore(|| {
        let core = core_with(1);
        let token = attach(&core);
        core.set_deadline(token, OLD);
        let shared = Arc::clone(&core);
        let pusher = thread::spawn(move || shared.set_deadline(token, NEW));
        let (due, sleeps_until) = fire(&core, OLD);
        // Called or not, it fires what the pusher has left to it.
        pusher.join().unwrap();
        let is_called = core.supervisor.is_called();
        assert!(
            sleeps_until == Some(NEW) || is_called,
            "it sleeps until {sleeps_until:?}"
        );
        // What came up as due is for the new deadline, or for none: it is taken when it is run.
        let slot = core.registry.slot(token.index()).unwrap();
        assert!(due.is_empty() || !slot.timer.take_due(token.generation(), OLD));
        let (due, _) = fire(&core, NEW);
        assert!(matches!(due[..], [Job::Expired(of)] if of == token));
        assert!(slot.timer.take_due(token.generation(), NEW));
    });
}

/// A source leaves, and its slot is taken again while the old entry is still to be forgotten.
///
/// Fails when `Timers::forget` does not schedule the next occupant's deadline anew.
#[test]
fn when_its_slot_was_another_sources_just_before() {
    explore(|| {
        let core = core_with(1);
        let first = attach(&core);
        core.set_deadline(first, OLD);
        let shared = Arc::clone(&core);
        let leaver = thread::spawn(move || shared.remove(first));
        let second = attach(&core);
        core.set_deadline(second, NEW);
        leaver.join().unwrap();
        let (due, _) = fire(&core, NEW);
        let expected = |job: &Job| matches!(job, Job::Expired(token) if *token == second);
        assert_eq!(due.iter().filter(|job| expected(job)).count(), 1);
    });
}
