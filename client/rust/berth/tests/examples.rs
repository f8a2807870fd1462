//! The examples do what they say: cargo has built them beside this test.
#![cfg(all(feature = "serde", feature = "tokio"))]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(120);

fn example(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let path = deps.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(
        path.exists(),
        "{}: not built (cargo test builds it, cargo test --test examples does not)",
        path.display()
    );
    path
}

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("berth-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn dpkg_loads_a_status_file_and_asks_for_it() {
    let folder = Folder::new("dpkg");
    let status = folder.0.join("status");
    let packages = "Package: small\nVersion: 1\nSection: admin\nInstalled-Size: 10\nDescription: x\n more\n\n\
                    Package: big\nVersion: 1\nSection: libs\nInstalled-Size: 20480\n\n";
    std::fs::write(&status, packages).unwrap();
    let said = Command::new(example("dpkg")).arg(&status).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("2 packages in 1 calls"), "{text}");
    assert_eq!(
        text.lines()
            .filter(|l| l.split_whitespace().eq(["libs", "1", "20"]))
            .count(),
        2,
        "{text}"
    );
    assert!(
        text.contains("given up after") && text.contains("Closed: Drained."),
        "{text}"
    );
}

struct Service {
    process: Child,
    says: BufReader<ChildStdout>,
    address: String,
}

impl Service {
    fn start(database: &Path) -> Service {
        let mut process = Command::new(example("sqlite_service"))
            .arg(database)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{line}"))
            .to_owned();
        Service { process, says, address }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Connection(BufReader::new(stream))
    }

    fn terminate(&self) {
        // SAFETY: this test's own child, which has not been waited for.
        assert_eq!(unsafe { libc::kill(self.process.id() as i32, libc::SIGTERM) }, 0);
    }

    /// What it has said since, and its end.
    fn ended(mut self) -> (Vec<String>, std::process::ExitStatus) {
        let said = (&mut self.says).lines().map(Result::unwrap).collect();
        (said, self.process.wait().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn send(&mut self, sql: &str) {
        self.0.get_mut().write_all(format!("{sql}\n").as_bytes()).unwrap();
    }
    fn answer(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
    fn has_answer(&self) -> bool {
        let stream = self.0.get_ref();
        stream.set_nonblocking(true).unwrap();
        let there = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false).unwrap();
        there
    }
    fn ask(&mut self, sql: &str) -> serde_json::Value {
        self.send(sql);
        self.answer()
    }
}

#[test]
fn the_service_serves_and_ends_gracefully() {
    let folder = Folder::new("service");
    let service = Service::start(&folder.0.join("database"));
    let mut first = service.connect();
    assert_eq!(first.ask("CREATE TABLE t(n INTEGER, b BLOB)")["changes"], 0);
    assert_eq!(first.ask("INSERT INTO t VALUES (1, x'00ff'), (2, NULL)")["changes"], 2);
    assert!(first
        .ask("no SQL")
        .get("error")
        .unwrap()
        .as_str()
        .unwrap()
        .contains("syntax error"));

    let threads: Vec<_> = (0..16)
        .map(|_| {
            let mut connection = service.connect();
            std::thread::spawn(move || {
                let answer = connection.ask("SELECT n, b FROM t ORDER BY n");
                assert_eq!(answer["rows"], serde_json::json!([[1, "00ff"], [2, null]]));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    // A statement that runs when the service is told to stop gets its answer.
    let mut slow = service.connect();
    slow.send(
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT i, x'00' FROM n",
    );
    // It runs as soon as SQLite has its journal.
    let journal = folder.0.join("database-journal");
    let began = Instant::now();
    while !journal.exists() && !slow.has_answer() {
        assert!(began.elapsed() < LONG);
    }
    service.terminate();
    let answer = slow.answer();
    assert_eq!(answer["changes"], 300_000, "{answer}");
    let (said, status) = service.ended();
    assert!(status.success(), "{said:?}");
    assert_eq!(said[0], "stopping");
    let closed = said
        .iter()
        .filter(|line| line.starts_with("closed: Ok(Closed { outcome: Drained"))
        .count();
    assert!(closed >= 2 && closed == said.len() - 1, "{said:?}");
}

#[test]
fn a_statement_without_end_does_not_keep_the_service() {
    let folder = Folder::new("endless");
    let service = Service::start(&folder.0.join("database"));
    let mut endless = service.connect();
    endless.send("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
    assert_eq!(service.connect().ask("SELECT 1")["rows"], serde_json::json!([[1]]));
    service.terminate();
    let (said, status) = service.ended();
    assert!(status.success(), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("closed: Ok")), "{said:?}");
}
