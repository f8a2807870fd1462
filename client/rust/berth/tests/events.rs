//! Events, as streams and for closures.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{mpsc, Arc};

use berth::{Error, Outcome};
use common::*;

fn index(event: &[u8]) -> u32 {
    u32::from_le_bytes(event[..4].try_into().unwrap())
}

#[test]
fn a_stream_has_them_all_and_in_order() {
    let client = client();
    let echo = echo(&client);
    let mut ticks = echo.events_with_capacity("tick", 10_000).unwrap();
    echo.call("emit", &emit(2000, 16)).unwrap();
    for n in 0..2000 {
        let event = block_on(ticks.next()).unwrap().unwrap();
        assert_eq!((index(&event), event.len()), (n, 16));
    }
    assert_eq!(ticks.dropped(), 0);
}

#[test]
fn it_is_a_stream_of_futures_core() {
    use futures_core::Stream;
    struct Next<'a>(&'a mut berth::Events);
    impl std::future::Future for Next<'_> {
        type Output = Option<berth::Result<Vec<u8>>>;
        fn poll(
            mut self: std::pin::Pin<&mut Self>,
            task: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Self::Output> {
            std::pin::Pin::new(&mut *self.0).poll_next(task)
        }
    }
    let client = client();
    let echo = echo(&client);
    let mut ticks = echo.events("tick").unwrap();
    echo.call_async("emit", &emit(1, 4)).wait().unwrap();
    assert_eq!(block_on(Next(&mut ticks)).unwrap().unwrap(), 0u32.to_le_bytes());
}

#[test]
fn every_stream_of_a_name_gets_each_event() {
    let client = client();
    let echo = echo(&client);
    let mut first = echo.events("tick").unwrap();
    let mut second = echo.events("tick").unwrap();
    let other = echo.events("tock").unwrap();
    echo.call("emit", &emit(3, 8)).unwrap();
    for stream in [&mut first, &mut second] {
        for n in 0..3 {
            assert_eq!(index(&stream.recv().unwrap().unwrap()), n);
        }
    }
    drop((first, other));
    echo.call("emit", &emit(1, 8)).unwrap();
    assert_eq!(index(&second.recv().unwrap().unwrap()), 0);
}

#[test]
fn what_nobody_takes_is_dropped_newest_first_and_counted() {
    let client = client();
    let echo = echo(&client);
    let mut ticks = echo.events_with_capacity("tick", 10).unwrap();
    echo.call("emit", &emit(100, 8)).unwrap();
    until("counted", || ticks.dropped() == 90);
    for n in 0..10 {
        assert_eq!(index(&ticks.recv().unwrap().unwrap()), n);
    }
    echo.call("emit", &emit(1, 8)).unwrap();
    assert_eq!(index(&ticks.recv().unwrap().unwrap()), 0);
}

#[test]
fn a_stream_ends_with_the_context() {
    let client = client();
    let echo = echo(&client);
    let mut ticks = echo.events("tick").unwrap();
    let waiting = std::thread::spawn(move || ticks.recv().is_none());
    assert_eq!(echo.close().unwrap().outcome, Outcome::Drained);
    assert!(waiting.join().unwrap());
}

#[test]
fn a_streams_end_tells_of_the_workers_death_although_nothing_was_asked() {
    let client = client();
    let echo = echo(&client);
    let mut ticks = echo.events("tick").unwrap();
    let waiting = std::thread::spawn(move || (ticks.recv(), ticks.recv()));
    let status = client.status().unwrap();
    let worker = map_at(&status, "contexts").unwrap().into_array().unwrap().remove(0);
    let worker = worker
        .into_map()
        .unwrap()
        .into_iter()
        .find(|(key, _)| key.as_text() == Some("worker_pid"))
        .unwrap()
        .1;
    let worker: i32 = i128::from(worker.into_integer().unwrap()).try_into().unwrap();
    assert!(worker > 1);
    // SAFETY: the worker of this test's own supervisor.
    assert_eq!(unsafe { libc::kill(worker, libc::SIGKILL) }, 0);
    match waiting.join().unwrap() {
        (
            Some(Err(Error::WorkerDied {
                signal: Some(9), pid, ..
            })),
            None,
        ) => assert_eq!(pid, worker as u32),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_closure_runs_for_each_event_until_it_is_stopped() {
    let client = client();
    let echo = echo(&client);
    let (sender, received) = mpsc::channel();
    let listener = echo
        .listen("tick", move |event| sender.send(index(event)).unwrap())
        .unwrap();
    echo.call("emit", &emit(5, 8)).unwrap();
    for n in 0..5 {
        assert_eq!(received.recv_timeout(LONG).unwrap(), n);
    }
    listener.stop().unwrap();
    echo.call("emit", &emit(1, 8)).unwrap();
    assert!(received.recv().is_err()); // the closure, and its sender, are gone
}

#[test]
fn a_closures_panic_ends_it_and_nothing_else() {
    let client = client();
    let echo = echo(&client);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let panics = echo
        .listen("tick", move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            panic!("a closure's own panic (wanted by the test)");
        })
        .unwrap();
    let (sender, received) = mpsc::channel();
    let fine = echo
        .listen("tick", move |event| sender.send(index(event)).unwrap())
        .unwrap();
    echo.call("emit", &emit(3, 8)).unwrap();
    for n in 0..3 {
        assert_eq!(received.recv_timeout(LONG).unwrap(), n);
    }
    assert!(panics.has_panicked() && !fine.has_panicked());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let payload = panics.stop().unwrap_err();
    assert_eq!(
        *payload.downcast_ref::<&str>().unwrap(),
        "a closure's own panic (wanted by the test)"
    );
    assert_eq!(&*echo.call("echo", b"goes on").unwrap(), b"goes on");
}

#[test]
fn a_closure_may_call_and_may_stop_itself() {
    let client = client();
    let echo = Arc::new(echo(&client));
    let (sender, received) = mpsc::channel();
    let own: Arc<std::sync::Mutex<Option<berth::Listener>>> = Arc::default();
    let (inner, inside) = (Arc::clone(&echo), Arc::clone(&own));
    let listener = echo.listen("tick", move |event| {
        let reply = inner.call("echo", event).unwrap();
        drop(inside.lock().unwrap().take());
        sender.send(reply.to_vec()).unwrap();
    });
    *own.lock().unwrap() = Some(listener.unwrap());
    echo.call("emit", &emit(2, 4)).unwrap();
    assert_eq!(received.recv_timeout(LONG).unwrap(), 0u32.to_le_bytes());
    assert!(received.recv_timeout(LONG).is_err()); // ended from inside, with its sender
}

#[test]
fn a_stream_may_be_dropped_by_the_waker_of_its_end() {
    struct Holds(std::sync::Mutex<Option<berth::Events>>, mpsc::SyncSender<()>);
    impl std::task::Wake for Holds {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            let _ = self.1.send(());
        }
    }
    let client = client();
    let echo = echo(&client);
    let mut others = echo.events("tick").unwrap();
    let (sender, dropped) = mpsc::sync_channel(1);
    let holds = Arc::new(Holds(std::sync::Mutex::new(Some(echo.events("tick").unwrap())), sender));
    let waker = std::task::Waker::from(Arc::clone(&holds));
    let mut task = std::task::Context::from_waker(&waker);
    let mut held = holds.0.lock().unwrap();
    let next = std::pin::Pin::new(held.as_mut().unwrap());
    assert!(futures_core::Stream::poll_next(next, &mut task).is_pending());
    drop(held);
    echo.close().unwrap();
    dropped.recv_timeout(LONG).unwrap();
    assert!(block_on(others.next()).is_none());
}

#[test]
fn names_are_checked() {
    let client = client();
    let echo = echo(&client);
    assert!(matches!(echo.events(""), Err(Error::InvalidArgument(_))));
    assert!(matches!(echo.events("a\0b"), Err(Error::InvalidArgument(_))));
    assert!(matches!(
        echo.listen(&"x".repeat(256), |_| ()),
        Err(Error::InvalidArgument(_))
    ));
}
