//! Sending from asynchronous code, of no particular runtime.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::callback::Callback;
use crate::message::Message;
use crate::sender::{SendError, Sender};

/// Whether there is room for output, and who waits for it.
#[derive(Default)]
pub(crate) struct Vacancy {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often room has come. What a call has found counts only when none has come since.
    times: u64,
    is_lacking: bool,
    has_ended: bool,
    /// One for each [`Ready`] that was polled, in the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    /// The key of the next one; none comes twice.
    next: u64,
}

/// What [`Vacancy::ask`] says before a message is tried.
#[derive(Clone, Copy)]
pub(crate) struct Asked(u64);

impl Vacancy {
    pub(crate) fn ask(&self) -> Asked {
        Asked(self.state().times)
    }

    /// A message that was tried after `asked` has found no room.
    pub(crate) fn lacks(&self, asked: Asked) {
        let mut state = self.state();
        if state.times == asked.0 {
            state.is_lacking = true;
        }
    }

    /// Room has come.
    pub(crate) fn has_come(&self) {
        let mut state = self.state();
        state.times += 1;
        state.is_lacking = false;
        Self::wake(state);
    }

    /// The connection has ended.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        Self::wake(state);
    }

    /// `key` is that of the [`Ready`] which is polled, once it has had to wait.
    fn poll(
        &self,
        key: &mut Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        let mut state = self.state();
        if state.has_ended {
            return Poll::Ready(Err(SendError::Closed));
        }
        if !state.is_lacking {
            return Poll::Ready(Ok(()));
        }
        let key = *key.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        let waker = context.waker();
        let before = match state.waiting.get(&key) {
            Some(before) if before.will_wake(waker) => None,
            _ => state.waiting.insert(key, waker.clone()),
        };
        drop(state);
        // A runtime's own, whose drop may do anything: no lock is held.
        drop(before);
        Poll::Pending
    }

    /// Whom this key stands for waits no more. All are woken at once, so nobody depends on it.
    fn forget(&self, key: u64) {
        let waker = self.state().waiting.remove(&key);
        // As in `poll`.
        drop(waker);
    }

    /// A runtime may do anything when it is woken, so no lock is held; and it may panic, which keeps nobody else waiting.
    fn wake(mut state: MutexGuard<'_, State>) {
        let waiting = core::mem::take(&mut state.waiting);
        drop(state);
        for waker in waiting.into_values() {
            Callback::shelter("a waker", || waker.wake());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Sender::ready`] returns. Dropped, it leaves nothing behind.
#[must_use = "futures do nothing unless they are polled"]
pub struct Ready<'a> {
    room: &'a Vacancy,
    key: Option<u64>,
}

impl<'a> Ready<'a> {
    pub(crate) const fn new(room: &'a Vacancy) -> Self {
        Self { room, key: None }
    }
}

impl Future for Ready<'_> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { room, key } = &mut *self;
        room.poll(key, context)
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.room.forget(key);
        }
    }
}

impl fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// A [`Sender`] for asynchronous code: its sends are futures, which wait for a slow peer without holding up a thread.
///
/// They need no runtime, and run on any. A future that is dropped before it is ready has sent nothing.
///
/// ```
/// use websocket_plugin::{AsyncSender, SendError};
///
/// async fn count(peer: AsyncSender) -> Result<(), SendError> {
///     for number in 0..1000 {
///         peer.send_text(&number.to_string()).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AsyncSender {
    sender: Sender,
}

impl AsyncSender {
    pub(crate) const fn new(sender: Sender) -> Self {
        Self { sender }
    }

    /// Sends a message of either kind, when there is room for it.
    pub async fn send(&self, message: Message<'_>) -> Result<(), SendError> {
        loop {
            match self.sender.try_send(message) {
                Err(SendError::WouldBlock) => self.sender.ready().await?,
                result => return result,
            }
            // What has come meanwhile may be gone again: others get their turn before the next attempt.
            yield_once().await;
        }
    }

    /// Sends a text message.
    pub async fn send_text(&self, text: &str) -> Result<(), SendError> {
        self.send(Message::Text(text)).await
    }

    /// Sends a binary message.
    pub async fn send_binary(&self, bytes: &[u8]) -> Result<(), SendError> {
        self.send(Message::Binary(bytes)).await
    }

    /// The handle that it sends with.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }
}

/// Lets the runtime do something else.
async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
