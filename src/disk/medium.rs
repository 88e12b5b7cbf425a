//! The opened source of a context's files: an image, a directory or a single file.
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, fstat, openat, seek};
use rustix::io::{Errno, pread, retry_on_intr};

use super::drive::DriveStatus;
use super::iso9660::{Descriptor, FileSections, Iso, ReadAt};
use crate::base::error::Error;
use crate::base::memory;
use crate::base::text::{base_name, c_str};

pub(super) const NO_CONTEXT: Error = Error::new(c"there is no context.sh");
/// The one file that makes a disk a context disk.
pub(super) const CONTEXT: &[u8] = b"context.sh";

/// The opened source of a context's files.
pub struct Disk {
    pub(super) source: &'static [u8],
    pub(super) medium: Medium,
}

pub(super) enum Medium {
    Iso(Iso<OpenFile>),
    Directory(OwnedFd),
    /// The text of context.sh itself.
    File(OpenFile),
}

impl Disk {
    /// Opens `path`. Its type decides what it is: a directory; a block device or
    /// regular file with an ISO 9660 image; any other regular file is the text of
    /// `context.sh`.
    ///
    /// # Errors
    /// The kernel's error; `NOMEDIUM` for an empty drive; an image whose descriptors or
    /// root directory are damaged.
    pub fn open(path: &CStr) -> Result<Self, Error> {
        let source = memory::copy(path.to_bytes());
        // `open` does not block: the kernel does not close an open tray, and does not
        // wait for the writer of a FIFO.
        let file = open(CWD, path)?;
        let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
        let medium = match kind {
            FileType::Directory => Medium::Directory(file),
            FileType::BlockDevice | FileType::RegularFile => {
                DriveStatus::of(file.as_fd()).medium()?;
                let device = OpenFile(file);
                let mut descriptor = Descriptor::empty();
                if descriptor.read_first(&device)? {
                    Medium::Iso(Iso::open(device, &mut descriptor)?)
                } else if kind == FileType::BlockDevice {
                    return Err(Error::new(c"no ISO 9660 file system is on it"));
                } else {
                    // No text begins with a NUL, but nearly every image does.
                    let mut start = [1];
                    device.fill_at(&mut start, 0)?;
                    if start == [0] {
                        return Err(Error::new(c"neither a text nor a whole ISO 9660 image"));
                    }
                    Medium::File(device)
                }
            }
            _ => {
                return Err(Error::new(
                    c"neither a file, a block device nor a directory",
                ));
            }
        };
        Ok(Self { source, medium })
    }

    /// The path that was opened or found.
    pub fn source(&self) -> &'static [u8] {
        self.source
    }

    /// The name of the file `name` in messages. A lone `context.sh` may have another
    /// name, which is then used unless it contains a space: the plan's text form
    /// separates fields by spaces.
    pub fn called(&self, name: &'static [u8]) -> &'static [u8] {
        let own = base_name(self.source).1;
        match self.medium {
            Medium::File(_) if !own.contains(&b' ') => own,
            _ => name,
        }
    }

    /// Whether there is a file with this name. Its contents are not read, so its size
    /// does not matter. Directories do not count.
    ///
    /// # Errors
    /// As [`Disk::read`], except for errors in the file's contents.
    pub fn has(&self, name: &[u8]) -> Result<bool, Error> {
        Ok(match &self.medium {
            Medium::Iso(iso) => iso.find(name)?.is_some(),
            Medium::Directory(directory) => self.open_in(directory, name)?.is_some(),
            Medium::File(_) => name == CONTEXT,
        })
    }

    /// Reads the whole file into memory that the caller may change; `None` if there is
    /// no such file.
    ///
    /// # Errors
    /// The kernel's error; a file that is damaged, or larger than
    /// [`LARGEST`](super::LARGEST).
    pub fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error> {
        let in_directory;
        let (device, file) = match &self.medium {
            Medium::Iso(iso) => (&iso.source, iso.find(name)?),
            Medium::Directory(directory) => match self.open_in(directory, name)? {
                Some(device) => {
                    in_directory = device;
                    (&in_directory, Some(FileSections::whole(&in_directory)?))
                }
                None => return Ok(None),
            },
            Medium::File(device) if name == CONTEXT => (device, Some(FileSections::whole(device)?)),
            Medium::File(_) => return Ok(None),
        };
        match file {
            Some(file) => file.read(device).map(Some),
            None => Ok(None),
        }
    }

    /// Opens a regular file of a directory; `None` if there is no file `name`.
    fn open_in(&self, directory: &OwnedFd, name: &[u8]) -> Result<Option<OpenFile>, Error> {
        // The name may come from a context. It must not lead out of the directory.
        if name.contains(&b'/') {
            return Ok(None);
        }
        let file = match open(directory.as_fd(), c_str(&[name])?) {
            Err(Errno::NOENT) => return Ok(None),
            file => file?,
        };
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(Some(OpenFile(file))),
            FileType::Directory => Ok(None),
            _ => Err(Error::new(c"not a regular file")),
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
