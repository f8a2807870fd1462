//! The report for people.

use std::fmt::Write;

use serde_json::Value;

fn p(report: &Value, row: &str, which: &str) -> Option<f64> {
    report[row][which].as_f64()
}

fn time(ns: Option<f64>) -> String {
    match ns {
        None => "-".into(),
        Some(ns) if ns < 100.0 => format!("{ns:.1} ns"),
        Some(ns) if ns < 1000.0 => format!("{ns:.0} ns"),
        Some(ns) => format!("{:.1} µs", ns / 1000.0),
    }
}

/// Ratios are of the quietest rounds.
fn latency(out: &mut String, report: &Value, name: &str, row: &str, c: Option<&str>) {
    let quietest = p(report, row, "quietest_p50");
    let ratio = c
        .and_then(|c| Some(format!("{:.2}", quietest? / p(report, c, "quietest_p50")?)))
        .unwrap_or_default();
    let allocations = p(report, row, "allocations").map_or_else(String::new, |n| format!("{n:.2}"));
    let (p50, p99) = (time(p(report, row, "p50")), time(p(report, row, "p99")));
    let quietest = time(quietest);
    writeln!(
        out,
        "{name:<46} {p50:>10} {p99:>10} {quietest:>15} {ratio:>9} {allocations:>12}"
    )
    .unwrap();
}

fn throughput(out: &mut String, report: &Value, name: &str, row: &str) {
    let rates = ["1", "8", "64"].map(|n| {
        let (rate, allocated) = (
            &report[format!("{row}_{n}")]["per_s"],
            &report[format!("{row}_{n}")]["allocations"],
        );
        format!(
            "{:>9.0} ({:.1})",
            rate.as_f64().unwrap_or(0.0),
            allocated.as_f64().unwrap_or(0.0)
        )
    });
    writeln!(out, "{name:<46} {:>16} {:>16} {:>16}", rates[0], rates[1], rates[2]).unwrap();
}

pub fn text(report: &Value) -> String {
    let mut out = String::new();
    let machine = &report["machine"];
    let word = |key: &str| machine[key].as_str().unwrap_or("-").to_owned();
    writeln!(
        out,
        "{} CPUs, {}, Linux {}, load {}\n",
        machine["cpus"],
        word("cpu"),
        word("kernel"),
        word("load")
    )
    .unwrap();
    let [what, p50, p99, quietest] = ["64 bytes there and back", "p50", "p99", "p50, quietest"];
    writeln!(
        out,
        "{what:<46} {p50:>10} {p99:>10} {quietest:>15} {:>9} {:>12}",
        "beside C", "allocations"
    )
    .unwrap();
    writeln!(
        out,
        "{:<46} {:>10}",
        "plain FFI call",
        time(report["ffi_call_ns"].as_f64())
    )
    .unwrap();
    for (name, row, c) in [
        ("C: berth_call, hot", "c_call_hot_ns", None),
        ("Context::call, hot", "call_hot_ns", Some("c_call_hot_ns")),
        ("C: berth_call, asleep", "c_call_asleep_ns", None),
        ("Context::call, asleep", "call_asleep_ns", Some("c_call_asleep_ns")),
        (
            "Context::call_async, read by a thread, hot",
            "call_async_hot_ns",
            Some("c_call_hot_ns"),
        ),
        (
            "Context::call_async, read by a thread, asleep",
            "call_async_asleep_ns",
            Some("c_call_asleep_ns"),
        ),
        (
            "Context::call_async, on tokio, hot",
            "call_tokio_hot_ns",
            Some("c_call_hot_ns"),
        ),
        (
            "Context::call_async, on tokio, asleep",
            "call_tokio_asleep_ns",
            Some("c_call_asleep_ns"),
        ),
        (
            "unix socket echo, another process",
            "unix_socket_ns",
            Some("c_call_hot_ns"),
        ),
        (
            "unix socket echo, asleep",
            "unix_socket_asleep_ns",
            Some("c_call_asleep_ns"),
        ),
    ] {
        latency(&mut out, report, name, row, c);
    }
    if report["c_bench"].is_object() {
        latency(
            &mut out,
            &report["c_bench"],
            "berth bench (C, another process): hot",
            "call_hot_ns",
            None,
        );
        latency(
            &mut out,
            &report["c_bench"],
            "berth bench: asleep",
            "call_asleep_ns",
            None,
        );
    }
    writeln!(
        out,
        "\n{:<46} {:>16} {:>16} {:>16}",
        "calls a second (allocations a call), at once", "1", "8", "64"
    )
    .unwrap();
    throughput(&mut out, report, "threads, plain FFI call", "ffi_threads");
    throughput(&mut out, report, "threads, C: berth_call", "c_threads");
    throughput(&mut out, report, "threads, Context::call", "threads");
    throughput(&mut out, report, "tokio tasks, attach_tokio", "tokio_tasks");
    throughput(&mut out, report, "tokio tasks, read by a thread", "tasks_by_thread");
    throughput(
        &mut out,
        report,
        "threads, unix socket, a connection each",
        "unix_socket_threads",
    );
    out
}
