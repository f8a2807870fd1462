//! A service on tokio: SQL over TCP, a line a statement, a line of JSON an answer; SQLite runs in processes of its own.
//!
//!     sqlite_service DATABASE [ADDRESS]     127.0.0.1:0 unless given; it says where it listens
//!
//! SIGTERM and SIGINT end it gracefully: no more connections, what runs may end, and each database is closed.

mod pool;
mod server;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::watch;

const CONTEXTS: usize = 4;
/// A statement gets as long; then it is cancelled.
const DEADLINE: Duration = Duration::from_secs(10);
/// At the end what runs gets as long.
const GRACE: Duration = Duration::from_secs(5);

async fn run(database: String, address: String) -> Result<(), Box<dyn Error>> {
    let client = tokio::task::spawn_blocking(berth::Client::connect).await??;
    let pool = Arc::new(pool::Pool::new(client.clone(), &database, CONTEXTS)?);
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);

    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(server::serve(listener, Arc::clone(&pool), stopping));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    println!("stopping");
    stop.send(true)?;
    serving.await?;
    for closed in pool.close().await {
        println!("closed: {closed:?}");
    }
    tokio::task::spawn_blocking(|| client.close()).await??;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let database = arguments.next().ok_or("usage: sqlite_service DATABASE [ADDRESS]")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".into());
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(database, address))
}
