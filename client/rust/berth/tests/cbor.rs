//! Values of serde's there and back.
#![cfg(feature = "serde")]

mod common;

use std::collections::BTreeMap;
use std::error::Error as _;

use berth::Error;
use common::{block_on, client, Emit, LONG};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    text: String,
    numbers: Vec<i64>,
    option: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Emitted {
    sent: u64,
    dropped: u64,
}

#[test]
fn a_value_comes_back_as_it_went() {
    let client = client();
    let echo = client.open_cbor("echo", &BTreeMap::<String, String>::new()).unwrap();
    let sent = Sent {
        text: "zwei".into(),
        numbers: vec![-1, i64::MAX],
        option: None,
    };
    let back: Sent = echo.call_cbor("echo", &sent, Some(LONG)).unwrap();
    assert_eq!(back, sent);
    let back: Sent = block_on(echo.call_async_cbor("echo", &sent)).unwrap();
    assert_eq!(back, sent);
    let emitted: Emitted = echo
        .call_async_cbor("emit", &Emit { count: 0, bytes: 4 })
        .wait()
        .unwrap();
    assert_eq!((emitted.sent, emitted.dropped), (0, 0));
}

#[test]
fn an_answer_of_another_form_is_an_error_with_its_source() {
    let client = client();
    let echo = client.open("echo", b"").unwrap();
    let error = echo.call_cbor::<_, Emitted>("echo", "text", None).unwrap_err();
    assert!(matches!(error, Error::Decode(_)));
    assert!(!error.source().unwrap().to_string().is_empty());
    assert!(matches!(
        echo.call("echo", b"\x01\x01").unwrap().decode::<u8>(),
        Err(Error::Decode(_))
    ));
    assert!(matches!(
        echo.call("echo", b"").unwrap().decode::<u8>(),
        Err(Error::Decode(_))
    ));
}

#[test]
fn what_cannot_be_written_is_not_sent() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not this one"))
        }
    }
    let client = client();
    let echo = client.open("echo", b"").unwrap();
    let error = echo.call_cbor::<_, u8>("echo", &Refuses, None).unwrap_err();
    assert!(
        error.source().unwrap().to_string().contains("not this one"),
        "{error:?}"
    );
    assert!(matches!(
        echo.call_async_cbor::<_, u8>("echo", &Refuses).wait(),
        Err(Error::Encode(_))
    ));
}
