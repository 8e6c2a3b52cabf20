//! SIGINT and SIGTERM: the first ends the process well, another one at once.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};
use std::thread;
use std::time::Duration;

use server_functions::Level;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::running::Running;
use crate::terminal::Terminal;

/// How long the last words may take: standard error may be what hangs.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Begins to listen, on a thread of its own, which has to be the first: it is the one that takes the process's signals. The
/// first one comes out of the receiver, unless `at_once`, and each other one ends the process with 128 and its number,
/// whatever the plugin does.
pub fn listen(
    at_once: bool,
    running: &Arc<Running>,
    terminal: &Arc<Terminal>,
) -> Result<Receiver<i32>, String> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let (sender, first) = mpsc::channel();
    let (running, terminal) = (Arc::clone(running), Arc::clone(terminal));
    let is_ending = AtomicBool::new(at_once);
    thread::spawn(move || {
        for number in signals.forever() {
            if is_ending.swap(true, Ordering::Relaxed) {
                end(number, &running, &terminal);
            }
            // Nobody listens any more when the process ends.
            let _ = sender.send(number);
        }
    });
    Ok(first)
}

/// What it is called.
pub fn name(number: i32) -> &'static str {
    low_level::signal_name(number).unwrap_or("a signal")
}

/// Ends the process as a shell says that a signal has ended it, without a word to the plugin, which may hold any lock.
fn end(number: i32, running: &Arc<Running>, terminal: &Arc<Terminal>) -> ! {
    let (running, terminal) = (Arc::clone(running), Arc::clone(terminal));
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let line = format_args!("{}: ends at once", name(number));
        terminal.say(Level::Notice, &line);
        for call in running.calls() {
            terminal.say(Level::Warning, &call);
        }
        // The process may have ended.
        let _ = done.send(());
    });
    let _ = is_done.recv_timeout(LAST_WORDS);
    low_level::exit(128 + number)
}
