//! Why a step failed, in words.
use core::ffi::{CStr, c_char};
use core::fmt;
use core::ptr::{self, NonNull};

use rustix::io::Errno;
use ufmt::{Formatter, uDisplay, uWrite};

use super::syscall::MAX_ERRNO;
use super::text::{Escaped, Str, number, split, split_once};

/// Why a step failed: an error number of the kernel, or a text.
///
/// It has the size of a pointer, since nearly every function can return one. A value up
/// to 4095 is an error number (linux/err.h, `MAX_ERRNO`); any other is the address of a
/// text.
#[derive(Clone, Copy)]
pub struct Error(NonNull<c_char>);

impl Error {
    /// An error with this text.
    pub const fn new(words: &'static CStr) -> Self {
        Self(Str::new(words).as_ptr())
    }

    /// The error number; `None` if this is a text.
    pub fn errno(self) -> Option<Errno> {
        let address = self.0.addr().get();
        (address <= MAX_ERRNO as usize).then(|| Errno::from_raw_os_error(address as i32))
    }

    /// Whether this is one of these error numbers.
    pub fn is(self, errnos: &[Errno]) -> bool {
        self.errno().is_some_and(|errno| errnos.contains(&errno))
    }

    /// The text; `None` if this is an error number.
    fn words(self) -> Option<Str> {
        match self.errno() {
            Some(_) => None,
            // SAFETY: what is no error number came from `new`.
            None => Some(unsafe { Str::from_ptr(self.0) }),
        }
    }
}

impl From<Errno> for Error {
    // `?` calls it in hundreds of places: inlining would enlarge the binary.
    #[inline(never)]
    fn from(errno: Errno) -> Self {
        // rustix has no `Errno` outside of 1 to MAX_ERRNO, see `checked_errno`.
        let address = ptr::without_provenance_mut(errno.raw_os_error() as usize);
        NonNull::new(address).map_or(Self::new(c"unknown error"), Self)
    }
}

impl From<&'static CStr> for Error {
    fn from(words: &'static CStr) -> Self {
        Self::new(words)
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.errno() == other.errno() && self.words() == other.words()
    }
}

impl PartialEq<Errno> for Error {
    fn eq(&self, other: &Errno) -> bool {
        self.errno() == Some(*other)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => fmt::Debug::fmt(&words, f),
            None => fmt::Debug::fmt(&self.errno(), f),
        }
    }
}

impl uDisplay for Error {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let Some(errno) = self.errno() else {
            return self.words().unwrap_or(Str::EMPTY).fmt(f);
        };
        match describe(errno) {
            Some(words) => Escaped(words).fmt(f),
            None => {
                f.write_str("error ")?;
                errno.raw_os_error().fmt(f)
            }
        }
    }
}

/// Error numbers and their texts, for the errors that occur in early boot. The texts
/// are those of errno(3) (asm-generic/errno-base.h, asm-generic/errno.h).
const WORDS: &[u8] = b"\
1 Operation not permitted
2 No such file or directory
4 Interrupted system call
5 Input/output error
6 No such device or address
9 Bad file descriptor
11 Resource temporarily unavailable
12 Cannot allocate memory
13 Permission denied
16 Device or resource busy
17 File exists
18 Invalid cross-device link
19 No such device
20 Not a directory
21 Is a directory
22 Invalid argument
24 Too many open files
27 File too large
28 No space left on device
30 Read-only file system
34 Numerical result out of range
36 File name too long
38 Function not implemented
40 Too many levels of symbolic links
95 Operation not supported
97 Address family not supported by protocol
99 Cannot assign requested address
100 Network is down
101 Network is unreachable
105 No buffer space available
110 Connection timed out
122 Disk quota exceeded
123 No medium found";

fn describe(errno: Errno) -> Option<&'static [u8]> {
    let wanted = u32::try_from(errno.raw_os_error()).ok();
    split(WORDS, |byte| byte == b'\n')
        .filter_map(|line| split_once(line, b' '))
        .find(|(error, _)| number(error) == wanted)
        .map(|(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::to_string;

    #[test]
    fn errors_have_words() {
        assert_eq!(
            to_string(&Error::from(Errno::NOENT)),
            "No such file or directory"
        );
        assert_eq!(
            to_string(&Error::from(Errno::from_raw_os_error(133))),
            "error 133"
        );
        for number in 1..133 {
            let errno = Errno::from_raw_os_error(number);
            if let Some(words) = describe(errno) {
                let theirs = std::io::Error::from_raw_os_error(number).to_string();
                let words = str::from_utf8(words).unwrap();
                assert_eq!(format!("{words} (os error {number})"), theirs);
            }
        }
    }
}
