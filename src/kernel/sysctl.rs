//! Kernel parameters below /proc/sys.
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, pwrite, read};

use crate::base::text::{c_str, format, number};

/// The value of `net/ipv6/conf/DEVICE/NAME`, if it is a number. `conf` is the directory
/// `net/ipv6/conf`.
pub fn ipv6(conf: &OwnedFd, device: &[u8], name: &str) -> Result<u32, Errno> {
    let (_, value) = open(conf, device, name, OFlags::RDONLY)?;
    value.ok_or(Errno::INVAL)
}

/// Sets `net/ipv6/conf/DEVICE/NAME` to `value` if it differs. `conf` is the directory
/// `net/ipv6/conf`.
pub fn set_ipv6(conf: &OwnedFd, device: &[u8], name: &str, value: u32) -> Result<(), Errno> {
    let (file, old) = open(conf, device, name, OFlags::RDWR)?;
    if old != Some(value) {
        // At offset 0: elsewhere the kernel ignores a write and returns no error
        // (kernel/sysctl.c, SYSCTL_WRITES_STRICT).
        pwrite(&file, format(&value), 0)?;
    }
    Ok(())
}

/// Opens a parameter and reads its value, if that is a number.
fn open(
    conf: &OwnedFd,
    device: &[u8],
    name: &str,
    access: OFlags,
) -> Result<(OwnedFd, Option<u32>), Errno> {
    let path = c_str(&[device, b"/", name.as_bytes()])?;
    let file = openat(conf, path, access | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = [0; 16];
    let length = read(&file, &mut text)?;
    let value = text.get(..length).unwrap_or_default().trim_ascii();
    Ok((file, number(value)))
}
