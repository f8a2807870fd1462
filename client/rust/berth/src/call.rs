use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use berth_sys as sys;

use crate::answer::Answer;
use crate::{Error, Reply, Result};

/// A request that was sent, and the future of its answer; [`Context::call_async`](crate::Context::call_async) makes it.
///
/// Dropping it before the answer has come cancels the request.
#[must_use = "dropping it cancels the request"]
pub struct Call {
    answer: Arc<Answer>,
    sent: Option<(sys::berth_context, u64)>,
}

impl Call {
    pub(crate) fn sent(answer: Arc<Answer>, context: sys::berth_context, id: u64) -> Call {
        Call {
            answer,
            sent: Some((context, id)),
        }
    }

    pub(crate) fn failed(error: Error) -> Call {
        Call {
            answer: Answer::ready(Err(error)),
            sent: None,
        }
    }

    /// Blocks the calling thread until the answer is there.
    pub fn wait(self) -> Result<Reply> {
        self.answer.wait()
    }

    /// Cancels the request: its answer is [`Error::Cancelled`], and the module is told to stop working on it. False when
    /// it was answered already.
    pub fn cancel(&self) -> bool {
        match self.sent {
            // SAFETY: any handle and id are fine.
            Some((context, id)) => unsafe { sys::berth_cancel(context, id) == sys::BERTH_RET_OK as i32 },
            None => false,
        }
    }
}

impl Future for Call {
    type Output = Result<Reply>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<Reply>> {
        self.answer.poll(task)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.answer.is_waited_for() {
            self.cancel();
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.sent.map(|(_, id)| id))
            .finish_non_exhaustive()
    }
}

/// A [`Call`] whose answer is a value of serde's, in CBOR.
#[cfg(feature = "serde")]
#[must_use = "dropping it cancels the request"]
pub struct CborCall<R> {
    call: Call,
    decoded: std::marker::PhantomData<fn() -> R>,
}

#[cfg(feature = "serde")]
impl<R: serde::de::DeserializeOwned> CborCall<R> {
    pub(crate) fn new(call: Call) -> CborCall<R> {
        CborCall {
            call,
            decoded: std::marker::PhantomData,
        }
    }

    /// As [`Call::wait`].
    pub fn wait(self) -> Result<R> {
        self.call.wait()?.decode()
    }

    /// As [`Call::cancel`].
    pub fn cancel(&self) -> bool {
        self.call.cancel()
    }
}

#[cfg(feature = "serde")]
impl<R: serde::de::DeserializeOwned> Future for CborCall<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<R>> {
        Pin::new(&mut self.call)
            .poll(task)
            .map(|answered| answered.and_then(|reply| reply.decode()))
    }
}

#[cfg(feature = "serde")]
impl<R> fmt::Debug for CborCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}
