//! What a fork of a host can do with what its parent opened: nothing, and it is told so. It can connect for itself. Alone
//! in its program.

mod common;

use berth::Error;
use common::*;

/// The child's status.
fn in_a_fork(child: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child runs no more than is asked for here, and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: ends the child by a signal, should it hang.
            unsafe { libc::alarm(100) };
            let right = child();
            unsafe { libc::_exit(if right { 0 } else { 1 }) }
        }
        pid => {
            assert!(pid > 0);
            let mut status = 0;
            // SAFETY: this test's own child.
            until(
                "the child ends",
                || unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid,
            );
            status
        }
    }
}

/// For itself, which makes nothing of its parent's come back.
fn connects(parents: &berth::Context) -> bool {
    let own = client();
    let context = echo(&own);
    let answer = context.call_async("echo", b"the fork's").wait();
    let forked = matches!(parents.call("echo", b""), Err(Error::Forked));
    forked
        && matches!(answer, Ok(answer) if *answer == *b"the fork's")
        && context.close().is_ok()
        && own.close().is_ok()
}

#[test]
fn a_fork_is_told_so_and_the_parent_goes_on() {
    let client = client();
    let echo = echo(&client);
    let mut ticks = echo.events("tick").unwrap();
    echo.call_async("echo", b"starts the thread").wait().unwrap();
    let (in_child, echo_in_child) = (client.clone(), &echo);
    let status = in_a_fork(move || {
        let call = matches!(echo_in_child.call("echo", b""), Err(Error::Forked));
        let open = matches!(in_child.open("echo", b""), Err(Error::Forked));
        call && open && matches!(in_child.close(), Err(Error::Forked)) && connects(echo_in_child)
    });
    assert_eq!(status, 0);
    assert_eq!(&*echo.call("echo", b"goes on").unwrap(), b"goes on");
    echo.call_async("emit", &emit(1, 4)).wait().unwrap();
    assert!(ticks.recv().unwrap().is_ok());
}
