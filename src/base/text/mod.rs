//! Text in and out: small parsers over bytes, and writers for `ufmt`.
//!
//! All output is built in a `Vector<u8>`. Bytes from a disk are written through
//! [`Escaped`], so that no control character of a context reaches a terminal.
mod address;
mod domain;
mod escaped;
mod hex;
mod moment;
mod parts;
mod shell;
mod string;
pub mod template;

use core::convert::Infallible;

use ufmt::{uDisplay, uWrite, uwrite};

use core::ffi::CStr;

use rustix::io::Errno;

use crate::base::memory::Vector;
pub use address::{Ip, Mac, ip};
pub use domain::is_domain;
pub use escaped::Escaped;
pub use hex::hex_digit;
pub use moment::Moment;
pub use parts::{
    Split, Words, digits, find, lines, list, number, position, same, span, split, split_once,
    split_path, unquoted, words,
};
pub use shell::{command, quote};
pub use string::Str;

/// A growing text.
pub type Text = Vector<u8>;

impl uWrite for Vector<u8> {
    type Error = Infallible;
    // Called in a thousand places: inlining would enlarge the binary.
    #[inline(never)]
    fn write_str(&mut self, text: &str) -> Result<(), Infallible> {
        self.extend(text.as_bytes());
        Ok(())
    }
}

/// The object-safe form of `uDisplay`, for `&dyn Format`.
pub trait Format {
    /// Appends the value to `text`.
    fn append_to(&self, text: &mut Text);
}

impl<T: uDisplay> Format for T {
    fn append_to(&self, text: &mut Text) {
        uwrite!(text, "{}", *self);
    }
}

/// `text` as a `str`, for `match`; empty if it is not UTF-8. Byte patterns compile to
/// one comparison per byte, ten bytes of code each; `str` patterns do not.
#[inline(never)]
pub fn as_str(text: &[u8]) -> &str {
    match text.utf8_chunks().next() {
        Some(chunk) if chunk.invalid().is_empty() => chunk.valid(),
        _ => "",
    }
}

/// `value`, as bytes.
pub fn format(value: &impl uDisplay) -> &'static [u8] {
    let mut text = Text::new();
    uwrite!(text, "{}", *value);
    text.finish()
}

/// `value` as a `String`, for tests.
#[cfg(test)]
pub(crate) fn to_string(value: &impl uDisplay) -> String {
    String::from_utf8(format(value).to_vec()).unwrap()
}

/// [`Str::concat`], for a system call.
///
/// # Errors
/// `EINVAL`: there is a NUL in `parts`.
pub fn c_str(parts: &[&[u8]]) -> Result<&'static CStr, Errno> {
    Ok(Str::concat(parts)?.c_str())
}
