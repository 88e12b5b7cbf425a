//! Reading kernel files that report no size, such as those of proc(5).
use core::ffi::CStr;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{self, retry_on_intr};

use super::memory::Vector;

/// Reads a whole file.
///
/// # Errors
/// The kernel's error.
pub fn read(path: &CStr) -> io::Result<&'static [u8]> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = retry_on_intr(|| openat(CWD, path, flags, Mode::empty()))?;
    let mut text = Vector::new();
    let mut part = [0; 1024];
    loop {
        let length = retry_on_intr(|| io::read(&file, &mut part))?;
        match part.get(..length) {
            Some(part @ [_, ..]) => text.extend(part),
            _ => return Ok(text.finish()),
        }
    }
}
