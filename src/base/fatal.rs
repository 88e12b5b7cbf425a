//! Ending the program when it cannot go on.
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::stdio::stderr;

use super::syscall::exit;

/// The priority "error" of the kernel log, which the console shows under `quiet` too
/// (Documentation/ABI/testing/dev-kmsg).
const PRIORITY: &[u8] = b"<3>";

/// Ends the program with this status. Writes `line` to the kernel log, if that can be
/// opened, and to standard error. The line begins with `<3>`, for the kernel log only,
/// and ends with a newline.
#[cold]
#[inline(never)]
pub fn fatal(line: &[u8], status: i32) -> ! {
    // If this fails, there is nowhere to report it.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(kmsg) = openat(CWD, c"/dev/kmsg", flags, Mode::empty()) {
        let _ = rustix::io::write(kmsg, line);
    }
    let line = line.strip_prefix(PRIORITY).unwrap_or(line);
    // SAFETY: nothing in this program closes standard error.
    let _ = rustix::io::write(unsafe { stderr() }, line);
    exit(status)
}
