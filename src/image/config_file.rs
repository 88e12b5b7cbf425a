//! Files of the root, unparsed: what is there, and where a missing one would be.
use rustix::io::Errno;

use super::{FileContent, ResolvedPath, Root};
use crate::base::error::Error;
use crate::base::memory;

/// A file, or the path where it would be.
#[derive(Clone, Copy)]
pub struct ConfigFile {
    /// Its path, links followed.
    pub path: ResolvedPath,
    /// `None`: the file is missing.
    pub content: Option<&'static FileContent>,
}

impl ConfigFile {
    /// Reads the file that `path` leads to. A link below /proc, /sys or /dev counts as
    /// one to a missing file: the booted system mounts over it.
    pub fn read(root: &Root, path: &[u8]) -> Result<&'static Self, Error> {
        let (path, content) = root.resolve_and_read(path)?;
        match content {
            Ok(content) => Ok(memory::place(Self {
                path,
                content: Some(content),
            })),
            Err(error) if error == Errno::NOENT => Ok(Self::missing(path)),
            Err(error) => Err(error),
        }
    }

    fn missing(path: ResolvedPath) -> &'static Self {
        memory::place(Self {
            path,
            content: None,
        })
    }

    /// Like [`Self::read`], but anything other than a regular file counts as missing.
    pub(super) fn read_regular(root: &Root, path: &[u8]) -> Result<&'static Self, Error> {
        match Self::read(root, path) {
            Err(error) if error.errno().is_none() => Ok(Self::missing(root.resolve(path)?)),
            file => file,
        }
    }
}
