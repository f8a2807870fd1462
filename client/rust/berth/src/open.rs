use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use berth_sys as sys;

use crate::answer::Answer;
use crate::callback;
use crate::error::check;
use crate::method::c_text;
use crate::timeout::milliseconds;
use crate::{Client, Context, Error, Reply, Result};

/// Options of a context.
///
/// ```
/// # fn main() -> berth::Result<()> {
/// # let client = berth::Client::connect()?;
/// let echo = berth::OpenOptions::new().max_in_flight(16).open(&client, "echo", b"")?;
/// # drop(echo);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    max_in_flight: u32,
    timeout: Option<Duration>,
}

impl OpenOptions {
    /// All defaults.
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Requests accepted and not yet answered, 1 to 65536 (1024 unless set); one more is
    /// [`Error::Busy`](crate::Error::Busy).
    pub fn max_in_flight(mut self, requests: u32) -> OpenOptions {
        self.max_in_flight = requests;
        self
    }

    /// From asking for a worker to the end of the library's create (60 s unless set, of which 10 s at most for a worker
    /// to be there).
    pub fn timeout(mut self, timeout: Duration) -> OpenOptions {
        self.timeout = Some(timeout);
        self
    }

    /// As [`Client::open`].
    pub fn open(&self, client: &Client, module: &str, config: &[u8]) -> Result<Context> {
        let module = c_text(module)?;
        let options = self.for_c();
        let mut handle = sys::berth_context { bits: 0 };
        // SAFETY: all of it holds for the call, the configuration is as long as said, and the reply gets filled.
        Reply::filled_by(|why| unsafe {
            let config_at = config.as_ptr().cast();
            let client = client.connection().handle();
            sys::berth_open(
                client,
                module.as_ptr(),
                config_at,
                config.len(),
                &options,
                &mut handle,
                why,
            )
        })?;
        Ok(Context::new(handle, Arc::clone(client.connection())))
    }

    /// As [`Client::open_async`].
    pub fn open_async(&self, client: &Client, module: &str, config: &[u8]) -> Opening {
        match self.submit(client, module, config) {
            Ok((answer, context)) => Opening {
                answer,
                context: Some(context),
            },
            Err(error) => Opening {
                answer: Answer::ready(Err(error)),
                context: None,
            },
        }
    }

    fn submit(&self, client: &Client, module: &str, config: &[u8]) -> Result<(Arc<Answer>, Context)> {
        let module = c_text(module)?;
        let options = self.for_c();
        let answer = Answer::new();
        let user_data = callback::user_data(&answer);
        let mut handle = sys::berth_context { bits: 0 };
        // SAFETY: as above; `answered` takes the user data.
        let ret = unsafe {
            sys::berth_open_submit(
                client.connection().handle(),
                module.as_ptr(),
                config.as_ptr().cast(),
                config.len(),
                &options,
                Some(callback::answered),
                user_data,
                &mut handle,
            )
        };
        if let Err(error) = check(ret) {
            // SAFETY: refused, so the callback will not come.
            unsafe { callback::take_back(user_data) };
            return Err(error);
        }
        Ok((answer, Context::new(handle, Arc::clone(client.connection()))))
    }

    /// Progress of requests in flight has nobody to go to here, so none is asked for.
    fn for_c(&self) -> sys::berth_open_options {
        sys::berth_open_options {
            size: std::mem::size_of::<sys::berth_open_options>() as u32,
            flags: 0,
            max_in_flight: self.max_in_flight,
            stale_warn_ms: u32::MAX,
            open_timeout_ms: self
                .timeout
                .map_or(0, |timeout| milliseconds(Some(timeout)).max(1) as u32),
            reserved0: 0,
            reserved: [0; 3],
        }
    }
}

/// A context that is being opened: a future of it. Dropping it gives the open up.
#[must_use = "dropping it gives the open up"]
pub struct Opening {
    answer: Arc<Answer>,
    context: Option<Context>,
}

impl Future for Opening {
    type Output = Result<Context>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<Context>> {
        let answered = match self.answer.poll(task) {
            Poll::Ready(answered) => answered,
            Poll::Pending => return Poll::Pending,
        };
        let context = self.context.take();
        Poll::Ready(answered.and_then(|_| context.ok_or(Error::Closed)))
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}
