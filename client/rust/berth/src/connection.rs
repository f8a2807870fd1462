//! What clients, contexts and their drivers share: the handle, and the threads that go with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use berth_sys as sys;

use crate::answer::lock;
use crate::error::check;
use crate::Result;

/// As long as libberth itself waits for the last callbacks.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Connection {
    handle: sys::berth_client,
    drivers: Mutex<Vec<JoinHandle<()>>>,
    ended: AtomicBool,
}

impl Connection {
    pub(crate) fn new(handle: sys::berth_client) -> Connection {
        Connection {
            handle,
            drivers: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
        }
    }

    pub(crate) fn handle(&self) -> sys::berth_client {
        self.handle
    }

    /// The thread ends by itself soon after its context; the connection's end waits for it.
    pub(crate) fn adopt(&self, driver: JoinHandle<()>) {
        let mut drivers = lock(&self.drivers);
        drivers.retain(|driver| !driver.is_finished());
        drivers.push(driver);
    }

    pub(crate) fn end(&self) -> Result<()> {
        if self.ended.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let drivers = std::mem::take(&mut *lock(&self.drivers));
        // SAFETY: any handle is fine.
        let ret = unsafe { sys::berth_disconnect(self.handle) };
        if ret == sys::BERTH_RET_BUSY as i32 && crate::callback::running() {
            return disconnect_elsewhere(self.handle, drivers);
        }
        // In a fork none of the threads is there.
        if ret != sys::BERTH_RET_FORKED as i32 {
            wait_for(drivers);
        }
        check(ret)
    }
}

/// A callback's thread may not wait for its own end.
fn disconnect_elsewhere(handle: sys::berth_client, drivers: Vec<JoinHandle<()>>) -> Result<()> {
    let disconnect = move || {
        // SAFETY: any handle is fine.
        unsafe { sys::berth_disconnect(handle) };
        wait_for(drivers);
    };
    std::thread::Builder::new()
        .name("berth-disconnect".into())
        .spawn(disconnect)?;
    Ok(())
}

/// A waker of the program's runs on these threads, and nobody can say for how long; one of them may be this thread.
/// Those that are parked are told that their context is over.
fn wait_for(drivers: Vec<JoinHandle<()>>) {
    let deadline = Instant::now() + LONGEST_WAIT;
    for driver in drivers {
        if driver.thread().id() == std::thread::current().id() {
            continue;
        }
        driver.thread().unpark();
        while !driver.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        if driver.is_finished() {
            let _ = driver.join();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
