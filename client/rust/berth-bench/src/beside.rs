//! What calls are held against: a function of C's, a unix socket to another process, and C's own bench.

use std::io::{Read, Write};
use std::os::unix::io::{FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::sampling::median;
use crate::Plan;

type Failure = Box<dyn std::error::Error>;

pub const MESSAGE: usize = 64;
const PEER: &str = "BERTH_BENCH_ECHO_PEER";

/// A function that does next to nothing.
pub fn ffi_call(n: i32) {
    // SAFETY: static text for any number; read so that the call is not left out.
    unsafe { std::ptr::read_volatile(&berth_sys::berth_ret_name(n & 15)) };
}

/// What crossing from Rust to C costs by itself.
pub fn plain_ffi_call_ns(plan: &Plan) -> f64 {
    const CALLS: i32 = 1_000_000;
    let round = |_| {
        let began = Instant::now();
        for n in 0..CALLS {
            ffi_call(n);
        }
        began.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    median((0..plan.rounds).map(round).collect())
}

/// `berth bench`, which measures C's calls in a process of its own. Its report, but for its picture's curves.
pub fn berth_bench(berth: &Path, plan: &Plan) -> Result<Value, Failure> {
    let mut command = Command::new(berth);
    command.args(["bench", "--json"]);
    if plan.quick {
        command.arg("--quick");
    }
    let out = command.stderr(Stdio::inherit()).output()?;
    if !out.status.success() {
        return Err(format!("{} bench: {}", berth.display(), out.status).into());
    }
    let report: Value = serde_json::from_slice(&out.stdout)?;
    let rows = ["limit_spin_ns", "call_hot_ns", "call_asleep_ns", "unix_socket_ns"];
    Ok(rows
        .iter()
        .map(|row| ((*row).to_owned(), report[row].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into())
}

/// A process of its own that echoes messages on every connection.
pub struct SocketServer {
    path: PathBuf,
    peer: Child,
}

impl SocketServer {
    pub fn start() -> Result<SocketServer, Failure> {
        let path = std::env::temp_dir().join(format!("berth-bench-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let peer = Command::new(std::env::current_exe()?)
            .env(PEER, "1")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(SocketServer { path, peer })
    }

    pub fn connect(&self) -> std::io::Result<SocketEcho> {
        Ok(SocketEcho {
            stream: UnixStream::connect(&self.path)?,
            buffer: [0x42; MESSAGE],
        })
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = self.peer.kill();
        let _ = self.peer.wait();
    }
}

pub struct SocketEcho {
    stream: UnixStream,
    buffer: [u8; MESSAGE],
}

impl SocketEcho {
    pub fn trip(&mut self) {
        self.stream.write_all(&self.buffer).expect("the peer reads");
        self.stream.read_exact(&mut self.buffer).expect("the peer answers");
    }
}

pub fn is_echo_peer() -> bool {
    std::env::var_os(PEER).is_some()
}

pub fn echo_peer() -> ExitCode {
    // SAFETY: given to this process for that, and used by nobody else.
    let listener = unsafe { UnixListener::from_raw_fd(0) };
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let (mut stream, mut buffer) = (stream, [0; MESSAGE]);
            while stream.read_exact(&mut buffer).is_ok() && stream.write_all(&buffer).is_ok() {}
        });
    }
    ExitCode::SUCCESS
}
