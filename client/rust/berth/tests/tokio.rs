//! Answers read by a task of tokio's.
#![cfg(feature = "tokio")]

mod common;

use std::time::Duration;

use berth::{Client, Context, Error, Outcome};
use common::{cbor, client, emit, key, later, stream, LONG};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
    ]
}

fn attached(client: &Client) -> Context {
    let echo = client.open("echo", b"").unwrap();
    echo.attach_tokio().unwrap();
    echo
}

/// No thread of the crate's reads answers.
fn own_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim() == "berth-answers").count()
}

#[test]
fn sixty_four_tasks_share_a_context() {
    for runtime in runtimes() {
        let client = client();
        runtime.block_on(async {
            let echo = std::sync::Arc::new(attached(&client));
            let method = echo.method("echo").unwrap();
            let tasks: Vec<_> = (0..64u32)
                .map(|task| {
                    let echo = std::sync::Arc::clone(&echo);
                    tokio::spawn(async move {
                        for n in 0..50u32 {
                            let request = [task.to_le_bytes(), n.to_le_bytes()].concat();
                            let reply = timeout(LONG, echo.call_async(method, &request)).await.unwrap().unwrap();
                            assert_eq!(&*reply, &request[..]);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
    assert_eq!(own_threads(), 0);
}

#[test]
fn large_answers_and_many_at_once() {
    for runtime in runtimes() {
        let client = client();
        runtime.block_on(async {
            let echo = attached(&client);
            let calls: Vec<_> = (0..500usize)
                .map(|n| echo.call_async("echo", &vec![n as u8; n * 40]))
                .collect();
            for (n, call) in calls.into_iter().enumerate() {
                assert!(timeout(LONG, call).await.unwrap().unwrap()[..] == vec![n as u8; n * 40][..]);
            }
        });
    }
}

#[test]
fn a_deadline_drops_the_future_and_the_module_cancels() {
    for runtime in runtimes() {
        let client = client();
        runtime.block_on(async {
            let echo = attached(&client);
            let blocked = echo.call_async("block", &key("ms", 3_600_000));
            assert!(timeout(Duration::from_millis(20), blocked).await.is_err());
            assert_eq!(
                &*timeout(LONG, echo.call_async("echo", b"free")).await.unwrap().unwrap(),
                b"free"
            );
        });
    }
}

#[test]
fn events_are_a_stream_here_too() {
    for runtime in runtimes() {
        let client = client();
        runtime.block_on(async {
            let echo = attached(&client);
            let mut ticks = echo.events("tick").unwrap();
            timeout(LONG, echo.call_async("emit", &emit(300, 8)))
                .await
                .unwrap()
                .unwrap();
            for n in 0..300u32 {
                let event = timeout(LONG, ticks.next()).await.unwrap().unwrap().unwrap();
                assert_eq!(event[..4], n.to_le_bytes());
            }
            let closed = timeout(LONG, echo.close_async()).await.unwrap().unwrap();
            assert_eq!(closed.outcome, Outcome::Drained);
            assert!(timeout(LONG, ticks.next()).await.unwrap().is_none());
        });
    }
}

#[test]
fn a_crash_reaches_every_task_and_every_stream() {
    for runtime in runtimes() {
        let client = client();
        runtime.block_on(async {
            let echo = attached(&client);
            let mut ticks = echo.events("tick").unwrap();
            let hour = echo.call_async("later", &later(3_600_000, ""));
            let dying = echo.call_async("die", &key("how", "segv"));
            for call in [hour, dying] {
                let error = timeout(LONG, call).await.unwrap().unwrap_err();
                assert!(matches!(error, Error::WorkerDied { signal: Some(11), .. }), "{error:?}");
            }
            let last = timeout(LONG, ticks.next()).await.unwrap().unwrap();
            assert!(
                matches!(last, Err(Error::WorkerDied { signal: Some(11), .. })),
                "{last:?}"
            );
            assert!(timeout(LONG, ticks.next()).await.unwrap().is_none());
        });
    }
}

#[test]
fn blocking_calls_go_on_beside_tasks() {
    let [_, runtime] = runtimes();
    let client = client();
    let echo = std::sync::Arc::new({
        let _entered = runtime.enter();
        attached(&client)
    });
    let blocking: Vec<_> = (0..2)
        .map(|_| {
            let echo = std::sync::Arc::clone(&echo);
            std::thread::spawn(move || {
                for n in 0..2000u32 {
                    assert_eq!(&*echo.call("echo", &n.to_le_bytes()).unwrap(), &n.to_le_bytes());
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for n in 0..2000u32 {
            let reply = timeout(LONG, echo.call_async("echo", &n.to_le_bytes()))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(&*reply, &n.to_le_bytes());
        }
    });
    for thread in blocking {
        thread.join().unwrap();
    }
}

#[test]
fn when_the_runtime_ends_nobody_is_left_waiting() {
    let [runtime, _] = runtimes();
    let client = client();
    let echo = {
        let _entered = runtime.enter();
        attached(&client)
    };
    let mut ticks = echo.events("tick").unwrap();
    let hour = echo.call_async("later", &later(3_600_000, ""));
    drop(runtime);
    assert!(matches!(hour.wait(), Err(Error::Unavailable(_))));
    assert!(matches!(ticks.recv(), Some(Err(Error::Unavailable(_)))));
    assert!(ticks.recv().is_none());
    assert!(matches!(
        echo.call_async("echo", b"").wait(),
        Err(Error::Unavailable(_))
    ));
    assert!(matches!(
        echo.events("tick").unwrap().recv(),
        Some(Err(Error::Unavailable(_)))
    ));
    assert_eq!(&*echo.call("echo", b"goes on").unwrap(), b"goes on");
    echo.close().unwrap();
}

#[test]
fn it_is_attached_once_before_anything_else_and_on_a_runtime() {
    let [runtime, _] = runtimes();
    let client = client();
    let echo = client.open("echo", b"").unwrap();
    assert!(matches!(echo.attach_tokio(), Err(Error::InvalidArgument(_))));
    let _entered = runtime.enter();
    echo.attach_tokio().unwrap();
    assert!(matches!(echo.attach_tokio(), Err(Error::Busy(_))));
    let other = client.open("echo", b"").unwrap();
    other.call_async("echo", b"").wait().unwrap();
    assert!(matches!(other.attach_tokio(), Err(Error::Busy(_))));
}

#[test]
fn data_on_the_way_is_not_the_answer() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let client = client();
            let echo = attached(&client);
            for n in 0..20 {
                let call = echo.call_async("stream", &stream(40 + n, 65_536));
                let answer = timeout(LONG, call).await.unwrap().unwrap();
                assert_eq!(&*answer, &cbor(40 + n)[..]);
            }
        });
    }
}
