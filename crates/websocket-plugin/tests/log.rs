//! Where log lines go. The logger is the program's, so all of this is one test after the other.

mod mock;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mock::{Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    Closing, Handshake, Message, Plugin, Process, Rejection, Sender, export_plugin, log, spawn,
};

struct Talkative;

impl Plugin for Talkative {
    type Connection = ();

    fn child_start(&self, _: &Process) {
        log::info!("child_start");
    }

    fn child_stop(&self, _: bool) {
        log::info!("child_stop");
        let thread = spawn("thread", || log::info!("a thread, joined in child_stop"));
        thread.unwrap().join().unwrap();
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        log::info!("connect");
        match handshake.header("X-Refuse") {
            None => Ok(()),
            Some(_) => Err(Rejection::forbidden()),
        }
    }

    fn open(&self, (): &mut (), peer: &Sender) {
        log::info!("open");
        peer.set_timer(Duration::ZERO).unwrap();
    }

    fn message(&self, (): &mut (), _: &Sender, message: Message<'_>) {
        match message {
            Message::Text("levels") => {
                log::error!("e");
                log::warn!("w");
                log::info!("i");
                log::debug!("d");
                log::trace!("t");
            }
            Message::Text("target") => log::info!(target: "room", "{} {}", 1, "two"),
            Message::Text("nul") => log::info!("a\0b"),
            Message::Text("thread") => {
                let thread = spawn("thread", || log::info!("a thread"));
                thread.unwrap().join().unwrap();
            }
            Message::Text("panic") => {
                let thread = spawn("worker", || panic!("told to"));
                assert!(thread.unwrap().join().is_err());
            }
            _ => log::info!("message"),
        }
    }

    fn timer(&self, (): &mut (), _: &Sender) {
        log::info!("timer");
    }

    fn writable(&self, (): &mut (), _: &Sender) {
        log::info!("writable");
    }

    fn closed(&self, (): &mut (), _: &Closing<'_>) {
        log::info!("closed");
    }

    fn disconnect(&self, (): ()) {
        log::info!("disconnect");
    }
}

export_plugin!(log_talkative_init, Talkative);
export_plugin!(log_other_init, Talkative);

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines of level info, without their target.
fn texts(mock: &Mock) -> Vec<String> {
    let lines = mock.lines().into_iter();
    lines
        .map(|(level, line)| {
            assert_eq!(level, WEBSOCKET_LOG_INFO);
            line.strip_prefix("log: ").unwrap().to_owned()
        })
        .collect()
}

/// What a connection has logged after this text came.
fn lines_after(command: &str) -> Vec<(i32, String)> {
    let (plugin, mock) = (Loaded::new(log_talkative_init), Mock::new());
    let private = plugin.connect(&mock);
    let before = mock.lines().len();
    plugin.text(private, &mock, command);
    let lines = mock.lines().split_off(before);
    plugin.disconnect(private, &mock);
    lines
}

#[test]
fn what_a_callback_logs_goes_to_its_own_connection() {
    let _alone = alone();
    let (plugin, mock, other) = (
        Loaded::new(log_talkative_init),
        Mock::new(),
        Mock::new().with_header("X-Refuse", b"1"),
    );
    let process = Mock::new();
    plugin.child_start(&process);
    let private = plugin.connect(&mock);
    assert!(plugin.connect_raw(other.server()).is_null());
    plugin.open(private, &mock);
    plugin.text(private, &mock, "");
    plugin.timer(private, &mock);
    plugin.writable(private, &mock);
    plugin.close(private, &mock, 1000, b"", true);
    plugin.disconnect(private, &mock);
    plugin.child_stop(true);
    assert_eq!(
        texts(&mock),
        [
            "connect",
            "open",
            "message",
            "timer",
            "writable",
            "closed",
            "disconnect"
        ]
    );
    assert_eq!(texts(&other), ["connect"]);
    assert_eq!(
        texts(&process),
        [
            "child_start",
            "child_stop",
            "a thread, joined in child_stop"
        ]
    );
}

#[test]
fn a_level_is_the_one_of_httpd() {
    let _alone = alone();
    let line = |level, text: &str| (level, format!("log: {text}"));
    assert_eq!(
        lines_after("levels"),
        [
            line(WEBSOCKET_LOG_ERROR, "e"),
            line(WEBSOCKET_LOG_WARNING, "w"),
            line(WEBSOCKET_LOG_INFO, "i"),
            line(WEBSOCKET_LOG_DEBUG, "d"),
            line(WEBSOCKET_LOG_TRACE, "t"),
        ]
    );
}

#[test]
fn a_line_begins_with_its_target_and_has_no_nul() {
    let _alone = alone();
    assert_eq!(
        lines_after("target"),
        [(WEBSOCKET_LOG_INFO, "room: 1 two".into())]
    );
    assert_eq!(
        lines_after("nul"),
        [(WEBSOCKET_LOG_INFO, "log: a\\0b".into())]
    );
}

#[test]
fn what_a_thread_logs_goes_to_the_process() {
    let _alone = alone();
    let (plugin, process) = (Loaded::new(log_talkative_init), Mock::new());
    plugin.child_start(&process);
    assert_eq!(lines_after("thread"), []);
    plugin.child_stop(true);
    assert_eq!(texts(&process)[1], "a thread");
    // The rest goes to standard error.
    let lines = process.lines().len();
    assert_eq!(lines_after("thread"), []);
    assert_eq!(process.lines().len(), lines);
}

#[test]
fn a_panic_of_a_thread_goes_to_the_process() {
    let _alone = alone();
    let (plugin, process) = (Loaded::new(log_talkative_init), Mock::new());
    plugin.child_start(&process);
    assert_eq!(lines_after("panic"), []);
    plugin.child_stop(true);
    let (level, line) = process.lines()[1].clone();
    assert_eq!(level, WEBSOCKET_LOG_ERROR);
    assert!(line.starts_with("thread worker panicked at "), "{line}");
    assert!(line.ends_with(": told to"), "{line}");
}

#[test]
fn the_threads_of_several_plugins_have_a_log_as_long_as_one_of_them_runs() {
    let _alone = alone();
    let (first, second) = (Loaded::new(log_talkative_init), Loaded::new(log_other_init));
    let (one, two) = (Mock::new(), Mock::new());
    first.child_start(&one);
    second.child_start(&two);
    second.child_stop(true);
    assert_eq!(lines_after("thread"), []);
    first.child_stop(true);
    assert_eq!(texts(&one)[1], "a thread");
}
