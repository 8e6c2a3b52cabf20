//! Child processes and configurations: what begins, what ends, and how often.

mod mock;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use mock::{Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    Handshake, Message, Plugin, Process, Rejection, Sender, TopicError, export_plugin, spawn,
};

/// Has a thread, from `child_start` to `child_stop`, that looks at an option.
#[derive(Default)]
struct Working {
    worker: Mutex<Option<Worker>>,
}

struct Worker {
    stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<u64>,
}

static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Plugin for Working {
    type Connection = ();

    fn child_start(&self, process: &Process) {
        assert_eq!(process.option("absent"), None);
        assert_eq!(process.option("colour\0"), None);
        let (stop, stopped) = mpsc::channel();
        let process = process.clone();
        let thread = spawn("worker", move || {
            let mut count = 0;
            let colour = process.option("colour");
            FOUND.lock().unwrap().push(format!("{colour:?}"));
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                assert_eq!(process.option("colour"), colour);
                count += 1;
            }
            count
        });
        let thread = thread.unwrap();
        *self.worker.lock().unwrap() = Some(Worker { stop, thread });
    }

    fn child_stop(&self, graceful: bool) {
        let Worker { stop, thread } = self.worker.lock().unwrap().take().unwrap();
        drop(stop);
        thread.join().unwrap();
        FOUND.lock().unwrap().push(format!("graceful: {graceful}"));
    }

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(process_working_init, Working::default());

#[test]
fn a_plugin_has_threads_from_child_start_to_child_stop() {
    let _alone = alone();
    let plugin = Loaded::new(process_working_init);
    for (colour, graceful) in [("red", true), ("blue", false)] {
        let process = Mock::new().with_option("colour", colour);
        plugin.child_start(&process);
        plugin.child_stop(graceful);
        assert_eq!(process.lines(), []);
    }
    assert_eq!(
        *FOUND.lock().unwrap(),
        [
            "Some(\"red\")",
            "graceful: true",
            "Some(\"blue\")",
            "graceful: false"
        ]
    );
}

// -------------------------------------------------------------------------------- after the end

/// Gives its process away, and counts.
struct Leaky;

static LEAKED: Mutex<Vec<Process>> = Mutex::new(Vec::new());
/// What came of it in `child_stop`.
static PUBLISHED: Mutex<Vec<Result<String, TopicError>>> = Mutex::new(Vec::new());
static STARTS: AtomicUsize = AtomicUsize::new(0);
static STOPS: AtomicUsize = AtomicUsize::new(0);

/// The statics are one test's at a time, and so is the error log, which is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    LEAKED.lock().unwrap().clear();
    PUBLISHED.lock().unwrap().clear();
    STARTS.store(0, Ordering::Relaxed);
    STOPS.store(0, Ordering::Relaxed);
    alone
}

fn starts_and_stops() -> (usize, usize) {
    (
        STARTS.load(Ordering::Relaxed),
        STOPS.load(Ordering::Relaxed),
    )
}

fn leaked() -> Process {
    LEAKED.lock().unwrap().pop().unwrap()
}

impl Plugin for Leaky {
    type Connection = ();

    fn child_start(&self, process: &Process) {
        STARTS.fetch_add(1, Ordering::Relaxed);
        LEAKED.lock().unwrap().push(process.clone());
    }

    fn child_stop(&self, _: bool) {
        STOPS.fetch_add(1, Ordering::Relaxed);
        if let Some(process) = LEAKED.lock().unwrap().last() {
            let published = process.topics().publish("end", Message::Text("bye"));
            PUBLISHED.lock().unwrap().push(published);
        }
    }

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(process_leaky_init, Leaky);

#[test]
fn a_process_that_outlives_child_stop_has_no_options() {
    let _alone = alone();
    let plugin = Loaded::new(process_leaky_init);
    let mock = Mock::new().with_option("colour", "red");
    plugin.child_start(&mock);
    let process = leaked();
    assert_eq!(process.option("colour").as_deref(), Some("red"));
    let (asked, first) = mpsc::channel();
    let busy = thread::spawn(move || {
        while process.option("colour").is_some() {
            let _ = asked.send(());
        }
    });
    first.recv().unwrap();
    plugin.child_stop(true);
    drop(mock);
    busy.join().unwrap();
}

#[test]
fn a_process_ends_with_its_table_when_nobody_stops_it() {
    let _alone = alone();
    let plugin = Loaded::new(process_leaky_init);
    let mock = Mock::new().with_option("colour", "red");
    plugin.child_start(&mock);
    drop(plugin);
    drop(mock);
    assert_eq!(leaked().option("colour"), None);
    assert_eq!(starts_and_stops(), (1, 0));
}

#[test]
fn a_stop_without_a_start_does_nothing() {
    let _alone = alone();
    let plugin = Loaded::new(process_leaky_init);
    plugin.child_stop(true);
    assert_eq!(starts_and_stops(), (0, 0));
}

#[test]
fn a_process_whose_server_cannot_be_used_refuses_every_connection() {
    let _alone = alone();
    let plugin = Loaded::new(process_leaky_init);
    plugin.child_start_raw(std::ptr::null());
    assert_eq!(starts_and_stops(), (0, 0));
    let mock = Mock::new();
    let private = plugin.connect_raw(mock.server());
    assert_eq!(private, WEBSOCKET_CONNECT_ERROR);
    plugin.child_stop(true);
    assert_eq!(starts_and_stops(), (0, 0));
}

// ------------------------------------------------------------------------------ several tables

#[test]
fn two_tables_of_one_plugin_start_and_stop_it_once() {
    let _alone = alone();
    let (first, second) = (
        Loaded::new(process_leaky_init),
        Loaded::new(process_leaky_init),
    );
    let (one, two) = (Mock::new(), Mock::new());
    first.child_start(&one);
    second.child_start(&two);
    first.child_stop(true);
    assert_eq!(starts_and_stops(), (1, 0));
    second.child_stop(true);
    assert_eq!(starts_and_stops(), (1, 1));
    assert!(matches!(PUBLISHED.lock().unwrap()[..], [Ok(_)]));
}

#[test]
fn what_the_plugin_has_of_its_process_lasts_until_the_last_table_stops() {
    for given_stops_first in [true, false] {
        let _alone = alone();
        let [first, second] = [(); 2].map(|()| Loaded::new(process_leaky_init));
        let [one, two] = ["red", "blue"].map(|colour| Mock::new().with_option("colour", colour));
        first.child_start(&one);
        second.child_start(&two);
        let process = LEAKED.lock().unwrap()[0].clone();
        assert_eq!(process.option("colour").as_deref(), Some("red"));
        let (tick, ticks) = mpsc::channel();
        let every = Duration::from_millis(1);
        let job = move || {
            let _ = tick.send(());
        };
        process.every(every, job).unwrap();

        let ((stopping, its), (last, lasts)) = match given_stops_first {
            true => ((first, one), (second, two)),
            false => ((second, two), (first, one)),
        };
        stopping.child_stop(true);
        // Its table is gone with it.
        assert_eq!(its.calls(), []);
        drop((stopping, its));
        let colour = if given_stops_first { "blue" } else { "red" };
        assert_eq!(process.option("colour").as_deref(), Some(colour));
        while ticks.try_recv().is_ok() {}
        ticks.recv_timeout(Duration::from_secs(5)).unwrap();
        process.after(every, || {}).unwrap();

        last.child_stop(true);
        assert_eq!(starts_and_stops(), (1, 1));
        assert!(matches!(PUBLISHED.lock().unwrap()[..], [Ok(_)]));
        let published = Call::Publish("end".into(), MESSAGE_TYPE_TEXT, b"bye".into(), 0);
        assert_eq!(lasts.calls(), [published]);
        while ticks.try_recv().is_ok() {}
        assert!(ticks.recv().is_err(), "the job is dropped");
        assert!(process.after(every, || {}).is_err());
        assert_eq!(process.option("colour"), None);
    }
}

#[test]
fn a_call_while_one_table_after_the_other_stops_is_answered_by_the_next() {
    for _ in 0..if cfg!(miri) { 3 } else { 50 } {
        let _alone = alone();
        let tables = [(); 3].map(|()| {
            let process = Mock::new().with_option("colour", "red");
            (Loaded::new(process_leaky_init), process)
        });
        for (plugin, process) in &tables {
            plugin.child_start(process);
        }
        let process = leaked();
        let (asked, answers) = mpsc::channel();
        let busy = thread::spawn(move || {
            while process.option("colour").is_some() {
                let _ = asked.send(());
            }
        });
        for (plugin, process) in tables {
            // The thread goes on.
            while answers.try_recv().is_ok() {}
            answers.recv().unwrap();
            plugin.child_stop(true);
            drop(process);
        }
        busy.join().unwrap();
    }
}

#[test]
fn a_table_that_goes_without_a_stop_leaves_the_process_to_the_others() {
    let _alone = alone();
    let [first, second] = [(); 2].map(|()| Loaded::new(process_leaky_init));
    let [one, two] = ["red", "blue"].map(|colour| Mock::new().with_option("colour", colour));
    first.child_start(&one);
    second.child_start(&two);
    drop(first);
    drop(one);
    let process = LEAKED.lock().unwrap()[0].clone();
    assert_eq!(process.option("colour").as_deref(), Some("blue"));
    second.child_stop(true);
    assert_eq!(starts_and_stops(), (1, 1));
    assert_eq!(process.option("colour"), None);
}

#[test]
fn a_process_that_begins_anew_without_an_end_goes_on() {
    let _alone = alone();
    let plugin = Loaded::new(process_leaky_init);
    let [one, two] = ["red", "blue"].map(|colour| Mock::new().with_option("colour", colour));
    plugin.child_start(&one);
    plugin.child_start(&two);
    drop(one);
    let process = LEAKED.lock().unwrap()[0].clone();
    assert_eq!(process.option("colour").as_deref(), Some("blue"));
    plugin.child_stop(true);
    assert_eq!(starts_and_stops(), (1, 1));
    assert_eq!(process.option("colour"), None);
}

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Counted {
    fn new() -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Plugin for Counted {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(process_counted_init, Counted::new());

#[test]
fn a_plugin_lives_from_the_first_table_to_the_last() {
    let first = Loaded::new(process_counted_init);
    let second = Loaded::new(process_counted_init);
    assert_eq!(LIVE.load(Ordering::Relaxed), 1);
    drop(first);
    assert_eq!(LIVE.load(Ordering::Relaxed), 1);
    let mock = Mock::new();
    second.disconnect(second.connect(&mock), &mock);
    drop(second);
    assert_eq!(LIVE.load(Ordering::Relaxed), 0);
    // The next configuration.
    drop(Loaded::new(process_counted_init));
    assert_eq!(LIVE.load(Ordering::Relaxed), 0);
}
