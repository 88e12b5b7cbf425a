//! Standard output and standard error.
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// Where the program writes.
#[derive(Clone, Copy)]
pub struct Streams {
    /// Standard output.
    pub output: BorrowedFd<'static>,
    /// Standard error.
    pub errors: BorrowedFd<'static>,
}

/// Writes all of `text`.
pub fn write_all(to: BorrowedFd, mut text: &[u8]) -> Result<(), Errno> {
    while !text.is_empty() {
        match rustix::io::write(to, text) {
            Ok(0) => return Err(Errno::IO),
            Ok(length) => text = text.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
