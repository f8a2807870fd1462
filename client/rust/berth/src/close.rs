use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use berth_sys as sys;

use crate::answer::Answer;
use crate::callback;
use crate::error::check;
use crate::{payload, Result};

/// How a context's close went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What it took.
    pub outcome: Outcome,
    /// How many requests were cut off, with [`Error::Recycled`](crate::Error::Recycled).
    pub cut_off: u64,
}

/// What it took to close a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was answered.
    Drained,
    /// Something had to be cut off.
    Cancelled,
    /// The worker was killed, or had died.
    Killed,
}

impl Outcome {
    pub(crate) fn of(name: &str) -> Option<Outcome> {
        match name {
            "drained" => Some(Outcome::Drained),
            "cancelled" => Some(Outcome::Cancelled),
            "killed" => Some(Outcome::Killed),
            _ => None,
        }
    }
}

/// A context that is being closed: a future of how it went. The close goes on when it is dropped.
pub struct Closing {
    answer: Arc<Answer>,
}

impl Closing {
    pub(crate) fn begin(context: sys::berth_context) -> Result<Closing> {
        let answer = Answer::new();
        let user_data = callback::user_data(&answer);
        // SAFETY: `answered` takes the user data.
        let ret = unsafe { sys::berth_close(context, Some(callback::answered), user_data) };
        // ERR (under way already) comes by the callback too.
        if ret != sys::BERTH_RET_ERR as i32 {
            if let Err(error) = check(ret) {
                // SAFETY: refused without a call.
                unsafe { callback::take_back(user_data) };
                return Err(error);
            }
        }
        Ok(Closing { answer })
    }

    pub(crate) fn failed(error: crate::Error) -> Closing {
        Closing {
            answer: Answer::ready(Err(error)),
        }
    }

    pub(crate) fn wait(self) -> Result<Closed> {
        self.answer.wait().and_then(|payload| payload::closed(&payload))
    }
}

impl Future for Closing {
    type Output = Result<Closed>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<Closed>> {
        self.answer
            .poll(task)
            .map(|answered| answered.and_then(|payload| payload::closed(&payload)))
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}
