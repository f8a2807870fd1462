//! Runs the conformance table (`tests/conformance/table.md` in the checkout has its words) through this crate: futures
//! read by a thread, and, with the feature `tokio`, by a task.

#[path = "../common/mod.rs"]
mod common;
mod expect;
mod row;
mod value;

use std::io::Write;
use std::path::PathBuf;

use row::{Failure, Way};
use serde_json::Value;

/// To the output itself: what a test prints with the macros is kept back.
fn say(line: std::fmt::Arguments<'_>) {
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}

fn table(name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/conformance")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        table["format"],
        1,
        "{}: a format that this runner does not know",
        path.display()
    );
    table["rows"].as_array().expect("rows").clone()
}

fn name_of(row: &Value) -> &str {
    row["name"].as_str().expect("a row without a name")
}

fn run_right(client: &berth::Client, way: &Way) -> usize {
    let mut failed = 0;
    let rows = table("table.json");
    for row in &rows {
        match row::run(client, way, row) {
            Ok(()) => say(format_args!("ok {}", name_of(row))),
            Err(Failure { step, what }) => {
                let operation = row["steps"][step]["do"].as_str().unwrap_or("?");
                say(format_args!(
                    "FAILED {}: step {step} ({operation}): {what}",
                    name_of(row)
                ));
                failed += 1;
            }
        }
    }
    let ok = rows.len() - failed;
    say(format_args!(
        "table: {} rows, {ok} ok, {failed} failed ({way})",
        rows.len()
    ));
    failed
}

/// Rows that must fail, each at a step of its: else the runner would pass what is wrong.
fn run_wrong(client: &berth::Client, way: &Way) -> usize {
    let mut failed = 0;
    let rows = table("table_wrong.json");
    for row in &rows {
        match row::run(client, way, row) {
            Err(failure) if row["fails_at"] == failure.step => (),
            Err(Failure { step, what }) => {
                say(format_args!(
                    "FAILED {}: it failed at step {step}: {what}",
                    name_of(row)
                ));
                failed += 1;
            }
            Ok(()) => {
                say(format_args!("FAILED {}: it passed", name_of(row)));
                failed += 1;
            }
        }
    }
    say(format_args!(
        "rows that must fail: {}, of them {failed} did not",
        rows.len()
    ));
    failed
}

fn run_both(way: &Way) {
    let client = common::client();
    let failed = run_right(&client, way) + run_wrong(&client, way);
    client.close().expect("the client closes");
    assert_eq!(failed, 0, "rows that did not go as they should; see above");
}

#[test]
fn with_futures_read_by_a_thread() {
    run_both(&Way::Thread);
}

#[cfg(feature = "tokio")]
#[test]
fn with_futures_read_by_a_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    run_both(&Way::Tokio(runtime.handle().clone()));
}
