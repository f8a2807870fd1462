//! Threads of this crate's take no signal of the program's, as libberth's own do.

use std::mem::MaybeUninit;

/// What a thread does to itself. Blocked, it would end the program past the program's own handler.
const FAULTS: [libc::c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// While it lives all signals but faults are blocked on this thread, and on the threads that it starts.
pub(crate) struct Blocked(libc::sigset_t);

impl Blocked {
    pub(crate) fn all_but_faults() -> Blocked {
        let (mut mask, mut before) = (MaybeUninit::uninit(), MaybeUninit::zeroed());
        // SAFETY: both are sets, and written before they are read; an empty one is all zeros.
        unsafe {
            libc::sigfillset(mask.as_mut_ptr());
            for fault in FAULTS {
                libc::sigdelset(mask.as_mut_ptr(), fault);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), before.as_mut_ptr());
            Blocked(before.assume_init())
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set that was there.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}
