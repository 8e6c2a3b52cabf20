//! Timers of a process, and errors of `connect`.

mod mock;

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use mock::{Call, Loaded, Mock};
use websocket_plugin::{Handshake, Message, Plugin, Process, Rejection, Sender, export_plugin};

struct Ticking;

/// How often the periodic job was done, and the single one.
static DONE: Mutex<(u32, u32)> = Mutex::new((0, 0));
static CHANGED: Condvar = Condvar::new();
static PROCESS: Mutex<Option<Process>> = Mutex::new(None);

fn done(change: impl FnOnce(&mut (u32, u32))) {
    change(&mut DONE.lock().unwrap());
    CHANGED.notify_all();
}

impl Plugin for Ticking {
    type Connection = ();

    fn child_start(&self, process: &Process) {
        // First: when the next has come three times, this one has been due.
        let panics = process.every(Duration::from_millis(1), || panic!("told to"));
        let every = process.every(Duration::from_millis(1), || done(|done| done.0 += 1));
        let once = process.after(Duration::from_millis(2), || done(|done| done.1 += 1));
        assert!(every.is_ok() && once.is_ok() && panics.is_ok());
        let too_long = [
            process.after(Duration::MAX, || unreachable!()),
            process.every(Duration::MAX, || unreachable!()),
        ];
        for result in too_long {
            assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        }
        *PROCESS.lock().unwrap() = Some(process.clone());
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        match handshake.header("Fail") {
            Some("parse") => {
                let _: u32 = "x".parse()?;
            }
            Some("io") => Err(std::io::Error::other("the disk is full"))?,
            Some("text") => Err("just so")?,
            Some("mapped") => {
                "x".parse::<u32>()
                    .map_err(|error| Rejection::service_unavailable().because(error))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(clock_ticking_init, Ticking);

#[test]
fn jobs_are_done_until_the_process_ends() {
    let (plugin, process) = (Loaded::new(clock_ticking_init), Mock::new());
    plugin.child_start(&process);
    let mut found = DONE.lock().unwrap();
    while found.0 < 3 || found.1 < 1 {
        found = CHANGED.wait(found).unwrap();
    }
    drop(found);
    plugin.child_stop(true);
    let begun = PROCESS.lock().unwrap().take().unwrap();
    let late = begun.after(Duration::ZERO, || done(|done| done.1 += 1));
    assert_eq!(late.unwrap_err().to_string(), "the process ends");
    let at_the_end = *DONE.lock().unwrap();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(*DONE.lock().unwrap(), at_the_end);
    assert_eq!(at_the_end.1, 1);
    // One that panics is not called again, and child_start has not.
    let lines = process.lines();
    let of_child_start = |line: &str| line.contains("child_start");
    assert!(
        !lines.iter().any(|(_, line)| of_child_start(line)),
        "{lines:?}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|(_, line)| line.ends_with("panic in a timer"))
            .count(),
        1
    );
}

#[test]
fn each_error_of_connect_is_a_500_with_its_text_in_the_log() {
    let plugin = Loaded::new(clock_ticking_init);
    for (kind, status, text) in [
        ("parse", 500, "invalid digit found in string"),
        ("io", 500, "the disk is full"),
        ("text", 500, "just so"),
        ("mapped", 503, "invalid digit found in string"),
    ] {
        let mock = Mock::new().with_header("Fail", kind.as_bytes());
        assert!(plugin.connect_raw(mock.server()).is_null());
        assert_eq!(mock.calls(), [Call::Reject(status)]);
        assert!(mock.lines()[0].1.ends_with(text), "{:?}", mock.lines());
    }
}
