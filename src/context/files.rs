//! The files that a context is read from.
use crate::base::error::Error;

/// The file that makes a disk a context disk.
pub const CONTEXT: &str = "context.sh";
/// StratusLab's second file, read after the first.
pub const CONFIGURATION: &str = "configuration.sh";

/// The files of a context disk.
pub trait Files {
    /// A whole file; `None`: it is not there.
    fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error>;
    /// The name of this file in messages: a lone `context.sh` may have another.
    fn called(&self, name: &'static [u8]) -> &'static [u8];
    /// Whether there is such a file.
    fn has(&self, name: &[u8]) -> Result<bool, Error>;
}
