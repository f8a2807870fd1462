//! The three ways in which a context can end, and what is left of it: nothing.

mod common;

use berth::{Error, Outcome};
use common::*;

#[test]
fn drained_when_everything_is_answered() {
    let client = client();
    let echo = echo(&client);
    let soon = echo.call_async("later", &later(200, "soon"));
    let closed = echo.close().unwrap();
    assert_eq!((closed.outcome, closed.cut_off), (Outcome::Drained, 0));
    assert_eq!(&*block_on(soon).unwrap(), b"soon");
}

#[test]
fn cancelled_when_something_had_to_be() {
    let client = client();
    let echo = echo(&client);
    let hour = echo.call_async("later", &later(3_600_000, ""));
    let closed = echo.close().unwrap();
    assert!(block_on(hour).is_err());
    assert_ne!(closed.outcome, Outcome::Killed);
}

#[test]
fn killed_when_the_worker_was_dead() {
    let client = client();
    let echo = echo(&client);
    assert!(matches!(
        echo.call("die", &key("how", "segv")),
        Err(Error::WorkerDied { .. })
    ));
    assert_eq!(echo.close().unwrap().outcome, Outcome::Killed);
}

#[test]
fn a_client_ends_after_its_last_context() {
    let client = client();
    let echo = echo(&client);
    drop(client);
    assert_eq!(&*echo.call("echo", b"still there").unwrap(), b"still there");
}
