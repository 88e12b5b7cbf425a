//! The files of a context, whatever carries them.
use super::error::Error;

/// The file that makes a disk a context disk.
pub const CONTEXT: &[u8] = b"context.sh";
/// StratusLab's second file, read after the first.
pub const CONFIGURATION: &[u8] = b"configuration.sh";

/// The files of a context disk.
pub trait Files {
    /// The name of this file in messages: a lone `context.sh` may have another.
    fn called(&self, name: &'static [u8]) -> &'static [u8];
    /// Whether there is a file with this name. Its content is not read, so its size
    /// does not matter. Directories do not count.
    ///
    /// # Errors
    /// As [`Files::read`], except for errors in the file's content.
    fn has(&self, name: &[u8]) -> Result<bool, Error>;
    /// Reads the whole file into memory that the caller may change; `None` if there is
    /// no such file.
    fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error>;
}
