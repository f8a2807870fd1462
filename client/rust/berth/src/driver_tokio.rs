//! A task that reads answers and events when tokio's poller says that there are some.

use std::os::unix::io::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use berth_sys as sys;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::runtime::Handle;

use crate::engine::{Batch, Engine, Reaped};
use crate::{Error, Result};

pub(crate) fn spawn(context: sys::berth_context, engine: Arc<Engine>) -> Result<()> {
    let runtime = Handle::try_current()
        .map_err(|_| Error::InvalidArgument("attach_tokio is to be called on a tokio runtime".into()))?;
    let fd = AsyncFd::with_interest(poll_fd(context)?, Interest::READABLE)?;
    runtime.spawn(drive(fd, Driven(engine)));
    Ok(())
}

/// A duplicate: the original is libberth's, which closes it with the context, and tokio's poller may hold it longer.
fn poll_fd(context: sys::berth_context) -> Result<OwnedFd> {
    // SAFETY: any handle is fine.
    let fd = unsafe { sys::berth_poll_fd(context) };
    if fd < 0 {
        return Err(Error::from_answer(-fd, b""));
    }
    // SAFETY: open until the context is closed, and the caller has the context.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?)
}

/// When the runtime ends the task is dropped, and nobody may be left waiting.
struct Driven(Arc<Engine>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0
            .stop("the tokio runtime that read this context's answers has ended");
    }
}

async fn drive(fd: AsyncFd<OwnedFd>, driven: Driven) {
    let mut batch = Batch::new();
    loop {
        match fd.readable().await {
            // Before the rings are looked at: what comes later makes it readable again.
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return,
        }
        loop {
            match driven.0.reap(&mut batch, 0) {
                Reaped::Ended => return,
                Reaped::Taken(0) => break,
                // Those who wait for these answers are to run before more is read.
                Reaped::Taken(_) => tokio::task::yield_now().await,
            }
        }
    }
}
