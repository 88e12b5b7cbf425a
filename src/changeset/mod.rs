//! What is to be written, described before anything is: so that it can be
//! format, and decided anew when the root turns out to be read-only.
mod remount;
mod write;

use rustix::fs::FileType;
use rustix::io::Errno;
use ufmt::{uDisplay, uWrite, uwrite};

use crate::base::arena::{Arena, Vector};
use crate::base::error::Error;
use crate::base::log::{Level, failure};
use crate::base::text::{Escaped, Text, format};
use crate::image::{FileContent, ResolvedPath, Root};

pub use remount::{Policy, RootAccess, Writer};

/// One thing to be made.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// Where.
    pub resolved: ResolvedPath<'a>,
    /// What.
    pub action: Action<'a>,
    /// The line to report once it is done; empty for one that names the path.
    pub done: &'a [u8],
}

/// What a change makes.
#[derive(Clone, Copy)]
pub enum Action<'a> {
    /// A regular file, replaced as a whole.
    File(File<'a>),
    /// A symbolic link.
    Link(Link<'a>),
    /// A file or directory of the run directory mounted over one of the root.
    Bind(Bind<'a>),
    /// Nothing: what is there is removed.
    Removal,
}

/// A regular file.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// All of it.
    pub content: &'a [u8],
    /// Who may use it.
    pub access: Access,
    /// The directory that it is in.
    pub folder: Folder,
}

/// A symbolic link.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    /// Its text, as the booted system reads it.
    pub target: &'a [u8],
}

/// A bind mount; its point is the change's resolved.
#[derive(Clone, Copy)]
pub struct Bind<'a> {
    /// The file that shows there.
    pub source: ResolvedPath<'a>,
}

/// Mode, owner and label of something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// User and group number; `None` leaves the creator's.
    pub owner: Option<(u32, u32)>,
    /// The SELinux label.
    pub label: Label,
}

impl Access {
    /// For configuration that everybody may read.
    pub const PUBLIC: Self = Self::ours(0o644);
    /// For a directory that everybody may read.
    pub const FOLDER: Self = Self::ours(0o755);

    /// Owned by whoever makes it: root, in an initramfs.
    pub const fn ours(mode: u32) -> Self {
        Self {
            mode,
            owner: None,
            label: Label::Neighbour,
        }
    }

    /// As `found` has it.
    pub const fn of(found: &FileContent) -> Self {
        Self {
            mode: found.mode,
            owner: Some((found.uid, found.gid)),
            label: Label::Neighbour,
        }
    }

    /// Whether something has this mode and this owner.
    pub fn is(&self, mode: u32, uid: u32, gid: u32) -> bool {
        self.mode == mode & 0o7777 && self.owner.is_none_or(|owner| owner == (uid, gid))
    }
}

/// The SELinux label of something new. What replaces a file always takes that
/// file's label; where the directory has none, nothing gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// That of the directory.
    Neighbour,
    /// That of the directory with the type `ssh_home_t`, which the policies
    /// give to `~/.ssh` and all in it (selinux-policy, ssh.fc).
    SshHome,
}

/// How a directory should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Made with these where it is missing, else left as it is.
    Made(Access),
    /// Made like that, and brought to it if it differs.
    Kept(Access),
}

/// All that a room wants to be written, and what it has to say.
pub struct Changes<'a> {
    arena: &'a Arena,
    list: Vector<'a, Change<'a>>,
    remarks: Vector<'a, (Level, &'a [u8])>,
}

impl<'a> Changes<'a> {
    /// Nothing.
    pub fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            list: arena.vector(),
            remarks: arena.vector(),
        }
    }

    /// In the order in which they are done.
    pub fn list(&self) -> &[Change<'a>] {
        &self.list
    }

    /// What is to be said, whatever becomes of the changes.
    pub fn remarks(&self) -> &[(Level, &'a [u8])] {
        &self.remarks
    }

    /// Adds a change.
    pub fn push(&mut self, change: Change<'a>) {
        self.list.push(change)
    }

    /// A file, unless it is there already, with this content, mode and owner.
    /// Says whether it was added.
    pub fn file(
        &mut self,
        root: &Root<'a>,
        resolved: ResolvedPath<'a>,
        file: File<'a>,
        done: &'a [u8],
    ) -> Result<bool, Error> {
        if let Ok(found) = root.read_resolved(resolved)
            && found.content == file.content
            && file.access.is(found.mode, found.uid, found.gid)
        {
            self.sweep(root, resolved)?;
            return Ok(false);
        }
        self.list.push(Change {
            resolved,
            action: Action::File(file),
            done,
        });
        Ok(true)
    }

    /// A file below `/run` that everybody may read, at a path without links.
    pub fn run_file(
        &mut self,
        root: &Root<'a>,
        path: &[u8],
        content: &'a [u8],
    ) -> Result<bool, Error> {
        let file = File {
            content,
            access: Access::PUBLIC,
            folder: Folder::Made(Access::FOLDER),
        };
        self.file(root, root.resolve(path)?, file, b"")
    }

    /// A file mounted over one of the root that cannot be written. The mount
    /// survives switch_root; the price is that a later rename over the file
    /// fails.
    pub fn bind_over(
        &mut self,
        root: &Root<'a>,
        resolved: ResolvedPath<'a>,
        file: File<'a>,
        done: &'a [u8],
    ) -> Result<(), Error> {
        let source = self.copy_of(root, resolved)?;
        let folder = Folder::Made(Access::FOLDER);
        self.file(root, source, File { folder, ..file }, b"")?;
        self.bind(resolved, source, done);
        Ok(())
    }

    /// Where the copy of something that cannot be written belongs.
    pub fn copy_of(
        &self,
        root: &Root<'a>,
        resolved: ResolvedPath<'a>,
    ) -> Result<ResolvedPath<'a>, Error> {
        const COPIES: &[u8] = b"/run/onecontext/copies";
        root.resolve(self.arena.concat(&[COPIES, resolved.path()]))
    }

    /// A file or directory below `/run` mounted over another.
    pub fn bind(&mut self, resolved: ResolvedPath<'a>, source: ResolvedPath<'a>, done: &'a [u8]) {
        self.list.push(Change {
            resolved,
            action: Action::Bind(Bind { source }),
            done,
        });
    }

    /// Copies of all files and links in a directory, and in those below it.
    /// Files that `skip` names, and what is neither, are left out.
    pub fn copy_tree(
        &mut self,
        root: &Root<'a>,
        from: ResolvedPath<'a>,
        to: ResolvedPath<'a>,
        skip: &[u8],
    ) -> Result<(), Error> {
        let stat = root.stat(from)?;
        let folder = Folder::Kept(Access {
            mode: stat.st_mode & 0o7777,
            owner: Some((stat.st_uid, stat.st_gid)),
            label: Label::Neighbour,
        });
        for name in root.list(from.path())? {
            let (from, to) = (from.join(self.arena, name)?, to.join(self.arena, name)?);
            if let Some(target) = root.read_link(from.path())? {
                self.symlink(root, to, target)?;
                continue;
            }
            match FileType::from_raw_mode(root.stat(from)?.st_mode) {
                FileType::Directory => self.copy_tree(root, from, to, b"")?,
                FileType::RegularFile if *name != skip => {
                    let found = root.read_resolved(from)?;
                    let (content, access) = (found.content, Access::of(&found));
                    let file = File {
                        content,
                        access,
                        folder,
                    };
                    self.file(root, to, file, b"")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A symbolic link, unless it is there already.
    pub fn symlink(
        &mut self,
        root: &Root<'a>,
        resolved: ResolvedPath<'a>,
        target: &'a [u8],
    ) -> Result<bool, Error> {
        if root.read_link(resolved.path())? == Some(target) {
            return Ok(false);
        }
        self.list.push(Change {
            resolved,
            action: Action::Link(Link { target }),
            done: b"",
        });
        Ok(true)
    }

    /// Removes what a write of the file at `resolved` left beside it when it was
    /// killed. The next write of that file would do so, too.
    pub fn sweep(&mut self, root: &Root<'a>, resolved: ResolvedPath<'a>) -> Result<(), Error> {
        if resolved.in_run() {
            return Ok(());
        }
        let resolved = resolved.temporary(self.arena)?;
        match root.stat(resolved) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                self.list.push(Change {
                    resolved,
                    action: Action::Removal,
                    done: b"",
                });
                Ok(())
            }
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether anything is to be written outside of the run directory.
    pub fn touch_root(&self) -> bool {
        self.list
            .iter()
            .any(|change| !change.resolved.in_run() && !matches!(change.action, Action::Bind(_)))
    }

    /// A step cannot be done: the step, its operand, the reason.
    pub fn problem(&mut self, step: &str, operand: &[u8], reason: impl Into<Error>) {
        let text = failure(self.arena, step, operand, reason.into());
        self.remarks.push((Level::Problem, text.finish()));
    }

    /// One line of free form, in parts.
    pub fn note(&mut self, parts: &[&[u8]]) {
        let mut text = self.arena.vector();
        for part in parts {
            uwrite!(text, "{}", Escaped(part));
        }
        self.remarks.push((Level::Note, text.finish()));
    }

    /// The text form of the files: `file PATH MODE`, `link PATH TARGET`,
    /// `bind PATH SOURCE`, `remove PATH`, one a line.
    pub fn write(&self, out: &mut Text) {
        for change in self.list.iter() {
            let kind = match &change.action {
                Action::File(_) => "file ",
                Action::Link(_) => "link ",
                Action::Bind(_) => "bind ",
                Action::Removal => "remove ",
            };
            out.write_str(kind);
            out.extend(change.resolved.path());
            let second: &[u8] = match &change.action {
                Action::File(file) => format(self.arena, &Octal(file.access.mode)),
                Action::Link(link) => link.target,
                Action::Bind(bind) => bind.source.path(),
                Action::Removal => b"",
            };
            if !second.is_empty() {
                out.push(b' ');
                out.extend(second);
            }
            out.push(b'\n');
        }
    }
}

/// Permission bits as four octal digits.
pub struct Octal(pub u32);

impl uDisplay for Octal {
    fn fmt<W: uWrite + ?Sized>(
        &self,
        f: &mut ufmt::Formatter<'_, W>,
    ) -> Result<(), <W as uWrite>::Error> {
        for shift in [9, 6, 3, 0] {
            f.write_char(char::from(b'0' + (self.0 >> shift & 7) as u8))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
