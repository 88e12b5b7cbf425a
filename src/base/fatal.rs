//! The end of the program where nothing else can be done.
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::stdio::stderr;

use super::syscall::exit;

/// What tells the kernel log that a line is an error, so that the console shows
/// it also under `quiet` (Documentation/ABI/testing/dev-kmsg).
const PRIORITY: &[u8] = b"<3>";

/// Ends the program with this status, and says why on standard error and, where
/// that may be written, in the kernel log. The line begins with `<3>` for the
/// latter, and ends with a newline.
#[cold]
#[inline(never)]
pub fn fatal(line: &[u8], status: i32) -> ! {
    // If this fails, there is nobody left to tell.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(kmsg) = openat(CWD, c"/dev/kmsg", flags, Mode::empty()) {
        let _ = rustix::io::write(kmsg, line);
    }
    let line = line.strip_prefix(PRIORITY).unwrap_or(line);
    // SAFETY: nothing in this program closes standard error.
    let _ = rustix::io::write(unsafe { stderr() }, line);
    exit(status)
}
