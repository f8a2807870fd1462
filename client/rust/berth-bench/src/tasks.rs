//! Calls a second from 1, 8 and 64 at once, on one context: threads that block, and tasks of tokio's with each of the
//! two that may read answers for them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

use berth::{Client, Context, Method};
use serde_json::{json, Map, Value};
use tokio::runtime::Runtime;

use crate::allocations;
use crate::beside::MESSAGE;
use crate::sampling::median;
use crate::Plan;

type Failure = Box<dyn std::error::Error>;

const AT_ONCE: [usize; 3] = [1, 8, 64];

/// A line of the cache for each, so that counting costs nobody else anything.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicU64);

struct Load {
    context: Context,
    method: Method,
    stop: AtomicBool,
    done: Vec<Count>,
}

impl Load {
    fn open(client: &Client, at_once: usize) -> Result<Arc<Load>, Failure> {
        let context = client.open("echo", b"")?;
        let method = context.method("echo")?;
        let done = (0..at_once).map(|_| Count::default()).collect();
        Ok(Arc::new(Load {
            context,
            method,
            stop: AtomicBool::new(false),
            done,
        }))
    }

    fn call_on_a_thread(&self, number: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            self.context.call(self.method, &[0x42; MESSAGE]).expect("an answer");
            self.done[number].0.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn call_in_a_task(self: Arc<Load>, number: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            let reply = self.context.call_async(self.method, &[0x42; MESSAGE]).await;
            reply.expect("an answer");
            self.done[number].0.fetch_add(1, Ordering::Relaxed);
        }
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

fn threads(plan: &Plan, client: &Client, at_once: usize) -> Result<(f64, f64), Failure> {
    let load = Load::open(client, at_once)?;
    Ok(std::thread::scope(|scope| {
        for number in 0..at_once {
            let load = &load;
            scope.spawn(move || load.call_on_a_thread(number));
        }
        load.watch(plan)
    }))
}

fn tasks(plan: &Plan, client: &Client, runtime: &Runtime, at_once: usize, attach: bool) -> Result<(f64, f64), Failure> {
    let load = Load::open(client, at_once)?;
    if attach {
        let _entered = runtime.enter();
        load.context.attach_tokio()?;
    }
    let running: Vec<_> = (0..at_once)
        .map(|number| runtime.spawn(Arc::clone(&load).call_in_a_task(number)))
        .collect();
    let watched = load.watch(plan);
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
    let mut rows = Map::new();
    for at_once in AT_ONCE {
        let (mut blocking, mut on_tokio, mut by_thread) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            blocking.push(threads(plan, &client, at_once)?);
            on_tokio.push(tasks(plan, &client, &runtime, at_once, true)?);
            by_thread.push(tasks(plan, &client, &runtime, at_once, false)?);
        }
        rows.insert(format!("threads_{at_once}"), report(blocking));
        rows.insert(format!("tokio_tasks_{at_once}"), report(on_tokio));
        rows.insert(format!("tasks_by_thread_{at_once}"), report(by_thread));
    }
    Ok(rows)
}
