//! The only access to the mounted target root.
//!
//! A path is always the one of the booted system: `/root/.ssh`, and `/run/…` for what
//! is in the run directory, which moves there. [`Root::resolve`] follows the root's own
//! symbolic links and never leaves the root. A path that leads below `/run` is looked
//! up in the run directory, since the root's own `/run` is hidden after switch_root.
use core::cell::Cell;
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::fs::{accessat, fstat, fstatfs, openat, openat2, readlinkat_raw};
use rustix::io::{self, Errno, retry_on_intr};

use crate::base::error::Error;
use crate::base::getdents;
use crate::base::memory::{self, Vector};
use crate::base::sort::sort;
use crate::base::text::{Str, c_str, split, split_once, split_path};

/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 16 << 20;
/// How files are opened to be read. O_NONBLOCK: a FIFO would keep the boot
/// waiting for a writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Links followed in one path, as in the kernel (path_resolution(7)).
const MOST_LINKS: u32 = 40;
/// The longest text of a symbolic link, in bytes (PATH_MAX).
const LONGEST_LINK: usize = 4096;

/// A directory that was read.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    /// The path as the caller gave it.
    path: &'static [u8],
    names: &'static [&'static [u8]],
    next: Option<&'static Listed>,
}

/// The mounted target root, and the directory that becomes its `/run`.
pub struct Root {
    pub(super) root: OwnedFd,
    /// `None`: empty, as at the start of a boot.
    pub(super) run: Option<OwnedFd>,
    pub(super) path: &'static CStr,
    /// Whether the kernel has openat2(2): Linux 5.6, so not EL8.
    pub(super) openat2: Cell<bool>,
    /// The directories that were read, the latest first.
    pub(super) listed: Cell<Option<&'static Listed>>,
}

/// A path in the booted system: absolute, without symbolic links, `.` and `..`. Its
/// last components need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedPath(Str);

/// A regular file that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileContent {
    /// All of it.
    pub content: &'static [u8],
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// The user ID of the owner.
    pub uid: u32,
    /// The group ID of the owner.
    pub gid: u32,
    /// It has more than one name: hard links.
    pub is_shared: bool,
}

impl ResolvedPath {
    /// Takes a path that has no symbolic link in it. If it has one after all, using it
    /// is an error.
    pub fn new(path: &[u8]) -> Result<Self, Errno> {
        Self::of(&[path])
    }

    /// The path, starting with `/`.
    pub fn path(self) -> &'static [u8] {
        self.0.bytes()
    }

    fn of(parts: &[&[u8]]) -> Result<Self, Errno> {
        Ok(Self(Str::concat(parts)?))
    }

    /// The path for a system call in the booted system.
    pub fn as_c_str(self) -> &'static CStr {
        self.0.c_str()
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

    /// Whether the booted system mounts a file system of the kernel over it, which
    /// hides what is written here.
    pub fn is_hidden(self) -> bool {
        const TOPS: [&[u8]; 3] = [b"/proc", b"/sys", b"/dev"];
        TOPS.iter().any(|top| self.is_below(top))
    }

    /// The path of `name` below it. No link is followed; a link in it is an error when
    /// it is used.
    pub fn join(self, name: &[u8]) -> Result<Self, Error> {
        let above = if self.path() == b"/" {
            b""
        } else {
            self.path()
        };
        Ok(Self::of(&[above, b"/", name])?)
    }

    /// The path of this file's new content while it is written: in the same directory,
    /// as rename(2) needs it. The name is always the same, so that what a power cut
    /// left is found again.
    pub fn temporary(self) -> Result<Self, Error> {
        /// The longest name, in bytes, whose temporary name is one (NAME_MAX).
        const LONGEST: usize = 255 - b"..onecontext".len();
        let (above, name) = self.split_file_name();
        let name = name.get(..LONGEST).unwrap_or(name);
        Ok(Self::of(&[above, b"/.", name, b".onecontext"])?)
    }

    /// The directory that it is in; that of `/` is `/`.
    pub fn parent(self) -> Result<Self, Error> {
        let above = self.split_file_name().0;
        let above = if above.is_empty() { b"/" } else { above };
        Ok(Self::of(&[above])?)
    }

    /// The parts before and after the last slash.
    pub fn split_file_name(self) -> (&'static [u8], &'static [u8]) {
        split_path(self.path())
    }
}

/// What may be missing, or why it could not be read.
pub type Fact<T> = Result<Option<T>, Error>;

const NOT_REGULAR: Error = Error::new(c"not a regular file");

/// Turns the errors of something that is not there into `None`: a missing component, a
/// file in place of a directory, or links in a circle. After any other error it is
/// unknown whether something is there.
pub fn if_there<T>(answer: Result<T, Error>) -> Fact<T> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is(&[Errno::NOENT, Errno::NOTDIR, Errno::LOOP]) => Ok(None),
        Err(reason) => Err(reason),
    }
}

fn sort_by_name(paths: &mut [&[u8]]) {
    sort(paths, |a, b| split_path(a).1 < split_path(b).1);
}

/// Whether a path is absolute and has no empty component, `.` or `..`.
fn is_plain(path: &[u8]) -> bool {
    let mut names = split(path, |byte| byte == b'/');
    path.len() > 1
        && names.next() == Some(b"")
        && names.all(|name| !matches!(name, b"" | b"." | b".."))
}

impl Root {
    /// Opens the root at `root` and the run directory at `run`; without `run` it is
    /// empty. An error comes with the path that caused it.
    pub fn open(
        root: &'static CStr,
        run: Option<&'static CStr>,
    ) -> Result<Self, (&'static [u8], Errno)> {
        let open = |path: &'static CStr| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            retry_on_intr(|| openat(CWD, path, flags, Mode::empty()))
                .map_err(|errno| (path.to_bytes(), errno))
        };
        Ok(Self {
            root: open(root)?,
            run: run.map(open).transpose()?,
            path: root,
            openat2: Cell::new(true),
            listed: Cell::new(None),
        })
    }

    /// The same root with an empty run directory. Facts of the image are read there: what
    /// is in the run directory is of this boot, and some of it ours.
    pub fn image(&self) -> Result<Self, (&'static [u8], Errno)> {
        Self::open(self.path, None)
    }

    /// Whether it is mounted read-write. As long as nothing is written, this is how the
    /// booted system finds it.
    pub fn is_mounted_writable(&self) -> bool {
        let access = accessat(&self.root, c".", Access::WRITE_OK, AtFlags::empty());
        // A user without permission gets another error.
        access != Err(Errno::ROFS)
    }

    /// Where it is mounted now.
    pub fn mount_point(&self) -> &'static CStr {
        self.path
    }

    /// Its top directory.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// [`ResolvedPath::new`].
    pub fn at(&self, path: &[u8]) -> Result<ResolvedPath, Errno> {
        ResolvedPath::new(path)
    }

    /// Where `path` leads, and what is there.
    pub fn resolve_and_stat(&self, path: &[u8]) -> Result<(ResolvedPath, io::Result<Stat>), Error> {
        let resolved = self.at(path)?;
        match self.stat(resolved) {
            answer @ (Ok(_) | Err(Errno::NOENT)) if is_plain(path) && self.openat2.get() => {
                Ok((resolved, answer))
            }
            _ => {
                let resolved = self.walk(path)?;
                Ok((resolved, self.stat(resolved)))
            }
        }
    }

    /// Where `path` leads, all symbolic links followed. Missing components stay as they
    /// are; a file where a directory is needed is ENOTDIR.
    pub fn resolve(&self, path: &[u8]) -> Result<ResolvedPath, Error> {
        if is_plain(path) && self.openat2.get() {
            // One system call handles the usual case, a path without links. ENOENT
            // means that too: a link before the missing component would have been an
            // error.
            let resolved = self.at(path)?;
            match self.open_resolved(resolved, OFlags::PATH) {
                Ok(_) | Err(Errno::NOENT) => return Ok(resolved),
                _ => {}
            }
        }
        self.walk(path)
    }

    /// [`Self::resolve_and_stat`]; but if there is a symbolic link, every directory on
    /// the way must belong to root, and nobody else may write it. Otherwise another
    /// user could choose where the path leads.
    pub fn resolve_trusted(&self, path: &[u8]) -> Result<(ResolvedPath, io::Result<Stat>), Error> {
        let looked = self.resolve_and_stat(path)?;
        if looked.0.path() != path {
            self.walk_through(path, &mut |directory| self.only_root_writes(directory))?;
        }
        Ok(looked)
    }

    /// Whether only root can write a directory.
    fn only_root_writes(&self, directory: &[u8]) -> Result<bool, Error> {
        let directory = if directory.is_empty() {
            b"/"
        } else {
            directory
        };
        match self.stat(self.at(directory)?) {
            Ok(stat) => Ok(stat.st_uid == 0 && stat.st_mode & 0o022 == 0),
            Err(Errno::NOENT) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// [`Self::resolve`], a component at a time.
    fn walk(&self, path: &[u8]) -> Result<ResolvedPath, Error> {
        self.walk_through(path, &mut |_| Ok(true))
    }

    /// [`Self::walk`], which calls `is_trusted` for each directory on the way. If one
    /// is not trusted, a link is an error.
    fn walk_through(
        &self,
        path: &[u8],
        is_trusted: &mut dyn FnMut(&[u8]) -> Result<bool, Error>,
    ) -> Result<ResolvedPath, Error> {
        // The resolved part, empty for the root itself, and the remaining part.
        let mut done = Vector::<u8>::new();
        let mut rest: &[u8] = memory::concat(&[path, b"/"]);
        let mut links = 0;
        let mut trusted = true;
        while let Some((name, tail)) = split_once(rest, b'/') {
            rest = tail;
            let before = done.len();
            if name == b".." {
                // The parent of the root is the root.
                done.truncate(split_path(&done).0.len());
            }
            if matches!(name, b"" | b"." | b"..") {
                continue;
            }
            trusted = trusted && is_trusted(&done)?;
            done.push(b'/');
            done.extend(name);
            if let Some(target) = self.link_at(c_str(&[&done])?)? {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let absolute = target.starts_with(b"/");
                done.truncate(if absolute { 0 } else { before });
                rest = memory::concat(&[target, b"/", tail]);
            }
            if links > 0 && !trusted {
                return Err(Error::new(
                    c"a symbolic link leads there, in or to a directory \
                            that is not only root's to write: not followed",
                ));
            }
        }
        if done.is_empty() {
            done.push(b'/');
        }
        Ok(ResolvedPath::of(&[&done])?)
    }

    /// The text of the link at `path`, which has no link before its last
    /// component; `None` if there is no link, or nothing at all.
    fn link_at(&self, path: &CStr) -> Fact<&'static [u8]> {
        // The directory that becomes /run is no link, whatever the root has.
        if path == c"/run" {
            return Ok(None);
        }
        let mut buffer = [0; LONGEST_LINK];
        let read = self
            .place(path)
            .and_then(|(base, name)| retry_on_intr(|| readlinkat_raw(base, name, &mut buffer)));
        match read {
            Ok(length) => {
                let text = buffer.get(..length).unwrap_or(&buffer);
                Ok(Some(memory::copy(text)))
            }
            // EINVAL: it is no link.
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The directory in which a path of the booted system is looked up, and the path
    /// below it.
    fn place<'s>(&'s self, path: &'s CStr) -> io::Result<(BorrowedFd<'s>, &'s CStr)> {
        let bytes = path.to_bytes_with_nul();
        let (base, rest) = match bytes.strip_prefix(b"/run") {
            Some(rest) if rest.starts_with(b"/") || rest == b"\0" => {
                (self.run.as_ref().ok_or(Errno::NOENT)?, rest)
            }
            _ => (&self.root, bytes),
        };
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        // SAFETY: what is left of a text with a NUL at its end only.
        let rest = unsafe { CStr::from_bytes_with_nul_unchecked(rest) };
        Ok((base.as_fd(), if rest.is_empty() { c"." } else { rest }))
    }

    /// Opens a resolved path; a symbolic link in it, also as the last part, is ELOOP.
    pub fn open_resolved(&self, resolved: ResolvedPath, flags: OFlags) -> io::Result<OwnedFd> {
        let (base, path) = self.place(resolved.as_c_str())?;
        let flags = flags | OFlags::CLOEXEC;
        if self.openat2.get() {
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match retry_on_intr(|| openat2(base, path, flags, Mode::empty(), resolve)) {
                // Old seccomp filters answer unknown calls with EPERM.
                Err(Errno::NOSYS | Errno::PERM) => self.openat2.set(false),
                answer => return answer,
            }
        }
        // Before 5.6: look for links first. No process of the root runs yet that could
        // make a link in between.
        match self.walk(resolved.path()) {
            Ok(same) if same == resolved => {
                retry_on_intr(|| openat(base, path, flags | OFlags::NOFOLLOW, Mode::empty()))
            }
            Ok(_) => Err(Errno::LOOP),
            Err(error) => Err(error.errno().unwrap_or(Errno::INVAL)),
        }
    }

    /// What is at a resolved path.
    pub fn stat(&self, resolved: ResolvedPath) -> io::Result<Stat> {
        let opened = self.open_resolved(resolved, OFlags::PATH)?;
        retry_on_intr(|| fstat(&opened))
    }

    /// Whether what is at a path without links is on a server; also if that is not known.
    pub fn is_remote(&self, path: &[u8]) -> bool {
        // linux/magic.h: NFS, SMB, CIFS, SMB2.
        const KINDS: [u32; 4] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42];
        let kind = (self.at(path))
            .and_then(|path| self.open_resolved(path, OFlags::PATH))
            .and_then(|file| fstatfs(&file));
        match kind {
            Ok(kind) => KINDS.contains(&(kind.f_type as u32)),
            // /usr may be a link, or missing.
            Err(errno) => !matches!(errno, Errno::NOENT | Errno::LOOP),
        }
    }

    /// Opens what `path` leads to.
    fn open_path(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Error> {
        match self.open_resolved(self.at(path)?, flags) {
            Err(Errno::LOOP | Errno::XDEV) => Ok(self.open_resolved(self.walk(path)?, flags)?),
            opened => Ok(opened?),
        }
    }

    /// Where `path` leads, and the regular file that is there. Where a link leads to is
    /// not opened if it is hidden in the booted system: it counts as missing.
    pub fn resolve_and_read(
        &self,
        path: &[u8],
    ) -> Result<(ResolvedPath, Result<&'static FileContent, Error>), Error> {
        let resolved = self.at(path)?;
        if is_plain(path) && self.openat2.get() {
            match self.open_resolved(resolved, READ) {
                Ok(file) => return Ok((resolved, self.whole(file, LARGEST_FILE))),
                Err(Errno::NOENT) => return Ok((resolved, Err(Errno::NOENT.into()))),
                Err(_) => {}
            }
        }
        let resolved = self.walk(path)?;
        let content = match resolved.is_hidden() {
            true => Err(Errno::NOENT.into()),
            false => self.read_resolved(resolved),
        };
        Ok((resolved, content))
    }

    /// Reads a regular file at a resolved path, whole.
    pub fn read_resolved(&self, resolved: ResolvedPath) -> Result<&'static FileContent, Error> {
        self.read_resolved_at_most(resolved, LARGEST_FILE)
    }

    /// [`Self::read_resolved`], for a file of at most `most` bytes: a larger one is not
    /// read, and the error is EFBIG.
    pub fn read_resolved_at_most(
        &self,
        resolved: ResolvedPath,
        most: u64,
    ) -> Result<&'static FileContent, Error> {
        self.whole(self.open_resolved(resolved, READ)?, most)
    }

    /// Reads a regular file of at most `most` bytes.
    fn whole(&self, file: OwnedFd, most: u64) -> Result<&'static FileContent, Error> {
        let stat = retry_on_intr(|| fstat(&file))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(NOT_REGULAR);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > most {
            return Err(Errno::FBIG.into());
        }
        let buffer = memory::bytes(size as usize);
        let mut length = 0;
        while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match retry_on_intr(|| io::read(&file, &mut *rest))? {
                0 => break,
                count => length += count,
            }
        }
        let buffer: &[u8] = buffer;
        Ok(memory::place(FileContent {
            content: buffer.get(..length).unwrap_or(buffer),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            is_shared: stat.st_nlink > 1,
        }))
    }

    /// Reads the regular file that `path` leads to.
    pub fn read(&self, path: &[u8]) -> Result<&'static FileContent, Error> {
        self.read_at_most(path, LARGEST_FILE)
    }

    /// [`Self::read`], for a file of at most `most` bytes: a larger one is not read,
    /// and the error is EFBIG.
    pub fn read_at_most(&self, path: &[u8], most: u64) -> Result<&'static FileContent, Error> {
        self.whole(self.open_path(path, READ)?, most)
    }

    /// [`Self::read`]; `None` if nothing is there, or a link to /dev/null, which
    /// disables a file.
    pub fn read_if_there(&self, path: &[u8]) -> Fact<&'static FileContent> {
        match self.read(path) {
            Err(error) if error == NOT_REGULAR && self.is_off(path)? => Ok(None),
            answer => if_there(answer),
        }
    }

    /// Whether `path` is a link to /dev/null.
    pub fn is_off(&self, path: &[u8]) -> Result<bool, Error> {
        Ok(self.read_link(path)? == Some(b"/dev/null"))
    }

    /// Whether `path` leads to anything.
    pub fn exists(&self, path: &[u8]) -> Result<bool, Error> {
        Ok(if_there(self.open_path(path, OFlags::PATH))?.is_some())
    }

    /// The first of `paths` that leads to anything.
    pub fn first<'p>(&self, paths: &[&'p [u8]]) -> Fact<&'p [u8]> {
        for path in paths {
            if self.exists(path)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The program of this name, in the directories of root's PATH (login.defs(5),
    /// `ENV_SUPATH`), and in those of a root without merged /usr.
    pub fn program(&self, name: &[u8]) -> Fact<&'static [u8]> {
        const DIRECTORIES: [&[u8]; 6] = [
            b"/usr/sbin/",
            b"/usr/bin/",
            b"/usr/local/sbin/",
            b"/usr/local/bin/",
            b"/sbin/",
            b"/bin/",
        ];
        for directory in DIRECTORIES {
            let path = memory::concat(&[directory, name]);
            if self.file_mode(path)?.is_some() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The type and permission bits of the regular file that `path` leads to.
    pub fn file_mode(&self, path: &[u8]) -> Fact<u32> {
        let Some(opened) = if_there(self.open_path(path, OFlags::PATH))? else {
            return Ok(None);
        };
        let mode = retry_on_intr(|| fstat(&opened))?.st_mode;
        let is_file = FileType::from_raw_mode(mode) == FileType::RegularFile;
        Ok(is_file.then_some(mode))
    }

    /// Whether anything is at `path` itself, a dangling link included.
    pub fn is_entry(&self, path: &[u8]) -> Result<bool, Error> {
        Ok(self.read_link(path)?.is_some() || self.exists(path)?)
    }

    /// The text of the symbolic link at `path`; links before its last part
    /// are followed.
    pub fn read_link(&self, path: &[u8]) -> Fact<&'static [u8]> {
        let (above, name) = split_path(path);
        let text = self
            .resolve(above)
            .and_then(|resolved| self.link_at(resolved.join(name)?.as_c_str()));
        Ok(if_there(text)?.flatten())
    }

    /// The names in the directory that `path` leads to, `.` and `..` left
    /// out, in no order; none if there is no such directory. Each directory is
    /// read once.
    pub fn names(&self, path: &[u8]) -> Result<&'static [&'static [u8]], Error> {
        let mut next = self.listed.get();
        while let Some(listed) = next {
            if listed.path == path {
                return Ok(listed.names);
            }
            next = listed.next;
        }
        let mut names = Vector::<&'static [u8]>::new();
        let opened = self.open_path(path, OFlags::RDONLY | OFlags::DIRECTORY);
        if let Some(opened) = if_there(opened)? {
            getdents::names(opened.as_fd(), &mut |name| {
                names.push(memory::copy(name));
                Ok(())
            })?;
        }
        let names: &[&[u8]] = names.finish();
        let listed = Listed {
            path: memory::copy(path),
            names,
            next: self.listed.get(),
        };
        self.listed.set(Some(memory::place(listed)));
        Ok(names)
    }

    /// [`Self::names`], sorted.
    pub fn list(&self, path: &[u8]) -> Result<&'static [&'static [u8]], Error> {
        let mut names = Vector::new();
        names.extend(self.names(path)?);
        sort_by_name(&mut names);
        Ok(names.finish())
    }

    /// The files with this ending in the directories `below` each of `tops`, sorted by
    /// name. Of files with one name only the first is there.
    pub fn merged(
        &self,
        tops: &[&[u8]],
        below: &[u8],
        ending: &[u8],
    ) -> Result<&'static [&'static [u8]], Error> {
        let mut paths = Vector::<&'static [u8]>::new();
        for top in tops {
            let directory = memory::concat(&[top, below]);
            for name in self.list(directory)? {
                let is_new = |path: &&[u8]| split_path(path).1 != *name;
                if name.ends_with(ending) && paths.iter().all(is_new) {
                    paths.push(memory::concat(&[directory, b"/", name]));
                }
            }
        }
        sort_by_name(&mut paths);
        Ok(paths.finish())
    }
}
