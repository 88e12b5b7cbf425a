//! The names in a directory.
use core::ffi::CStr;
use core::mem::offset_of;

use rustix::fd::BorrowedFd;

use crate::syscall::getdents;
use crate::text::Reason;

/// Room for some dozens of entries at a time, in bytes. One needs at most
/// 280: a name has at most 255 bytes.
const ROOM: usize = 2048;

/// `struct linux_dirent64` (linux/dirent.h); the name goes on to its NUL.
#[repr(C)]
struct Entry {
    inode: u64,
    offset: i64,
    length: u16,
    kind: u8,
    name: [u8; 1],
}

/// Calls `each` with every name but `.` and `..`, in no order.
pub fn names(
    directory: BorrowedFd,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Reason>,
) -> Result<(), Reason> {
    // Aligned as the kernel aligns entries.
    let mut room = [0u64; ROOM / size_of::<u64>()];
    loop {
        let mut rest = getdents(directory, &mut room)?;
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            // SAFETY: the kernel fills the room with whole entries, each
            // aligned and each with a NUL after its name.
            let (step, name) = unsafe {
                let entry = rest.as_ptr().cast::<Entry>();
                let name = rest.as_ptr().add(offset_of!(Entry, name));
                ((*entry).length, CStr::from_ptr(name.cast()))
            };
            let name = name.to_bytes();
            if name != b"." && name != b".." {
                each(name)?;
            }
            rest = rest.get(step.into()..).unwrap_or(&[]);
        }
    }
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
    use rustix::io::Errno;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        openat(CWD, path.as_c_str(), OFlags::RDONLY, Mode::empty()).unwrap()
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
            Err(Reason::Os(Errno::NOTDIR))
        );
        fs::remove_dir_all(top).unwrap();
    }
}
