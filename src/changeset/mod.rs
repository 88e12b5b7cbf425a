//! What is to be written, described before anything is: so that it can be
//! shown, and decided anew when the root turns out to be read-only.
mod json;
mod pending;
mod write;
mod writer;

use ufmt::{uDisplay, uWrite, uwrite};

use crate::base::arena::{Arena, Vector};
use crate::base::error::Error;
use crate::base::log::{Level, failure};
use crate::base::text::{Escaped, Text, format};
use crate::image::{FileContent, ResolvedPath};

pub use writer::{Policy, RootAccess, Writer};

/// One thing to be made.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// Where.
    pub path: ResolvedPath<'a>,
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
    /// A symbolic link with this text, as the booted system reads it.
    Symlink(&'a [u8]),
    /// A regular file in the run directory, mounted over one of the root that
    /// cannot be written. The mount survives switch_root; the price is that a
    /// later rename over the file fails.
    BindOver(File<'a>),
    /// A copy of a directory in the run directory, one of its files replaced,
    /// mounted over it.
    BindCopyOver(Replaced<'a>),
    /// Something of the run directory, mounted over a file or directory.
    Bind(ResolvedPath<'a>),
    /// Nothing: a regular file that is there is removed.
    Removal,
}

impl Action<'_> {
    /// The word for it in a plan.
    const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) | Self::BindOver(_) => "file",
            Self::Symlink(_) => "link",
            Self::BindCopyOver(_) | Self::Bind(_) => "bind",
            Self::Removal => "remove",
        }
    }
}

/// The file of a copied directory that differs from the original.
#[derive(Clone, Copy)]
pub struct Replaced<'a> {
    /// Its name in the directory.
    pub name: &'a [u8],
    /// What it becomes.
    pub file: File<'a>,
}

/// A regular file.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// All of it.
    pub content: &'a [u8],
    /// Who may use it.
    pub access: Access,
    /// The directory that it is in.
    pub directory: DirectoryPolicy,
}

impl<'a> File<'a> {
    /// One that everybody may read.
    pub const fn public(content: &'a [u8]) -> Self {
        Self {
            content,
            access: Access::PUBLIC,
            directory: DirectoryPolicy::CreateOnly(Access::DIRECTORY),
        }
    }
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
    pub const DIRECTORY: Self = Self::ours(0o755);

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
    /// That of the directory with the type `net_conf_t`, which the policies
    /// give to `/etc/resolv.conf` (selinux-policy, sysnetwork.fc).
    NetConf,
}

/// How a directory should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryPolicy {
    /// Made with these where it is missing, else left as it is.
    CreateOnly(Access),
    /// Made like that, and brought to it if it differs.
    Enforce(Access),
}

/// The name of a value, and the value.
pub type Field<'a> = (&'static str, &'a [u8]);

/// What tools of the root will do in the booted system, for those who read a
/// plan: a line of its text form.
#[derive(Clone, Copy)]
pub struct Directive<'a> {
    /// Its first word.
    pub name: &'static str,
    /// What is always there; in the text form without their names.
    pub operands: &'a [Field<'a>],
    /// What is absent where it is empty; in the text form behind their names.
    pub options: &'a [Field<'a>],
}

impl<'a> Directive<'a> {
    /// The options that are there.
    fn given(&self) -> impl Iterator<Item = &'a Field<'a>> {
        self.options.iter().filter(|(_, value)| !value.is_empty())
    }
}

/// All that a module wants to be written, and what it has to say.
pub struct Changes<'a> {
    arena: &'a Arena,
    list: Vector<'a, Change<'a>>,
    remarks: Vector<'a, (Level, &'a [u8])>,
    /// What is about no file of ours.
    directives: Vector<'a, Directive<'a>>,
    /// Files that an earlier try could not write.
    refused: &'a [ResolvedPath<'a>],
    /// The booted system is to write the root.
    root_is_written_later: bool,
}

impl<'a> Changes<'a> {
    /// Nothing.
    pub fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            list: arena.vector(),
            remarks: arena.vector(),
            directives: arena.vector(),
            refused: &[],
            root_is_written_later: false,
        }
    }

    /// Nothing, where these files could not be written.
    fn without(arena: &'a Arena, refused: &'a [ResolvedPath<'a>]) -> Self {
        Self {
            refused,
            ..Self::new(arena)
        }
    }

    /// How a file of the root can be reached, where the root as a whole can be
    /// so: one that refused to be written is read-only.
    pub fn access_to(&self, file: ResolvedPath<'a>, root: RootAccess) -> RootAccess {
        match self.refused.contains(&file) {
            true => RootAccess::ReadOnly,
            false => root,
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

    /// A change without a line of its own.
    fn add(&mut self, path: ResolvedPath<'a>, action: Action<'a>) {
        self.list.push(Change {
            path,
            action,
            done: b"",
        });
    }

    /// A file.
    pub fn file(&mut self, path: ResolvedPath<'a>, file: File<'a>) {
        self.add(path, Action::File(file));
    }

    /// A file below `/run` that everybody may read, at a path without links.
    ///
    /// # Errors
    /// The path has a NUL.
    pub fn run_file(&mut self, path: &[u8], content: &'a [u8]) -> Result<(), Error> {
        let path = ResolvedPath::new(self.arena, path)?;
        self.file(path, File::public(content));
        Ok(())
    }

    /// A symbolic link below `/run`, at a path without links.
    ///
    /// # Errors
    /// The path has a NUL.
    pub fn run_symlink(
        &mut self,
        path: &[u8],
        target: &'a [u8],
        done: &'a [u8],
    ) -> Result<(), Error> {
        self.list.push(Change {
            path: ResolvedPath::new(self.arena, path)?,
            action: Action::Symlink(target),
            done,
        });
        Ok(())
    }

    /// What a write of the file at `path` left beside it when it was killed is
    /// removed. The next write of that file would do so, too.
    pub fn remove_leftover(&mut self, path: ResolvedPath<'a>) -> Result<(), Error> {
        if !path.in_run() {
            self.remove(path.temporary(self.arena)?);
        }
        Ok(())
    }

    /// A regular file that is there is removed.
    pub fn remove(&mut self, path: ResolvedPath<'a>) {
        self.add(path, Action::Removal);
    }

    /// The booted system is to write the root, so that must be possible.
    pub fn root_is_written_later(&mut self) {
        self.root_is_written_later = true;
    }

    /// Whether anything is to be written outside of the run directory, now or
    /// later.
    pub fn touch_root(&self) -> bool {
        let is_of_root = |change: &Change| !change.path.in_run();
        let is_mount = |change: &Change| matches!(change.action, Action::Bind(_));
        self.root_is_written_later
            || (self.list.iter()).any(|change| is_of_root(change) && !is_mount(change))
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

    /// Adds what tools of the root will do in the booted system.
    pub fn directive(&mut self, name: &'static str, operands: &[Field<'a>], options: &[Field<'a>]) {
        let copy = |fields: &[Field<'a>]| {
            let mut copy = self.arena.vector();
            copy.extend(fields);
            &*copy.finish()
        };
        let (operands, options) = (copy(operands), copy(options));
        self.directives.push(Directive {
            name,
            operands,
            options,
        });
    }

    /// The text form of the directives, then of the files: `file PATH MODE`,
    /// `link PATH TARGET`, `bind PATH SOURCE`, `remove PATH`, one a line.
    pub fn write(&self, out: &mut Text) {
        for directive in self.directives.iter() {
            out.write_str(directive.name);
            for (_, value) in directive.operands {
                out.push(b' ');
                out.extend(value);
            }
            for (name, value) in directive.given() {
                uwrite!(out, " {} ", name);
                out.extend(value);
            }
            out.push(b'\n');
        }
        for change in self.list.iter() {
            let second = match &change.action {
                Action::File(file) | Action::BindOver(file) => {
                    format(self.arena, &Octal(file.access.mode))
                }
                Action::Symlink(target) => *target,
                Action::Bind(source) => source.path(),
                Action::BindCopyOver(_) | Action::Removal => &b""[..],
            };
            uwrite!(out, "{} ", change.action.kind());
            out.extend(change.path.path());
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
