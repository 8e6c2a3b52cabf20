//! Readiness finds its source, and nothing is lost.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use reactor::{Readiness, Registration, Scratch, Source};

use support::{Echo, PATIENCE, echo, pair, start, until};

mod support;

#[test]
fn a_thousand_sockets_echo_what_they_are_sent() {
    let reactor = start("thousand", 2, 4);
    let sockets: Vec<_> = (0..1000).map(|_| Echo::register(&reactor)).collect();
    assert_eq!(reactor.stats().sources, 1000);
    for round in 0..5u32 {
        for (n, (_, there)) in sockets.iter().enumerate() {
            (&*there)
                .write_all(&[round.to_ne_bytes(), (n as u32).to_ne_bytes()].concat())
                .unwrap();
        }
        for (n, (_, there)) in sockets.iter().enumerate() {
            let mut back = [0; 8];
            (&*there).read_exact(&mut back).unwrap();
            assert_eq!(back[..4], round.to_ne_bytes());
            assert_eq!(back[4..], (n as u32).to_ne_bytes());
        }
    }
    drop(sockets);
    assert_eq!(reactor.stats().sources, 0);
}

#[test]
fn nothing_is_lost_while_several_threads_write_to_each_socket() {
    const WRITERS: u8 = 4;
    const MESSAGES: u32 = 5_000;
    let reactor = start("writers", 2, 4);
    let sockets: Vec<_> = (0..4).map(|_| Echo::register(&reactor)).collect();
    thread::scope(|scope| {
        for (_, there) in &sockets {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    for n in 0..MESSAGES {
                        let mut message = [writer; 8];
                        message[..4].copy_from_slice(&n.to_ne_bytes());
                        // Below the size that the kernel splits, so messages stay whole.
                        assert_eq!((&*there).write(&message).unwrap(), message.len());
                    }
                });
            }
            scope.spawn(move || {
                let mut next = [0; WRITERS as usize];
                let mut message = [0; 8];
                for _ in 0..u32::from(WRITERS) * MESSAGES {
                    (&*there).read_exact(&mut message).unwrap();
                    let n = u32::from_ne_bytes(message[..4].try_into().unwrap());
                    let writer = usize::from(message[4]);
                    assert_eq!(n, next[writer], "of writer {writer}");
                    next[writer] += 1;
                }
            });
        }
    });
}

#[test]
fn more_than_the_socket_takes_moves_on_writability() {
    let reactor = start("writable", 2, 4);
    let (_registration, there) = Echo::register(&reactor);
    let bytes: Vec<u8> = (0..4_000_000u32).map(|n| (n % 251) as u8).collect();
    thread::scope(|scope| {
        scope.spawn(|| (&there).write_all(&bytes).unwrap());
        // Late, so that the source finds no room for its output.
        thread::sleep(Duration::from_millis(50));
        let mut back = vec![0; bytes.len()];
        (&there).read_exact(&mut back).unwrap();
        assert!(back == bytes);
    });
}

#[test]
fn arming_reports_what_the_descriptor_is_ready_for_already() {
    let reactor = start("arming", 1, 2);
    let (here, mut there) = pair();
    there.write_all(b"early").unwrap();
    let (sender, receiver) = mpsc::channel();
    let source = Arc::new(Recorder(Mutex::new(sender)));
    let registration = reactor.attach(source).unwrap();
    assert!(receiver.try_recv().is_err(), "attached is not armed");
    registration.arm(&here).unwrap();
    let first = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(first.contains(Readiness::READABLE | Readiness::WRITABLE));

    drop(there);
    let last = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(last.contains(Readiness::HANGUP) && last.is_readable());

    let again = registration.arm(&here).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    registration.deregister();
    let gone = registration.arm(&here).unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_notification_is_a_call_on_a_worker() {
    let reactor = start("notify", 2, 4);
    let (sender, receiver) = mpsc::channel();
    let source = Arc::new(Recorder(Mutex::new(sender)));
    let registration = reactor.attach(source).unwrap();
    for _ in 0..1000 {
        registration.notify().unwrap();
    }
    for _ in 0..1000 {
        let readiness = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(readiness, Readiness::NOTIFIED);
    }
}

#[test]
fn jobs_are_run_whether_workers_wait_or_not() {
    let reactor = start("jobs", 2, 8);
    let done = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..5_000 {
                    let done = Arc::clone(&done);
                    let job = move || {
                        done.fetch_add(1, Ordering::Relaxed);
                    };
                    reactor.run(Box::new(job)).unwrap();
                    if n % 100 == 0 {
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            });
        }
    });
    until("all jobs are done", || {
        done.load(Ordering::Relaxed) == 20_000
    });
}

#[test]
fn a_job_may_hand_in_the_next_without_starving_the_sockets() {
    let reactor = start("chain", 1, 1);
    let (_registration, there) = Echo::register(&reactor);
    let handle = reactor.handle();
    fn again(handle: reactor::Handle) {
        let next = handle.clone();
        let _ = handle.run(Box::new(move || again(next)));
    }
    again(handle);
    for _ in 0..100 {
        echo(&there, b"still there?");
    }
}

#[test]
fn deregistration_races_with_events_and_reuse_of_descriptors() {
    let reactor = start("races", 2, 4);
    let alive = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..3u64 {
            let (reactor, alive) = (&reactor, &alive);
            scope.spawn(move || {
                for n in 0..3_000u64 {
                    churn(reactor, alive, thread << 32 | n);
                }
            });
        }
    });
    assert_eq!(reactor.stats().sources, 0);
    until("the last callbacks let go", || {
        alive.load(Ordering::SeqCst) == 0
    });
}

/// Registers a socket, makes events on it, and takes it out again at varying moments.
fn churn(reactor: &reactor::Reactor, alive: &Arc<AtomicUsize>, id: u64) {
    let (socket, mut there) = pair();
    alive.fetch_add(1, Ordering::SeqCst);
    let source = Arc::new(Own {
        id,
        socket,
        alive: Arc::clone(alive),
        registration: Mutex::new(None),
    });
    let registration = reactor.attach(source.clone()).unwrap();
    registration.set_timer(Duration::from_millis(id % 40));
    registration.arm(&source.socket).unwrap();
    *source.registration.lock().unwrap() = Some(registration);
    there.write_all(&id.to_ne_bytes()).unwrap();
    if id.is_multiple_of(3) {
        // Let it answer, so that events are under way.
        let mut back = [0; 8];
        there.read_exact(&mut back).unwrap();
        assert_eq!(back, id.to_ne_bytes());
        there.write_all(&id.to_ne_bytes()).unwrap();
    }
    // Its descriptor closes when the last `Arc` goes.
    source.registration.lock().unwrap().take();
}

/// Knows what it will be sent.
struct Own {
    id: u64,
    socket: std::os::unix::net::UnixStream,
    alive: Arc<AtomicUsize>,
    registration: Mutex<Option<Registration>>,
}

impl Source for Own {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {
        let mut message = [0; 8];
        while let Ok(8) = (&self.socket).read(&mut message) {
            assert_eq!(message, self.id.to_ne_bytes());
            let _ = (&self.socket).write(&message);
        }
        if self.id % 3 == 1 {
            // One that takes itself out as soon as it is called.
            let registration = self.registration.lock().unwrap().take();
            drop(registration);
        }
    }

    fn expired(self: Arc<Self>, _: &mut Scratch) {}
}

impl Drop for Own {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sends on what it is called with.
struct Recorder(Mutex<mpsc::Sender<Readiness>>);

impl Source for Recorder {
    fn ready(self: Arc<Self>, readiness: Readiness, _: &mut Scratch) {
        let _ = self.0.lock().unwrap().send(readiness);
    }
}
