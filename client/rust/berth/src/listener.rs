use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::os::raw::{c_int, c_void};
use std::sync::{Arc, Mutex};

use berth_sys as sys;

use crate::answer::lock;
use crate::callback;
use crate::error::check;
use crate::method::c_text;
use crate::reply::bytes;
use crate::Result;

type Closure = Box<dyn FnMut(&[u8]) + Send>;

/// A closure that runs for each event of a name, until this is dropped; [`Context::listen`](crate::Context::listen) makes
/// it.
pub struct Listener {
    context: sys::berth_context,
    id: u64,
    key: usize,
    listening: Arc<Listening>,
}

struct Listening {
    /// Taken out while it runs.
    closure: Mutex<Option<Closure>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// libberth's user data is a key here, never given out twice, and no pointer: after a context's end a callback may
/// still be on its way, and finds nothing.
#[derive(Default)]
struct Registry {
    last: usize,
    listeners: HashMap<usize, Arc<Listening>>,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

fn with_registry<T>(run: impl FnOnce(&mut Registry) -> T) -> T {
    run(lock(&REGISTRY).get_or_insert_with(Registry::default))
}

impl Listener {
    pub(crate) fn new(context: sys::berth_context, name: &str, closure: Closure) -> Result<Listener> {
        let name = c_text(name)?;
        let listening = Arc::new(Listening {
            closure: Mutex::new(Some(closure)),
            panic: Mutex::new(None),
        });
        let key = with_registry(|registry| {
            registry.last += 1;
            registry.listeners.insert(registry.last, Arc::clone(&listening));
            registry.last
        });
        let mut listener = Listener {
            context,
            id: 0,
            key,
            listening,
        };
        // SAFETY: a terminated text, a number as user data, and a place for the id. Ids begin at 1, so that dropping a
        // listener that was refused ends none.
        check(unsafe {
            sys::berth_listen(
                context,
                name.as_ptr(),
                Some(emitted),
                key as *mut c_void,
                &mut listener.id,
            )
        })?;
        Ok(listener)
    }

    /// Ends it. An error is the payload of the closure's panic, which had ended it before; then no event has come to
    /// it since.
    ///
    /// When this returns the closure does not run any more, unless this is called from inside of it (it is the last
    /// run then), or the context is over already (its last event may still be on its way to it).
    pub fn stop(self) -> std::thread::Result<()> {
        self.end();
        match lock(&self.listening.panic).take() {
            Some(payload) => Err(payload),
            None => Ok(()),
        }
    }

    /// Whether the closure has panicked.
    pub fn has_panicked(&self) -> bool {
        lock(&self.listening.panic).is_some()
    }

    fn end(&self) {
        // SAFETY: any handle and id are fine.
        unsafe { sys::berth_unlisten(self.context, self.id) };
        let removed = with_registry(|registry| registry.listeners.remove(&self.key));
        drop(removed);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("id", &self.id)
            .field("panicked", &self.has_panicked())
            .finish()
    }
}

/// # Safety
/// To be called by libberth.
unsafe extern "C" fn emitted(_: c_int, data: *const u8, len: usize, user_data: *mut c_void) {
    let _ = callback::caught(|| {
        let listening = with_registry(|registry| registry.listeners.get(&(user_data as usize)).map(Arc::clone));
        if let Some(listening) = listening {
            // SAFETY: valid during the call.
            listening.run(unsafe { bytes(data, len) });
        }
    });
}

impl Listening {
    /// One event of a context runs at a time, so the closure is in its place, unless it has panicked.
    fn run(&self, event: &[u8]) {
        let taken = lock(&self.closure).take();
        let mut closure = match taken {
            Some(closure) => closure,
            None => return,
        };
        match callback::caught(|| closure(event)) {
            Ok(()) => *lock(&self.closure) = Some(closure),
            Err(payload) => *lock(&self.panic) = Some(payload),
        }
    }
}
