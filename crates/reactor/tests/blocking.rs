//! Callbacks that block hold up their own threads and nothing else.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use support::{Echo, Gate, OnInput, echo, start, until};

mod support;

#[test]
fn others_are_served_while_twenty_callbacks_block_and_the_pool_shrinks_again() {
    let reactor = start("blockers", 2, 25);
    let gate = Arc::new(Gate::default());
    let blockers: Vec<_> = (0..20)
        .map(|_| {
            let gate = Arc::clone(&gate);
            OnInput::register(&reactor, move || gate.pass())
        })
        .collect();
    let echoes: Vec<_> = (0..200).map(|_| Echo::register(&reactor)).collect();

    for (_, there) in &blockers {
        (&*there).write_all(b"block").unwrap();
    }
    for _ in 0..10 {
        for (_, there) in &echoes {
            echo(there, b"and me?");
        }
    }
    assert_eq!(gate.passed(), 0, "the others did not have to wait for them");
    until("all block", || gate.waiting() == 20);
    for (_, there) in &echoes {
        echo(there, b"still me?");
    }
    assert!(reactor.stats().stuck > 0);

    gate.open();
    until("all went on", || gate.passed() == 20);
    until("the pool has shrunk", || {
        // Waiting surplus workers end by themselves, without events.
        let stats = reactor.stats();
        stats.threads == 2 && stats.stuck == 0
    });
    for (_, there) in &echoes {
        echo(there, b"as before");
    }
}

#[test]
fn events_behind_a_blocking_callback_are_taken_over() {
    let reactor = start("behind", 1, 4);
    let first = Arc::new(Gate::default());
    let second = Arc::new(Gate::default());
    let (_registration, there) = OnInput::register(&reactor, {
        let first = Arc::clone(&first);
        move || first.pass()
    });
    let (_registration2, there2) = OnInput::register(&reactor, {
        let second = Arc::clone(&second);
        move || second.pass()
    });
    let echoes: Vec<_> = (0..50).map(|_| Echo::register(&reactor)).collect();
    // With both workers held, all the rest comes in one batch, and its first callback blocks too.
    (&there).write_all(b"block").unwrap();
    until("the first blocks", || first.waiting() == 1);
    (&there2).write_all(b"block").unwrap();
    for (_, there) in &echoes {
        (&*there).write_all(b"x").unwrap();
    }
    for (_, there) in &echoes {
        let mut back = [0];
        std::io::Read::read_exact(&mut &*there, &mut back).unwrap();
    }
    assert_eq!((first.passed(), second.passed()), (0, 0));
    first.open();
    second.open();
}

#[test]
fn jobs_behind_a_blocking_job_are_taken_over() {
    let reactor = start("behindjob", 2, 8);
    let gate = Arc::new(Gate::default());
    let done = Arc::new(Gate::default());
    done.open();
    for n in 0..100 {
        let gate = Arc::clone(&gate);
        let done = Arc::clone(&done);
        let job = move || {
            if n % 25 == 0 {
                gate.pass()
            } else {
                done.pass()
            }
        };
        reactor.run(Box::new(job)).unwrap();
    }
    until("the others are done", || done.passed() == 96);
    assert_eq!(gate.passed(), 0);
    gate.open();
    until("all are done", || gate.passed() == 4);
}

#[test]
fn with_all_threads_blocked_the_rest_waits_for_the_first_to_return() {
    let reactor = start("allblocked", 1, 3);
    let gate = Arc::new(Gate::default());
    let blockers: Vec<_> = (0..5)
        .map(|_| {
            let gate = Arc::clone(&gate);
            OnInput::register(&reactor, move || gate.pass())
        })
        .collect();
    for (_, there) in &blockers {
        (&*there).write_all(b"block").unwrap();
    }
    until("all threads block", || reactor.stats().stuck == 3);
    assert_eq!(gate.waiting(), 3);
    let (_registration, there) = Echo::register(&reactor);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            gate.open();
        });
        echo(&there, b"at last");
    });
    until("all went on", || gate.passed() == 5);
    until("the pool has shrunk", || reactor.stats().threads == 1);
}

#[test]
fn a_callback_that_computes_for_long_is_replaced_too() {
    let reactor = start("computes", 1, 3);
    let gate = Arc::new(Gate::default());
    let (_registration, there) = OnInput::register(&reactor, {
        let gate = Arc::clone(&gate);
        move || {
            gate.waiting
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            while gate.waiting() == 1 {
                std::hint::spin_loop();
            }
        }
    });
    let (_registration2, there2) = Echo::register(&reactor);
    (&there).write_all(b"compute").unwrap();
    until("it computes", || gate.waiting() == 1);
    echo(&there2, b"and me?");
    gate.waiting
        .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
}

#[test]
fn short_sleeps_in_most_callbacks_make_the_pool_grow() {
    let reactor = start("short", 2, 16);
    let sleepers: Vec<_> = (0..32)
        .map(|_| OnInput::register(&reactor, || thread::sleep(Duration::from_micros(500))))
        .collect();
    until("there are more threads", || {
        for (_, there) in &sleepers {
            (&*there).write_all(b"sleep").unwrap();
        }
        reactor.stats().threads >= 6
    });
    until("the pool has shrunk", || reactor.stats().threads == 2);
}
