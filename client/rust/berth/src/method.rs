use std::borrow::Cow;
use std::ffi::CString;

use berth_sys as sys;

use crate::error::check;
use crate::{Error, Result};

/// A method of a module's, by [`Context::method`](crate::Context::method). It is a hash of the name, the same for every
/// context and process: ask once and keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(pub(crate) u32);

/// What names a method: a [`Method`], or its name, which is then looked up with each call.
pub trait IntoMethod: sealed::Sealed {}

impl IntoMethod for Method {}
impl IntoMethod for &str {}

pub(crate) mod sealed {
    use super::*;

    pub trait Sealed {
        fn method_of(self, context: sys::berth_context) -> Result<Method>;
    }

    impl Sealed for Method {
        #[inline]
        fn method_of(self, _: sys::berth_context) -> Result<Method> {
            Ok(self)
        }
    }

    impl Sealed for &str {
        fn method_of(self, context: sys::berth_context) -> Result<Method> {
            let name = c_text(self)?;
            let mut method = 0;
            // SAFETY: a zero-terminated text, and a place for the answer.
            let ret = unsafe { sys::berth_method(context, name.as_ptr(), &mut method) };
            match check(ret) {
                Err(Error::InvalidArgument(_)) => Err(no_method(self)),
                other => other.map(|()| Method(method)),
            }
        }
    }
}

fn no_method(name: &str) -> Error {
    Error::InvalidArgument(Cow::Owned(format!("the module has no method {name:?}")))
}

/// For C: what holds a zero byte cannot be passed.
pub(crate) fn c_text(text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).map_err(|error| Error::InvalidArgument(Cow::Owned(format!("a text: {error}"))))
}
