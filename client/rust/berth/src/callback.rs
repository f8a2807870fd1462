//! The one function of ours that libberth calls with an answer: how an open or a close went.

use std::cell::Cell;
use std::os::raw::{c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use berth_sys as sys;

use crate::answer::Answer;
use crate::reply::bytes;
use crate::{Error, Reply};

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// True on a thread of libberth's that runs code of this crate's, or of the program's, just now.
pub(crate) fn running() -> bool {
    RUNNING.with(Cell::get)
}

/// Runs code that may be the program's, and ends its panic here: unwinding into C is not allowed. The payload comes
/// back; the panic hook has told of it by then.
pub(crate) fn caught<T>(code: impl FnOnce() -> T) -> std::thread::Result<T> {
    let before = RUNNING.with(|running| running.replace(true));
    let result = catch_unwind(AssertUnwindSafe(code));
    RUNNING.with(|running| running.set(before));
    result
}

/// Hands an answer to a function of libberth's that will call [`answered`] once, unless it refuses.
pub(crate) fn user_data(answer: &Arc<Answer>) -> *mut c_void {
    Arc::into_raw(Arc::clone(answer)) as *mut c_void
}

/// # Safety
/// `user_data` is from the function of that name, and libberth will not call `answered` with it.
pub(crate) unsafe fn take_back(user_data: *mut c_void) {
    // SAFETY: made by `user_data`, and taken once.
    drop(unsafe { Arc::from_raw(user_data as *const Answer) });
}

/// # Safety
/// To be called by libberth, once for each `user_data`.
pub(crate) unsafe extern "C" fn answered(ret: c_int, data: *const u8, len: usize, user_data: *mut c_void) {
    let _ = caught(|| {
        // SAFETY: from `user_data` above, and called once.
        let answer = unsafe { Arc::from_raw(user_data as *const Answer) };
        // SAFETY: valid during the call.
        let payload = unsafe { bytes(data, len) };
        answer.complete(match ret as sys::berth_ret {
            sys::BERTH_RET_OK => Ok(Reply::copied(payload)),
            _ => Err(Error::from_answer(ret, payload)),
        });
    });
}

/// For a close whose end nobody waits for.
pub(crate) unsafe extern "C" fn ignored(_: c_int, _: *const u8, _: usize, _: *mut c_void) {}
