//! The files of a context, whatever carries them: an ISO 9660 image or block
//! device, a directory, or a lone `context.sh`. The disk is never mounted, so
//! that no driver of a file system and no mount point is needed, and what the
//! cloud sent never reaches a file system driver of the kernel.
mod drive;
pub mod iso9660;
mod search;
mod wait;

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, fstat, openat, seek};
use rustix::io::{Errno, pread};

use crate::memory::Arena;
use crate::text::Reason;
pub use drive::Status;
use iso9660::{Descriptor, Iso, ReadAt};
pub use search::{Places, Search, search};

/// The largest file of a context that is read, in bytes: a sanity limit.
/// Servers write some kilobytes.
pub const LARGEST: usize = 16 << 20;

const TOO_LARGE: Reason = Reason::Found("larger than 16 MiB");
const NO_CONTEXT: Reason = Reason::Found("there is no context.sh");
/// The one file that makes a disk a context disk.
const CONTEXT: &[u8] = b"context.sh";

/// A carrier of context files.
pub struct Disk<'a> {
    arena: &'a Arena,
    source: &'a [u8],
    carrier: Carrier,
}

enum Carrier {
    Iso(Iso<Device>),
    Directory(OwnedFd),
    /// The text of context.sh itself.
    Lone(Device),
}

impl<'a> Disk<'a> {
    /// Opens what `path` names, decided by what it is: a directory; a block
    /// device or regular file that holds an ISO 9660 image; any other regular
    /// file is the text of `context.sh`.
    ///
    /// # Errors
    /// What the kernel answers; `NOMEDIUM` for an empty drive; an image that
    /// is damaged before any of its files is looked for.
    pub fn open(arena: &'a Arena, path: &CStr) -> Result<Self, Reason> {
        let source = arena.copy(path.to_bytes())?;
        // Not blocking: an open drive is not closed, a FIFO is not waited for.
        let file = open(CWD, path)?;
        let carrier = match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::Directory => Carrier::Directory(file),
            FileType::BlockDevice => {
                Status::of(file.as_fd()).medium()?;
                let device = Device(file);
                match Descriptor::first(&device)? {
                    Some(first) => Carrier::Iso(Iso::open(device, first)?),
                    None => return Err(Reason::Found("no ISO 9660 file system is on it")),
                }
            }
            FileType::RegularFile => {
                let device = Device(file);
                match Descriptor::first(&device)? {
                    Some(first) => Carrier::Iso(Iso::open(device, first)?),
                    None => {
                        // No text begins so, but the first sectors of nearly
                        // every image do.
                        let mut start = [1];
                        device.fill_at(&mut start, 0)?;
                        if start == [0] {
                            return Err(Reason::Found("neither a text nor a whole ISO 9660 image"));
                        }
                        Carrier::Lone(device)
                    }
                }
            }
            _ => {
                return Err(Reason::Found(
                    "neither a file, a block device nor a directory",
                ));
            }
        };
        Ok(Self {
            arena,
            source,
            carrier,
        })
    }

    /// What was opened or found, as a path.
    pub fn source(&self) -> &'a [u8] {
        self.source
    }

    /// What people call the file `name` of this disk: a lone `context.sh` may
    /// have any name.
    pub fn called<'n>(&self, name: &'n [u8]) -> &'n [u8]
    where
        'a: 'n,
    {
        match self.carrier {
            Carrier::Lone(_) => match self.source.rsplit(|byte| *byte == b'/').next() {
                Some(base) => base,
                None => self.source,
            },
            _ => name,
        }
    }

    /// Whether there is a file of that name. Directories do not count.
    ///
    /// # Errors
    /// The disk cannot be read, or the file is there and could not be read
    /// whole.
    pub fn has(&self, name: &[u8]) -> Result<bool, Reason> {
        Ok(match &self.carrier {
            Carrier::Iso(iso) => iso.find(self.arena, name)?.is_some(),
            Carrier::Directory(directory) => open_beside(directory, name)?.is_some(),
            Carrier::Lone(_) => name == CONTEXT,
        })
    }

    /// The whole file, for its reader to change in place; `None` if there is
    /// no such file.
    ///
    /// # Errors
    /// As [`Disk::has`]; a file larger than [`LARGEST`].
    pub fn read(&self, name: &[u8]) -> Result<Option<&'a mut [u8]>, Reason> {
        match &self.carrier {
            Carrier::Iso(iso) => match iso.find(self.arena, name)? {
                Some(file) => iso.read(self.arena, &file).map(Some),
                None => Ok(None),
            },
            Carrier::Directory(directory) => match open_beside(directory, name)? {
                Some(file) => read_whole(self.arena, &file).map(Some),
                None => Ok(None),
            },
            Carrier::Lone(file) if name == CONTEXT => read_whole(self.arena, file).map(Some),
            Carrier::Lone(_) => Ok(None),
        }
    }
}

/// A file or block device.
struct Device(OwnedFd);

impl ReadAt for Device {
    fn size(&self) -> Result<u64, Errno> {
        seek(&self.0, SeekFrom::End(0))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        pread(&self.0, buffer, offset)
    }
}

fn open(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(directory, path, flags, Mode::empty())
}

/// Opens a regular file of a directory; `None` if there is no file `name`.
fn open_beside(directory: &OwnedFd, name: &[u8]) -> Result<Option<Device>, Reason> {
    // Names may come from a context; none leads out of the directory. A NUL
    // or 256 bytes are no name of a file either.
    let mut path = [0; 256];
    if name.len() >= path.len() || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Ok(None);
    }
    for (to, from) in path.iter_mut().zip(name) {
        *to = *from;
    }
    let Ok(path) = CStr::from_bytes_until_nul(&path) else {
        return Ok(None);
    };
    let file = match open(directory.as_fd(), path) {
        Err(Errno::NOENT) => return Ok(None),
        file => file?,
    };
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(Some(Device(file))),
        FileType::Directory => Ok(None),
        _ => Err(Reason::Found("not a regular file")),
    }
}

fn read_whole<'a>(arena: &'a Arena, file: &Device) -> Result<&'a mut [u8], Reason> {
    let size = usize::try_from(file.size()?).unwrap_or(usize::MAX);
    if size > LARGEST {
        return Err(TOO_LARGE);
    }
    let bytes = arena.bytes(size)?;
    let filled = file.fill_at(bytes, 0)?;
    Ok(bytes.get_mut(..filled).unwrap_or_default())
}

#[cfg(test)]
mod tests;
