//! Start, stop, idleness, panics and signals.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use reactor::{Config, Reactor, Readiness, Scratch, Source, Stopped};

use support::{Echo, Gate, OnInput, config, echo, field, pair, start, thread_statuses, until};

mod support;

#[test]
fn stop_joins_all_threads_and_drops_sources_and_jobs() {
    let reactor = start("stops", 3, 3);
    assert_eq!(reactor.stats().threads, 3);
    let (here, there) = pair();
    let echo_source = Echo::new(here);
    let registration = reactor
        .register(&echo_source.socket, echo_source.clone())
        .unwrap();
    echo(&there, b"hello");
    registration.set_timer(Duration::from_secs(3600));
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let job = move || drop(held);
    reactor
        .run_after(Duration::from_secs(3600), Box::new(job))
        .unwrap();

    reactor.stop();
    assert_eq!(thread_statuses("stops").len(), 0);
    assert_eq!(Arc::strong_count(&echo_source), 1);
    assert_eq!(Arc::strong_count(&token), 1);
    assert_eq!(reactor.stats(), reactor::Stats::default());

    let handle = reactor.handle();
    reactor.stop();
    drop(reactor);
    assert_eq!(handle.run(Box::new(|| ())), Err(Stopped));
    let later = handle.run_after(Duration::ZERO, Box::new(|| ()));
    assert_eq!(later, Err(Stopped));
    assert!(handle.attach(echo_source).is_err());
    assert_eq!(registration.notify(), Err(Stopped));
    registration.set_timer(Duration::ZERO);
    registration.deregister();
}

#[test]
fn dropping_stops() {
    drop(start("dropped", 2, 2));
    assert_eq!(thread_statuses("dropped").len(), 0);
}

#[test]
fn stop_waits_for_a_callback_that_blocks() {
    let reactor = start("waits", 1, 3);
    let gate = Arc::new(Gate::default());
    let (_registration, there) = OnInput::register(&reactor, {
        let gate = Arc::clone(&gate);
        move || gate.pass()
    });
    (&there).write_all(b"block").unwrap();
    until("it blocks", || gate.waiting() == 1);
    let has_stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            reactor.stop();
            has_stopped.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(30));
        assert!(!has_stopped.load(Ordering::SeqCst));
        gate.open();
    });
    assert!(has_stopped.load(Ordering::SeqCst));
    assert_eq!(gate.passed(), 1);
    assert_eq!(thread_statuses("waits").len(), 0);
}

#[test]
fn stop_ends_parked_workers() {
    let reactor = Reactor::start(Config {
        idle_timeout: Duration::from_secs(3600),
        ..config("parked", 1, 8)
    })
    .unwrap();
    let gate = Arc::new(Gate::default());
    for _ in 0..4 {
        let gate = Arc::clone(&gate);
        reactor.run(Box::new(move || gate.pass())).unwrap();
    }
    until("all block", || gate.waiting() == 4);
    gate.open();
    until("some are parked", || reactor.stats().parked > 0);
    reactor.stop();
    assert_eq!(thread_statuses("parked").len(), 0);
}

#[test]
fn stop_on_a_thread_of_its_own_is_a_fault_and_not_a_deadlock() {
    let faults = Faults::default();
    let reactor = Arc::new(
        Reactor::start(Config {
            on_fault: Some(faults.callback()),
            ..config("own", 1, 1)
        })
        .unwrap(),
    );
    let shared = Arc::clone(&reactor);
    reactor.run(Box::new(move || shared.stop())).unwrap();
    until("it is reported", || faults.text().contains("of its own"));
    reactor.stop();
    assert_eq!(thread_statuses("own").len(), 0);
}

#[test]
fn an_idle_reactor_does_not_wake_up() {
    let reactor = start("idle", 2, 4);
    let sockets: Vec<_> = (0..50).map(|_| Echo::register(&reactor)).collect();
    for (registration, there) in &sockets {
        registration.set_timer(Duration::from_secs(3600));
        echo(there, b"before");
    }
    // Surplus threads go first, then nothing more is to be done.
    until("it has settled", || {
        let before = switches("idle");
        thread::sleep(Duration::from_millis(60));
        before.len() == 3 && before == switches("idle")
    });
    let before = switches("idle");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(before, switches("idle"));
    echo(&sockets[0].1, b"after");
}

/// How often each thread has gone to sleep.
fn switches(name: &str) -> Vec<String> {
    let mut switches: Vec<_> = thread_statuses(name)
        .iter()
        .map(|status| {
            let count = field(status, "voluntary_ctxt_switches");
            format!("{} {count}", field(status, "Name"))
        })
        .collect();
    switches.sort();
    switches
}

#[test]
fn panics_are_reported_and_the_threads_go_on() {
    let faults = Faults::default();
    let reactor = Reactor::start(Config {
        on_fault: Some(faults.callback()),
        ..config("panics", 2, 2)
    })
    .unwrap();
    let (_registration, there) = OnInput::register(&reactor, || panic!("at input"));
    let timer = reactor.attach(Arc::new(PanicsLater)).unwrap();
    (&there).write_all(b"x").unwrap();
    until("the first is reported", || {
        faults.text().contains("panic in a source: at input")
    });
    (&there).write_all(b"x").unwrap();
    timer.set_timer(Duration::ZERO);
    reactor
        .run(Box::new(|| panic!("{} job", "formatted")))
        .unwrap();
    until("all are reported", || {
        let text = faults.text();
        text.matches("at input").count() == 2
            && text.contains("panic in a source's timer: at expiry")
            && text.contains("panic in a job: formatted job")
    });
    assert_eq!(reactor.stats().threads, 2);
    assert_eq!(reactor.stats().stuck, 0);
    let (_registration, there) = Echo::register(&reactor);
    echo(&there, b"alive");
}

#[test]
fn signals_are_blocked_in_all_threads_but_those_of_faults() {
    let reactor = start("signals", 2, 2);
    let (_registration, there) = Echo::register(&reactor);
    echo(&there, b"running");
    // Each takes its name first thing, but not before it runs.
    until("all run", || thread_statuses("signals").len() == 3);
    for status in thread_statuses("signals") {
        let blocked = u64::from_str_radix(field(&status, "SigBlk"), 16).unwrap();
        let is_blocked = |signal: i32| blocked >> (signal - 1) & 1 == 1;
        for signal in [
            libc::SIGTERM,
            libc::SIGHUP,
            libc::SIGUSR1,
            libc::SIGINT,
            libc::SIGPIPE,
            libc::SIGALRM,
        ] {
            assert!(is_blocked(signal), "{signal}");
        }
        assert!(!is_blocked(libc::SIGSEGV));
    }
    let here = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert_eq!(
        u64::from_str_radix(field(&here, "SigBlk"), 16).unwrap() >> (libc::SIGTERM - 1) & 1,
        0,
        "the caller's mask is as before"
    );
}

#[test]
fn configurations_out_of_range_are_refused() {
    for (min_threads, max_threads) in [(0, 1), (2, 1), (1, Config::THREADS_LIMIT + 1)] {
        let error = Reactor::start(config("bad", min_threads, max_threads)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let error = Reactor::start(Config {
        stack_size: 1,
        ..config("bad", 1, 1)
    });
    assert!(error.is_err(), "the system refuses such a stack");
    assert_eq!(thread_statuses("bad").len(), 0);
}

#[test]
fn long_names_are_cut_and_threads_can_be_told_apart() {
    let _reactor = start("a-very-long-näme", 2, 2);
    until("they have their names", || {
        let mut names: Vec<_> = thread_statuses("a-very-lon")
            .iter()
            .map(|status| field(status, "Name").to_owned())
            .collect();
        names.sort();
        names == ["a-very-lon-0", "a-very-lon-1", "a-very-lon-sup"]
    });
}

struct PanicsLater;

impl Source for PanicsLater {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {}

    fn expired(self: Arc<Self>, _: &mut Scratch) {
        panic!("at expiry");
    }
}

/// Collects what is reported.
#[derive(Clone, Default)]
struct Faults(Arc<Mutex<String>>);

impl Faults {
    fn callback(&self) -> reactor::FaultCallback {
        let faults = Arc::clone(&self.0);
        Box::new(move |text| {
            let mut faults = faults.lock().unwrap();
            faults.push_str(text);
            faults.push('\n');
        })
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}
