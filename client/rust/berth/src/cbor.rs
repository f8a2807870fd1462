//! Values of serde's as CBOR (feature `serde`), for requests, configurations, answers and events.

use serde::de::DeserializeOwned;
use serde::Serialize;

use crate::{Error, Result};

/// A value as CBOR bytes.
///
/// ```
/// assert_eq!(berth::cbor::encode(&("a", 1)).unwrap(), b"\x82\x61a\x01");
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| Error::Encode(error.into()))?;
    Ok(bytes)
}

/// The one value that CBOR bytes are; anything behind it is an error.
///
/// ```
/// assert_eq!(berth::cbor::decode::<(String, u8)>(b"\x82\x61a\x01").unwrap(), ("a".to_owned(), 1));
/// assert!(berth::cbor::decode::<u8>(b"\x01\x02").is_err());
/// ```
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).map_err(|error| Error::Decode(error.into()))?;
    match rest.len() {
        0 => Ok(value),
        left => Err(Error::Decode(format!("{left} bytes behind the value").into())),
    }
}
