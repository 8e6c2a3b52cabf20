//! Answers each text after as many milliseconds as it says, with asynchronous code on tokio: however many wait, they
//! wait on one thread.
//!
//! ```text
//! <Location "/later">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_later.so later_init
//! </Location>
//! ```
//!
//! `1500 tea` is answered with `tea` after a second and a half; what does not begin with a number of at most 60,000, with
//! `how many milliseconds?`.

#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use websocket_plugin::{
    AsyncSender, Handshake, Message, Plugin, Process, Rejection, SendError, Sender, log, spawn,
};

const MOST_MILLISECONDS: u64 = 60_000;

#[derive(Default)]
struct Later {
    runtime: Mutex<Option<Runtime>>,
}

/// A runtime and the thread that drives it, from `child_start` to `child_stop`. Not earlier: the parent forks.
struct Runtime {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Runtime {
    fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let (stop, stopped) = oneshot::channel();
        let (give, given) = mpsc::channel();
        // `spawn`, so that this thread and those that it may start get no signals of httpd's.
        let thread = spawn("later", move || {
            match Builder::new_current_thread().enable_time().build() {
                Ok(runtime) => {
                    let _ = give.send(Ok(runtime.handle().clone()));
                    let _ = runtime.block_on(stopped);
                    // Dropped here: what still waits is dropped, and sends nothing more.
                }
                Err(error) => drop(give.send(Err(error))),
            }
        })?;
        let handle = given.recv()??;
        Ok(Self {
            handle,
            stop,
            thread,
        })
    }
}

impl Later {
    /// Nothing that may panic runs while it is locked, and a poisoned lock is taken all the same: one connection's panic
    /// must not refuse all others.
    fn runtime(&self) -> MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin for Later {
    type Connection = Handle;

    fn child_start(&self, _: &Process) {
        match Runtime::start() {
            Ok(runtime) => *self.runtime() = Some(runtime),
            Err(error) => log::error!("no runtime: {error}"),
        }
    }

    fn child_stop(&self, _graceful: bool) {
        let runtime = self.runtime().take();
        if let Some(Runtime { stop, thread, .. }) = runtime {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }

    fn connect(&self, _: &Handshake<'_>) -> Result<Handle, Rejection> {
        let runtime = self.runtime();
        Ok(runtime
            .as_ref()
            .ok_or("there is no runtime")?
            .handle
            .clone())
    }

    fn message(&self, runtime: &mut Handle, peer: &Sender, message: Message<'_>) {
        let Message::Text(text) = message else {
            return;
        };
        // The task outlives this call, and perhaps the connection: its sends then say Closed.
        runtime.spawn(answer(peer.asynchronous(), text.to_owned()));
    }
}

async fn answer(peer: AsyncSender, text: String) -> Result<(), SendError> {
    let (number, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let milliseconds = number
        .parse()
        .ok()
        .filter(|&number| number <= MOST_MILLISECONDS);
    let Some(milliseconds) = milliseconds else {
        return peer.send_text("how many milliseconds?").await;
    };
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    peer.send_text(rest).await
}

websocket_plugin::export_plugin!(later_init, Later::default());

#[cfg(test)]
mod tests;
