//! What a step's end is held against.

use berth::{Closed, Error, Outcome};
use serde_json::{Map, Value as Json};

use crate::value;

pub type Ended = Result<Vec<u8>, Error>;

const PAYLOADS: [&str; 7] = ["cbor", "text", "hex", "repeat", "contains", "numbered", "died"];

/// `number` is an event's index in its step.
pub fn check(expect: Option<&Json>, ended: &Ended, number: Option<u32>) -> Result<(), String> {
    let nothing = Map::new();
    let expect = match expect {
        None => &nothing,
        Some(expect) => expect.as_object().ok_or("expect is no map")?,
    };
    if let Some(key) = expect
        .keys()
        .find(|key| !matches!(&key[..], "ret" | "count") && !PAYLOADS.contains(&&key[..]))
    {
        return Err(format!("an expect of {key:?}, which this runner does not know"));
    }
    let want = expect
        .get("ret")
        .map_or(Ok("OK"), |ret| ret.as_str().ok_or("ret is no text"))?;
    if !known_ret(want) {
        return Err(format!("a ret {want:?}, which this runner does not know"));
    }
    let ret = ended.as_ref().err().map_or("OK", Error::name);
    if ret != want {
        return Err(format!("{ret} and not {want}: {}", shown(ended)));
    }
    let wanted: Vec<&str> = PAYLOADS
        .iter()
        .copied()
        .filter(|key| expect.contains_key(*key))
        .collect();
    match wanted[..] {
        [] if expect.contains_key("count") => Err("a count of nothing".into()),
        [] => Ok(()),
        [kind] => payload(kind, expect, ended, number).and_then(|right| match right {
            true => Ok(()),
            false => Err(format!("another payload: {}", shown(ended))),
        }),
        _ => Err(format!("more than one payload expected: {wanted:?}")),
    }
}

fn known_ret(name: &str) -> bool {
    // SAFETY: static text, whatever the number.
    let name_of = |ret| unsafe { std::ffi::CStr::from_ptr(berth_sys::berth_ret_name(ret)) };
    name != "UNKNOWN" && (0..=255).any(|ret| name_of(ret).to_bytes() == name.as_bytes())
}

fn payload(kind: &str, expect: &Map<String, Json>, ended: &Ended, number: Option<u32>) -> Result<bool, String> {
    let expected = &expect[kind];
    let text = || expected.as_str().ok_or_else(|| format!("{kind} is no text"));
    if kind != "repeat" && expect.contains_key("count") {
        return Err("a count without a repeat".into());
    }
    if kind == "died" {
        return died(expected, ended);
    }
    let bytes = payload_of(ended).ok_or("this crate gives no payload for that ret")?;
    Ok(match kind {
        "cbor" => value::from_cbor(&bytes).map_or(false, |found| value::same(&found, expected)),
        "text" => bytes == text()?.as_bytes(),
        "hex" => bytes == value::hex(text()?)?,
        "repeat" => bytes == value::repeated(expect)?,
        "contains" => {
            let needle = text()?.as_bytes();
            needle.is_empty() || bytes.windows(needle.len()).any(|at| at == needle)
        }
        _ => {
            let len = expected.as_u64().ok_or("numbered is no number")? as usize;
            let number = number.ok_or("numbered is of events alone")?;
            bytes.len() == len && len >= 4 && bytes[..4] == number.to_le_bytes() && bytes[4..].iter().all(|b| *b == 0)
        }
    })
}

fn died(expected: &Json, ended: &Ended) -> Result<bool, String> {
    let expected = expected
        .as_object()
        .filter(|map| map.len() == 1)
        .ok_or("died is a map of one key")?;
    let (want_signal, want_status) = (expected.get("signal"), expected.get("status"));
    if want_signal.is_none() && want_status.is_none() {
        return Err("died has a signal or a status".into());
    }
    let same = |want: Option<&Json>, found: &Option<i32>| want.and_then(Json::as_i64) == found.map(i64::from);
    match ended {
        Err(Error::WorkerDied {
            signal, status, pid, ..
        }) => Ok(same(want_signal, signal) && same(want_status, status) && *pid > 0),
        _ => Err("died is of WORKER_DIED alone".into()),
    }
}

/// Errors that are told by their kind alone have none.
fn payload_of(ended: &Ended) -> Option<Vec<u8>> {
    match ended {
        Ok(bytes) => Some(bytes.clone()),
        Err(
            Error::Module(text)
            | Error::Busy(text)
            | Error::TooLarge(text)
            | Error::Unavailable(text)
            | Error::Denied(text)
            | Error::Protocol(text)
            | Error::NoModule(text)
            | Error::Exhausted(text),
        ) => Some(text.clone().into_bytes()),
        Err(Error::InvalidArgument(text)) => Some(text.clone().into_owned().into_bytes()),
        Err(_) => None,
    }
}

fn shown(ended: &Ended) -> String {
    match ended {
        Ok(bytes) if bytes.len() > 200 => format!("{} bytes", bytes.len()),
        Ok(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Err(error) => error.to_string(),
    }
}

pub fn check_close(expect: Option<&Json>, closed: &Result<Closed, Error>) -> Result<(), String> {
    let (closed, nothing) = (closed.as_ref().map_err(Error::to_string)?, Map::new());
    let outcome = match closed.outcome {
        Outcome::Drained => "drained",
        Outcome::Cancelled => "cancelled",
        Outcome::Killed => "killed",
    };
    for (key, expected) in expect
        .map_or(Some(&nothing), Json::as_object)
        .ok_or("expect is no map")?
    {
        let right = match &key[..] {
            "outcome" => expected == outcome,
            "cut_off" => expected == closed.cut_off,
            "ret" => expected == "OK",
            _ => return Err(format!("an expect of {key:?}, which this runner does not know")),
        };
        if !right {
            return Err(format!("{outcome}, {} cut off", closed.cut_off));
        }
    }
    Ok(())
}
