//! What the booted system shall see, as decisions describe it.
use ufmt::uwrite;

use super::file::{Access, File, Label};
use super::tmpfiles::Tmpfiles;
use crate::base::description::Field;
use crate::base::error::Error;
use crate::base::log::{Level, failure};
use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Str, Text};
use crate::image::config_file::ConfigFile;
use crate::image::later_mounts::LaterMounts;
use crate::image::{FileContent, PathError, ResolvedPath};

/// One thing that the booted system shall see.
#[derive(Clone, Copy)]
pub struct Change {
    /// The path.
    pub path: ResolvedPath,
    /// What shall be there.
    pub what: What,
    /// Whether a mount may stand in for it.
    pub mount: Mount,
    /// What is there, if the decision has read it; else it is read before it is
    /// replaced.
    pub old: Option<Option<&'static FileContent>>,
    /// More places, for a file that people need to log in.
    pub elsewhere: Option<&'static Elsewhere>,
    /// The line to report.
    pub done: Done,
}

impl Change {
    /// A change that is made at its path, or not at all.
    pub const fn new(path: ResolvedPath, what: What) -> Self {
        Self {
            path,
            what,
            mount: Mount::Never,
            old: None,
            elsewhere: None,
            done: Done::Path,
        }
    }
}

/// What shall be at a path.
#[derive(Clone, Copy)]
pub enum What {
    /// A regular file, replaced as a whole.
    File(&'static File),
    /// A symbolic link with this text, as the booted system reads it.
    Symlink(&'static [u8]),
    /// The directory that is there, one of its files replaced.
    Directory(&'static Replaced),
    /// No regular file.
    Nothing,
}

/// The file of a copied directory that differs from the original.
#[derive(Clone, Copy)]
pub struct Replaced {
    /// Its name in the directory.
    pub name: &'static [u8],
    /// The new file.
    pub file: File,
}

/// Whether a mount may stand in for a file. A mount survives switch_root, but a later
/// rename over the file fails, and what is written to it is lost at shutdown.
#[derive(Clone, Copy)]
pub enum Mount {
    /// No. Where the path cannot be written, that is reported.
    Never,
    /// No. Where the path cannot be written, nothing needs to be done.
    Needless,
    /// Where the path cannot be written. The reason is reported where there is no file
    /// to mount over, either.
    Instead(&'static Reason),
    /// Always: the root keeps its own file.
    Always,
}

/// Why something is not done: the step, its operand, the reason.
#[derive(Clone, Copy)]
pub struct Reason {
    /// How serious it is.
    pub level: Level,
    /// The step.
    pub step: Str,
    /// What the step is for.
    pub operand: &'static [u8],
    /// The reason.
    pub error: Error,
}

impl Reason {
    /// That a file of the root is not there and cannot be written.
    pub fn missing(path: &'static [u8]) -> &'static Self {
        memory::place(Self {
            level: Level::Problem,
            step: c"hand over".into(),
            operand: path,
            error: Error::new(
                c"it cannot be written, and there is no such file to mount over: \
                  add an empty one to the image",
            ),
        })
    }
}

/// The line to report of a change.
#[derive(Clone, Copy)]
pub enum Done {
    /// A line with the path, once it is made.
    Path,
    /// This line, once it is made.
    Made(&'static [u8]),
    /// This line, whether it had to be made or was there.
    There(&'static [u8]),
}

/// Where the keys of a user may be, beside their own file.
#[derive(Clone, Copy, Default)]
pub struct Elsewhere {
    /// The directory of the file is not there yet: its home is made, or mounted, in the
    /// booted system. systemd-tmpfiles writes the file then.
    pub later: Option<&'static Later>,
    /// A file in the run directory, where it counts as much if the server's
    /// configuration says so.
    pub in_run: Option<&'static InRun>,
}

/// A file that only the booted system can write.
#[derive(Clone, Copy)]
pub struct Later {
    /// Why it cannot be written now.
    pub is_mounted: bool,
    /// How systemd-tmpfiles writes it; else why it cannot.
    pub tmpfiles: Result<Tmpfiles, Error>,
}

/// A file in the run directory in place of another.
#[derive(Clone, Copy)]
pub struct InRun {
    /// The file.
    pub file: &'static Change,
    /// The configuration that names it.
    pub configuration: Option<&'static Change>,
    /// It counts where the other does not.
    pub is_better: bool,
}

/// What tools of the root will do in the booted system.
#[derive(Clone, Copy)]
pub struct Directive {
    pub(super) kind: &'static str,
    pub(super) fields: &'static [Field],
}

/// When something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Whatever the root is like.
    Always,
    /// Where the root is written, now and by units of ours in the booted system.
    Written,
    /// Where it is not.
    NotWritten,
    /// Where it is and is not.
    Never,
}

/// What a module wants the booted system to see, and its lines for the report.
pub struct Changes {
    pub(super) list: Vector<(When, Change)>,
    remarks: Vector<(When, Level, &'static [u8])>,
    /// What tools of the root will do.
    pub(super) directives: Vector<(When, Directive)>,
    /// When that which is added now counts.
    when: When,
    /// The booted system is to write the root.
    pub(super) is_written_later: bool,
    /// What the booted system mounts, if that is known.
    pub mounts: Option<&'static LaterMounts>,
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

impl Changes {
    /// No changes.
    pub const fn new() -> Self {
        Self {
            list: Vector::new(),
            remarks: Vector::new(),
            directives: Vector::new(),
            when: When::Always,
            is_written_later: false,
            mounts: None,
        }
    }

    /// What `add` adds counts only where the root is written, now and by units of ours
    /// in the booted system.
    pub fn if_written<T>(&mut self, add: impl FnOnce(&mut Self) -> T) -> T {
        self.only(When::Written, add)
    }

    /// What `add` adds counts only where the root is not written.
    pub fn if_not_written<T>(&mut self, add: impl FnOnce(&mut Self) -> T) -> T {
        self.only(When::NotWritten, add)
    }

    /// What `add` adds has the booted system write the root: it counts only where that is
    /// possible.
    pub fn written_later<T>(&mut self, add: impl FnOnce(&mut Self) -> T) -> T {
        self.is_written_later = true;
        self.if_written(add)
    }

    fn only<T>(&mut self, when: When, add: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.narrow(when);
        let added = add(self);
        self.when = before;
        added
    }

    /// What is added from now on counts only then. Returns when it counted before.
    #[inline(never)]
    fn narrow(&mut self, when: When) -> When {
        let before = self.when;
        self.when = match before {
            When::Always => when,
            _ if before == when => when,
            _ => When::Never,
        };
        before
    }

    /// Adds a change.
    pub fn push(&mut self, change: Change) {
        self.list.push((self.when, change));
    }

    /// Adds a file.
    pub fn file(&mut self, path: ResolvedPath, file: File) {
        self.push(Change::new(path, What::File(memory::place(file))));
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
        done: Done,
    ) -> Result<(), Error> {
        let path = ResolvedPath::new(path)?;
        self.push(Change {
            done,
            ..Change::new(path, What::Symlink(target))
        });
        Ok(())
    }

    /// Gives a file of the root this content. A new file gets `label`. `missing`: the
    /// reason if the root cannot be written and has no such file.
    pub fn replace(
        &mut self,
        file: &ConfigFile,
        content: &'static [u8],
        label: Label,
        missing: &'static Reason,
    ) {
        let access = match file.content {
            Some(old) => Access::of(old),
            None => Access {
                label,
                ..Access::PUBLIC
            },
        };
        let new = File {
            access,
            ..File::public(content)
        };
        self.push(Change {
            mount: Mount::Instead(missing),
            old: (!file.path.in_run()).then_some(file.content),
            ..Change::new(file.path, What::File(memory::place(new)))
        });
    }

    /// Mounts a copy with this content over a file of the root, which stays as it is.
    pub fn cover(&mut self, file: &ConfigFile, old: &'static FileContent, content: &'static [u8]) {
        let new = File {
            access: Access::of(old),
            ..File::public(content)
        };
        self.push(Change {
            mount: Mount::Always,
            old: Some(Some(old)),
            ..Change::new(file.path, What::File(memory::place(new)))
        });
    }

    /// Removes the temporary file that an interrupted write of `path` left. The next
    /// write of that file would do so too.
    pub fn remove_leftover(&mut self, path: ResolvedPath) -> Result<(), Error> {
        if !path.in_run() {
            self.push(Change {
                mount: Mount::Needless,
                ..Change::new(path.temporary()?, What::Nothing)
            });
        }
        Ok(())
    }

    /// Lines for the report, where the root is written, or is not.
    pub fn remarks(&self, is_written: bool) -> impl Iterator<Item = (Level, &'static [u8])> {
        (self.remarks.iter())
            .filter(move |(when, ..)| when.counts(is_written))
            .map(|(_, level, line)| (*level, *line))
    }

    /// The changes that were added.
    #[cfg(test)]
    pub(crate) fn list(&self) -> Vec<Change> {
        self.list.iter().map(|(_, change)| *change).collect()
    }

    /// Adds a problem: a step that cannot be done, its operand, the reason.
    #[inline(always)]
    pub fn problem(&mut self, step: impl Into<Str>, operand: &[u8], reason: impl Into<Error>) {
        self.problem_(step.into(), operand, reason.into())
    }
    #[inline(never)]
    fn problem_(&mut self, step: Str, operand: &[u8], reason: Error) {
        let text = failure(step, operand, reason);
        self.remarks
            .push((self.when, Level::Problem, text.finish()));
    }

    /// Takes a step of a decision. If it fails, that is a problem, with `operand`.
    pub fn step(&mut self, operand: &[u8], step: impl FnOnce(&mut Self) -> Result<(), Error>) {
        if let Err(error) = step(self) {
            self.problem(c"hand over", operand, error);
        }
    }

    /// A fact, if it could be read; otherwise that is a problem, with its path.
    pub fn known<T>(&mut self, fact: Result<T, PathError>) -> Option<T> {
        fact.map_err(|(path, error)| self.problem(c"hand over", path, error))
            .ok()
    }

    /// Adds a note, given in parts.
    pub fn note(&mut self, parts: &[&[u8]]) {
        self.remark(Level::Note, parts);
    }

    /// Adds a line that the console shows although it is no problem.
    pub fn notice(&mut self, parts: &[&[u8]]) {
        self.remark(Level::Notice, parts);
    }

    fn remark(&mut self, level: Level, parts: &[&[u8]]) {
        let mut text = Text::new();
        for part in parts {
            uwrite!(text, "{}", Escaped(part));
        }
        self.remarks.push((self.when, level, text.finish()));
    }

    /// Adds what tools of the root will do in the booted system.
    pub fn directive(&mut self, kind: &'static str, fields: &[Field]) {
        let mut copy = Vector::new();
        copy.extend(fields);
        let fields = copy.finish();
        self.directives
            .push((self.when, Directive { kind, fields }));
    }
}

impl When {
    /// Whether it counts where the root is written, or is not.
    pub(super) fn counts(self, is_written: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Written => is_written,
            Self::NotWritten => !is_written,
            Self::Never => false,
        }
    }
}
