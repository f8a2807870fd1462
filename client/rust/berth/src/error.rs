use std::borrow::Cow;
use std::fmt;
use std::os::raw::c_int;

use berth_sys as sys;

use crate::payload;

/// What a fallible function here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no answer, or none of the module's.
///
/// Texts are berth's or the module's own, in UTF-8 (what is not is replaced), and may be empty.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The library said no: its text, never empty. The context is as good as before.
    Module(String),
    /// No answer before the deadline; the module was told to cancel.
    Timeout,
    /// The context, or its client, was closed by this program.
    Closed,
    /// Too many requests in flight (`max_in_flight`), or a function that may not be called from where it was.
    Busy(String),
    /// The request ring is full: the worker does not keep up. Try again when answers have come.
    QueueFull,
    /// A request, reply or configuration over 16 MiB.
    TooLarge(String),
    /// The library took its process down, and the context with it. Open another one.
    WorkerDied {
        /// The signal that ended it (11 is SIGSEGV), if one did.
        signal: Option<i32>,
        /// Its exit status, if it exited. Neither is there when no supervisor was left to tell.
        status: Option<i32>,
        /// The worker's process id; 0 when unknown.
        pid: u32,
        /// How many contexts it had served, this one included; 0 when unknown.
        uses: u64,
        /// The last lines that it wrote, twenty at most.
        last_log: String,
    },
    /// Rejected or cut off, because the context is being closed.
    Recycled,
    /// No supervisor answers and none could be started, or it is gone.
    Unavailable(String),
    /// The service does not admit this user.
    Denied(String),
    /// The other side broke the protocol, or speaks another version.
    Protocol(String),
    /// This process is a fork of the one that connected, whose contexts are not to be had here. It may connect for
    /// itself.
    Forked,
    /// No manifest of that name; the text lists those there are.
    NoModule(String),
    /// The request was cancelled.
    Cancelled,
    /// `max_contexts` of the module is reached, or this process is out of memory, descriptors or threads.
    Exhausted(String),
    /// An unknown method, a value out of range, or a text that C cannot take.
    InvalidArgument(Cow<'static, str>),
    /// A code that this crate does not know: libberth is newer.
    Unknown {
        /// One of `berth_ret`.
        ret: i32,
        /// Its payload, read as text.
        text: String,
    },
    /// A value that cannot be written as CBOR. The source says why.
    Encode(Box<dyn std::error::Error + Send + Sync>),
    /// An answer or event that is not what was asked for. The source says why.
    Decode(Box<dyn std::error::Error + Send + Sync>),
    /// The operating system refused something on this side (a descriptor, a thread).
    Io(std::io::Error),
}

impl Error {
    /// The name of libberth's code for it, `WORKER_DIED`; [`Error::Encode`], [`Error::Decode`] and [`Error::Io`] are
    /// this crate's own and have `RUST`.
    pub fn name(&self) -> &'static str {
        self.ret().map_or("RUST", ret_name)
    }

    fn ret(&self) -> Option<c_int> {
        let ret = match self {
            Error::Module(_) => sys::BERTH_RET_ERR,
            Error::Timeout => sys::BERTH_RET_TIMEOUT,
            Error::Closed => sys::BERTH_RET_CLOSED,
            Error::Busy(_) => sys::BERTH_RET_BUSY,
            Error::QueueFull => sys::BERTH_RET_QUEUE_FULL,
            Error::TooLarge(_) => sys::BERTH_RET_TOO_LARGE,
            Error::WorkerDied { .. } => sys::BERTH_RET_WORKER_DIED,
            Error::Recycled => sys::BERTH_RET_RECYCLED,
            Error::Unavailable(_) => sys::BERTH_RET_UNAVAILABLE,
            Error::Denied(_) => sys::BERTH_RET_DENIED,
            Error::Protocol(_) => sys::BERTH_RET_PROTOCOL,
            Error::Forked => sys::BERTH_RET_FORKED,
            Error::NoModule(_) => sys::BERTH_RET_NO_MODULE,
            Error::Cancelled => sys::BERTH_RET_CANCELLED,
            Error::Exhausted(_) => sys::BERTH_RET_EXHAUSTED,
            Error::InvalidArgument(_) => sys::BERTH_RET_INVALID_ARGUMENT,
            Error::Unknown { ret, .. } => return Some(*ret),
            Error::Encode(_) | Error::Decode(_) | Error::Io(_) => return None,
        };
        Some(ret as c_int)
    }

    /// Of a code and its payload; `ret` is not OK.
    pub(crate) fn from_answer(ret: c_int, payload: &[u8]) -> Error {
        let text = || String::from_utf8_lossy(payload).into_owned();
        match ret as sys::berth_ret {
            sys::BERTH_RET_ERR => Error::Module(text()),
            sys::BERTH_RET_TIMEOUT => Error::Timeout,
            // A handle that is over can only have been closed: this crate keeps it from being made up.
            sys::BERTH_RET_CLOSED | sys::BERTH_RET_INVALID_CTX => Error::Closed,
            sys::BERTH_RET_BUSY => Error::Busy(text()),
            sys::BERTH_RET_QUEUE_FULL => Error::QueueFull,
            sys::BERTH_RET_TOO_LARGE => Error::TooLarge(text()),
            sys::BERTH_RET_WORKER_DIED => payload::worker_died(payload),
            sys::BERTH_RET_RECYCLED => Error::Recycled,
            sys::BERTH_RET_UNAVAILABLE => Error::Unavailable(text()),
            sys::BERTH_RET_DENIED => Error::Denied(text()),
            sys::BERTH_RET_PROTOCOL => Error::Protocol(text()),
            sys::BERTH_RET_FORKED => Error::Forked,
            sys::BERTH_RET_NO_MODULE => Error::NoModule(text()),
            sys::BERTH_RET_CANCELLED => Error::Cancelled,
            sys::BERTH_RET_EXHAUSTED => Error::Exhausted(text()),
            sys::BERTH_RET_INVALID_ARGUMENT => Error::InvalidArgument(Cow::Owned(text())),
            _ => Error::Unknown { ret, text: text() },
        }
    }
}

/// OK, or the error of a function that gives no text.
pub(crate) fn check(ret: c_int) -> Result<()> {
    match ret as sys::berth_ret {
        sys::BERTH_RET_OK => Ok(()),
        _ => Err(Error::from_answer(ret, b"")),
    }
}

fn ret_name(ret: c_int) -> &'static str {
    // SAFETY: static text, whatever the number.
    let name = unsafe { std::ffi::CStr::from_ptr(sys::berth_ret_name(ret)) };
    name.to_str().unwrap_or("UNKNOWN")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, what: &str, text: &str| match text {
            "" => f.write_str(what),
            _ => write!(f, "{what}: {text}"),
        };
        match self {
            Error::Module(text) => f.write_str(text),
            Error::Timeout => f.write_str("no answer before the deadline"),
            Error::Closed => f.write_str("the context is closed"),
            Error::Busy(text) => with(f, "busy", text),
            Error::QueueFull => f.write_str("the request ring is full"),
            Error::TooLarge(text) => with(f, "over 16 MiB", text),
            Error::WorkerDied {
                signal, status, pid, ..
            } => {
                write!(f, "the worker died (process {pid}")?;
                match (signal, status) {
                    (Some(signal), _) => write!(f, ", signal {signal})"),
                    (None, Some(status)) => write!(f, ", exit status {status})"),
                    (None, None) => f.write_str(")"),
                }
            }
            Error::Recycled => f.write_str("the context is being closed"),
            Error::Unavailable(text) => with(f, "no supervisor", text),
            Error::Denied(text) => with(f, "not admitted", text),
            Error::Protocol(text) => with(f, "protocol broken", text),
            Error::Forked => f.write_str("called in a fork of the process that connected"),
            Error::NoModule(text) => with(f, "no such module", text),
            Error::Cancelled => f.write_str("cancelled"),
            Error::Exhausted(text) => with(f, "exhausted", text),
            Error::InvalidArgument(text) => with(f, "invalid argument", text),
            Error::Unknown { ret, text } => with(f, &format!("code {ret}"), text),
            Error::Encode(_) => f.write_str("a value cannot be written as CBOR"),
            Error::Decode(_) => f.write_str("an answer is not what was expected"),
            Error::Io(_) => f.write_str("the operating system refused"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Encode(source) | Error::Decode(source) => Some(source.as_ref()),
            Error::Io(source) => Some(source),
            _ => None,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Error {
        Error::Io(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_tells_all_that_is_known() {
        // {"signal": 11, "pid": 300, "uses": 2, "last_log": "a\nb", "new": [1]}
        let payload = b"\xa5\x66signal\x0b\x63pid\x19\x01\x2c\x64uses\x02\x68last_log\x63a\nb\x63new\x81\x01";
        match Error::from_answer(sys::BERTH_RET_WORKER_DIED as c_int, payload) {
            Error::WorkerDied {
                signal: Some(11),
                status: None,
                pid: 300,
                uses: 2,
                last_log,
            } => {
                assert_eq!(last_log, "a\nb");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_broken_death_is_still_one() {
        for payload in [
            &b""[..],
            b"\xff",
            b"\xa1",
            b"\xbf\x63pid",
            b"\xa1\x68last_log\x7a\xff\xff\xff\xff",
        ] {
            let error = Error::from_answer(sys::BERTH_RET_WORKER_DIED as c_int, payload);
            assert!(
                matches!(
                    error,
                    Error::WorkerDied {
                        signal: None,
                        status: None,
                        pid: 0,
                        ..
                    }
                ),
                "{error:?}"
            );
        }
    }

    #[test]
    fn sources_are_told() {
        use std::error::Error as _;
        let error = Error::Decode("trailing bytes".into());
        assert_eq!(error.source().unwrap().to_string(), "trailing bytes");
        assert!(Error::from(std::io::Error::from_raw_os_error(libc::EMFILE))
            .source()
            .is_some());
        assert!(Error::Timeout.source().is_none());
    }

    #[test]
    fn text_that_is_no_utf8_is_replaced() {
        let error = Error::from_answer(sys::BERTH_RET_ERR as c_int, b"a\xff");
        assert_eq!(error.to_string(), "a\u{fffd}");
    }
}
