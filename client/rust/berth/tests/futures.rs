//! Answers as futures, without a runtime.

mod common;

use std::sync::mpsc;
use std::task::Poll;

use berth::{Client, Context, Error, Outcome};
use common::*;

#[test]
fn types_are_as_free_as_they_should_be() {
    fn send_sync<T: Send + Sync + 'static>() {}
    fn send<T: Send + 'static>() {}
    send_sync::<Client>();
    send_sync::<Context>();
    send_sync::<berth::Reply>();
    send_sync::<Error>();
    send::<berth::Call>();
    send::<berth::Events>();
    send::<berth::Opening>();
    send::<berth::Closing>();
    send::<berth::Listener>();
}

#[test]
fn a_future_brings_the_answer() {
    let client = client();
    let echo = echo(&client);
    for len in [0, 10, 304, 305, 1 << 20] {
        let request = vec![7; len];
        assert!(block_on(echo.call_async("echo", &request)).unwrap()[..] == request[..]);
    }
    assert_eq!(&*echo.call_async("echo", b"blocking").wait().unwrap(), b"blocking");
}

#[test]
fn requests_are_sent_before_they_are_polled_and_keep_their_order() {
    let client = client();
    let echo = echo(&client);
    let calls: Vec<_> = (0..200u32).map(|n| echo.call_async("echo", &n.to_le_bytes())).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(&*block_on(call).unwrap(), &(n as u32).to_le_bytes());
    }
}

#[test]
fn answers_come_as_the_library_gives_them() {
    let client = client();
    let echo = echo(&client);
    let mut hour = echo.call_async("later", &later(3_600_000, "an hour"));
    assert_eq!(
        &*block_on(echo.call_async("later", &later(1, "soon"))).unwrap(),
        b"soon"
    );
    assert!(poll(&mut hour).is_pending());
}

#[test]
fn dropping_a_future_runs_the_modules_cancel_hook() {
    let client = client();
    let echo = echo(&client);
    let blocked = echo.call_async("block", &key("ms", 3_600_000));
    let waits_behind = echo.call_async("echo", b"free");
    drop(blocked);
    assert_eq!(&*block_on(waits_behind).unwrap(), b"free");
}

#[test]
fn a_cancelled_request_says_so_and_one_answered_cannot_be() {
    let client = client();
    let echo = echo(&client);
    let call = echo.call_async("later", &later(3_600_000, ""));
    assert!(call.cancel());
    assert!(matches!(block_on(call), Err(Error::Cancelled)));
    let mut done = echo.call_async("echo", b"done");
    until("answered", || matches!(poll(&mut done), Poll::Ready(Ok(_))));
    assert!(!done.cancel());
}

#[test]
fn every_future_ends_when_the_worker_dies() {
    let client = client();
    let echo = echo(&client);
    let waiting: Vec<_> = (0..50)
        .map(|_| echo.call_async("later", &later(3_600_000, "")))
        .collect();
    let dying = echo.call_async("die", &key("how", "abort"));
    for call in waiting.into_iter().chain([dying]) {
        assert!(matches!(block_on(call), Err(Error::WorkerDied { signal: Some(6), .. })));
    }
    // And those that come later, with the whole story.
    match block_on(echo.call_async("echo", b"")) {
        Err(Error::WorkerDied {
            signal: Some(6), pid, ..
        }) => assert!(pid > 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_future_ends_when_the_context_is_dropped() {
    let client = client();
    let echo = echo(&client);
    let hour = echo.call_async("later", &later(3_600_000, ""));
    drop(echo);
    match block_on(hour) {
        Err(Error::Recycled | Error::Closed | Error::Module(_)) => (), // "cancelled", when the module was quicker
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_future_ends_when_the_client_is_closed() {
    let client = client();
    let echo = echo(&client);
    let hour = echo.call_async("later", &later(3_600_000, ""));
    client.close().unwrap();
    assert!(block_on(hour).is_err());
    assert!(matches!(echo.call("echo", b""), Err(Error::Closed)));
    assert!(matches!(block_on(echo.call_async("echo", b"")), Err(Error::Closed)));
    assert!(matches!(echo.close(), Err(Error::Closed)));
}

#[test]
fn a_context_opens_without_waiting() {
    let client = client();
    let echo = block_on(client.open_async("echo", b"")).unwrap();
    assert_eq!(&*echo.call("echo", b"open").unwrap(), b"open");
    assert!(
        matches!(block_on(client.open_async("echo", &key("fail", "no"))), Err(Error::Module(text)) if text == "no")
    );
    assert!(matches!(
        block_on(client.open_async("none", b"")),
        Err(Error::NoModule(_))
    ));
    drop(client.open_async("echo", b""));
    drop(echo);
    until("the open that was given up leaves no context", || {
        let status = client.status().unwrap();
        map_at(&status, "contexts").unwrap().into_array().unwrap().is_empty()
    });
}

#[test]
fn a_close_is_a_future_too() {
    let client = client();
    let closed = block_on(echo(&client).close_async()).unwrap();
    assert_eq!((closed.outcome, closed.cut_off), (Outcome::Drained, 0));
}

#[test]
fn blocking_calls_and_futures_go_on_beside_each_other() {
    let client = client();
    let echo = echo(&client);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let echo = &echo;
            scope.spawn(move || {
                for n in 0..300u32 {
                    let request = [thread.to_le_bytes(), n.to_le_bytes()].concat();
                    let reply = match thread % 2 {
                        0 => echo.call("echo", &request),
                        _ => block_on(echo.call_async("echo", &request)),
                    };
                    assert_eq!(&*reply.unwrap(), &request[..]);
                }
            });
        }
    });
}

#[test]
fn a_waker_that_panics_costs_nobody_else_an_answer() {
    struct Panics(mpsc::SyncSender<()>);
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.0.send(());
            panic!("a waker's own panic (wanted by the test)");
        }
    }
    let client = client();
    let echo = echo(&client);
    let (sender, woken) = mpsc::sync_channel(1);
    let waker = std::task::Waker::from(std::sync::Arc::new(Panics(sender)));
    let mut call = Box::pin(echo.call_async("later", &later(1, "first")));
    let mut task = std::task::Context::from_waker(&waker);
    match std::future::Future::poll(call.as_mut(), &mut task) {
        Poll::Pending => woken.recv_timeout(LONG).unwrap(),
        Poll::Ready(_) => (), // answered before it was polled: nothing to wake
    }
    assert_eq!(&*block_on(echo.call_async("echo", b"second")).unwrap(), b"second");
}

#[test]
fn the_last_client_may_go_on_any_thread() {
    // An executor may drop a task, and the client in it, inside of a waker: on the thread that brings answers.
    struct Holds(std::sync::Mutex<Option<(Client, Context)>>, mpsc::SyncSender<()>);
    impl std::task::Wake for Holds {
        fn wake(self: std::sync::Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            let _ = self.1.send(());
        }
    }
    let client = client();
    let echo = echo(&client);
    let mut call = echo.call_async("later", &later(50, "x"));
    let (sender, dropped) = mpsc::sync_channel(1);
    let holds = std::sync::Arc::new(Holds(std::sync::Mutex::new(Some((client, echo))), sender));
    let waker = std::task::Waker::from(holds);
    let mut task = std::task::Context::from_waker(&waker);
    if std::future::Future::poll(std::pin::Pin::new(&mut call), &mut task).is_pending() {
        dropped.recv_timeout(LONG).unwrap();
    }
}

/// There is more of it than may be unread: the module waits for good where nobody takes it.
#[test]
fn data_on_the_way_is_not_the_answer() {
    let client = client();
    let echo = echo(&client);
    let calls: Vec<_> = (0..8)
        .map(|n| echo.call_async("stream", &stream(40 + n, 65_536 * (n % 2))))
        .collect();
    for n in 0..50 {
        assert_eq!(&*echo.call("stream", &stream(n, 65_536)).unwrap(), &cbor(n)[..]);
        assert_eq!(&*echo.call_async("echo", b"meanwhile").wait().unwrap(), b"meanwhile");
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(&*block_on(call).unwrap(), &cbor(40 + n)[..]);
    }
}
