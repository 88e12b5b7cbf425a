//! The names in a directory.
use core::mem::MaybeUninit;

use rustix::fd::OwnedFd;
use rustix::fs::RawDir;

use crate::text::Reason;

/// Room for some dozens of entries at a time, in bytes; one entry needs at
/// most 280 (getdents64(2): a name has at most 255 bytes).
const ROOM: usize = 2048;

/// Calls `each` with every name but `.` and `..`, in no order.
pub fn read(
    directory: &OwnedFd,
    mut each: impl FnMut(&[u8]) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut room = [MaybeUninit::uninit(); ROOM];
    let mut entries = RawDir::new(directory, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name)?;
        }
    }
    Ok(())
}
