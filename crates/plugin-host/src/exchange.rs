//! Topics, within this process: the log that httpd's children share, in memory that is this process's alone.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use server_functions::Topics;
use session::Receiver;
use session::sync::lock;
use subscribers::Hub;
use topics::{
    Batch, Epoch, Futex, Layout, Log, Message, Owner, PublishError, Published, Publisher, Reader,
};

/// As large as httpd's when nobody says otherwise.
const LAYOUT: Layout = Layout {
    ring: 16 << 20,
    topics: 10_000,
    seats: 1,
};
/// Nobody is killed here before it could ring.
const LATEST: Duration = Duration::from_secs(60);

/// The topics of this process: made when a plugin asks for them first.
#[derive(Default)]
pub struct Exchange {
    state: Mutex<State>,
    is_stopping: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    log: Option<Log<'static>>,
    hub: Option<(Arc<Hub>, JoinHandle<()>)>,
}

impl Exchange {
    /// Ends the thread that delivers.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        let hub = lock(&self.state).hub.take();
        if let Some((hub, thread)) = hub {
            hub.ring();
            let _ = thread.join();
        }
    }

    fn start(&self, state: &mut State) -> Result<Arc<Hub>, String> {
        let log = state.log()?;
        let seat = log.claim(Owner(NonZeroU64::MIN), |_| true);
        let seat = seat.map_err(|error| error.to_string())?;
        let hub = Arc::new(Hub::new(log, seat, Futex));
        let reader = hub.reader().map_err(|error| error.to_string())?;
        let (its, is_stopping) = (Arc::clone(&hub), Arc::clone(&self.is_stopping));
        let thread = thread::Builder::new().name("topics".to_owned());
        let thread = thread.spawn(move || deliver(&its, reader, &is_stopping));
        let thread = thread.map_err(|error| format!("no thread to deliver messages: {error}"))?;
        state.hub = Some((Arc::clone(&hub), thread));
        Ok(hub)
    }
}

impl State {
    fn log(&mut self) -> Result<Log<'static>, String> {
        if let Some(log) = self.log {
            return Ok(log);
        }
        let count = LAYOUT.words().unwrap_or_default();
        let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        let epoch = Epoch(NonZeroU64::new(fastrand::u64(1..)).unwrap_or(NonZeroU64::MIN));
        // There is one as long as the process lives.
        let log = Log::new(
            words.leak(),
            LAYOUT,
            epoch,
            [fastrand::u64(..), fastrand::u64(..)],
        );
        let log = log.map_err(|error| error.to_string())?;
        self.log = Some(log);
        Ok(log)
    }
}

fn deliver(hub: &Hub, mut reader: Reader<'static>, is_stopping: &AtomicBool) {
    let mut batch = Batch::new();
    while !is_stopping.load(Ordering::Acquire) {
        if !hub.pump(&mut reader, &mut batch) {
            hub.wait(&reader, LATEST, || is_stopping.load(Ordering::Acquire));
        }
    }
}

impl Topics for Exchange {
    fn log(&self) -> Result<Log<'static>, String> {
        lock(&self.state).log()
    }

    fn hub(&self) -> Result<Arc<Hub>, String> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err("the process ends".to_owned());
        }
        let mut state = lock(&self.state);
        match &state.hub {
            Some((hub, _)) => Ok(Arc::clone(hub)),
            None => self.start(&mut state),
        }
    }

    fn running(&self) -> Option<Arc<Hub>> {
        let state = lock(&self.state);
        state.hub.as_ref().map(|(hub, _)| Arc::clone(hub))
    }

    fn publish(
        &self,
        message: &Message<'_>,
        _gather: &dyn Fn(Arc<dyn Receiver>) -> bool,
    ) -> Result<Published, PublishError> {
        let log = lock(&self.state).log();
        let log = log.map_err(|_| PublishError::NoLog)?;
        Publisher::new(log, Futex).publish(message)
    }
}
