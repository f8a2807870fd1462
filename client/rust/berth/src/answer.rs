//! One answer that is waited for: the engine completes it, a future or a thread takes it.

use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Wake, Waker};

use crate::{Reply, Result};

pub(crate) struct Answer {
    state: Mutex<State>,
}

/// A small reply stands in it: a call costs the one allocation that the answer itself is.
#[allow(clippy::large_enum_variant)]
enum State {
    Waiting(Option<Waker>),
    Done(Result<Reply>),
    Taken,
}

impl Answer {
    pub(crate) fn new() -> Arc<Answer> {
        Arc::new(Answer {
            state: Mutex::new(State::Waiting(None)),
        })
    }

    pub(crate) fn ready(result: Result<Reply>) -> Arc<Answer> {
        Arc::new(Answer {
            state: Mutex::new(State::Done(result)),
        })
    }

    /// The first result stands. A waker is code of the program's: it runs with no lock held, and a panic of its does
    /// not reach libberth or the engine (the panic hook has told of it by then).
    pub(crate) fn complete(&self, result: Result<Reply>) {
        let waker = match &mut *lock(&self.state) {
            state @ State::Waiting(_) => match std::mem::replace(state, State::Done(result)) {
                State::Waiting(waker) => waker,
                _ => None,
            },
            _ => return,
        };
        wake(waker);
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        matches!(*lock(&self.state), State::Waiting(_))
    }

    pub(crate) fn poll(&self, task: &mut TaskContext<'_>) -> Poll<Result<Reply>> {
        let mut state = lock(&self.state);
        match &mut *state {
            State::Waiting(Some(waker)) if waker.will_wake(task.waker()) => Poll::Pending,
            State::Waiting(waker) => {
                let before = waker.replace(task.waker().clone());
                drop(state);
                drop(before); // code of the program's as well
                Poll::Pending
            }
            State::Done(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Done(result) => Poll::Ready(result),
                _ => Poll::Pending,
            },
            State::Taken => panic!("a future of berth's was polled after its end"),
        }
    }

    /// Blocks the calling thread.
    pub(crate) fn wait(&self) -> Result<Reply> {
        struct Waited<'a>(&'a Answer);
        impl Future for Waited<'_> {
            type Output = Result<Reply>;
            fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<Reply>> {
                self.0.poll(task)
            }
        }
        block_on(Waited(self))
    }
}

pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}

/// No code of the program's runs under the locks here, so there is no half-made change behind a poisoned one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// One for each thread. What is left of an earlier wait wakes a later one for nothing, which looks again.
    static SIGNAL: Arc<Signal> = Arc::default();
}

/// Runs a future on the calling thread.
pub(crate) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let signal = SIGNAL.try_with(Arc::clone).unwrap_or_default();
    let waker = Waker::from(Arc::clone(&signal));
    let mut task = TaskContext::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut task) {
            return output;
        }
        signal.wait();
    }
}

#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn wait(&self) {
        let mut raised = lock(&self.raised);
        while !std::mem::take(&mut *raised) {
            raised = self.changed.wait(raised).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *lock(&self.raised) = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn the_first_result_stands_and_wakes_a_waiting_thread() {
        let answer = Answer::new();
        let waiting = {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer.wait())
        };
        answer.complete(Ok(Reply::copied(b"first")));
        answer.complete(Err(Error::Cancelled));
        assert_eq!(&*waiting.join().unwrap().unwrap(), b"first");
        assert!(!answer.is_waited_for());
    }

    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's own panic (wanted by the test)");
        }
    }

    #[test]
    fn a_wakers_panic_stays_with_it() {
        let answer = Answer::new();
        let waker = Waker::from(Arc::new(Panics));
        assert!(answer.poll(&mut TaskContext::from_waker(&waker)).is_pending());
        answer.complete(Ok(Reply::copied(b"there")));
        assert_eq!(&*answer.wait().unwrap(), b"there");
    }
}
