//! The bindings and the installed header are of one mind: a C compiler is given what Rust thinks as static assertions.
//! (The layout tests inside `bindings.rs` hold Rust against the header of the day when it was made; this one holds it
//! against the header that is installed now.)

use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::{align_of, size_of, MaybeUninit};
use std::process::{Command, Stdio};
use std::ptr::addr_of;

macro_rules! layout {
    ($c:ident, $name:expr, $type:ident { $($field:ident),+ $(,)? }) => {{
        let space = MaybeUninit::<berth_sys::$type>::uninit();
        let base = space.as_ptr();
        writeln!($c, "_Static_assert(sizeof({0}) == {1}, \"size of {0}\");", $name, size_of::<berth_sys::$type>()).unwrap();
        writeln!($c, "_Static_assert(_Alignof({0}) == {1}, \"alignment of {0}\");", $name, align_of::<berth_sys::$type>())
            .unwrap();
        $(
            // SAFETY: addr_of! makes no reference and reads nothing.
            let offset = unsafe { addr_of!((*base).$field) as usize - base as usize };
            writeln!($c, "_Static_assert(offsetof({0}, {1}) == {2}, \"{0}.{1}\");", $name, stringify!($field), offset)
                .unwrap();
        )+
    }};
}

macro_rules! constants {
    ($c:ident, $($name:ident),+ $(,)?) => {
        $( writeln!($c, "_Static_assert({0} == {1}, \"{0}\");", stringify!($name), berth_sys::$name).unwrap(); )+
    };
}

// A function whose type is not the header's: the second declaration does not compile.
const PROTOTYPES: &str = "
int berth_connect(const struct berth_options *, berth_client *);
int berth_disconnect(berth_client);
int berth_open(berth_client, const char *, const void *, size_t, const struct berth_open_options *, berth_context *,
               struct berth_reply *);
int berth_open_submit(berth_client, const char *, const void *, size_t, const struct berth_open_options *,
                      berth_callback, void *, berth_context *);
int berth_close(berth_context, berth_callback, void *);
int berth_method(berth_context, const char *, uint32_t *);
int berth_call(berth_context, uint32_t, const void *, size_t, int, struct berth_reply *);
int berth_call_static(berth_client, const char *, const char *, const void *, size_t, int, struct berth_reply *);
int berth_submit(berth_context, uint32_t, const void *, size_t, berth_callback, void *, uint64_t *);
int berth_cancel(berth_context, uint64_t);
void berth_reply_free(struct berth_reply *);
int berth_listen(berth_context, const char *, berth_callback, void *, uint64_t *);
int berth_unlisten(berth_context, uint64_t);
int berth_reap(berth_context, struct berth_completion *, size_t, int);
int berth_poll_fd(berth_context);
int berth_status(berth_client, struct berth_reply *);
const char *berth_ret_name(int);
const char *berth_version(void);
";

fn assertions() -> String {
    let mut c = String::from("#include <berth/berth.h>\n#include <stddef.h>\n");
    c.push_str(PROTOTYPES);
    layout!(c, "berth_client", berth_client { bits });
    layout!(c, "berth_context", berth_context { bits });
    layout!(
        c,
        "struct berth_options",
        berth_options {
            size,
            flags,
            socket_path,
            module_dir,
            why,
            socket_owner,
            reserved0,
            reserved
        }
    );
    layout!(
        c,
        "struct berth_open_options",
        berth_open_options {
            size,
            flags,
            max_in_flight,
            stale_warn_ms,
            open_timeout_ms,
            reserved0,
            reserved
        }
    );
    layout!(
        c,
        "struct berth_reply",
        berth_reply {
            ret,
            data,
            len,
            private_words
        }
    );
    layout!(
        c,
        "struct berth_completion",
        berth_completion {
            id,
            kind,
            ret,
            data,
            len,
            user_data
        }
    );
    constants!(
        c,
        BERTH_RET_OK,
        BERTH_RET_ERR,
        BERTH_RET_MISSING_CALLBACK,
        BERTH_RET_STALE_WARN,
        BERTH_RET_TIMEOUT,
        BERTH_RET_CLOSED,
        BERTH_RET_INVALID_CTX,
        BERTH_RET_BUSY,
        BERTH_RET_QUEUE_FULL,
        BERTH_RET_TOO_LARGE,
        BERTH_RET_WORKER_DIED,
        BERTH_RET_RECYCLED,
        BERTH_RET_UNAVAILABLE,
        BERTH_RET_DENIED,
        BERTH_RET_PROTOCOL,
        BERTH_RET_FORKED,
        BERTH_RET_NO_MODULE,
        BERTH_RET_CANCELLED,
        BERTH_RET_EXHAUSTED,
        BERTH_RET_INVALID_ARGUMENT,
        BERTH_REPLY,
        BERTH_EVENT,
        BERTH_PROGRESS,
        BERTH_NOTICE,
        BERTH_DATA,
        BERTH_PRIVATE,
        BERTH_NO_PRIVATE,
    );
    c
}

fn compiles(source: &str) -> bool {
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args([
            "-std=c11",
            "-fsyntax-only",
            "-Wall",
            "-Werror",
            "-x",
            "c",
            "-I",
            env!("BERTH_INCLUDE"),
            "-",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler (cc, or $CC)");
    cc.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    cc.wait().unwrap().success()
}

#[test]
fn sizes_offsets_constants_and_prototypes_are_the_headers() {
    let source = assertions();
    assert!(compiles(&source), "the header says otherwise:\n{source}");
}

#[test]
fn a_wrong_offset_would_be_seen() {
    let wrong = assertions().replace(
        "offsetof(struct berth_reply, len) == 16",
        "offsetof(struct berth_reply, len) == 20",
    );
    assert_ne!(wrong, assertions());
    assert!(!compiles(&wrong));
}

#[test]
fn the_library_is_the_one_that_the_header_describes() {
    // SAFETY: static text.
    let text = |pointer| unsafe { std::ffi::CStr::from_ptr(pointer) }.to_str().unwrap();
    assert_eq!(
        text(unsafe { berth_sys::berth_ret_name(berth_sys::BERTH_RET_WORKER_DIED as i32) }),
        "WORKER_DIED"
    );
    assert!(!text(unsafe { berth_sys::berth_version() }).is_empty());
}
