//! Nothing of a client is left in the process, or beside it, when it has been dropped. One test, alone in its program: it
//! counts what belongs to the whole process, the threads of other tests included.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::*;

fn entries(folder: &str) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn segments() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .filter(|line| line.contains("memfd:"))
        .count()
}

fn workers(client: &berth::Client) -> Vec<u64> {
    let status = client.status().unwrap();
    let pid_of = |value: ciborium::value::Value| {
        let map = value.into_map().unwrap();
        let pid = map.into_iter().find(|(key, _)| key.as_text() == Some("pid")).unwrap().1;
        u64::try_from(pid.into_integer().unwrap()).unwrap()
    };
    let workers = map_at(&status, "workers").unwrap().into_array().unwrap();
    let daemon = map_at(&status, "daemon").unwrap();
    workers.into_iter().chain([daemon]).map(pid_of).collect()
}

fn use_everything(client: &berth::Client) {
    let mut contexts = Vec::new();
    for n in 0..4 {
        let echo = echo(client);
        let mut ticks = echo.events("tick").unwrap();
        let listener = echo.listen("tick", |_| ()).unwrap();
        echo.call_async("emit", &emit(3, 100_000)).wait().unwrap();
        assert!(ticks.recv().unwrap().is_ok());
        echo.call("echo", &[1; 500_000]).unwrap();
        drop(echo.call_async("later", &later(3_600_000, "")));
        let hour = echo.call_async("later", &later(3_600_000, ""));
        match n {
            0 => drop(echo.call_async("die", &key("how", "segv")).wait()),
            1 => drop(hour.cancel()),
            _ => (),
        }
        contexts.push((echo, ticks, listener, hour));
    }
    let (last, ..) = contexts.pop().unwrap();
    last.close().unwrap();
}

/// The task, and its duplicate of the descriptor, end with the context; the runtime goes on.
#[cfg(feature = "tokio")]
fn of_a_context_on_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let fds = entries("/proc/self/fd");
    let client = client();
    runtime.block_on(async {
        for _ in 0..3 {
            let echo = echo(&client);
            echo.attach_tokio().unwrap();
            assert_eq!(&*echo.call_async("echo", b"there").await.unwrap(), b"there");
            drop(echo.call_async("later", &later(3_600_000, "")));
        }
    });
    drop(client);
    until("descriptors are gone", || entries("/proc/self/fd") == fds);
}

fn of_a_client_that_was_dropped() {
    let (fds, threads, maps) = (entries("/proc/self/fd"), entries("/proc/self/task"), segments());
    for _ in 0..3 {
        let client = client();
        use_everything(&client);
        let processes = workers(&client);
        assert!(processes.len() > 1);
        assert!(entries("/proc/self/fd") != fds);
        drop(client);
        assert_eq!(entries("/proc/self/fd"), fds);
        assert_eq!(segments(), maps);
        until("threads are gone", || entries("/proc/self/task").is_subset(&threads));
        until("processes are gone", || {
            processes.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        });
    }
}

#[test]
fn nothing_is_left() {
    of_a_client_that_was_dropped();
    #[cfg(feature = "tokio")]
    of_a_context_on_a_runtime();
}
