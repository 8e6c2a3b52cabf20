//! Every order in which threads may meet: what a crate's `sync.rs` takes in the place of `std::sync` under
//! `--cfg loom`, and how its models are run. `scripts/schedules` builds and runs them; nothing of this is in what is
//! installed, and without `--cfg loom` the crate is empty.
//!
//! A model is a test that calls [`explore`] with a closure, in which threads of [`thread`] do what the crate's own threads do, on words of
//! [`atomic`], through the crate's own functions. loom runs the closure once for each schedule, and for each
//! value that a load may return under the memory model, up to a number of preemptions; a deadlock, which is what a lost
//! wake-up becomes, fails the model as a panic does.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SCHEDULES_PREEMPTIONS` | 2 | how many times a schedule takes the processor from a thread that could go on |
//!
//! # SeqCst
//!
//! loom takes a `SeqCst` access for `AcqRel` and knows total order for fences only: two threads that each store a word
//! and then load the other's may both miss the other in loom, though C++20 forbids it when all four accesses are
//! `SeqCst`. So the atomics here add the fences by which compilers make such accesses. There are two ways to do that, and
//! either is right when everybody keeps to it: a fence *after* each store, or *before* each load. [`explore`] searches
//! both. With the fence after stores, a store that has been weakened has none and fails the model; with the fence before
//! loads, a load does. What loom would let pass is a mixture of both ways, and no machine does that.
//!
//! # Who goes first
//!
//! loom searches from one schedule on, in which whoever runs goes on until it waits, and tries another order where two
//! accesses to a word exclude each other. It remembers one access to each word, and so forgets another thread's load when a
//! thread loads a word and then stores it: what would have come of the store before that load is not tried. So [`explore`]
//! searches from two schedules, in which the spawning thread goes first, or the one spawned. With both, no order of two such
//! threads is left out.
//!
//! Two readers that must agree on the order of two independent stores are beyond the first way; a promise that needs
//! them would fail here without reason. None does.

#![cfg(loom)]
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Count, Ordering};

pub use loom::sync::{Condvar, Mutex, MutexGuard};

pub mod atomic;
pub mod thread;

/// Where a `SeqCst` access has its fence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fences {
    AfterStores,
    BeforeLoads,
}

/// Who runs first when a thread has been made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum First {
    Spawner,
    Spawned,
}

thread_local! {
    // loom runs a model's threads as coroutines on the thread of its test.
    static FENCES: Cell<Fences> = const { Cell::new(Fences::AfterStores) };
    static FIRST: Cell<First> = const { Cell::new(First::Spawner) };
}

/// Runs `model` in every schedule within the bounds; panics as it does in one of them, or when all its threads wait.
///
/// It must do the same in the same schedule: no clock, no random number, no descriptor.
pub fn explore(model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    for (fences, first) in [
        (Fences::AfterStores, First::Spawner),
        (Fences::AfterStores, First::Spawned),
        (Fences::BeforeLoads, First::Spawner),
        (Fences::BeforeLoads, First::Spawned),
    ] {
        FENCES.set(fences);
        FIRST.set(first);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions());
        builder.max_branches = 100_000;
        let schedules = Arc::new(Count::new(0));
        let (counted, shared) = (Arc::clone(&schedules), Arc::clone(&model));
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            shared();
        });
        let schedules = schedules.load(Ordering::Relaxed);
        let test = std::thread::current();
        let name = test.name().unwrap_or("a model");
        println!("{name}: {schedules} schedules ({fences:?}, {first:?})");
    }
}

fn preemptions() -> usize {
    match env::var("SCHEDULES_PREEMPTIONS") {
        Ok(text) => text.parse().expect("SCHEDULES_PREEMPTIONS is a number"),
        Err(_) => 2,
    }
}
