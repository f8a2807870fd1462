//! The two CBOR maps that berth itself sends: how a worker died, and how a close went. New keys may be added to them, so
//! those that are not known are skipped; what cannot be read ends the map.

use ciborium_ll::{Decoder, Header};

use crate::close::{Closed, Outcome};
use crate::Error;

enum Value {
    Uint(u64),
    Text(String),
    Other,
}

pub(crate) fn worker_died(payload: &[u8]) -> Error {
    let (mut signal, mut status, mut pid, mut uses, mut last_log) = (None, None, 0, 0, String::new());
    read_map(payload, |key, value| match (key, value) {
        ("signal", Value::Uint(n)) => signal = i32::try_from(n).ok(),
        ("status", Value::Uint(n)) => status = i32::try_from(n).ok(),
        ("pid", Value::Uint(n)) => pid = u32::try_from(n).unwrap_or(0),
        ("uses", Value::Uint(n)) => uses = n,
        ("last_log", Value::Text(text)) => last_log = text,
        _ => (),
    });
    Error::WorkerDied {
        signal,
        status,
        pid,
        uses,
        last_log,
    }
}

pub(crate) fn closed(payload: &[u8]) -> Result<Closed, Error> {
    let (mut outcome, mut cut_off) = (None, 0);
    read_map(payload, |key, value| match (key, value) {
        ("outcome", Value::Text(text)) => outcome = Outcome::of(&text),
        ("cut_off", Value::Uint(n)) => cut_off = n,
        _ => (),
    });
    match outcome {
        Some(outcome) => Ok(Closed { outcome, cut_off }),
        None => Err(Error::Protocol("a close ended with an unknown outcome".into())),
    }
}

fn read_map(payload: &[u8], mut each: impl FnMut(&str, Value)) {
    let mut decoder = Decoder::from(payload);
    let mut pairs = match decoder.pull() {
        Ok(Header::Map(Some(pairs))) => pairs,
        _ => return,
    };
    while pairs > 0 {
        let (key, value) = match (read_value(&mut decoder, payload), read_value(&mut decoder, payload)) {
            (Some(Value::Text(key)), Some(value)) => (key, value),
            _ => return,
        };
        each(&key, value);
        pairs -= 1;
    }
}

fn read_value(decoder: &mut Decoder<&[u8]>, payload: &[u8]) -> Option<Value> {
    Some(match decoder.pull().ok()? {
        Header::Positive(n) => Value::Uint(n),
        Header::Text(Some(len)) => Value::Text(read_text(decoder, len, payload.len())?),
        Header::Bytes(Some(len)) => read_text(decoder, len, payload.len()).map(|_| Value::Other)?,
        Header::Array(Some(items)) => skip(decoder, payload, items)?,
        Header::Map(Some(pairs)) => skip(decoder, payload, pairs.checked_mul(2)?)?,
        Header::Tag(_) => skip(decoder, payload, 1)?,
        Header::Negative(_) | Header::Float(_) | Header::Simple(_) => Value::Other,
        _ => return None,
    })
}

/// Of what berth sends nothing is nested deeper than this reaches.
fn skip(decoder: &mut Decoder<&[u8]>, payload: &[u8], items: usize) -> Option<Value> {
    for _ in 0..items {
        match decoder.pull().ok()? {
            Header::Text(Some(len)) | Header::Bytes(Some(len)) => drop(read_text(decoder, len, payload.len())?),
            Header::Positive(_) | Header::Negative(_) | Header::Float(_) | Header::Simple(_) => (),
            _ => return None,
        }
    }
    Some(Value::Other)
}

fn read_text(decoder: &mut Decoder<&[u8]>, len: usize, most: usize) -> Option<String> {
    use ciborium_io::Read as _;
    if len > most {
        return None;
    }
    let mut bytes = vec![0; len];
    decoder.read_exact(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_says_how_it_went() {
        let closed = closed(b"\xa2\x67outcome\x69cancelled\x67cut_off\x03").unwrap();
        assert_eq!((closed.outcome, closed.cut_off), (Outcome::Cancelled, 3));
    }

    #[test]
    fn an_unknown_outcome_is_an_error() {
        for payload in [&b""[..], b"\xa0", b"\xa1\x67outcome\x65other", b"\x01"] {
            assert!(matches!(closed(payload), Err(Error::Protocol(_))));
        }
    }

    #[test]
    fn unknown_keys_are_skipped() {
        let payload = b"\xa4\x61a\x82\x01\x61b\x61b\xa1\x61c\xf6\x61c\xc1\x02\x67outcome\x67drained";
        assert_eq!(closed(payload).unwrap().outcome, Outcome::Drained);
    }
}
