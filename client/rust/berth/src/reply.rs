use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::raw::c_int;

use berth_sys as sys;

use crate::{Error, Result};

/// What libberth keeps in a reply itself, so that a small answer costs no allocation here either.
const INLINE: usize = 304;

/// The bytes of an answer. What they mean is the module's to say; by custom they are CBOR.
pub struct Reply(Kind);

enum Kind {
    Inline { len: u16, bytes: [MaybeUninit<u8>; INLINE] },
    Block(sys::berth_reply),
    Owned(Vec<u8>),
}

// SAFETY: a berth_reply is memory of libberth's that any one thread may read, and any thread may give back.
unsafe impl Send for Reply {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Reply {}

impl Reply {
    /// The answer of a function of libberth's that fills a reply, whatever it returns.
    #[inline]
    pub(crate) fn filled_by(function: impl FnOnce(*mut sys::berth_reply) -> c_int) -> Result<Reply> {
        let mut space = MaybeUninit::<sys::berth_reply>::uninit();
        let ret = function(space.as_mut_ptr());
        // SAFETY: filled, whatever was returned.
        let filled = unsafe { space.assume_init_mut() };
        if ret == sys::BERTH_RET_OK as c_int {
            return Ok(Reply::take(filled));
        }
        // SAFETY: valid until it is given back, below.
        let error = Error::from_answer(ret, unsafe { bytes(filled.data, filled.len) });
        // SAFETY: filled, and not used again.
        unsafe { sys::berth_reply_free(filled) };
        Err(error)
    }

    /// A small answer stands in the struct, which cannot be moved then: its bytes are copied. A large one is a block.
    #[inline]
    fn take(filled: &mut sys::berth_reply) -> Reply {
        let at = (filled.data as usize).wrapping_sub(filled as *const sys::berth_reply as usize);
        if at >= std::mem::size_of::<sys::berth_reply>() && filled.len > 0 {
            return Reply(Kind::Block(*filled));
        }
        // SAFETY: the bytes are valid until the reply is given back.
        let reply = Reply::copied(unsafe { bytes(filled.data, filled.len) });
        // SAFETY: filled, and not used again.
        unsafe { sys::berth_reply_free(filled) };
        reply
    }

    #[inline]
    pub(crate) fn copied(from: &[u8]) -> Reply {
        if from.len() > INLINE {
            return Reply(Kind::Owned(from.to_vec()));
        }
        let mut bytes = [MaybeUninit::uninit(); INLINE];
        // SAFETY: as many bytes as there is room for, and a new array does not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), bytes.as_mut_ptr().cast(), from.len()) };
        Reply(Kind::Inline {
            len: from.len() as u16,
            bytes,
        })
    }

    /// The answer as a value of serde's, from CBOR. Anything behind the value is an error.
    #[cfg(feature = "serde")]
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        crate::cbor::decode(self)
    }
}

/// # Safety
/// `data` is valid for `len` bytes, for as long as the slice is used; it may be any pointer when `len` is 0.
#[inline]
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data, len) }
}

impl Deref for Reply {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: as many bytes were written.
            Kind::Inline { len, bytes } => unsafe { self::bytes(bytes.as_ptr().cast(), usize::from(*len)) },
            // SAFETY: a block of libberth's, ours until it is given back.
            Kind::Block(reply) => unsafe { self::bytes(reply.data, reply.len) },
            Kind::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Reply> for Vec<u8> {
    fn from(mut reply: Reply) -> Vec<u8> {
        match &mut reply.0 {
            Kind::Owned(bytes) => std::mem::take(bytes),
            _ => reply.to_vec(),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.deref()).finish()
    }
}

impl Drop for Reply {
    #[inline]
    fn drop(&mut self) {
        if let Kind::Block(reply) = &mut self.0 {
            // SAFETY: filled by libberth, and given back this once.
            unsafe { sys::berth_reply_free(reply) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_at_every_size() {
        for len in [0, 1, INLINE - 1, INLINE, INLINE + 1, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let reply = Reply::copied(&bytes);
            assert_eq!(&*reply, &bytes[..]);
            let moved = Box::new(reply);
            assert_eq!(Vec::from(*moved), bytes);
        }
    }
}
