use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_sys as sys;

use crate::connection::Connection;
use crate::method::c_text;
use crate::open::{OpenOptions, Opening};
use crate::timeout::milliseconds;
use crate::{Context, Reply, Result};

/// A connection to a supervisor: the service's, or a private one that ends with it.
///
/// Clones share it. It ends, after its last context, when the last clone has been dropped; that waits until workers and
/// a private supervisor are gone (seconds, where a module is slow to let go). A program may have several.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Arc<Connection>,
}

impl Client {
    /// Connects to the service; where none answers, starts a private supervisor. Waits for its greeting, 10 s at most.
    ///
    /// ```
    /// # fn main() -> berth::Result<()> {
    /// let client = berth::Client::connect()?;
    /// let echo = client.open("echo", b"")?;
    /// assert_eq!(&*echo.call("echo", b"hello")?, b"hello");
    /// # Ok(()) }
    /// ```
    pub fn connect() -> Result<Client> {
        Client::options().connect()
    }

    /// Says which supervisor, and where its modules are.
    pub fn options() -> ClientOptions {
        ClientOptions::default()
    }

    /// Opens a context: leases a worker, and has the module create an instance from `config` (empty for none). Waits
    /// until that is done.
    pub fn open(&self, module: &str, config: &[u8]) -> Result<Context> {
        OpenOptions::new().open(self, module, config)
    }

    /// The same with a configuration of serde's, in CBOR.
    #[cfg(feature = "serde")]
    pub fn open_cbor<T: serde::Serialize + ?Sized>(&self, module: &str, config: &T) -> Result<Context> {
        self.open(module, &crate::cbor::encode(config)?)
    }

    /// The same without waiting. The open begins now; dropping the future gives it up.
    pub fn open_async(&self, module: &str, config: &[u8]) -> Opening {
        OpenOptions::new().open_async(self, module, config)
    }

    /// Calls a method that needs no context: leases a worker for this one call. The timeout covers the wait for a
    /// worker and for the answer; none waits without end.
    ///
    /// ```
    /// # fn main() -> berth::Result<()> {
    /// # let client = berth::Client::connect()?;
    /// let version = client.call_static("sqlite", "version", b"", None)?;
    /// assert_eq!(version[1..3], *b"3."); // CBOR: one byte of head, then the text
    /// # Ok(()) }
    /// ```
    pub fn call_static(&self, module: &str, method: &str, request: &[u8], timeout: Option<Duration>) -> Result<Reply> {
        let (module, method) = (c_text(module)?, c_text(method)?);
        let handle = self.connection.handle();
        // SAFETY: texts are terminated, the request is as long as said, and the reply gets filled.
        Reply::filled_by(|reply| unsafe {
            let timeout_ms = milliseconds(timeout);
            sys::berth_call_static(
                handle,
                module.as_ptr(),
                method.as_ptr(),
                request.as_ptr().cast(),
                request.len(),
                timeout_ms,
                reply,
            )
        })
    }

    /// What the supervisor knows, of all its hosts: modules, workers, contexts. One CBOR map; `berth.h` has its keys.
    pub fn status(&self) -> Result<Reply> {
        // SAFETY: the reply gets filled.
        Reply::filled_by(|reply| unsafe { sys::berth_status(self.connection.handle(), reply) })
    }

    /// Ends the connection now, whatever clones and contexts there are: contexts that are open get closed (their
    /// futures and streams end), and everything that comes later has [`Error::Closed`](crate::Error::Closed).
    pub fn close(self) -> Result<()> {
        self.connection.end()
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

/// Options of a connection; [`Client::options`] makes them.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    socket_path: Option<CString>,
    module_dir: Option<CString>,
    socket_owner: u32,
    flags: u32,
    invalid: Option<&'static str>,
}

impl ClientOptions {
    /// The service's socket. Unless set: `$BERTH_SOCKET`, else the first that answers of
    /// `$XDG_RUNTIME_DIR/berth/berthd.sock` and `/run/berth/berthd.sock`, in a folder that nobody else can write.
    pub fn socket_path(mut self, path: impl AsRef<Path>) -> Self {
        self.socket_path = self.c_path(path.as_ref());
        self
    }

    /// A user whose socket is trusted, too, where it is named ([`socket_path`](Self::socket_path), `$BERTH_SOCKET`):
    /// else it must belong to root or to this process's effective user, and so must who listens there.
    pub fn socket_owner(mut self, uid: u32) -> Self {
        self.socket_owner = uid;
        self
    }

    /// Folders of manifests for a private supervisor, a colon between. Unless set: `$BERTH_MODULE_DIR`, else those
    /// that were installed.
    pub fn module_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.module_dir = self.c_path(path.as_ref());
        self
    }

    /// A supervisor of this connection's own, even where a service runs.
    pub fn private(mut self) -> Self {
        self.flags |= sys::BERTH_PRIVATE;
        self
    }

    /// Never starts a private supervisor: without a service it is [`Error::Unavailable`](crate::Error::Unavailable).
    pub fn no_private(mut self) -> Self {
        self.flags |= sys::BERTH_NO_PRIVATE;
        self
    }

    /// Connects. The text of an error names path and cause.
    pub fn connect(self) -> Result<Client> {
        if let Some(what) = self.invalid {
            return Err(crate::Error::InvalidArgument(what.into()));
        }
        let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        let options = sys::berth_options {
            size: std::mem::size_of::<sys::berth_options>() as u32,
            flags: self.flags,
            socket_path: pointer(&self.socket_path),
            module_dir: pointer(&self.module_dir),
            why: std::ptr::null_mut(),
            socket_owner: self.socket_owner,
            reserved0: 0,
            reserved: [0; 2],
        };
        let mut handle = sys::berth_client { bits: 0 };
        // SAFETY: the options hold for the call, a place for the handle, and the reply gets filled.
        Reply::filled_by(|why| unsafe {
            let options = sys::berth_options { why, ..options };
            sys::berth_connect(&options, &mut handle)
        })?;
        Ok(Client {
            connection: Arc::new(Connection::new(handle)),
        })
    }

    fn c_path(&mut self, path: &Path) -> Option<CString> {
        let text = CString::new(path.as_os_str().as_bytes()).ok();
        if text.is_none() {
            self.invalid = Some("a path holds a zero byte");
        }
        text
    }
}
