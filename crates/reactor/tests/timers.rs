//! Timers come in their order, once, and not after they were cleared.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use reactor::{Readiness, Registration, Scratch, Source};

use support::{Gate, PATIENCE, start, until};

mod support;

#[test]
fn timers_come_in_order_and_not_early() {
    let reactor = start("order", 1, 1);
    let (sender, receiver) = mpsc::channel();
    let begin = Instant::now();
    // So far apart that a thread which is kept from setting the next one does not change the order.
    let registrations: Vec<_> = [900, 300, 600, 0]
        .into_iter()
        .map(|after| {
            let source = Arc::new(Alarm::new(after, &sender));
            let registration = reactor.attach(source).unwrap();
            registration.set_timer(Duration::from_millis(after));
            registration
        })
        .collect();
    for expected in [0, 300, 600, 900] {
        let (after, at) = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(after, expected);
        assert!(at - begin >= Duration::from_millis(after));
    }
    drop(registrations);
}

#[test]
fn a_new_time_replaces_the_old_one_earlier_and_later() {
    let reactor = start("replace", 1, 1);
    let (sender, receiver) = mpsc::channel();
    let alarm = |after| {
        let source = Arc::new(Alarm::new(after, &sender));
        reactor.attach(source).unwrap()
    };
    let (earlier, later, middle) = (alarm(1), alarm(2), alarm(3));
    earlier.set_timer(Duration::from_secs(3600));
    later.set_timer(Duration::from_millis(300));
    middle.set_timer(Duration::from_millis(600));
    later.set_timer(Duration::from_millis(1200));
    earlier.set_timer(Duration::from_millis(1));
    for expected in [1, 3, 2] {
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().0, expected);
    }
    thread::sleep(Duration::from_millis(50));
    assert!(receiver.try_recv().is_err(), "each came once");
}

#[test]
fn a_cleared_timer_does_not_come() {
    let reactor = start("clear", 1, 1);
    let (sender, receiver) = mpsc::channel();
    let cleared = reactor.attach(Arc::new(Alarm::new(1, &sender))).unwrap();
    let gone = reactor.attach(Arc::new(Alarm::new(2, &sender))).unwrap();
    let kept = reactor.attach(Arc::new(Alarm::new(3, &sender))).unwrap();
    cleared.set_timer(Duration::from_millis(300));
    gone.set_timer(Duration::from_millis(300));
    kept.set_timer(Duration::from_millis(600));
    cleared.clear_timer();
    gone.deregister();
    gone.set_timer(Duration::from_millis(10));
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().0, 3);
    cleared.set_timer(Duration::from_millis(10));
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().0, 1);
    assert!(receiver.try_recv().is_err());
}

#[test]
fn a_timer_that_is_pushed_back_does_not_come_meanwhile() {
    let reactor = start("push", 2, 2);
    let (sender, receiver) = mpsc::channel();
    let registration = reactor.attach(Arc::new(Alarm::new(1, &sender))).unwrap();
    let begin = Instant::now();
    let mut pushed = begin;
    while begin.elapsed() < Duration::from_millis(300) {
        // Ten seconds, so that a slow machine cannot make it come in between.
        registration.set_timer(Duration::from_secs(10));
        pushed = Instant::now();
    }
    assert!(receiver.try_recv().is_err());
    registration.set_timer(Duration::from_millis(20));
    let (_, at) = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(at - pushed >= Duration::from_millis(20));
}

#[test]
fn a_timer_can_be_set_anew_in_its_own_callback() {
    let reactor = start("anew", 2, 2);
    let beat = Arc::new(Beat::default());
    let registration = reactor.attach(beat.clone()).unwrap();
    registration.set_timer(Duration::ZERO);
    assert!(beat.registration.set(registration).is_ok());
    until("it has come ten times", || {
        beat.count.load(Ordering::SeqCst) >= 10
    });
    // The circle of source and registration.
    beat.registration.get().unwrap().deregister();
    until("the reactor has let it go", || {
        Arc::strong_count(&beat) == 1
    });
}

#[test]
fn ten_thousand_timers_set_from_many_threads_all_come_once() {
    const EACH: usize = 2_500;
    let reactor = start("many", 2, 4);
    let count = Arc::new(AtomicUsize::new(0));
    let registrations: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut registrations = Vec::new();
                    for n in 0..EACH {
                        let source = Arc::new(Counter(Arc::clone(&count)));
                        let registration = reactor.attach(source).unwrap();
                        registration.set_timer(Duration::from_secs(60));
                        registration.set_timer(Duration::from_millis((n % 90) as u64));
                        registrations.push(registration);
                    }
                    registrations
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    until("all have come", || count.load(Ordering::SeqCst) == 4 * EACH);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(count.load(Ordering::SeqCst), 4 * EACH);
    drop(registrations);
}

#[test]
fn a_delayed_job_comes_while_callbacks_block() {
    let reactor = start("delayed", 1, 4);
    let gate = Arc::new(Gate::default());
    let blocked = Arc::clone(&gate);
    reactor.run(Box::new(move || blocked.pass())).unwrap();
    until("it blocks", || gate.waiting() == 1);
    let (sender, receiver) = mpsc::channel();
    for after in [600, 200] {
        let sender = sender.clone();
        let job = move || sender.send(after).unwrap();
        let after = Duration::from_millis(after);
        reactor.run_after(after, Box::new(job)).unwrap();
    }
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(200));
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(600));
    assert_eq!(gate.passed(), 0);
    gate.open();
}

/// Sends its number and the time when it expires.
struct Alarm {
    number: u64,
    sender: Mutex<mpsc::Sender<(u64, Instant)>>,
}

impl Alarm {
    fn new(number: u64, sender: &mpsc::Sender<(u64, Instant)>) -> Self {
        Self {
            number,
            sender: Mutex::new(sender.clone()),
        }
    }
}

impl Source for Alarm {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {}

    fn expired(self: Arc<Self>, _: &mut Scratch) {
        let now = Instant::now();
        let _ = self.sender.lock().unwrap().send((self.number, now));
    }
}

/// Sets its timer again and again.
#[derive(Default)]
struct Beat {
    registration: OnceLock<Registration>,
    count: AtomicUsize,
}

impl Source for Beat {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {}

    fn expired(self: Arc<Self>, _: &mut Scratch) {
        self.count.fetch_add(1, Ordering::SeqCst);
        until("it is stored", || self.registration.get().is_some());
        self.registration.get().unwrap().set_timer(Duration::ZERO);
    }
}

/// Counts how often a source of its kind expires.
struct Counter(Arc<AtomicUsize>);

impl Source for Counter {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {}

    fn expired(self: Arc<Self>, _: &mut Scratch) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
