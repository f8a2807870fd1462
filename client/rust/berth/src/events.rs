use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};

use futures_core::Stream;

use crate::answer::{block_on, lock, wake};
use crate::engine::Engine;
use crate::{Error, Result};

/// The module's events of one name: their payloads, as emitted, in their order.
///
/// It is a [`Stream`], and has [`next`](Events::next) and [`recv`](Events::recv) of its own. It ends when this program
/// closes the context; when the context ends in another way (its worker has died), the error comes first.
///
/// Nobody waits for a slow reader. Events that find the stream's room used up are dropped, the newest ones, and
/// [`dropped`](Events::dropped) counts them. (Those that find the ring in shared memory full are dropped by the worker:
/// the module is told, this side is not.)
pub struct Events {
    engine: Arc<Engine>,
    listener: u64,
    queue: Arc<Queue>,
}

impl Events {
    pub(crate) fn new(engine: Arc<Engine>, listener: u64, queue: Arc<Queue>) -> Events {
        Events {
            engine,
            listener,
            queue,
        }
    }

    /// The next event, as a future; none when the stream is over.
    #[allow(clippy::should_implement_trait)] // as StreamExt has it
    pub fn next(&mut self) -> NextEvent<'_> {
        NextEvent { events: self }
    }

    /// The next event; blocks the calling thread. None when the stream is over.
    pub fn recv(&mut self) -> Option<Result<Vec<u8>>> {
        block_on(self.next())
    }

    /// How many events were dropped because nobody took those before them.
    pub fn dropped(&self) -> u64 {
        lock(&self.queue.state).dropped
    }
}

impl Stream for Events {
    type Item = Result<Vec<u8>>;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        self.queue.poll(task)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.engine.unlisten(self.listener);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// The future of [`Events::next`].
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct NextEvent<'a> {
    events: &'a mut Events,
}

impl Future for NextEvent<'_> {
    type Output = Option<Result<Vec<u8>>>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.events.queue.poll(task)
    }
}

pub(crate) struct Queue {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Vec<u8>>,
    dropped: u64,
    ended: bool,
    error: Option<Error>,
    waker: Option<Waker>,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Arc<Queue> {
        Arc::new(Queue {
            capacity,
            state: Mutex::default(),
        })
    }

    pub(crate) fn push(&self, payload: &[u8]) {
        let mut state = lock(&self.state);
        if state.events.len() >= self.capacity {
            state.dropped += 1;
            return;
        }
        state.events.push_back(payload.to_vec());
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    pub(crate) fn end(&self, error: Option<Error>) {
        let mut state = lock(&self.state);
        if state.ended {
            return;
        }
        state.ended = true;
        state.error = error;
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    fn poll(&self, task: &mut TaskContext<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        let mut state = lock(&self.state);
        if let Some(event) = state.events.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if state.ended {
            return Poll::Ready(state.error.take().map(Err));
        }
        let before = state.waker.replace(task.waker().clone());
        drop(state);
        drop(before); // code of the program's
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(queue: &Queue) -> Poll<Option<Result<Vec<u8>>>> {
        struct Ignored;
        impl std::task::Wake for Ignored {
            fn wake(self: Arc<Self>) {}
        }
        let waker = Waker::from(Arc::new(Ignored));
        queue.poll(&mut TaskContext::from_waker(&waker))
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let queue = Queue::new(2);
        for n in 0..5 {
            queue.push(&[n]);
        }
        assert_eq!(lock(&queue.state).dropped, 3);
        assert!(matches!(taken(&queue), Poll::Ready(Some(Ok(event))) if event == [0]));
        assert!(matches!(taken(&queue), Poll::Ready(Some(Ok(event))) if event == [1]));
        assert!(matches!(taken(&queue), Poll::Pending));
    }

    #[test]
    fn events_come_before_the_end_and_the_error_once() {
        let queue = Queue::new(2);
        queue.push(b"last");
        queue.end(Some(Error::Timeout));
        queue.end(None);
        assert!(matches!(taken(&queue), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(taken(&queue), Poll::Ready(Some(Err(Error::Timeout)))));
        assert!(matches!(taken(&queue), Poll::Ready(None)));
        assert!(matches!(taken(&queue), Poll::Ready(None)));
    }
}
