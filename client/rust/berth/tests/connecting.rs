//! What a connect that fails says: path and cause. Alone in its program, as it sets the environment.

mod common;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use berth::{Client, ClientOptions, Error};

/// A folder of this test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("berth-connecting-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn why(options: ClientOptions) -> (&'static str, String) {
    let error = options.connect().expect_err("a connection");
    let (name, shown) = (error.name(), error.to_string());
    match error {
        Error::Unavailable(text) | Error::Denied(text) => {
            assert!(shown.ends_with(&format!(": {text}")), "{shown}");
            (name, text)
        }
        other => panic!("{other:?}"),
    }
}

fn said_of(path: &Path, cause: &str) -> String {
    format!("{}: {cause}", path.display())
}

fn no_service(folder: &Folder) {
    let missing = folder.file("nobody.sock");
    let (name, text) = why(Client::options().no_private().socket_path(&missing));
    assert_eq!(name, "UNAVAILABLE");
    assert_eq!(
        text,
        format!("cannot connect to {}", said_of(&missing, "No such file or directory"))
    );
}

fn no_supervisor_to_start(folder: &Folder) {
    let (socket, daemon) = (folder.file("nobody.sock"), folder.file("no-berthd"));
    let before = std::env::var_os("BERTH_DAEMON");
    std::env::set_var("BERTH_DAEMON", &daemon);
    let (any, any_text) = why(Client::options().socket_path(&socket));
    let (own, own_text) = why(Client::options().private());
    match before {
        Some(before) => std::env::set_var("BERTH_DAEMON", before),
        None => std::env::remove_var("BERTH_DAEMON"),
    }
    assert_eq!((any, own), ("UNAVAILABLE", "UNAVAILABLE"));
    for path in [&socket, &daemon] {
        assert!(
            any_text.contains(&said_of(path, "No such file or directory")),
            "{any_text}"
        );
    }
    assert!(
        own_text.contains(&said_of(&daemon, "No such file or directory")),
        "{own_text}"
    );
}

/// A socket that listens and admits nobody. Root it would admit, so a thread of somebody else's asks.
fn not_admitted(folder: &Folder) {
    let forbidden = folder.file("forbidden.sock");
    let _listens = UnixListener::bind(&forbidden).unwrap();
    std::fs::set_permissions(&forbidden, std::fs::Permissions::from_mode(0o000)).unwrap();
    let options = Client::options().no_private().socket_path(&forbidden);
    let asked = std::thread::spawn(move || {
        // SAFETY: of this thread alone, which ends.
        if unsafe { libc::geteuid() } == 0 {
            unsafe { libc::setfsuid(65534) };
        }
        why(options)
    });
    let (name, text) = asked.join().unwrap();
    assert_eq!(name, "DENIED");
    assert_eq!(
        text,
        format!("cannot connect to {}", said_of(&forbidden, "Permission denied"))
    );
}

/// A socket of another user's, where nobody listens. Only root can make one.
fn owner(folder: &Folder) {
    let deserted = folder.file("deserted.sock");
    drop(UnixListener::bind(&deserted).unwrap());
    let path = CString::new(deserted.as_os_str().as_bytes()).unwrap();
    // SAFETY: a terminated path.
    if unsafe { libc::chown(path.as_ptr(), 47211, 47211) } != 0 {
        println!("not root: not tested");
        return;
    }
    let named = || Client::options().no_private().socket_path(&deserted);
    let distrusted = format!("cannot trust {}", said_of(&deserted, "it belongs to user 47211"));
    let reached = format!("cannot connect to {}", said_of(&deserted, "Connection refused"));
    assert_eq!(why(named()), ("UNAVAILABLE", distrusted.clone()));
    assert_eq!(why(named().socket_owner(47212)), ("UNAVAILABLE", distrusted));
    assert_eq!(why(named().socket_owner(47211)), ("UNAVAILABLE", reached));
}

#[test]
fn a_connect_that_fails_names_path_and_cause() {
    let folder = Folder::new();
    no_service(&folder);
    no_supervisor_to_start(&folder);
    not_admitted(&folder);
    owner(&folder);
}
