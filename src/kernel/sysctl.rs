//! Kernel parameters below /proc/sys.
use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, pwrite, read};

use crate::memory::Arena;

/// Gives `net/ipv6/conf/DEVICE/NAME` below the directory `conf` a value, if
/// it has another one.
pub fn set_ipv6(
    arena: &Arena,
    conf: BorrowedFd,
    device: &[u8],
    name: &[u8],
    value: u8,
) -> Result<(), Errno> {
    let path = arena.concat(&[device, b"/", name]);
    let file = openat(conf, path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let mut old = [0; 8];
    let length = read(&file, &mut old)?;
    let digit = [b'0'.wrapping_add(value)];
    if old.get(..length).map(crate::text::trim) != Some(&digit[..]) {
        // At the start: elsewhere a write changes nothing and is no error
        // (kernel/sysctl.c, SYSCTL_WRITES_STRICT).
        pwrite(&file, &digit, 0)?;
    }
    Ok(())
}
