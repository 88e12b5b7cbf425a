//! Why a step failed, in words.
use rustix::io::Errno;
use ufmt::{Formatter, uDisplay, uWrite};

use super::{Shown, cut, number, split};

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What the kernel answered.
    Os(Errno),
    /// What we found.
    Found(&'static str),
}

impl From<Errno> for Reason {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

impl From<&'static str> for Reason {
    fn from(found: &'static str) -> Self {
        Self::Found(found)
    }
}

impl uDisplay for Reason {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        match self {
            Self::Found(found) => f.write_str(found),
            Self::Os(errno) => match describe(*errno) {
                Some(words) => Shown(words).fmt(f),
                None => {
                    f.write_str("error ")?;
                    errno.raw_os_error().fmt(f)
                }
            },
        }
    }
}

/// The words of errno(3) for the errors that early boot meets, behind their
/// numbers (asm-generic/errno-base.h, asm-generic/errno.h).
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
        .filter_map(|line| cut(line, b' '))
        .find(|(error, _)| number(error) == wanted)
        .map(|(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Arena;

    fn shown(value: &impl uDisplay) -> String {
        let arena = Arena::new();
        String::from_utf8(crate::report::shown(&arena, value).to_vec()).unwrap()
    }

    #[test]
    fn errors_have_words() {
        assert_eq!(
            shown(&Reason::from(Errno::NOENT)),
            "No such file or directory"
        );
        assert_eq!(
            shown(&Reason::from(Errno::from_raw_os_error(133))),
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
