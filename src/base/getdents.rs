//! The names in a directory.
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use crate::base::error::Error;
use crate::base::syscall::getdents;
use crate::base::text::split_once;

/// The size of the buffer, in bytes: enough for some hundred entries. An entry has at
/// most 280 bytes, as a name has at most 255.
const BUFFER_SIZE: usize = 8192;

/// Offsets of an entry's length and of its NUL-terminated name (`struct
/// linux_dirent64`, linux/dirent.h).
const LENGTH: usize = 16;
const NAME: usize = 19;

/// Calls `each` with every name but `.` and `..`, in no particular order.
pub fn names(
    directory: BorrowedFd,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    // Aligned as the kernel aligns entries.
    let mut buffer = [0u64; BUFFER_SIZE / size_of::<u64>()];
    loop {
        let mut rest = getdents(directory, &mut buffer)?;
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let name;
            (name, rest) = split(rest).ok_or(Errno::IO)?;
            if name != b"." && name != b".." {
                each(name)?;
            }
        }
    }
}

/// Splits off the first entry: its name, and the entries behind it. `None` if the entry
/// is malformed: too short, longer than the buffer, or without the NUL.
fn split(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u16::from_ne_bytes(*entries.get(LENGTH..)?.first_chunk()?);
    let (entry, rest) = entries.split_at_checked(length.into())?;
    let (name, _) = split_once(entry.get(NAME..)?, 0)?;
    Some((name, rest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::CString;
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use rustix::fd::{AsFd, OwnedFd};
    use rustix::fs::{CWD, Mode, OFlags, openat};

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        openat(CWD, path.as_c_str(), OFlags::RDONLY, Mode::empty()).unwrap()
    }

    /// An entry of this length with this name.
    fn entry(length: u16, name: &[u8]) -> Vec<u8> {
        let mut entry = vec![0xff; LENGTH];
        entry.extend(length.to_ne_bytes());
        entry.push(8);
        entry.extend(name);
        entry
    }

    #[test]
    fn entries_end_where_they_say_or_nowhere() {
        let two = [entry(24, b"ab\0\0\0"), entry(24, b"c\0\0\0\0")].concat();
        let (name, rest) = split(&two).unwrap();
        assert_eq!(
            (name, split(rest)),
            (&b"ab"[..], Some((&b"c"[..], &b""[..])))
        );
        for (length, name) in [
            // It would never end.
            (0, &b"ab\0\0\0"[..]),
            (19, b"ab\0\0\0"),
            // Beyond the buffer, and a name without an end.
            (32, b"ab\0\0\0"),
            (24, b"abcde"),
        ] {
            assert_eq!(split(&entry(length, name)), None, "{length}");
        }
        for length in 0..two.len() {
            let _ = split(&two[..length]);
        }
        assert_eq!(split(&two[..17]), None);
    }

    #[test]
    fn every_name_once() {
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        let mut wanted = BTreeSet::new();
        for n in 0..300usize {
            let name = format!("{}{n}", "x".repeat(n % 250));
            File::create(top.join(&name)).unwrap();
            wanted.insert(name.into_bytes());
        }
        let mut found = Vec::new();
        names(open(&top).as_fd(), &mut |name| {
            found.push(name.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(found.len(), 300);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
        let file = open(&top.join("0"));
        assert_eq!(
            names(file.as_fd(), &mut |_| Ok(())),
            Err(Error::from(Errno::NOTDIR))
        );
        fs::remove_dir_all(top).unwrap();
    }
}
