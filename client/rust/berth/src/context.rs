use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_sys as sys;

use crate::answer::lock;
use crate::callback;
use crate::close::{Closed, Closing};
use crate::connection::Connection;
use crate::driver::Driver;
use crate::events::Events;
use crate::listener::Listener;
use crate::method::IntoMethod;
use crate::timeout::milliseconds;
use crate::{Call, Error, Method, Reply, Result};

/// One instance of a module's library, alone in a worker process.
///
/// Any number of threads and tasks may use it at once; requests reach the module in the order in which they were
/// accepted. It keeps its client's connection alive.
///
/// Dropping it begins to close it and does not wait: what is in flight is answered, the module's instance destroyed, and
/// the worker given back within the module's own bounds. [`Context::close`] waits, and says how it went.
pub struct Context {
    handle: sys::berth_context,
    driver: Mutex<Option<Driver>>,
    closed: bool,
    connection: Arc<Connection>,
}

impl Context {
    pub(crate) fn new(handle: sys::berth_context, connection: Arc<Connection>) -> Context {
        Context {
            handle,
            driver: Mutex::new(None),
            closed: false,
            connection,
        }
    }

    /// The id of a method, to be asked for once.
    pub fn method(&self, name: &str) -> Result<Method> {
        crate::method::sealed::Sealed::method_of(name, self.handle)
    }

    /// Calls a method and waits for its answer, without end. The calling thread reads the answer out of shared memory
    /// itself, and no other thread has a part in it.
    #[inline]
    pub fn call(&self, method: impl IntoMethod, request: &[u8]) -> Result<Reply> {
        self.blocking_call(method, request, -1)
    }

    /// The same, up to a deadline: then it is [`Error::Timeout`], and the module is told to cancel.
    #[inline]
    pub fn call_timeout(&self, method: impl IntoMethod, request: &[u8], timeout: Duration) -> Result<Reply> {
        self.blocking_call(method, request, milliseconds(Some(timeout)))
    }

    #[inline]
    fn blocking_call(&self, method: impl IntoMethod, request: &[u8], timeout_ms: i32) -> Result<Reply> {
        let method = method.method_of(self.handle)?;
        // SAFETY: the request is as long as said, and the reply gets filled.
        Reply::filled_by(|reply| unsafe {
            sys::berth_call(
                self.handle,
                method.0,
                request.as_ptr().cast(),
                request.len(),
                timeout_ms,
                reply,
            )
        })
    }

    /// Sends a request; the future is its answer. It needs no runtime: any executor will do, and [`Call::wait`] none.
    ///
    /// The request is sent now, not when the future is first polled, and `request` is free again when this returns.
    /// Dropping the future before its end cancels the request: the module's cancel hook runs. A deadline is the
    /// executor's to keep (`tokio::time::timeout` drops the future).
    ///
    /// What the module sends before its answer (`BERTH_DATA`) is passed over as it comes: the module never waits for
    /// somebody to read it.
    ///
    /// The first one starts a thread for the context that reads answers; see `Context::attach_tokio` for none.
    pub fn call_async(&self, method: impl IntoMethod, request: &[u8]) -> Call {
        let sent = method.method_of(self.handle).and_then(|method| {
            self.with_driver(|driver| {
                let call = driver.engine().submit(method, request);
                driver.notify();
                call
            })
        });
        sent.unwrap_or_else(Call::failed)
    }

    /// Calls a method with values of serde's, in CBOR. No timeout waits without end.
    #[cfg(feature = "serde")]
    pub fn call_cbor<T, R>(&self, method: impl IntoMethod, request: &T, timeout: Option<Duration>) -> Result<R>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        self.blocking_call(method, &crate::cbor::encode(request)?, milliseconds(timeout))?
            .decode()
    }

    /// [`Context::call_async`] with values of serde's, in CBOR.
    #[cfg(feature = "serde")]
    pub fn call_async_cbor<T, R>(&self, method: impl IntoMethod, request: &T) -> crate::CborCall<R>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        let call = match crate::cbor::encode(request) {
            Ok(request) => self.call_async(method, &request),
            Err(error) => Call::failed(error),
        };
        crate::CborCall::new(call)
    }

    /// The module's events of a name, as a stream, from now on. It holds 1024 events that nobody has taken yet; see
    /// [`Events`] for what comes then.
    pub fn events(&self, name: &str) -> Result<Events> {
        self.events_with_capacity(name, 1024)
    }

    /// The same with room for another number of events, at least one.
    pub fn events_with_capacity(&self, name: &str, capacity: usize) -> Result<Events> {
        self.with_driver(|driver| {
            let events = driver.engine().listen(name, capacity.max(1));
            driver.notify();
            events
        })?
    }

    /// Runs a closure for each of the module's events of a name, on a thread of libberth's, one event at a time. While
    /// it runs the context's other closures wait.
    ///
    /// A panic ends the listener and nothing else: [`Listener::stop`] has it.
    pub fn listen(&self, name: &str, closure: impl FnMut(&[u8]) + Send + 'static) -> Result<Listener> {
        Listener::new(self.handle, name, Box::new(closure))
    }

    /// From here on answers and events are read by a task on the runtime that this is called on, woken by its poller:
    /// no thread waits for them. To be called before the first [`Context::call_async`] or [`Context::events`], which
    /// otherwise start a thread ([`Error::Busy`] then).
    ///
    /// The task ends with the context. When the runtime ends first, what is in flight ends with
    /// [`Error::Unavailable`], and so does what comes later; [`Context::call`] goes on.
    ///
    /// # Panics
    /// When the runtime was built without its I/O driver.
    #[cfg(feature = "tokio")]
    pub fn attach_tokio(&self) -> Result<()> {
        let mut driver = lock(&self.driver);
        if driver.is_some() {
            return Err(Error::Busy("the context's answers are read already".into()));
        }
        *driver = Some(Driver::on_tokio(self.handle)?);
        Ok(())
    }

    /// Closes the context and waits for the end, which the module's manifest bounds. Requests in flight are drained,
    /// then cancelled, then cut off.
    ///
    /// ```
    /// # fn main() -> berth::Result<()> {
    /// # let client = berth::Client::connect()?;
    /// let closed = client.open("echo", b"")?.close()?;
    /// assert_eq!(closed.outcome, berth::Outcome::Drained);
    /// # Ok(()) }
    /// ```
    pub fn close(self) -> Result<Closed> {
        if callback::running() {
            return Err(Error::Busy(
                "a callback, or a waker, may not wait for a close; close_async does not".into(),
            ));
        }
        self.close_async().wait()
    }

    /// The same without waiting: the close begins now, and goes on if the future is dropped.
    pub fn close_async(mut self) -> Closing {
        match Closing::begin(self.handle) {
            Ok(closing) => {
                self.closed = true;
                closing
            }
            Err(error) => Closing::failed(error),
        }
    }

    /// libberth's own handle, for what this crate does not do. It is good until the context is closed or dropped, and is
    /// refused after that. Whoever reaps it takes this context's own answers away.
    pub fn handle(&self) -> sys::berth_context {
        self.handle
    }

    fn with_driver<T>(&self, run: impl FnOnce(&Driver) -> T) -> Result<T> {
        let mut driver = lock(&self.driver);
        if driver.is_none() {
            *driver = Some(Driver::on_a_thread(self.handle, &self.connection)?);
        }
        // The lock is held: requests of one thread after another keep their order.
        Ok(run(driver.as_ref().expect("set above")))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.closed {
            // SAFETY: any handle is fine, and `ignored` takes nothing.
            let ret = unsafe { sys::berth_close(self.handle, Some(callback::ignored), std::ptr::null_mut()) };
            if ret == sys::BERTH_RET_EXHAUSTED as i32 {
                // SAFETY: the same. Without a thread for the callback it is waited for.
                unsafe { sys::berth_close(self.handle, None, std::ptr::null_mut()) };
            }
        }
        if let Some(driver) = &*lock(&self.driver) {
            driver.engine().closing();
            driver.notify();
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:#x})", self.handle.bits)
    }
}
