//! Sends as futures, without a runtime.

mod mock;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use mock::{Answer, Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    AsyncSender, Handshake, Message, Plugin, Rejection, SendError, Sender, export_plugin,
};

/// Gives its senders away.
struct Giving;

static GIVEN: Mutex<Vec<(String, AsyncSender)>> = Mutex::new(Vec::new());

impl Plugin for Giving {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        let name = handshake.header("Name").unwrap_or_default().to_owned();
        let peer = handshake.sender().asynchronous();
        if handshake.header("Refuse").is_some() {
            wait_behind_a_broken_one(&peer);
            return Err(Rejection::forbidden());
        }
        GIVEN.lock().unwrap().push((name, peer));
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(asynchronous_giving_init, Giving);

fn connected(name: &str) -> (Loaded, Mock, *mut std::ffi::c_void, AsyncSender) {
    let plugin = Loaded::new(asynchronous_giving_init);
    let mock = Mock::new().with_header("Name", name.as_bytes());
    let private = plugin.connect(&mock);
    let given = GIVEN.lock().unwrap();
    let (_, peer) = given.iter().rfind(|(other, _)| other == name).unwrap();
    let peer = peer.clone();
    (plugin, mock, private, peer)
}

/// Counts wakes.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_send_that_finds_room_is_ready_at_once() {
    let (plugin, mock, private, peer) = connected("ready");
    let mut context = Context::from_waker(Waker::noop());
    let sent = pin!(peer.send_text("hello")).poll(&mut context);
    assert_eq!(sent, Poll::Ready(Ok(())));
    assert_eq!(
        mock.calls(),
        [Call::TrySend(MESSAGE_TYPE_TEXT, b"hello".to_vec())]
    );
    plugin.disconnect(private, &mock);
}

#[test]
fn a_send_without_room_waits_for_on_writable() {
    let (plugin, mock, private, peer) = connected("waits");
    mock.set_answer(Answer::WouldBlock);
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut sending = pin!(peer.send_binary(b"x"));
    assert_eq!(sending.as_mut().poll(&mut context), Poll::Pending);
    assert_eq!(sending.as_mut().poll(&mut context), Poll::Pending);
    assert_eq!(woken.count(), 0);
    assert_eq!(
        mock.calls().len(),
        1,
        "it asks again only when there may be room"
    );

    // Somebody else has taken the room.
    plugin.writable(private, &mock);
    assert_eq!(woken.count(), 1);
    while woken.count() < 3 && sending.as_mut().poll(&mut context) == Poll::Pending {
        if mock.calls().len() == 2 {
            break;
        }
    }
    assert_eq!(mock.calls().len(), 2);

    mock.set_answer(Answer::Yes);
    plugin.writable(private, &mock);
    let mut result = Poll::Pending;
    for _ in 0..3 {
        result = sending.as_mut().poll(&mut context);
        if result.is_ready() {
            break;
        }
    }
    assert_eq!(result, Poll::Ready(Ok(())));
    plugin.disconnect(private, &mock);
}

#[test]
fn room_that_comes_while_a_message_is_tried_is_not_missed() {
    let (plugin, mock, private, peer) = connected("race");
    mock.set_answer(Answer::WouldBlock);
    // Room comes between the server's answer and the wait for it: the mock cannot, so the order is made by hand.
    assert_eq!(
        peer.sender().try_send(Message::Text("x")),
        Err(SendError::WouldBlock)
    );
    plugin.writable(private, &mock);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(
        pin!(peer.sender().ready()).poll(&mut context),
        Poll::Ready(Ok(()))
    );
    plugin.disconnect(private, &mock);
}

#[test]
fn the_end_of_the_connection_wakes_who_waits() {
    let (plugin, mock, private, peer) = connected("ends");
    mock.set_answer(Answer::WouldBlock);
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut sending = pin!(peer.send_text("x"));
    assert_eq!(sending.as_mut().poll(&mut context), Poll::Pending);
    plugin.disconnect(private, &mock);
    assert_eq!(woken.count(), 1);
    assert_eq!(
        sending.as_mut().poll(&mut context),
        Poll::Ready(Err(SendError::Closed))
    );
    assert_eq!(
        pin!(peer.send_text("late")).poll(&mut context),
        Poll::Ready(Err(SendError::Closed))
    );
}

#[test]
fn who_gives_up_waiting_leaves_nothing_behind() {
    let (plugin, mock, private, peer) = connected("gives up");
    mock.set_answer(Answer::WouldBlock);
    let full = peer.sender().try_send(Message::Text("x"));
    assert_eq!(full, Err(SendError::WouldBlock));
    let tasks: Vec<_> = (0..1000).map(|_| Arc::<Woken>::default()).collect();
    for task in &tasks {
        let waker = Waker::from(Arc::clone(task));
        let polled = pin!(peer.sender().ready()).poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending);
    }
    // One that many tasks poll has the waker of the last of them.
    let mut handed_on = pin!(peer.sender().ready());
    for task in &tasks {
        let waker = Waker::from(Arc::clone(task));
        let polled = handed_on.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending);
    }
    let (last, others) = tasks.split_last().unwrap();
    assert!(others.iter().all(|task| Arc::strong_count(task) == 1));
    assert_eq!(Arc::strong_count(last), 2);
    plugin.writable(private, &mock);
    assert!(others.iter().all(|task| task.count() == 0));
    assert_eq!((last.count(), Arc::strong_count(last)), (1, 1));
    plugin.disconnect(private, &mock);
}

#[test]
fn who_is_woken_and_gives_up_takes_nobody_elses_wake() {
    let (plugin, mock, private, peer) = connected("two wait");
    mock.set_answer(Answer::WouldBlock);
    let full = || peer.sender().try_send(Message::Text("x"));
    assert_eq!(full(), Err(SendError::WouldBlock));
    let tasks = [(); 3].map(|()| Arc::<Woken>::default());
    let wakers = tasks.each_ref().map(|task| Waker::from(Arc::clone(task)));
    let [mut first, mut second, mut third] = [(); 3].map(|()| Box::pin(peer.sender().ready()));
    for (ready, waker) in [&mut first, &mut second, &mut third]
        .into_iter()
        .zip(&wakers)
    {
        let polled = ready.as_mut().poll(&mut Context::from_waker(waker));
        assert_eq!(polled, Poll::Pending);
    }
    drop(first);
    plugin.writable(private, &mock);
    drop(second);
    assert_eq!(tasks.each_ref().map(|task| task.count()), [0, 1, 1]);
    // The room is gone again before the third has looked.
    assert_eq!(full(), Err(SendError::WouldBlock));
    let mut context = Context::from_waker(&wakers[2]);
    assert_eq!(third.as_mut().poll(&mut context), Poll::Pending);
    plugin.writable(private, &mock);
    assert_eq!(tasks[2].count(), 2);
    assert_eq!(third.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    plugin.disconnect(private, &mock);
}

/// A runtime that has broken down.
struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        panic!("no runtime");
    }
}

/// Sends that wait, of all tests, until the end of the process.
static WAITING: Mutex<Vec<Sending>> = Mutex::new(Vec::new());

type Sending = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;

/// Who waits for room: one that panics when it is woken, and one behind it.
fn wait_behind_a_broken_one(peer: &AsyncSender) -> Arc<Woken> {
    let woken = Arc::<Woken>::default();
    for waker in [Arc::new(Broken).into(), Waker::from(Arc::clone(&woken))] {
        let peer = peer.clone();
        let mut sending: Sending = Box::pin(async move { peer.send_text("x").await });
        let polled = sending.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending);
        WAITING.lock().unwrap().push(sending);
    }
    woken
}

fn panics_of(mock: &Mock) -> usize {
    let lines = mock.lines();
    let told = "asynchronous_giving_init: panic in a waker";
    lines.iter().filter(|(_, line)| line == told).count()
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_the_end() {
    let (plugin, mock, private, peer) = connected("broken at the end");
    mock.set_answer(Answer::WouldBlock);
    let woken = wait_behind_a_broken_one(&peer);
    plugin.disconnect(private, &mock);
    assert_eq!((woken.count(), panics_of(&mock)), (1, 1));
    let late = peer.sender().try_send(Message::Text("x"));
    assert_eq!(late, Err(SendError::Closed));
}

#[test]
fn a_waker_that_panics_when_there_is_room_closes_nothing() {
    let (plugin, mock, private, peer) = connected("broken meanwhile");
    mock.set_answer(Answer::WouldBlock);
    let woken = wait_behind_a_broken_one(&peer);
    plugin.writable(private, &mock);
    assert_eq!((woken.count(), panics_of(&mock)), (1, 1));
    assert!(!mock.calls().contains(&Call::CloseWith(1011, "".to_owned())));
    plugin.disconnect(private, &mock);
}

#[test]
fn a_waker_that_panics_after_a_refusal_is_told() {
    let plugin = Loaded::new(asynchronous_giving_init);
    let mock = Mock::new().with_header("Refuse", b"once it waits");
    mock.set_answer(Answer::WouldBlock);
    assert!(plugin.connect_raw(mock.server()).is_null());
    assert_eq!(panics_of(&mock), 1);
}
