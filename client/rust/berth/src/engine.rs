//! Requests in flight and streams of one context, and the batches of answers and events that come for them. A driver
//! (a thread, or a task of tokio's) calls [`Engine::reap`]; nothing here waits but that.

use std::collections::HashMap;
use std::os::raw::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use berth_sys as sys;
use slab::Slab;

use crate::answer::{lock, Answer};
use crate::error::check;
use crate::events::{Events, Queue};
use crate::method::c_text;
use crate::reply::bytes;
use crate::{Call, Error, Method, Reply, Result};

pub(crate) struct Engine {
    context: sys::berth_context,
    calls: Mutex<Calls>,
    streams: Mutex<HashMap<u64, Arc<Queue>>>,
    closing: AtomicBool,
}

#[derive(Default)]
struct Calls {
    /// A request's user data is its key here. Each gets one terminal answer, so a key is free again after that only.
    waiting: Slab<Arc<Answer>>,
    /// Why nobody reads answers any more.
    stopped: Option<&'static str>,
}

pub(crate) enum Reaped {
    /// Answers and events; 0: none came in time.
    Taken(usize),
    /// The context is over.
    Ended,
}

/// Room for completions. What they point to is used up before [`Engine::reap`] returns.
pub(crate) struct Batch(Vec<sys::berth_completion>);

// SAFETY: between two reaps it is room and nothing else.
unsafe impl Send for Batch {}

impl Batch {
    pub(crate) const CAPACITY: usize = 64;

    pub(crate) fn new() -> Batch {
        Batch(Vec::with_capacity(Batch::CAPACITY))
    }
}

impl Engine {
    pub(crate) fn new(context: sys::berth_context) -> Arc<Engine> {
        Arc::new(Engine {
            context,
            calls: Mutex::default(),
            streams: Mutex::default(),
            closing: AtomicBool::new(false),
        })
    }

    pub(crate) fn submit(&self, method: Method, request: &[u8]) -> Call {
        let answer = Answer::new();
        let key = {
            let mut calls = lock(&self.calls);
            if let Some(why) = calls.stopped {
                return Call::failed(Error::Unavailable(why.into()));
            }
            calls.waiting.insert(Arc::clone(&answer))
        };
        let mut id = 0;
        // SAFETY: the request is as long as said; the user data is a number to libberth.
        let ret = unsafe {
            let (at, user_data) = (request.as_ptr().cast(), key as *mut c_void);
            sys::berth_submit(self.context, method.0, at, request.len(), None, user_data, &mut id)
        };
        if ret == sys::BERTH_RET_OK as c_int {
            return Call::sent(answer, self.context, id);
        }
        lock(&self.calls).waiting.try_remove(key);
        Call::failed(self.refusal(ret))
    }

    pub(crate) fn listen(self: &Arc<Self>, name: &str, capacity: usize) -> Result<Events> {
        let name = c_text(name)?;
        let queue = Queue::new(capacity);
        let mut listener = 0;
        // Held until the queue is in its place: the first event may come at once.
        let mut streams = lock(&self.streams);
        // SAFETY: a terminated text, and a place for the id.
        let ret = unsafe { sys::berth_listen(self.context, name.as_ptr(), None, std::ptr::null_mut(), &mut listener) };
        check(ret)?;
        streams.insert(listener, Arc::clone(&queue));
        drop(streams);
        if let Some(why) = lock(&self.calls).stopped {
            queue.end(Some(Error::Unavailable(why.into())));
        }
        Ok(Events::new(Arc::clone(self), listener, queue))
    }

    pub(crate) fn unlisten(&self, listener: u64) {
        // SAFETY: any handle and id are fine.
        unsafe { sys::berth_unlisten(self.context, listener) };
        lock(&self.streams).remove(&listener);
    }

    pub(crate) fn closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Nothing is waited for.
    pub(crate) fn is_idle(&self) -> bool {
        !self.closing.load(Ordering::SeqCst) && lock(&self.calls).waiting.is_empty() && lock(&self.streams).is_empty()
    }

    /// Takes what there is, waiting `timeout_ms` for the first of it, and hands it out.
    pub(crate) fn reap(&self, batch: &mut Batch, timeout_ms: c_int) -> Reaped {
        // SAFETY: room for as many.
        let taken = unsafe { sys::berth_reap(self.context, batch.0.as_mut_ptr(), Batch::CAPACITY, timeout_ms) };
        if taken < 0 {
            self.end(-taken);
            return Reaped::Ended;
        }
        // SAFETY: so many were written.
        unsafe { batch.0.set_len(taken as usize) };
        for completion in batch.0.drain(..) {
            self.hand_out(&completion);
        }
        Reaped::Taken(taken as usize)
    }

    fn hand_out(&self, completion: &sys::berth_completion) {
        // SAFETY: valid until the next reap, which is this driver's to do.
        let payload = unsafe { bytes(completion.data, completion.len) };
        match completion.kind {
            sys::BERTH_REPLY => {
                let answer = lock(&self.calls).waiting.try_remove(completion.user_data as usize);
                if let Some(answer) = answer {
                    answer.complete(match completion.ret as sys::berth_ret {
                        sys::BERTH_RET_OK => Ok(Reply::copied(payload)),
                        _ => Err(Error::from_answer(completion.ret, payload)),
                    });
                }
            }
            sys::BERTH_EVENT => {
                let queue = lock(&self.streams).get(&completion.id).map(Arc::clone);
                if let Some(queue) = queue {
                    queue.push(payload);
                }
            }
            // None of them is the answer, and none has anybody to go to here: progress and data of a request that is
            // still in flight, notices, and what is newer than this crate.
            _ => (),
        }
    }

    /// libberth has answered every request by now. Streams end: with an error, unless this program closed the context.
    fn end(&self, ret: c_int) {
        let why = match self.refusal(ret) {
            Error::Closed | Error::Recycled => None,
            _ => Some(ret),
        };
        self.end_streams(|| why.map(|ret| self.refusal(ret)));
        self.answer_all(|| self.refusal(ret));
    }

    /// Nobody reads answers any more, although the context goes on.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code))]
    pub(crate) fn stop(&self, why: &'static str) {
        lock(&self.calls).stopped = Some(why);
        self.end_streams(|| Some(Error::Unavailable(why.into())));
        self.answer_all(|| Error::Unavailable(why.into()));
    }

    /// Out of their place first: a waker may drop its stream.
    fn end_streams(&self, error: impl Fn() -> Option<Error>) {
        let streams = std::mem::take(&mut *lock(&self.streams));
        for (_, queue) in streams {
            queue.end(error());
        }
    }

    fn answer_all(&self, error: impl Fn() -> Error) {
        let left = std::mem::take(&mut lock(&self.calls).waiting);
        for (_, answer) in left {
            answer.complete(Err(error()));
        }
    }

    /// A refusal comes without a payload. How the worker died is told to a blocking call, which sends nothing then.
    fn refusal(&self, ret: c_int) -> Error {
        if ret == sys::BERTH_RET_WORKER_DIED as c_int {
            // SAFETY: no request, and the reply gets filled.
            let asked =
                Reply::filled_by(|reply| unsafe { sys::berth_call(self.context, 0, std::ptr::null(), 0, 0, reply) });
            if let Err(error @ Error::WorkerDied { .. }) = asked {
                return error;
            }
        }
        Error::from_answer(ret, b"")
    }
}
