//! As many contexts as may run at once, each a process with the database open.

use std::sync::{Mutex, PoisonError};

use berth::{Client, Closed, Context, Error};
use ciborium::value::Value;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::DEADLINE;

pub struct Pool {
    client: Client,
    config: Vec<u8>,
    idle: Mutex<Vec<Context>>,
    permits: Semaphore,
}

#[derive(Serialize)]
struct Config<'a> {
    path: &'a str,
}

#[derive(Serialize)]
struct Query<'a> {
    sql: &'a str,
}

/// A context out of the pool. It goes back whatever becomes of the task that has it.
struct Leased<'a> {
    pool: &'a Pool,
    context: Option<Context>,
}

impl Drop for Leased<'_> {
    fn drop(&mut self) {
        self.pool.idle().extend(self.context.take());
    }
}

impl Pool {
    pub fn new(client: Client, database: &str, contexts: usize) -> berth::Result<Pool> {
        let config = berth::cbor::encode(&Config { path: database })?;
        Ok(Pool {
            client,
            config,
            idle: Mutex::default(),
            permits: Semaphore::new(contexts),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Context>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is idle, or a new one.
    async fn lease(&self) -> berth::Result<Leased<'_>> {
        let idle = self.idle().pop();
        let context = match idle {
            Some(context) => context,
            None => {
                let context = self.client.open_async("sqlite", &self.config).await?;
                context.attach_tokio()?;
                context
            }
        };
        Ok(Leased {
            pool: self,
            context: Some(context),
        })
    }

    /// Runs a statement. Past the deadline, or when the task that asks is gone, it is interrupted.
    pub async fn query(&self, sql: &str) -> berth::Result<Value> {
        let _permit = self.permits.acquire().await.map_err(|_| Error::Closed)?;
        let mut leased = self.lease().await?;
        let call = match &leased.context {
            Some(context) => context.call_async_cbor("query", &Query { sql }),
            None => return Err(Error::Closed),
        };
        let answer = tokio::time::timeout(DEADLINE, call)
            .await
            .unwrap_or(Err(Error::Timeout));
        if let Err(Error::WorkerDied { .. }) = answer {
            drop(leased.context.take()); // the next one gets a new process
        }
        answer
    }

    /// Closes all of them; nobody may be using any.
    pub async fn close(&self) -> Vec<berth::Result<Closed>> {
        self.permits.close();
        let contexts = std::mem::take(&mut *self.idle());
        let closing: Vec<_> = contexts.into_iter().map(Context::close_async).collect();
        let mut closed = Vec::new();
        for context in closing {
            closed.push(context.await);
        }
        closed
    }
}
