//! Changes to files, described before they are made. So they can be shown, and decided
//! again if the root proves to be read-only.
mod json;
mod pending;
mod write;
mod writer;

use ufmt::{uDisplay, uWrite, uwrite};

use crate::base::error::Error;
use crate::base::log::{Level, failure};
use crate::base::memory::Vector;
use crate::base::text::{Escaped, Str, Text, format};
use crate::image::{FileContent, ResolvedPath};

pub use writer::{Policy, RootAccess, Writer};

/// One change.
#[derive(Clone, Copy)]
pub struct Change {
    /// The path.
    pub path: ResolvedPath,
    /// What to make there.
    pub action: Action,
    /// The line to report once it is done; empty: a line with the path.
    pub done: &'static [u8],
}

/// What a change makes.
#[derive(Clone, Copy)]
pub enum Action {
    /// A regular file, replaced as a whole.
    File(File),
    /// A symbolic link with this text, as the booted system reads it.
    Symlink(&'static [u8]),
    /// A regular file in the run directory, mounted over one of the root that cannot be
    /// written. The mount survives switch_root, but a later rename over the file fails.
    BindOver(File),
    /// A copy of a directory in the run directory, one of its files replaced,
    /// mounted over it.
    BindCopyOver(Replaced),
    /// A file or directory of the run directory, mounted over another.
    Bind(ResolvedPath),
    /// A regular file is removed, if it is there.
    Removal,
}

impl Action {
    /// Its word in the text form.
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
pub struct Replaced {
    /// Its name in the directory.
    pub name: &'static [u8],
    /// The new file.
    pub file: File,
}

/// A regular file.
#[derive(Clone, Copy)]
pub struct File {
    /// All of it.
    pub content: &'static [u8],
    /// Mode, owner and label.
    pub access: Access,
    /// How its directory should be.
    pub directory: DirectoryPolicy,
}

impl File {
    /// A file that everybody may read.
    pub const fn public(content: &'static [u8]) -> Self {
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

    /// Mode and owner of an existing file.
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

/// The SELinux label of something new. A replaced file keeps its label. In a directory
/// without a label nothing gets one.
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
    /// Created with this access if it is missing, else left as it is.
    CreateOnly(Access),
    /// Created with this access, or changed to it.
    Enforce(Access),
}

/// The name of a value, and the value.
pub type Field = (&'static str, &'static [u8]);

/// A line of a plan's text form about what tools of the root will do in the booted
/// system.
#[derive(Clone, Copy)]
pub struct Directive {
    /// Its first word.
    pub name: &'static str,
    /// Values that are always there; the text form leaves out their names.
    pub operands: &'static [Field],
    /// Values that are left out if they are empty; the text form has their names.
    pub options: &'static [Field],
}

impl Directive {
    /// The options that are not empty.
    fn given(&self) -> impl Iterator<Item = &'static Field> {
        self.options.iter().filter(|(_, value)| !value.is_empty())
    }
}

/// The changes that a module wants, and its lines for the report.
#[derive(Default)]
pub struct Changes {
    list: Vector<Change>,
    remarks: Vector<(Level, &'static [u8])>,
    /// What tools of the root will do.
    directives: Vector<Directive>,
    /// Files that an earlier try could not write.
    refused: &'static [ResolvedPath],
    /// The booted system will write the root.
    root_is_written_later: bool,
}

impl Changes {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// No changes; an earlier try could not write these files.
    fn without(refused: &'static [ResolvedPath]) -> Self {
        Self {
            refused,
            ..Self::new()
        }
    }

    /// The access to a file of the root, where `root` is the access to the root as a
    /// whole: a file that could not be written is read-only.
    pub fn access_to(&self, file: ResolvedPath, root: RootAccess) -> RootAccess {
        match self.refused.contains(&file) {
            true => RootAccess::ReadOnly,
            false => root,
        }
    }

    /// The changes, in the order in which they are made.
    pub fn list(&self) -> &[Change] {
        &self.list
    }

    /// Lines for the report, whether the changes succeed or not.
    pub fn remarks(&self) -> &[(Level, &'static [u8])] {
        &self.remarks
    }

    /// Adds a change.
    pub fn push(&mut self, change: Change) {
        self.list.push(change)
    }

    /// Adds a change without a line of its own.
    fn add(&mut self, path: ResolvedPath, action: Action) {
        self.list.push(Change {
            path,
            action,
            done: b"",
        });
    }

    /// Adds a file.
    pub fn file(&mut self, path: ResolvedPath, file: File) {
        self.add(path, Action::File(file));
    }

    /// Adds a file below `/run` that everybody may read, at a path without links.
    ///
    /// # Errors
    /// The path has a NUL.
    pub fn run_file(&mut self, path: &[u8], content: &'static [u8]) -> Result<(), Error> {
        let path = ResolvedPath::new(path)?;
        self.file(path, File::public(content));
        Ok(())
    }

    /// Adds a symbolic link below `/run`, at a path without links.
    ///
    /// # Errors
    /// The path has a NUL.
    pub fn run_symlink(
        &mut self,
        path: &[u8],
        target: &'static [u8],
        done: &'static [u8],
    ) -> Result<(), Error> {
        self.list.push(Change {
            path: ResolvedPath::new(path)?,
            action: Action::Symlink(target),
            done,
        });
        Ok(())
    }

    /// Removes the temporary file that an interrupted write of `path` left. The next
    /// write of that file would do so too.
    pub fn remove_leftover(&mut self, path: ResolvedPath) -> Result<(), Error> {
        if !path.in_run() {
            self.remove(path.temporary()?);
        }
        Ok(())
    }

    /// Removes a regular file, if it is there.
    pub fn remove(&mut self, path: ResolvedPath) {
        self.add(path, Action::Removal);
    }

    /// Says that the booted system will write the root, which must be possible then.
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

    /// Adds a problem: a step that cannot be done, its operand, the reason.
    #[inline(always)]
    pub fn problem(&mut self, step: impl Into<Str>, operand: &[u8], reason: impl Into<Error>) {
        self.problem_(step.into(), operand, reason.into())
    }
    #[inline(never)]
    fn problem_(&mut self, step: Str, operand: &[u8], reason: Error) {
        let text = failure(step, operand, reason);
        self.remarks.push((Level::Problem, text.finish()));
    }

    /// Adds a note, given in parts.
    pub fn note(&mut self, parts: &[&[u8]]) {
        let mut text = Text::new();
        for part in parts {
            uwrite!(text, "{}", Escaped(part));
        }
        self.remarks.push((Level::Note, text.finish()));
    }

    /// Adds what tools of the root will do in the booted system.
    pub fn directive(&mut self, name: &'static str, operands: &[Field], options: &[Field]) {
        let copy = |fields: &[Field]| {
            let mut copy = Vector::new();
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
                Action::File(file) | Action::BindOver(file) => format(&Octal(file.access.mode)),
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
