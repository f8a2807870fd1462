//! Native libraries, hosted out of process: a crash, a leak or a stuck thread of the library ends a worker process, and
//! is an [`Error`] here.
//!
//! ```
//! # fn main() -> berth::Result<()> {
//! let client = berth::Client::connect()?;
//! let echo = client.open("echo", b"")?; // one instance of the library, in a process of its own
//! let method = echo.method("echo")?;
//! assert_eq!(&*echo.call(method, b"hello")?, b"hello");
//! # Ok(()) }
//! ```
//!
//! There is nothing to set up: where no service runs, a private supervisor is started, which ends with the [`Client`].
//! Requests, answers and events are bytes, by custom CBOR; with the feature `serde` they are values:
//!
//! ```
//! # #[cfg(feature = "serde")]
//! # fn main() -> berth::Result<()> {
//! #[derive(serde::Serialize)]
//! struct Query<'a> { sql: &'a str }
//! #[derive(serde::Deserialize)]
//! struct Rows { rows: Vec<(String, i64)> }
//!
//! let client = berth::Client::connect()?;
//! let db = client.open("sqlite", b"")?;
//! let answer: Rows = db.call_cbor("query", &Query { sql: "SELECT 'answer', 42" }, None)?;
//! assert_eq!(answer.rows, [("answer".to_owned(), 42)]);
//! # Ok(()) }
//! # #[cfg(not(feature = "serde"))]
//! # fn main() {}
//! ```
//!
//! # Ways to an answer
//!
//! | | for | who reads the answer |
//! |---|---|---|
//! | [`Context::call`] | threads that can wait | the calling thread, out of shared memory |
//! | [`Context::call_async`] | futures on any executor | a thread of the context's, started by the first one |
//! | the same after `Context::attach_tokio` | tokio (feature `tokio`) | a task, woken by tokio's poller |
//!
//! [`Context::events`] is a `Stream` in the same way, and [`Context::listen`] takes a closure.
//!
//! A future that is dropped before its answer has come cancels its request, and the module's cancel hook runs:
//!
//! ```
//! # fn main() -> berth::Result<()> {
//! # let client = berth::Client::connect()?;
//! # let echo = client.open("echo", b"")?;
//! let hour = echo.call_async("later", b"\xa2\x62ms\x1a\x00\x36\xee\x80\x64data\x40"); // {"ms": 3600000, "data": h''}
//! drop(hour);
//! assert_eq!(echo.close()?.outcome, berth::Outcome::Drained); // at once: nothing is in flight
//! # Ok(()) }
//! ```
//!
//! # When the library crashes
//!
//! ```
//! # fn main() -> berth::Result<()> {
//! # let client = berth::Client::connect()?;
//! # let echo = client.open("echo", b"")?;
//! match echo.call("die", b"\xa1\x63how\x64segv") {
//!     Err(berth::Error::WorkerDied { signal: Some(11), pid, last_log, .. }) => {
//!         println!("process {pid} is gone; its last words: {last_log}");
//!     }
//!     other => panic!("{other:?}"),
//! }
//! let echo = client.open("echo", b"")?; // a new process
//! # drop(echo);
//! # Ok(()) }
//! ```
//!
//! # Panics of the program's
//!
//! Wakers and closures of [`Context::listen`] run on threads that are not the program's. A panic there is caught before
//! it reaches C; the panic hook tells of it as of any other, and [`Listener::stop`] hands its payload over.
//!
//! # Features
//!
//! - `serde`: values in CBOR (ciborium).
//! - `tokio`: `Context::attach_tokio`.
//! - `static`: links `libberth.a`; libcbor stays as the system has it.
//!
//! libberth is found by pkg-config (`PKG_CONFIG_PATH`, where it is in a place of its own).
//!
//! # Versions
//!
//! Rust 1.63 or later. The lock file beside the sources has versions of all dependencies that go with it.
//!
//! # Miri
//!
//! Nearly all that is `unsafe` here is a call of libberth's, which Miri cannot run: the shared memory, the other process
//! and the threads behind it are not Rust. What does not call C (answers and their wakers, queues of events, replies,
//! payloads) has tests of its own in the crate, for `cargo miri test --lib`; the checkout's `packaging/check-rust` runs
//! them where Miri is installed.
#![warn(missing_docs, missing_debug_implementations)]
#![warn(unsafe_op_in_unsafe_fn)]

mod answer;
mod call;
mod callback;
#[cfg(feature = "serde")]
pub mod cbor;
mod client;
mod close;
mod connection;
mod context;
mod driver;
#[cfg(feature = "tokio")]
mod driver_tokio;
mod engine;
mod error;
mod events;
mod listener;
mod method;
mod open;
mod payload;
mod reply;
mod signals;
mod timeout;

pub use berth_sys as sys;
pub use call::Call;
#[cfg(feature = "serde")]
pub use call::CborCall;
pub use client::{Client, ClientOptions};
pub use close::{Closed, Closing, Outcome};
pub use context::Context;
pub use error::{Error, Result};
pub use events::{Events, NextEvent};
pub use listener::Listener;
pub use method::{IntoMethod, Method};
pub use open::{OpenOptions, Opening};
pub use reply::Reply;

/// The program that the README shows is one.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../../README.md")]
pub struct Readme;
