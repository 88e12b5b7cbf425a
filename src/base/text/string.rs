//! Text that is kept or passed.
use core::ffi::{CStr, c_char};
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

use rustix::io::Errno;
use ufmt::{Formatter, uDisplay, uWrite};

use super::escaped::Escaped;
use crate::base::memory::Vector;

/// Bytes without a NUL, in one machine word: a pointer to a NUL-terminated text, as
/// system calls take it. A slice would be two words at each place that keeps or passes
/// it, and be copied for each system call. Its length is counted when it is needed; what
/// is large or compared in a loop stays a slice.
#[derive(Clone, Copy)]
pub struct Str(NonNull<c_char>);

impl Str {
    /// No bytes.
    pub const EMPTY: Self = Self::new(c"");

    /// This text.
    pub const fn new(text: &'static CStr) -> Self {
        // SAFETY: a reference is never null.
        Self(unsafe { NonNull::new_unchecked(text.as_ptr().cast_mut()) })
    }

    /// A copy of these bytes.
    ///
    /// # Errors
    /// `EINVAL`: there is a NUL in them.
    pub fn copy(text: &[u8]) -> Result<Self, Errno> {
        Self::concat(&[text])
    }

    /// The concatenation of `parts`.
    ///
    /// # Errors
    /// `EINVAL`: there is a NUL in them.
    #[inline(never)]
    pub fn concat(parts: &[&[u8]]) -> Result<Self, Errno> {
        let mut text = Vector::new();
        for part in parts {
            text.extend(part);
        }
        Self::of(text)
    }

    /// A text that is finished.
    ///
    /// # Errors
    /// `EINVAL`: there is a NUL in it.
    #[inline(never)]
    pub fn of(mut text: Vector<u8>) -> Result<Self, Errno> {
        if text.contains(&0) {
            return Err(Errno::INVAL);
        }
        text.push(0);
        let text = text.finish();
        // SAFETY: a reference is never null.
        Ok(Self(unsafe {
            NonNull::new_unchecked(text.as_mut_ptr().cast())
        }))
    }

    /// The text of a pointer.
    ///
    /// # Safety
    /// The pointer came from [`Str::as_ptr`].
    pub const unsafe fn from_ptr(pointer: NonNull<c_char>) -> Self {
        Self(pointer)
    }

    /// Where the bytes are.
    pub const fn as_ptr(self) -> NonNull<c_char> {
        self.0
    }

    /// The text for a system call.
    #[inline(never)]
    pub fn c_str(self) -> &'static CStr {
        // SAFETY: made of NUL-terminated bytes that live as long as the process.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }
    }

    /// The bytes, without the NUL.
    #[inline(never)]
    pub fn bytes(self) -> &'static [u8] {
        self.c_str().to_bytes()
    }

    /// Whether there are no bytes.
    pub fn is_empty(self) -> bool {
        // SAFETY: there is a NUL at least.
        unsafe { self.0.read() == 0 }
    }
}

impl From<&'static CStr> for Str {
    #[inline(always)]
    fn from(text: &'static CStr) -> Self {
        Self::new(text)
    }
}

impl Deref for Str {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Str {}

impl PartialEq<[u8]> for Str {
    fn eq(&self, other: &[u8]) -> bool {
        self.bytes() == other
    }
}

impl PartialEq<&[u8]> for Str {
    fn eq(&self, other: &&[u8]) -> bool {
        self.bytes() == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Str {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self.bytes() == *other
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.c_str().fmt(f)
    }
}

/// Made safe for a terminal, as by [`Escaped`].
impl uDisplay for Str {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        Escaped(self.bytes()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::to_string;

    #[test]
    fn a_text_is_what_it_was_made_of() {
        let text = Str::concat(&[b"a", b"", b"b\xff"]).unwrap();
        assert_eq!(text, b"ab\xff");
        assert_eq!(text.c_str(), c"ab\xff");
        assert_eq!(to_string(&text), "ab\\xff");
        assert_eq!(text, Str::new(c"ab\xff"));
        assert_ne!(text, Str::EMPTY);
        assert!(Str::EMPTY.is_empty() && !text.is_empty());
        assert_eq!(size_of::<Option<Str>>(), size_of::<usize>());
    }

    #[test]
    fn a_nul_is_refused() {
        assert_eq!(Str::copy(b"a\0b").err(), Some(Errno::INVAL));
    }
}
