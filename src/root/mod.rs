//! The one door to the mounted target root.
//!
//! A path is always the one of the booted system: `/root/.ssh`, and `/run/…`
//! for what is in the run directory, which moves there. [`Root::locate`]
//! follows the root's own symbolic links and never leaves the root; what leads
//! below `/run` is answered from the run directory, since what lies under the
//! root's own `/run` is hidden after switch_root.
//!
//! What is to be written is first described ([`Changes`]) and then done
//! ([`Writer::carry_out`]), so that it can also be shown without doing it.
mod change;
mod directory;
mod mounts;
#[cfg(test)]
pub(crate) mod testing;
pub mod units;
pub mod users;
mod write;

use core::cell::Cell;
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::fs::{fstat, openat, openat2, readlinkat_raw};
use rustix::io::{self, Errno};

pub use change::{Access, Bind, Change, Changes, File, Folder, Label, Link, Octal, What};
pub use mounts::{Column, Policy, Writer, mounted_later};

use crate::memory::{Arena, NoMemory, Table};
use crate::text::Reason;

/// A file larger than this many bytes is none that we should read.
const LARGEST_FILE: u64 = 64 << 20;
/// Links followed in one path, as in the kernel (path_resolution(7)).
const MOST_LINKS: u32 = 40;
/// The longest text of a symbolic link, in bytes (PATH_MAX).
const LONGEST_LINK: usize = 4096;

/// The mounted target root, and the directory that becomes its `/run`.
pub struct Root<'a> {
    arena: &'a Arena,
    root: OwnedFd,
    run: OwnedFd,
    path: &'a CStr,
    /// Whether the kernel has openat2(2), Linux 5.6; EL8 has not.
    openat2: Cell<bool>,
}

/// A place in the booted system: an absolute path without symbolic links,
/// `.` and `..`. The last parts need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot<'a>(&'a CStr);

/// A regular file that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// All of it.
    pub content: &'a [u8],
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// The owning user's number.
    pub uid: u32,
    /// The owning group's number.
    pub gid: u32,
}

impl<'a> Spot<'a> {
    /// The path, starting with `/`.
    pub fn path(self) -> &'a [u8] {
        self.0.to_bytes()
    }

    /// The path for a system call in the booted system.
    pub fn as_c_str(self) -> &'a CStr {
        self.0
    }

    /// Whether it is in the run directory, which can always be written.
    pub fn in_run(self) -> bool {
        self.is_below(b"/run")
    }

    /// Whether it is `top` or below it.
    pub fn is_below(self, top: &[u8]) -> bool {
        match self.path().strip_prefix(top) {
            Some(rest) => top == b"/" || rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// Whether the booted system mounts something over it that is not there
    /// yet, so that what would be written could never be seen.
    pub fn is_hidden(self) -> bool {
        [b"/proc".as_slice(), b"/sys", b"/dev"]
            .into_iter()
            .any(|top| self.is_below(top))
    }

    /// A name below it, whatever that name is: no link is followed here, and
    /// one that is met later is an error.
    pub fn join(self, arena: &'a Arena, name: &[u8]) -> Result<Self, Reason> {
        let above = if self.path() == b"/" {
            b""
        } else {
            self.path()
        };
        Ok(Self(c_str(arena, &[above, b"/", name])?))
    }

    /// The directory and the name in it; `/` has none.
    fn split(self, arena: &'a Arena) -> Result<(Self, &'a CStr), Reason> {
        let path = self.path();
        let cut = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (above, name) = path.split_at_checked(cut).unwrap_or((b"", path));
        let name = c_str(arena, &[name.strip_prefix(b"/").unwrap_or(name)])?;
        if name.is_empty() {
            return Err(Errno::ISDIR.into());
        }
        let above = if above.is_empty() { b"/" } else { above };
        Ok((Self(c_str(arena, &[above])?), name))
    }
}

/// The concatenation of `parts`, for a system call. A NUL in it is an error:
/// no path has one.
pub fn c_str<'a>(arena: &'a Arena, parts: &[&[u8]]) -> Result<&'a CStr, Reason> {
    let mut text = arena.table();
    for part in parts {
        text.extend(part)?;
    }
    text.push(0)?;
    CStr::from_bytes_with_nul(text.finish()).map_err(|_| Errno::INVAL.into())
}

impl<'a> Root<'a> {
    /// Opens the root at `root` and the run directory at `run`; the error
    /// comes with the path to blame.
    pub fn open(
        arena: &'a Arena,
        root: &'a CStr,
        run: &'a CStr,
    ) -> Result<Self, (&'a [u8], Errno)> {
        let open = |path: &'a CStr| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, path, flags, Mode::empty()).map_err(|errno| (path.to_bytes(), errno))
        };
        Ok(Self {
            arena,
            root: open(root)?,
            run: open(run)?,
            path: root,
            openat2: Cell::new(true),
        })
    }

    /// Memory for what is found.
    pub fn arena(&self) -> &'a Arena {
        self.arena
    }

    /// Where `path` leads, all symbolic links followed. Missing parts are
    /// taken as they stand; a file where a directory is needed is ENOTDIR.
    pub fn locate(&self, path: &[u8]) -> Result<Spot<'a>, Reason> {
        let plain = path
            .split(|byte| *byte == b'/')
            .all(|name| name != b".." && name != b".")
            && !path.windows(2).any(|pair| pair == b"//")
            && path.starts_with(b"/")
            && (path.len() == 1 || !path.ends_with(b"/"));
        if plain && self.openat2.get() {
            // One system call decides the usual case: no link on the way.
            // ENOENT says so too: the links before the gap would have been met.
            let spot = Spot(c_str(self.arena, &[path])?);
            match self.open_spot(spot, OFlags::PATH) {
                Ok(_) | Err(Errno::NOENT) => return Ok(spot),
                _ => {}
            }
        }
        self.walk(path)
    }

    /// [`Self::locate`], a component at a time.
    fn walk(&self, path: &[u8]) -> Result<Spot<'a>, Reason> {
        // The part that is done, `` for the root itself, and what remains.
        let mut done = self.arena.table::<u8>();
        let mut rest: &[u8] = self.arena.copy(path)?;
        let mut links = 0;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'/');
            let (name, tail) = match end {
                Some(end) => (
                    rest.get(..end).unwrap_or(b""),
                    rest.get(end + 1..).unwrap_or(b""),
                ),
                None => (rest, b"".as_slice()),
            };
            rest = tail;
            let before = done.len();
            match name {
                b"" | b"." => continue,
                // Above the root is the root.
                b".." => {
                    let cut = done.iter().rposition(|byte| *byte == b'/');
                    done.truncate(cut.unwrap_or(0));
                    continue;
                }
                _ => {
                    done.push(b'/')?;
                    done.extend(name)?;
                }
            }
            let Some(target) = self.link_at(&mut done)? else {
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            let absolute = target.starts_with(b"/");
            done.truncate(if absolute { 0 } else { before });
            let mut next = self.arena.table();
            next.extend(target)?;
            next.push(b'/')?;
            next.extend(tail)?;
            rest = next.finish();
        }
        if done.is_empty() {
            done.push(b'/')?;
        }
        Ok(Spot(c_str(self.arena, &[&done])?))
    }

    /// The text of the link at `path`, which has no link before its last
    /// component; `None` if there is no link, or nothing at all.
    fn link_at(&self, path: &mut Table<'a, u8>) -> Result<Option<&'a [u8]>, Reason> {
        // The directory that becomes /run is no link, whatever the root has.
        if **path == *b"/run" {
            return Ok(None);
        }
        let length = path.len();
        path.push(0)?;
        let (base, name) = self.place(CStr::from_bytes_until_nul(path).unwrap_or(c""));
        let mut buffer = [0; LONGEST_LINK];
        let answer = readlinkat_raw(base, name, &mut buffer);
        path.truncate(length);
        match answer {
            Ok(length) => {
                let text = buffer.get(..length).unwrap_or(&buffer);
                Ok(Some(self.arena.copy(text)?))
            }
            // EINVAL: it is something else.
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The directory that a path of the booted system starts in, and the rest.
    fn place<'s>(&'s self, path: &'s CStr) -> (BorrowedFd<'s>, &'s CStr) {
        let bytes = path.to_bytes_with_nul();
        let (base, rest) = match bytes.strip_prefix(b"/run") {
            Some(rest) if rest.starts_with(b"/") || rest == b"\0" => (&self.run, rest),
            _ => (&self.root, bytes),
        };
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let rest = CStr::from_bytes_until_nul(rest).unwrap_or(c"");
        (base.as_fd(), if rest.is_empty() { c"." } else { rest })
    }

    /// Opens a spot; a symbolic link in it, also as the last part, is ELOOP.
    fn open_spot(&self, spot: Spot, flags: OFlags) -> io::Result<OwnedFd> {
        let (base, path) = self.place(spot.0);
        let flags = flags | OFlags::CLOEXEC;
        if self.openat2.get() {
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(base, path, flags, Mode::empty(), resolve) {
                // EPERM is what old seccomp filters say of unknown calls.
                Err(Errno::NOSYS | Errno::PERM) => self.openat2.set(false),
                answer => return answer,
            }
        }
        self.open_stepwise(base, path, flags)
    }

    /// [`Self::open_spot`] for kernels before 5.6: each directory on the way
    /// is opened on its own, so that no link is followed.
    fn open_stepwise(&self, base: BorrowedFd, path: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut names = path.to_bytes().split(|byte| *byte == b'/').peekable();
        let mut at = None::<OwnedFd>;
        while let Some(name) = names.next() {
            let name = c_str(self.arena, &[name]).map_err(|_| Errno::NOMEM)?;
            let last = names.peek().is_none();
            let from = at.as_ref().map_or(base, |at| at.as_fd());
            let flags = if last { flags | OFlags::NOFOLLOW } else { step };
            match openat(from, name, flags, Mode::empty()) {
                // O_PATH opens the link itself, and O_DIRECTORY answers
                // ENOTDIR for a link: neither is what openat2 says.
                Ok(file) if last && flags.contains(OFlags::PATH) => {
                    if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Symlink {
                        return Err(Errno::LOOP);
                    }
                    at = Some(file);
                }
                Ok(file) => at = Some(file),
                Err(Errno::NOTDIR) if readlinkat_raw(from, name, &mut [0u8; 1]).is_ok() => {
                    return Err(Errno::LOOP);
                }
                Err(errno) => return Err(errno),
            }
        }
        at.ok_or(Errno::NOENT)
    }

    /// What is at a spot.
    pub fn stat(&self, spot: Spot) -> io::Result<Stat> {
        fstat(self.open_spot(spot, OFlags::PATH)?)
    }

    /// Reads a regular file at a spot, whole.
    pub fn read_spot(&self, spot: Spot) -> Result<Found<'a>, Reason> {
        // O_NONBLOCK: a FIFO would keep the boot waiting for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_spot(spot, flags)?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("not a regular file".into());
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > LARGEST_FILE {
            return Err(Errno::FBIG.into());
        }
        let buffer = self
            .arena
            .bytes(usize::try_from(size).map_err(|_| NoMemory)?)?;
        let mut length = 0;
        while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match io::read(&file, rest) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let buffer: &[u8] = buffer;
        Ok(Found {
            content: buffer.get(..length).unwrap_or(buffer),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        })
    }

    /// Reads the regular file that `path` leads to.
    pub fn read(&self, path: &[u8]) -> Result<Found<'a>, Reason> {
        let spot = Spot(c_str(self.arena, &[path])?);
        match self.read_spot(spot) {
            Err(Reason::Os(Errno::LOOP | Errno::XDEV)) => self.read_spot(self.walk(path)?),
            answer => answer,
        }
    }

    /// Whether `path` leads to anything.
    pub fn exists(&self, path: &[u8]) -> bool {
        self.locate(path).is_ok_and(|spot| self.stat(spot).is_ok())
    }

    /// Whether anything is at `path` itself, a dangling link included.
    pub fn is_entry(&self, path: &[u8]) -> bool {
        self.link(path).is_some() || self.exists(path)
    }

    /// The text of the symbolic link at `path`; links before its last part
    /// are followed.
    pub fn link(&self, path: &[u8]) -> Option<&'a [u8]> {
        let cut = path.iter().rposition(|byte| *byte == b'/')?;
        let above = self.locate(path.get(..cut + 1)?).ok()?;
        let spot = above.join(self.arena, path.get(cut + 1..)?).ok()?;
        let mut text = self.arena.table();
        text.extend(spot.path()).ok()?;
        self.link_at(&mut text).ok()?
    }

    /// The names in the directory that `path` leads to, `.` and `..` left
    /// out, sorted; none if there is no such directory.
    pub fn list(&self, path: &[u8]) -> Result<&'a [&'a [u8]], Reason> {
        let spot = self.locate(path)?;
        let mut names = self.arena.table::<&'a [u8]>();
        match self.open_spot(spot, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => directory::read(&dir, |name| {
                let name: &'a [u8] = self.arena.copy(name)?;
                // Few names: the place of each is found by going back.
                names.push(name)?;
                let mut left: &mut [&[u8]] = &mut names;
                while let [rest @ .., a, b] = left {
                    if *a <= *b {
                        break;
                    }
                    core::mem::swap(a, b);
                    let keep = rest.len() + 1;
                    left = left.get_mut(..keep).unwrap_or(&mut []);
                }
                Ok(())
            })?,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(names.finish())
    }
}
