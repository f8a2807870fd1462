//! Connections: a line in, a line out, until the client or the service ends.

use std::sync::Arc;

use ciborium::value::Value;
use serde_json::{json, Value as Json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::pool::Pool;
use crate::GRACE;

/// Until `stopping` says so; then connections may end what they have begun, for a while.
pub async fn serve(listener: TcpListener, pool: Arc<Pool>, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(talk(stream, Arc::clone(&pool), stopping.clone()));
                }
                Err(error) => eprintln!("accept: {error}"),
            },
            Some(_) = connections.join_next() => (),
            _ = stopping.changed() => break,
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        // Tasks are dropped, and with their futures the statements are cancelled.
        connections.shutdown().await;
    }
}

async fn talk(stream: TcpStream, pool: Arc<Pool>, mut stopping: watch::Receiver<bool>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while !*stopping.borrow() {
        let line = tokio::select! {
            line = lines.next_line() => line,
            _ = stopping.changed() => return,
        };
        let sql = match line {
            Ok(Some(sql)) => sql,
            _ => return,
        };
        let answer = match pool.query(&sql).await {
            Ok(answer) => shown(answer),
            Err(error) => json!({ "error": error.to_string() }),
        };
        if writer.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A BLOB has no form in JSON: it is shown in hex.
fn shown(value: Value) -> Json {
    match value {
        Value::Bool(is) => is.into(),
        Value::Integer(n) => i64::try_from(n).map_or(Json::Null, Json::from),
        Value::Float(n) => n.into(),
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) => bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
        Value::Array(items) => items.into_iter().map(shown).collect(),
        Value::Map(map) => Json::Object(
            map.into_iter()
                .filter_map(|(key, value)| Some((key.into_text().ok()?, shown(value))))
                .collect(),
        ),
        _ => Json::Null,
    }
}
