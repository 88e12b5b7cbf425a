//! What a context is read from.
use crate::base::error::Error;

/// The files that lie beside each other on a context disk.
pub trait Files<'a> {
    /// A whole file; `None`: it is not there.
    fn read(&self, name: &[u8]) -> Result<Option<&'a mut [u8]>, Error>;
    /// Whether there is such a file.
    fn has(&self, name: &[u8]) -> Result<bool, Error>;
}
