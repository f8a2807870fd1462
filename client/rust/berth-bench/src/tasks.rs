//! Calls a second from 1, 8 and 64 at once, on one context: threads that block, and tasks of tokio's with each of the
//! two that may read answers for them; beside threads that do so in C, over a socket, or call nothing but a function.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

use berth::{Client, Context, Method};
use serde_json::{json, Map, Value};
use tokio::runtime::Runtime;

use crate::allocations;
use crate::beside::{ffi_call, SocketServer, MESSAGE};
use crate::calls::{call_as_in_c, method_as_in_c};
use crate::sampling::median;
use crate::Plan;

type Failure = Box<dyn std::error::Error>;

const AT_ONCE: [usize; 3] = [1, 8, 64];

/// A line of the cache for each, so that counting costs nobody else anything.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicU64);

/// What calls until it is told to stop, and counts.
struct Load {
    stop: AtomicBool,
    done: Vec<Count>,
}

impl Load {
    fn new(at_once: usize) -> Load {
        Load {
            stop: AtomicBool::new(false),
            done: (0..at_once).map(|_| Count::default()).collect(),
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn done(&self) -> u64 {
        self.done.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }

    /// While the others call: a while to settle in, and then (calls a second, allocations a call).
    fn watch(&self, plan: &Plan) -> (f64, f64) {
        std::thread::sleep(2 * plan.row);
        let (done, allocated, began) = (self.done(), allocations::count(), Instant::now());
        std::thread::sleep(plan.row);
        let (elapsed, done) = (began.elapsed().as_secs_f64(), (self.done() - done) as f64);
        let allocated = (allocations::count() - allocated) as f64;
        self.stop.store(true, Ordering::Relaxed);
        (done / elapsed, allocated / done.max(1.0))
    }
}

/// `caller` makes what one thread calls.
fn threads<C: FnMut() + Send>(plan: &Plan, at_once: usize, caller: impl Fn() -> C) -> (f64, f64) {
    let load = Load::new(at_once);
    std::thread::scope(|scope| {
        for count in &load.done {
            let (load, mut call) = (&load, caller());
            scope.spawn(move || {
                let mut done = 0;
                while load.goes_on() {
                    call();
                    done += 1;
                    count.0.store(done, Ordering::Relaxed);
                }
            });
        }
        load.watch(plan)
    })
}

fn open(client: &Client) -> Result<(Context, Method), Failure> {
    let context = client.open("echo", b"")?;
    let method = context.method("echo")?;
    Ok((context, method))
}

fn blocking(plan: &Plan, client: &Client, at_once: usize) -> Result<(f64, f64), Failure> {
    let (context, method) = open(client)?;
    Ok(threads(plan, at_once, || {
        || drop(context.call(method, &[0x42; MESSAGE]).expect("an answer"))
    }))
}

fn blocking_in_c(plan: &Plan, client: &Client, at_once: usize) -> Result<(f64, f64), Failure> {
    let (context, _) = open(client)?;
    let (handle, method) = (context.handle(), method_as_in_c(context.handle())?);
    Ok(threads(plan, at_once, || {
        move || call_as_in_c(handle, method, &[0x42; MESSAGE])
    }))
}

fn over_socket(plan: &Plan, server: &SocketServer, at_once: usize) -> (f64, f64) {
    threads(plan, at_once, || {
        let mut echo = server.connect().expect("the peer accepts");
        move || echo.trip()
    })
}

fn ffi(plan: &Plan, at_once: usize) -> (f64, f64) {
    threads(plan, at_once, || || ffi_call(7))
}

struct Tasks {
    load: Load,
    context: Context,
    method: Method,
}

impl Tasks {
    async fn call(self: Arc<Tasks>, number: usize) {
        while self.load.goes_on() {
            let reply = self.context.call_async(self.method, &[0x42; MESSAGE]).await;
            reply.expect("an answer");
            self.load.done[number].0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn tasks(plan: &Plan, client: &Client, runtime: &Runtime, at_once: usize, attach: bool) -> Result<(f64, f64), Failure> {
    let (context, method) = open(client)?;
    if attach {
        let _entered = runtime.enter();
        context.attach_tokio()?;
    }
    let tasks = Arc::new(Tasks {
        load: Load::new(at_once),
        context,
        method,
    });
    let running: Vec<_> = (0..at_once)
        .map(|number| runtime.spawn(Arc::clone(&tasks).call(number)))
        .collect();
    let watched = tasks.load.watch(plan);
    for task in running {
        runtime.block_on(task)?;
    }
    Ok(watched)
}

fn report(rounds: Vec<(f64, f64)>) -> Value {
    let (rates, allocated): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    json!({ "per_s": median(rates), "allocations": median(allocated) })
}

pub fn throughputs(plan: &Plan) -> Result<Map<String, Value>, Failure> {
    let client = Client::connect()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = SocketServer::start()?;
    let names = [
        "ffi_threads",
        "c_threads",
        "threads",
        "tokio_tasks",
        "tasks_by_thread",
        "unix_socket_threads",
    ];
    let mut rows = Map::new();
    for at_once in AT_ONCE {
        let mut rounds: Vec<Vec<(f64, f64)>> = names.iter().map(|_| Vec::new()).collect();
        for _ in 0..plan.rounds {
            rounds[0].push(ffi(plan, at_once));
            rounds[1].push(blocking_in_c(plan, &client, at_once)?);
            rounds[2].push(blocking(plan, &client, at_once)?);
            rounds[3].push(tasks(plan, &client, &runtime, at_once, true)?);
            rounds[4].push(tasks(plan, &client, &runtime, at_once, false)?);
            rounds[5].push(over_socket(plan, &server, at_once));
        }
        for (name, rounds) in names.iter().zip(rounds) {
            rows.insert(format!("{name}_{at_once}"), report(rounds));
        }
    }
    Ok(rows)
}
