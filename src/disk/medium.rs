//! What carries the files of a context, opened.
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, fstat, openat, seek};
use rustix::io::{Errno, pread, retry_on_intr};

use super::drive::DriveStatus;
use super::iso9660::{Descriptor, FileSections, Iso, ReadAt};
use crate::base::arena::Arena;
use crate::base::error::Error;
use crate::base::text::{base_name, c_str};

pub(super) const NO_CONTEXT: Error = Error::new(&"there is no context.sh");
/// The one file that makes a disk a context disk.
pub(super) const CONTEXT: &[u8] = b"context.sh";

/// What the files of a context are on, opened.
pub struct Disk<'a> {
    pub(super) arena: &'a Arena,
    pub(super) source: &'a [u8],
    pub(super) medium: Medium<'a>,
}

pub(super) enum Medium<'a> {
    Iso(Iso<'a, OpenFile>),
    Directory(OwnedFd),
    /// The text of context.sh itself.
    File(OpenFile),
}

impl<'a> Disk<'a> {
    /// Opens what `path` names, decided by what it is: a directory; a block
    /// device or regular file that holds an ISO 9660 image; any other regular
    /// file is the text of `context.sh`.
    ///
    /// # Errors
    /// What the kernel answers; `NOMEDIUM` for an empty drive; an image that
    /// is damaged before any of its files is looked for.
    pub fn open(arena: &'a Arena, path: &CStr) -> Result<Self, Error> {
        let source = arena.copy(path.to_bytes());
        // Not blocking: an open drive is not closed, a FIFO is not waited for.
        let file = open(CWD, path)?;
        let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
        let medium = match kind {
            FileType::Directory => Medium::Directory(file),
            FileType::BlockDevice | FileType::RegularFile => {
                DriveStatus::of(file.as_fd()).medium()?;
                let device = OpenFile(file);
                let mut descriptor = Descriptor::empty();
                if descriptor.read_first(&device)? {
                    Medium::Iso(Iso::open(arena, device, &mut descriptor)?)
                } else if kind == FileType::BlockDevice {
                    return Err(Error::new(&"no ISO 9660 file system is on it"));
                } else {
                    // No text begins with a zero, but nearly every image does.
                    let mut start = [1];
                    device.fill_at(&mut start, 0)?;
                    if start == [0] {
                        return Err(Error::new(&"neither a text nor a whole ISO 9660 image"));
                    }
                    Medium::File(device)
                }
            }
            _ => {
                return Err(Error::new(
                    &"neither a file, a block device nor a directory",
                ));
            }
        };
        Ok(Self {
            arena,
            source,
            medium,
        })
    }

    /// What was opened or found, as a path.
    pub fn source(&self) -> &'a [u8] {
        self.source
    }

    /// What messages call the file `name` of this disk. A lone `context.sh` may have
    /// any name, which is then its own, unless it would be several words of a plan's
    /// text form.
    pub fn called(&self, name: &'a [u8]) -> &'a [u8] {
        let own = base_name(self.source).1;
        match self.medium {
            Medium::File(_) if !own.contains(&b' ') => own,
            _ => name,
        }
    }

    /// Whether there is a file of that name, however large; none of it is
    /// read. Directories do not count.
    ///
    /// # Errors
    /// As [`Disk::read`], but for what only the file's own bytes tell.
    pub fn has(&self, name: &[u8]) -> Result<bool, Error> {
        Ok(match &self.medium {
            Medium::Iso(iso) => iso.find(name)?.is_some(),
            Medium::Directory(directory) => self.open_beside(directory, name)?.is_some(),
            Medium::File(_) => name == CONTEXT,
        })
    }

    /// The whole file, for its reader to change in place; `None` if there is
    /// no such file.
    ///
    /// # Errors
    /// What the kernel answers; a file that is damaged, or larger than
    /// [`LARGEST`](super::LARGEST).
    pub fn read(&self, name: &[u8]) -> Result<Option<&'a mut [u8]>, Error> {
        let beside;
        let (device, file) = match &self.medium {
            Medium::Iso(iso) => (&iso.source, iso.find(name)?),
            Medium::Directory(directory) => match self.open_beside(directory, name)? {
                Some(device) => {
                    beside = device;
                    (&beside, Some(FileSections::whole(self.arena, &beside)?))
                }
                None => return Ok(None),
            },
            Medium::File(device) if name == CONTEXT => {
                (device, Some(FileSections::whole(self.arena, device)?))
            }
            Medium::File(_) => return Ok(None),
        };
        match file {
            Some(file) => file.read(self.arena, device).map(Some),
            None => Ok(None),
        }
    }

    /// Opens a regular file of a directory; `None` if there is no file `name`.
    fn open_beside(&self, directory: &OwnedFd, name: &[u8]) -> Result<Option<OpenFile>, Error> {
        // Names may come from a context; none leads out of the directory.
        if name.contains(&b'/') {
            return Ok(None);
        }
        let file = match open(directory.as_fd(), c_str(self.arena, &[name])?) {
            Err(Errno::NOENT) => return Ok(None),
            file => file?,
        };
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(Some(OpenFile(file))),
            FileType::Directory => Ok(None),
            _ => Err(Error::new(&"not a regular file")),
        }
    }
}

/// A file or block device.
pub(super) struct OpenFile(pub(super) OwnedFd);

impl ReadAt for OpenFile {
    fn size(&self) -> Result<u64, Errno> {
        seek(&self.0, SeekFrom::End(0))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        retry_on_intr(|| pread(&self.0, &mut *buffer, offset))
    }
}

pub(super) fn open(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    retry_on_intr(|| openat(directory, path, flags, Mode::empty()))
}
