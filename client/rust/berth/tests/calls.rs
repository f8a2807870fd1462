//! Blocking calls: bytes there and back, deadlines, what can go wrong, and threads.

mod common;

use std::time::{Duration, Instant};

use berth::{Client, Error, OpenOptions};
use common::*;

#[test]
fn bytes_of_every_size_come_back_as_they_went() {
    let client = client();
    let echo = echo(&client);
    let method = echo.method("echo").unwrap();
    // Around what a reply holds in itself, and up to the most there is.
    for len in [0, 1, 64, 303, 304, 305, 4096, 65_536, 1 << 20, 16 << 20] {
        let request: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let reply = echo.call(method, &request).unwrap();
        let moved = Box::new(reply);
        assert!(moved[..] == request[..], "{len} bytes");
        assert!(Vec::from(*moved) == request, "{len} bytes");
    }
}

#[test]
fn replies_outlive_each_other_the_context_and_the_client() {
    let client = client();
    let echo = echo(&client);
    let replies: Vec<_> = (0..20u8)
        .map(|n| echo.call("echo", &vec![n; 100_000]).unwrap())
        .collect();
    drop((echo, client));
    let on_another_thread = std::thread::spawn(move || {
        replies
            .iter()
            .enumerate()
            .all(|(n, reply)| reply.len() == 100_000 && reply.iter().all(|b| *b == n as u8))
    });
    assert!(on_another_thread.join().unwrap());
}

#[test]
fn too_much_is_refused() {
    let client = client();
    let echo = echo(&client);
    assert!(matches!(
        echo.call("echo", &vec![0; (16 << 20) + 1]),
        Err(Error::TooLarge(_))
    ));
    assert_eq!(&*echo.call("echo", b"goes on").unwrap(), b"goes on");
}

#[test]
fn the_library_says_no_in_its_own_words() {
    let client = client();
    let echo = echo(&client);
    match echo.call("fail", &key("text", "no such thing")) {
        Err(Error::Module(text)) => assert_eq!(text, "no such thing"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_method_is_named() {
    let client = client();
    let echo = echo(&client);
    match echo.method("no_such_method") {
        Err(Error::InvalidArgument(text)) => assert!(text.contains("no_such_method"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(echo.call("a\0b", b""), Err(Error::InvalidArgument(_))));
}

#[test]
fn a_deadline_ends_the_wait_and_tells_the_module_to_cancel() {
    let client = client();
    let echo = echo(&client);
    let hour = 3_600_000;
    let began = Instant::now();
    assert!(matches!(
        echo.call_timeout("block", &key("ms", hour), Duration::from_millis(20)),
        Err(Error::Timeout)
    ));
    assert!(began.elapsed() < LONG);
    // The module's only thread is free again, because its cancel hook ran.
    assert_eq!(&*echo.call_timeout("echo", b"free", LONG).unwrap(), b"free");
}

#[test]
fn a_crash_is_an_error_with_its_story() {
    let client = client();
    let echo = echo(&client);
    for attempt in 0..2 {
        let request = key("how", "segv");
        match if attempt == 0 {
            echo.call("die", &request)
        } else {
            echo.call("echo", b"later")
        } {
            Err(Error::WorkerDied {
                signal: Some(11),
                status: None,
                pid,
                uses: 1,
                ..
            }) => assert!(pid > 1),
            other => panic!("{other:?}"),
        }
    }
    let error = echo.call("echo", b"").unwrap_err();
    assert_eq!(error.name(), "WORKER_DIED");
    assert!(error.to_string().contains("signal 11"), "{error}");
    assert_eq!(&*common::echo(&client).call("echo", b"another").unwrap(), b"another");
}

#[test]
fn an_exit_is_told_by_its_status() {
    let client = client();
    match echo(&client).call("die", &key("how", "exit")) {
        Err(Error::WorkerDied {
            signal: None,
            status: Some(3),
            ..
        }) => (),
        other => panic!("{other:?}"),
    }
}

#[test]
fn threads_share_a_context() {
    let client = client();
    let echo = echo(&client);
    let method = echo.method("echo").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let echo = &echo;
            scope.spawn(move || {
                for n in 0..500u32 {
                    let request = [thread.to_le_bytes(), n.to_le_bytes()].concat();
                    assert_eq!(&*echo.call(method, &request).unwrap(), &request[..]);
                }
            });
        }
    });
}

#[test]
fn more_than_max_in_flight_is_busy() {
    let client = client();
    let echo = OpenOptions::new().max_in_flight(1).open(&client, "echo", b"").unwrap();
    let hour = echo.call_async("later", &later(3_600_000, ""));
    assert!(matches!(echo.call("echo", b""), Err(Error::Busy(_))));
    assert!(hour.cancel());
}

#[test]
fn methods_without_a_context() {
    let client = client();
    let version: String = ciborium::from_reader(&*client.call_static("echo", "version", b"", None).unwrap()).unwrap();
    assert!(version.starts_with("berth-echo "), "{version}");
    assert!(matches!(
        client.call_static("echo", "echo", b"", Some(LONG)),
        Err(Error::Module(_))
    ));
}

#[test]
fn what_cannot_be_opened_says_why() {
    let client = client();
    match client.open("no-such-module", b"") {
        Err(Error::NoModule(text)) => assert!(text.contains("echo"), "{text}"),
        other => panic!("{other:?}"),
    }
    match client.open("echo", &key("fail", "not today")) {
        Err(Error::Module(text)) => assert_eq!(text, "not today"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.open("ec\0ho", b""), Err(Error::InvalidArgument(_))));
}

#[test]
fn without_a_service_and_without_a_private_one_there_is_none() {
    let options = Client::options().no_private().socket_path("/nonexistent/berthd.sock");
    assert!(matches!(options.connect(), Err(Error::Unavailable(_))));
    assert!(matches!(
        Client::options().socket_path("a\0b").connect(),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn the_supervisor_tells_of_its_contexts() {
    let client = client();
    let echo = echo(&client);
    let status = client.status().unwrap();
    let contexts = map_at(&status, "contexts").unwrap().into_array().unwrap();
    assert_eq!(contexts.len(), 1);
    drop(echo);
}
