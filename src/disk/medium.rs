//! The opened source of a context's files: an image, a directory or a single file.
use core::ffi::CStr;

use heapless::Vec;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, fstat, openat, seek};
use rustix::io::{Errno, pread, retry_on_intr};

use super::drive::DriveStatus;
use super::iso9660::{Descriptor, Iso, ReadAt, read_whole};
use crate::base::context_files::{CONTEXT, Files};
use crate::base::error::Error;
use crate::base::memory;
use crate::base::text::split_path;

pub(super) const NO_CONTEXT: Error = Error::new(c"there is no context.sh");

/// Bytes of the longest name in a directory (`NAME_MAX` of linux/limits.h), and a NUL.
const NAME_SIZE: usize = 256;

/// The opened source of a context's files.
pub struct Disk {
    pub(super) source: &'static [u8],
    pub(super) medium: Medium,
}

#[expect(clippy::large_enum_variant, reason = "a run has one")]
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
        // Copied last: an attempt that fails takes no memory.
        let source = memory::copy(path.to_bytes());
        Ok(Self { source, medium })
    }

    /// The path that was opened or found.
    pub fn source(&self) -> &'static [u8] {
        self.source
    }
}

impl Files for Disk {
    /// A name that contains a space is not used: the plan's text form separates fields
    /// by spaces.
    fn called(&self, name: &'static [u8]) -> &'static [u8] {
        let own = split_path(self.source).1;
        match self.medium {
            Medium::File(_) if !own.contains(&b' ') => own,
            _ => name,
        }
    }

    fn has(&self, name: &[u8]) -> Result<bool, Error> {
        match &self.medium {
            Medium::Iso(iso) => iso.has(name),
            Medium::Directory(directory) => Ok(open_in(directory, name)?.is_some()),
            Medium::File(_) => Ok(name == CONTEXT),
        }
    }

    /// # Errors
    /// The kernel's error; a file that is damaged, or larger than
    /// [`LARGEST`](super::LARGEST).
    fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error> {
        match &self.medium {
            Medium::Iso(iso) => iso.read(name),
            Medium::Directory(directory) => match open_in(directory, name)? {
                Some(file) => read_whole(&file).map(Some),
                None => Ok(None),
            },
            Medium::File(file) if name == CONTEXT => read_whole(file).map(Some),
            Medium::File(_) => Ok(None),
        }
    }
}

/// Opens a regular file of a directory; `None` if there is no file `name`.
fn open_in(directory: &OwnedFd, name: &[u8]) -> Result<Option<OpenFile>, Error> {
    // The name may come from a context. It must not lead out of the directory.
    if name.contains(&b'/') {
        return Ok(None);
    }
    // On the stack: a search that is repeated takes no memory.
    let mut path = Vec::<u8, NAME_SIZE>::new();
    if path.extend_from_slice(name).is_err() || path.push(0).is_err() {
        return Err(Errno::NAMETOOLONG.into());
    }
    let path = CStr::from_bytes_with_nul(&path).map_err(|_| Errno::INVAL)?;
    let file = match open(directory.as_fd(), path) {
        Err(Errno::NOENT) => return Ok(None),
        file => file?,
    };
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(Some(OpenFile(file))),
        FileType::Directory => Ok(None),
        _ => Err(Error::new(c"not a regular file")),
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
