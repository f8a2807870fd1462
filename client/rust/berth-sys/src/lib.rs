//! `berth.h` as it stands: bindings to libberth, for the crate `berth` and for those who want no more than that.
//!
//! The header documents every function, code and payload; `bindings.rs` is made from it by bindgen
//! (`regenerate-bindings`) and committed, so that building needs no clang. libberth is found by pkg-config; the feature
//! `static` links `libberth.a`.
//!
//! ```
//! let version = unsafe { std::ffi::CStr::from_ptr(berth_sys::berth_version()) };
//! assert!(version.to_str().unwrap().starts_with("0."));
//! ```
#![allow(non_camel_case_types)]
#![warn(missing_debug_implementations)]

#[rustfmt::skip]
#[allow(clippy::all)]
mod bindings;

pub use bindings::*;
