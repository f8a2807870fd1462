//! JSON values as CBOR and back, and the four forms of input.

use ciborium::value::Value as Cbor;
use serde_json::{Map, Value as Json};

/// Integers as integers, other numbers as doubles.
pub fn to_cbor(value: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn head(major: u8, n: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    match n {
        0..=23 => out.push(major | n as u8),
        24..=0xff => out.extend([major | 24, n as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend((n as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(n.to_be_bytes());
        }
    }
}

fn write(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.push(0xf6),
        Json::Bool(is) => out.push(0xf4 + u8::from(*is)),
        Json::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
            (Some(n), _, _) => head(0, n, out),
            (None, Some(n), _) => head(1, !(n as u64), out),
            (None, None, n) => {
                out.push(0xfb);
                out.extend(n.expect("a number").to_be_bytes());
            }
        },
        Json::String(text) => {
            head(3, text.len() as u64, out);
            out.extend(text.as_bytes());
        }
        Json::Array(items) => {
            head(4, items.len() as u64, out);
            items.iter().for_each(|item| write(item, out));
        }
        Json::Object(map) => {
            head(5, map.len() as u64, out);
            for (key, value) in map {
                write(&Json::String(key.clone()), out);
                write(value, out);
            }
        }
    }
}

/// One value, with nothing behind it.
pub fn from_cbor(bytes: &[u8]) -> Option<Cbor> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).ok()?;
    rest.is_empty().then_some(value)
}

/// Integers exactly; maps in any order, no key more and none less.
pub fn same(cbor: &Cbor, json: &Json) -> bool {
    match (cbor, json) {
        (Cbor::Null, Json::Null) => true,
        (Cbor::Bool(a), Json::Bool(b)) => a == b,
        (Cbor::Integer(a), Json::Number(b)) => {
            let exactly = b.as_u64().map(i128::from).or_else(|| b.as_i64().map(i128::from));
            exactly == Some(i128::from(*a))
        }
        (Cbor::Float(a), Json::Number(b)) => b.is_f64() && b.as_f64() == Some(*a),
        (Cbor::Text(a), Json::String(b)) => a == b,
        (Cbor::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Cbor::Map(a), Json::Object(b)) => {
            let found = |key: &Cbor| key.as_text().and_then(|key| b.get(key));
            let every = |key: &String| a.iter().any(|(name, _)| name.as_text() == Some(key));
            a.len() == b.len()
                && a.iter().all(|(key, a)| found(key).map_or(false, |b| same(a, b)))
                && b.keys().all(every)
        }
        _ => false,
    }
}

pub fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len())
        .step_by(2)
        .map(|at| digit(at).ok_or_else(|| format!("no hex: {text}")))
        .collect()
}

pub fn repeated(form: &Map<String, Json>) -> Result<Vec<u8>, String> {
    match (form.get("repeat"), form.get("count").and_then(Json::as_u64)) {
        (Some(Json::String(text)), Some(count)) => Ok(text.repeat(count as usize).into_bytes()),
        _ => Err("repeat is a text, and goes with a count".into()),
    }
}

pub fn input(form: Option<&Json>) -> Result<Vec<u8>, String> {
    let form = match form {
        None => return Ok(Vec::new()),
        Some(form) => form.as_object().ok_or("input is no map")?,
    };
    let keys: Vec<&str> = form.keys().map(String::as_str).collect();
    match (&keys[..], form.values().next()) {
        (["cbor"], Some(value)) => Ok(to_cbor(value)),
        (["text"], Some(Json::String(text))) => Ok(text.clone().into_bytes()),
        (["hex"], Some(Json::String(text))) => hex(text),
        (["count", "repeat"] | ["repeat", "count"], _) => repeated(form),
        _ => Err(format!("an input of keys {keys:?}")),
    }
}
