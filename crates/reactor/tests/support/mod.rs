//! What the tests of a whole reactor share.

#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use reactor::{Config, Reactor, Readiness, Registration, Scratch, Source};

/// How long a test waits before it says that nothing will come.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn config(name: &str, min_threads: usize, max_threads: usize) -> Config {
    Config {
        min_threads,
        max_threads,
        idle_timeout: Duration::from_millis(50),
        name: name.to_owned(),
        ..Config::default()
    }
}

pub fn start(name: &str, min_threads: usize, max_threads: usize) -> Reactor {
    raise_file_limit();
    Reactor::start(config(name, min_threads, max_threads)).unwrap()
}

/// A connected pair; the first end is non-blocking, the second gives up a read after `PATIENCE`.
pub fn pair() -> (UnixStream, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    (here, there)
}

/// Sends back what it reads.
pub struct Echo {
    pub socket: UnixStream,
    output: Mutex<Vec<u8>>,
}

impl Echo {
    pub fn new(socket: UnixStream) -> Arc<Self> {
        Arc::new(Self {
            socket,
            output: Mutex::default(),
        })
    }

    pub fn register(reactor: &Reactor) -> (Registration, UnixStream) {
        let (here, there) = pair();
        let echo = Self::new(here);
        let registration = reactor.register(&echo.socket, echo.clone()).unwrap();
        (registration, there)
    }

    fn work(&self) {
        // Another thread may be here with an earlier edge.
        let mut output = self.output.lock().unwrap();
        let mut buffer = [0; 4096];
        loop {
            while !output.is_empty() {
                match (&self.socket).write(&output) {
                    Ok(n) => drop(output.drain(..n)),
                    Err(_) => return,
                }
            }
            match (&self.socket).read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(n) => output.extend_from_slice(&buffer[..n]),
            }
        }
    }
}

impl Source for Echo {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {
        self.work();
    }
}

/// Sends `bytes` and waits until they are back.
pub fn echo(mut there: &UnixStream, bytes: &[u8]) {
    there.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    there.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

/// Calls a closure whenever there is input, which it reads before.
pub struct OnInput<F> {
    pub socket: UnixStream,
    f: F,
}

impl<F: Fn() + Send + Sync + 'static> OnInput<F> {
    pub fn register(reactor: &Reactor, f: F) -> (Registration, UnixStream) {
        let (socket, there) = pair();
        let source = Arc::new(Self { socket, f });
        let registration = reactor.register(&source.socket, source.clone()).unwrap();
        (registration, there)
    }
}

impl<F: Fn() + Send + Sync + 'static> Source for OnInput<F> {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {
        let mut got = false;
        let mut buffer = [0; 64];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(1..) => got = true,
                Ok(0) => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if got {
            (self.f)();
        }
    }
}

/// Holds whoever passes until it is opened.
#[derive(Default)]
pub struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    pub waiting: AtomicUsize,
    pub passed: AtomicUsize,
}

impl Gate {
    pub fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
        drop(is_open);
        self.passed.fetch_add(1, Ordering::SeqCst);
    }

    pub fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

/// Waits until something is true.
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What `/proc` has on the threads whose names begin with `name` and a dash: one `status` each.
pub fn thread_statuses(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        if field(&status, "Name").starts_with(&format!("{name}-")) {
            found.push(status);
        }
    }
    found
}

/// One field of a `status`.
pub fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
}

fn raise_file_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: `limit` is valid for writing, then for reading.
        unsafe {
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    });
}
