//! Who reads a context's answers and events: a thread of its own, or a task of tokio's.

use std::sync::Arc;
use std::thread::Thread;

use berth_sys as sys;

use crate::connection::Connection;
use crate::engine::{Batch, Engine, Reaped};
use crate::Result;

pub(crate) struct Driver {
    engine: Arc<Engine>,
    thread: Option<Thread>,
}

/// How long a thread with nothing to wait for stays in berth_reap, which spins where that pays, before it parks. Parked
/// it has no part in the calls of other threads, and costs no wakeup.
const LINGER_MS: i32 = 1000;

impl Driver {
    pub(crate) fn on_a_thread(context: sys::berth_context, connection: &Connection) -> Result<Driver> {
        let engine = Engine::new(context);
        let driven = Arc::clone(&engine);
        let joined = {
            let _blocked = crate::signals::Blocked::all_but_faults();
            std::thread::Builder::new()
                .name("berth-answers".into())
                .spawn(move || drive(&driven))?
        };
        let thread = joined.thread().clone();
        connection.adopt(joined);
        Ok(Driver {
            engine,
            thread: Some(thread),
        })
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn on_tokio(context: sys::berth_context) -> Result<Driver> {
        let engine = Engine::new(context);
        crate::driver_tokio::spawn(context, Arc::clone(&engine))?;
        Ok(Driver { engine, thread: None })
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// There is something to wait for.
    pub(crate) fn notify(&self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

fn drive(engine: &Engine) {
    let mut batch = Batch::new();
    loop {
        let timeout_ms = if engine.is_idle() { LINGER_MS } else { -1 };
        match engine.reap(&mut batch, timeout_ms) {
            Reaped::Ended => return,
            Reaped::Taken(0) if engine.is_idle() => std::thread::park(),
            Reaped::Taken(_) => (),
        }
    }
}
