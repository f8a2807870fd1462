//! Loads the machine's package database into SQLite, which runs in another process, and asks it questions.
//!
//!     dpkg [STATUS-FILE]     /var/lib/dpkg/status unless given

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use berth::{Client, Context};
use serde::{Deserialize, Serialize};

const CREATE: &str =
    "CREATE TABLE packages (name TEXT, version TEXT, section TEXT, depends TEXT, installed_kib INTEGER)";
const INSERT: &str = "INSERT INTO packages VALUES (?, ?, ?, ?, ?)";
const ROWS_IN_BATCH: usize = 500;

/// In the order of the table's columns.
#[derive(Default, Serialize)]
struct Package {
    name: Option<String>,
    version: Option<String>,
    section: Option<String>,
    depends: Option<String>,
    installed_kib: i64,
}

#[derive(Serialize)]
struct Statement {
    sql: &'static str,
}

#[derive(Serialize)]
struct Batch<'a> {
    sql: &'static str,
    rows: &'a [Row<'a>],
}

type Text = Option<String>;
type Row<'a> = (&'a Text, &'a Text, &'a Text, &'a Text, i64);

#[derive(Deserialize)]
struct Changes {
    changes: i64,
}

#[derive(Deserialize)]
struct Sections {
    rows: Vec<(Option<String>, i64, i64)>,
}

impl Package {
    /// A line is "Key: value"; one that begins with a blank goes on with the value before, which nobody here needs.
    fn take(&mut self, line: &str) {
        let (key, value) = match line.split_once(": ") {
            Some(pair) if !line.starts_with(' ') => pair,
            _ => return,
        };
        match key {
            "Package" => self.name = Some(value.into()),
            "Version" => self.version = Some(value.into()),
            "Section" => self.section = Some(value.into()),
            "Depends" => self.depends = Some(value.into()),
            "Installed-Size" => self.installed_kib = value.trim().parse().unwrap_or(0),
            _ => (),
        }
    }
}

/// An empty line, or the file's end, ends a package.
fn read_packages(path: &str) -> Result<Vec<Package>, Box<dyn Error>> {
    let (mut packages, mut package) = (Vec::new(), Package::default());
    let mut lines = BufReader::new(File::open(path).map_err(|error| format!("{path}: {error}"))?).split(b'\n');
    loop {
        let line = lines.next().transpose()?;
        match &line {
            Some(line) if !line.is_empty() => package.take(&String::from_utf8_lossy(line)),
            _ if package.name.is_some() => packages.push(std::mem::take(&mut package)),
            _ => package = Package::default(),
        }
        if line.is_none() {
            return Ok(packages);
        }
    }
}

fn load(db: &Context, packages: &[Package]) -> berth::Result<(i64, usize)> {
    let _: Changes = db.call_cbor("exec", &Statement { sql: CREATE }, None)?;
    let (mut loaded, mut calls) = (0, 0);
    for some in packages.chunks(ROWS_IN_BATCH) {
        let rows: Vec<_> = some
            .iter()
            .map(|p| (&p.name, &p.version, &p.section, &p.depends, p.installed_kib))
            .collect();
        let done: Changes = db.call_cbor(
            "batch",
            &Batch {
                sql: INSERT,
                rows: &rows,
            },
            Some(Duration::from_secs(60)),
        )?;
        loaded += done.changes;
        calls += 1;
    }
    Ok((loaded, calls))
}

/// Gives how long the query took.
fn ask(db: &Context) -> berth::Result<Duration> {
    let sql = "SELECT section, count(*), sum(installed_kib) / 1024 AS mib FROM packages GROUP BY section \
               ORDER BY mib DESC LIMIT 5";
    let began = Instant::now();
    let answer: Sections = db.call_cbor("query", &Statement { sql }, Some(Duration::from_secs(60)))?;
    let took = began.elapsed();
    println!("    {:<20} {:>8} {:>6}", "section", "packages", "mib");
    for (section, packages, mib) in answer.rows {
        println!("    {:<20} {packages:>8} {mib:>6}", section.as_deref().unwrap_or("-"));
    }
    Ok(took)
}

/// The library is told to stop: one that hung would be killed, and this program would go on all the same.
fn give_up_on_an_endless_query(db: &Context) -> berth::Result<()> {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let began = Instant::now();
    match db.call_cbor::<_, Changes>("query", &Statement { sql }, Some(Duration::from_millis(300))) {
        Err(berth::Error::Timeout) => println!("    given up after {} ms", began.elapsed().as_millis()),
        other => println!("    ended: {:?}", other.map(|_| ())),
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/var/lib/dpkg/status".into());
    let client = Client::connect()?;
    let db = client.open("sqlite", b"")?;

    println!("Loading {path} into SQLite, which runs in another process:");
    let began = Instant::now();
    let packages = read_packages(&path)?;
    let (loaded, calls) = load(&db, &packages)?;
    let loading = began.elapsed().as_millis();
    println!("    {loaded} packages in {calls} calls, {loading} ms");

    println!("\nThe sections that take the most room:");
    let asking = ask(&db)?.as_micros();

    println!("\nA query without end, with a deadline:");
    give_up_on_an_endless_query(&db)?;
    ask(&db)?;

    let closed = db.close()?;
    client.close()?;
    println!("\nClosed: {:?}.", closed.outcome);
    println!("{loaded} packages loaded in {loading} ms, the largest sections queried in {asking} µs");
    Ok(())
}
