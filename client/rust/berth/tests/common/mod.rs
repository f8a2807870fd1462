//! What the tests share. Each has a supervisor of its own, which ends with its client.
#![allow(dead_code)] // no test file uses all of it

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use berth::{Client, Context};
use serde::Serialize;

/// Longer than anything takes that does not hang, on a slow machine too.
pub const LONG: Duration = Duration::from_secs(120);

pub fn client() -> Client {
    Client::options().private().connect().expect("a private supervisor")
}

pub fn echo(client: &Client) -> Context {
    client.open("echo", b"").expect("the module echo")
}

pub fn cbor<T: Serialize>(value: T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).unwrap();
    bytes
}

#[derive(Serialize)]
pub struct Later {
    pub ms: u64,
    pub data: String,
}

pub fn later(ms: u64, data: &str) -> Vec<u8> {
    cbor(Later { ms, data: data.into() })
}

pub fn key<T: Serialize>(key: &str, value: T) -> Vec<u8> {
    cbor(std::collections::BTreeMap::from([(key, value)]))
}

#[derive(Serialize)]
pub struct Emit {
    pub count: u64,
    pub bytes: u64,
}

pub fn emit(count: u64, bytes: u64) -> Vec<u8> {
    cbor(Emit { count, bytes })
}

/// The request of `stream`: so many pieces of data on its way, each of so many bytes; then the count.
pub fn stream(count: u64, bytes: u64) -> Vec<u8> {
    emit(count, bytes)
}

pub fn map_at(bytes: &[u8], key: &str) -> Option<ciborium::value::Value> {
    let value: ciborium::value::Value = ciborium::from_reader(bytes).ok()?;
    let map = value.into_map().ok()?;
    map.into_iter()
        .find(|(name, _)| name.as_text() == Some(key))
        .map(|(_, value)| value)
}

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "not in {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.raised.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

/// An executor of the smallest kind: what is tested needs no more.
pub fn block_on<F: Future>(future: F) -> F::Output {
    block_on_for(LONG, future).unwrap_or_else(|| panic!("a future was not woken in {LONG:?}"))
}

/// None: it took longer.
pub fn block_on_for<F: Future>(longest: Duration, future: F) -> Option<F::Output> {
    let deadline = Instant::now() + longest;
    let mut future = Box::pin(future);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(Arc::clone(&signal));
    let mut task = TaskContext::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return Some(output);
        }
        let raised = signal.raised.lock().unwrap();
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut raised, timeout) = signal
            .changed
            .wait_timeout_while(raised, left, |raised| !*raised)
            .unwrap();
        if timeout.timed_out() {
            return None;
        }
        *raised = false;
    }
}

/// Polls once.
pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Signal::default()));
    Pin::new(future).poll(&mut TaskContext::from_waker(&waker))
}
