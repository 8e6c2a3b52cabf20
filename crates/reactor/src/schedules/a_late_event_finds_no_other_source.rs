//! An event that was fetched before its source left finds that source or none, never the one that has its slot now; and
//! a timer that is set too late does not become the next occupant's.

use std::sync::Arc;

use schedules::{explore, thread};

use super::{Nothing, core_with};
use crate::Source;

/// Fails when `Slot::vacate` leaves the generation as it is, and when `Registry::get` does not compare it.
#[test]
fn when_it_is_looked_up_while_the_slot_changes_hands() {
    explore(|| {
        let core = core_with(1);
        let first: Arc<dyn Source> = Arc::new(Nothing);
        let event = core.registry.insert(Arc::clone(&first)).unwrap();
        let shared = Arc::clone(&core);
        let looker = thread::spawn(move || shared.registry.get(event));
        core.remove(event);
        let second: Arc<dyn Source> = Arc::new(Other(1));
        let next = core.registry.insert(Arc::clone(&second)).unwrap();
        assert_eq!(event.index(), next.index());
        if let Some(found) = looker.join().unwrap() {
            assert!(Arc::ptr_eq(&found, &first));
        }
        assert!(core.registry.get(event).is_none(), "it has left");
    });
}

/// Fails when `SlotTimer::set` stores the deadline without comparing the generation that it replaces.
#[test]
fn when_a_timer_is_set_while_the_slot_changes_hands() {
    explore(|| {
        let core = core_with(1);
        let first = core.registry.insert(Arc::new(Nothing)).unwrap();
        let shared = Arc::clone(&core);
        let setter = thread::spawn(move || shared.set_deadline(first, 10));
        core.remove(first);
        let second = core.registry.insert(Arc::new(Nothing)).unwrap();
        setter.join().unwrap();
        let slot = core.registry.slot(second.index()).unwrap();
        assert_eq!(slot.timer.deadline(), None);
    });
}

/// Not of size zero, so that its address is its own.
struct Other(#[expect(dead_code, reason = "for its size")] u8);

impl Source for Other {
    fn ready(self: Arc<Self>, _: crate::Readiness, _: &mut crate::Scratch) {}
}
