//! What a call costs from Rust, in one run beside C's call, a plain FFI call and an echo over a unix socket.
//!
//!     berth-bench [--quick] [--json] [--c BERTH]
//!
//! BERTH is the program `berth`: its own bench then runs as well, for the C figures of a process of their own.

mod allocations;
mod beside;
mod calls;
mod machine;
mod report;
mod sampling;
mod tasks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long each row runs: many short rounds, in each of which every row has its turn.
pub struct Plan {
    pub rounds: usize,
    pub row: Duration,
    /// Samples of a row that pauses before each.
    pub paced: usize,
    pub quick: bool,
}

struct Options {
    quick: bool,
    json: bool,
    c: Option<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        quick: false,
        json: false,
        c: None,
    };
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--quick") => options.quick = true,
            Some("--json") => options.json = true,
            Some("--c") => options.c = Some(arguments.next().ok_or("--c wants the path of `berth`")?.into()),
            _ => {
                return Err(format!(
                    "usage: berth-bench [--quick] [--json] [--c BERTH]; not {argument:?}"
                ))
            }
        }
    }
    Ok(options)
}

fn measure(plan: &Plan, c: Option<PathBuf>) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let mut report = serde_json::Map::new();
    report.insert("machine".into(), machine::describe());
    if let Some(berth) = c {
        report.insert("c_bench".into(), beside::berth_bench(&berth, plan)?);
    }
    report.insert("ffi_call_ns".into(), beside::plain_ffi_call_ns(plan).into());
    let mut rows = calls::latencies(plan)?;
    rows.append(&mut tasks::throughputs(plan)?);
    report.append(&mut rows);
    Ok(report.into())
}

fn main() -> ExitCode {
    if beside::is_echo_peer() {
        return beside::echo_peer();
    }
    let options = match options() {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    let plan = match options.quick {
        true => Plan {
            rounds: 3,
            row: Duration::from_millis(80),
            paced: 40,
            quick: true,
        },
        false => Plan {
            rounds: 5,
            row: Duration::from_millis(300),
            paced: 150,
            quick: false,
        },
    };
    match measure(&plan, options.c) {
        Ok(report) if options.json => println!("{report:#}"),
        Ok(report) => print!("{}", report::text(&report)),
        Err(error) => {
            eprintln!("not measured: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
