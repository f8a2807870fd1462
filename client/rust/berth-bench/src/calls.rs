//! Round trips of 64 bytes, one at a time.

use std::mem::MaybeUninit;

use berth::{Client, Context, Method};
use berth_sys as sys;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::beside::{SocketServer, MESSAGE};
use crate::sampling::Samples;
use crate::Plan;

type Failure = Box<dyn std::error::Error>;

/// What a host in C does. On a context that Rust calls too, so that both have the same worker on the same CPU.
pub fn call_as_in_c(context: sys::berth_context, method: u32, request: &[u8; MESSAGE]) {
    let mut reply = MaybeUninit::<sys::berth_reply>::uninit();
    // SAFETY: the reply gets filled, is read, and is given back.
    let (ret, len) = unsafe {
        let at = request.as_ptr().cast();
        let ret = sys::berth_call(context, method, at, MESSAGE, -1, reply.as_mut_ptr());
        let len = reply.assume_init_ref().len;
        sys::berth_reply_free(reply.as_mut_ptr());
        (ret, len)
    };
    assert!(ret == 0 && len == MESSAGE, "berth_call: {ret}");
}

pub fn method_as_in_c(context: sys::berth_context) -> Result<u32, Failure> {
    let mut method = 0;
    // SAFETY: a terminated text, and a place for the id.
    match unsafe { sys::berth_method(context, b"echo\0".as_ptr().cast(), &mut method) } {
        0 => Ok(method),
        ret => Err(format!("berth_method: {ret}").into()),
    }
}

struct Echo {
    context: Context,
    method: Method,
}

impl Echo {
    fn open(client: &Client) -> Result<Echo, Failure> {
        let context = client.open("echo", b"")?;
        let method = context.method("echo")?;
        Ok(Echo { context, method })
    }

    fn call(&self, request: &[u8; MESSAGE]) {
        let reply = self.context.call(self.method, request).expect("an answer");
        assert_eq!(reply.len(), MESSAGE);
    }

    fn wait(&self, request: &[u8; MESSAGE]) {
        let reply = self.context.call_async(self.method, request).wait().expect("an answer");
        assert_eq!(reply.len(), MESSAGE);
    }

    fn on_tokio(&self, runtime: &Runtime, request: &[u8; MESSAGE]) {
        let reply = runtime
            .block_on(self.context.call_async(self.method, request))
            .expect("an answer");
        assert_eq!(reply.len(), MESSAGE);
    }
}

/// Blocking calls as Rust and as C make them, on the same worker, in turns short enough for both to see it alike.
struct Pair {
    echo: Echo,
    method: u32,
    c: Samples,
    rust: Samples,
}

impl Pair {
    fn open(client: &Client) -> Result<Pair, Failure> {
        let echo = Echo::open(client)?;
        let method = method_as_in_c(echo.context.handle())?;
        Ok(Pair {
            echo,
            method,
            c: Samples::new(),
            rust: Samples::new(),
        })
    }

    fn round(&mut self, turns: usize, measure: impl Fn(&mut Samples, &mut dyn FnMut())) {
        let request = [0x42; MESSAGE];
        let handle = self.echo.context.handle();
        for turn in 0..2 * turns {
            match turn % 2 {
                0 => measure(&mut self.c, &mut || call_as_in_c(handle, self.method, &request)),
                _ => measure(&mut self.rust, &mut || self.echo.call(&request)),
            }
        }
    }
}

const TURNS: usize = 10;

/// Each row is measured in every round, so that all see the same weather. What is called hot and what is called after
/// pauses are contexts of their own: libberth learns from the pauses that it has seen.
pub fn latencies(plan: &Plan) -> Result<Map<String, Value>, Failure> {
    let client = Client::connect()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut hot, mut asleep) = (Pair::open(&client)?, Pair::open(&client)?);
    let (by_thread, by_thread_asleep) = (Echo::open(&client)?, Echo::open(&client)?);
    let (tokio_hot, tokio_asleep) = (Echo::open(&client)?, Echo::open(&client)?);
    {
        let _entered = runtime.enter();
        tokio_hot.context.attach_tokio()?;
        tokio_asleep.context.attach_tokio()?;
    }
    let server = SocketServer::start()?;
    let mut socket = server.connect()?;
    let request = [0x42; MESSAGE];
    let names = [
        "call_async_hot_ns",
        "call_async_asleep_ns",
        "call_tokio_hot_ns",
        "call_tokio_asleep_ns",
        "unix_socket_ns",
        "unix_socket_asleep_ns",
    ];
    let mut rows: Vec<Samples> = names.iter().map(|_| Samples::new()).collect();
    for _ in 0..plan.rounds {
        hot.round(TURNS, |samples, trip| {
            samples.back_to_back(plan.row / TURNS as u32, trip)
        });
        asleep.round(1, |samples, trip| samples.paced(plan.paced, trip));
        rows[0].back_to_back(plan.row, || by_thread.wait(&request));
        rows[1].paced(plan.paced, || by_thread_asleep.wait(&request));
        rows[2].back_to_back(plan.row, || tokio_hot.on_tokio(&runtime, &request));
        rows[3].paced(plan.paced, || tokio_asleep.on_tokio(&runtime, &request));
        rows[4].back_to_back(plan.row, || socket.trip());
        rows[5].paced(plan.paced, || socket.trip());
    }
    let mut report = Map::new();
    for (name, samples) in names.iter().zip(&mut rows) {
        report.insert((*name).to_owned(), samples.report());
    }
    report.insert("c_call_hot_ns".into(), hot.c.report());
    report.insert("call_hot_ns".into(), hot.rust.report());
    report.insert("c_call_asleep_ns".into(), asleep.c.report());
    report.insert("call_asleep_ns".into(), asleep.rust.report());
    Ok(report)
}
