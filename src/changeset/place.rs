//! The one place that knows how a change reaches the booted system. It reads the root,
//! and writes nothing.
//!
//! | the path | the root is written | it is not |
//! |---|---|---|
//! | is below `/run` | write | write |
//! | is covered always ([`Mount::Always`]) | mount over the file | the same |
//! | its directory is there | write | mount over the file; where there is none, a file in the run directory, or the reason |
//! | its directory is not there yet | systemd-tmpfiles | a file in the run directory, or the reason |
//! | something is mounted there later, and it is no file of keys | the reason | the reason |
//! | something is mounted there later | systemd-tmpfiles | a file in the run directory, else systemd-tmpfiles, or the reason |
use core::ffi::CStr;

use rustix::fs::FileType;
use rustix::io::Errno;
use ufmt::uwrite;

use super::change::{
    Change, Changes, Directive, Done, Elsewhere, InRun, Later, Mount, Reason, What,
};
use super::earlier::COPIES;
use super::file::{Access, DirectoryPolicy, File, Label};
use super::tmpfiles;
use crate::base::error::Error;
use crate::base::log::{Level, failure};
use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Text};
use crate::image::later_mounts::LaterMounts;
use crate::image::{ResolvedPath, Root, if_there};

/// One step that makes a change, or a part of it.
#[derive(Clone, Copy)]
pub struct Step {
    /// The path.
    pub path: ResolvedPath,
    /// What is done there.
    pub action: Action,
    /// The line to report once it is done; else one with the path.
    pub done: Option<&'static [u8]>,
}

/// What a step does.
#[derive(Clone, Copy)]
pub enum Action {
    /// Writes a regular file.
    Write(&'static File),
    /// Makes a symbolic link with this text.
    Link(&'static [u8]),
    /// Mounts a file or directory of the run directory over the path.
    MountOver(ResolvedPath),
    /// Removes a regular file.
    Remove,
}

impl Action {
    /// What is done at the path itself.
    pub fn of(what: &What) -> Self {
        match what {
            What::File(file) => Self::Write(file),
            What::Directory(replaced) => Self::Write(&replaced.file),
            What::Symlink(target) => Self::Link(target),
            What::Nothing => Self::Remove,
        }
    }

    /// What a failure is reported as.
    pub fn step(&self) -> &'static CStr {
        match self {
            Self::Write(_) => c"write",
            Self::Link(_) => c"link",
            Self::MountOver(_) => c"mount over",
            Self::Remove => c"remove",
        }
    }
}

const LATER: Error = Error::new(c"something is mounted there later, which would hide it");

/// Whether the root is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootState {
    /// It is written, now and by units of ours in the booted system.
    Written,
    /// It cannot be written. What is mounted in it later perhaps can.
    CannotBe,
    /// Nothing of ours may ever write it.
    MustNotBe,
}

impl RootState {
    /// Whether it is written.
    pub fn is_written(self) -> bool {
        self == Self::Written
    }
}

/// Finds the steps for changes, one after the other.
pub struct Placer<'r> {
    root: &'r Root,
    mounts: Option<&'static LaterMounts>,
    /// For systemd-tmpfiles.
    lines: Text,
    /// Files and directories over which a copy is mounted.
    covered: Vector<ResolvedPath>,
}

/// The steps for a change.
#[derive(Default)]
pub struct Placed {
    /// The steps, in their order; none: what shall be there is there.
    pub steps: Vector<Step>,
    /// The paths of what shall be in the run directory, whether it is there or a step makes
    /// it, for the next run. A NUL follows each.
    pub list: Text,
    /// Lines for the report, whether the steps succeed or not.
    pub remarks: Vector<(Level, &'static [u8])>,
    /// What tools of the root will do.
    pub directives: Vector<Directive>,
    /// systemd-tmpfiles makes it, by a line of [`Placer::finish`].
    pub is_by_tmpfiles: bool,
    /// The booted system writes the root, which must be possible then.
    pub is_written_later: bool,
}

/// How a change reaches the booted system.
enum Way {
    /// It is made at its path.
    Write,
    /// A copy is mounted over what is there.
    MountOver,
    /// Another file in the run directory.
    InRun(&'static InRun),
    /// systemd-tmpfiles makes it.
    Tmpfiles(&'static Later),
    /// It need not be.
    Nothing,
    /// It cannot be.
    Impossible(&'static Reason),
}

impl<'r> Placer<'r> {
    /// A placer for a root. `mounts`: what is mounted later.
    pub fn new(root: &'r Root, mounts: Option<&'static LaterMounts>) -> Self {
        Self {
            root,
            mounts,
            lines: Text::new(),
            covered: Vector::new(),
        }
    }

    /// Finds the steps for one change.
    ///
    /// # Errors
    /// The root cannot be read there.
    pub fn place(&mut self, change: &Change, state: RootState) -> Result<Placed, Error> {
        let mut placed = Placed::default();
        self.add(change, state, &mut placed)?;
        Ok(placed)
    }

    fn add(&mut self, change: &Change, state: RootState, placed: &mut Placed) -> Result<(), Error> {
        let path = change.path;
        let is_written = path.in_run() || state.is_written();
        if path.in_run() && !matches!(change.what, What::Nothing) {
            placed.list(path);
        }
        if is_there(self.root, change, is_written)? {
            if let Done::There(line) = change.done {
                placed.remarks.push((Level::Note, line));
            }
            return match change.what {
                What::File(_) if !path.in_run() && is_written => self.sweep(path, placed),
                _ => Ok(()),
            };
        }
        let done = match change.done {
            Done::Path => None,
            Done::Made(line) | Done::There(line) => Some(line),
        };
        match self.way(change, state)? {
            Way::Write => placed.step(path, Action::of(&change.what), done),
            Way::MountOver => self.mount_over(change, done, placed)?,
            Way::InRun(other) => {
                self.add(other.file, state, placed)?;
                if let Some(configuration) = other.configuration {
                    self.add(configuration, state, placed)?;
                }
            }
            Way::Tmpfiles(later) => {
                let lines = (later.tmpfiles)
                    .and_then(|tmpfiles| tmpfiles.lines(path, content(&change.what)));
                match (lines, change.mount) {
                    (Ok(lines), _) => {
                        self.lines.extend(lines);
                        placed.is_by_tmpfiles = true;
                        placed.is_written_later = !later.is_mounted;
                        if let Some(done) = done {
                            let line = memory::concat(&[done, b", by systemd-tmpfiles"]);
                            placed.remarks.push((Level::Note, line));
                        }
                    }
                    (Err(error), Mount::Instead(reason)) => {
                        placed.reason(&Reason { error, ..*reason });
                    }
                    (Err(error), _) => return Err(error),
                }
            }
            Way::Nothing => {}
            Way::Impossible(reason) => placed.reason(reason),
        }
        Ok(())
    }

    /// The table.
    fn way(&self, change: &Change, state: RootState) -> Result<Way, Error> {
        if change.path.in_run() {
            return Ok(Way::Write);
        }
        if change.elsewhere.is_none() && self.mounts.is_some_and(|mounts| mounts.hides(change.path))
        {
            return Err(LATER);
        }
        let Elsewhere { later, in_run } = change.elsewhere.copied().unwrap_or_default();
        let missing = match change.mount {
            Mount::Always => return Ok(Way::MountOver),
            Mount::Needless if !state.is_written() => return Ok(Way::Nothing),
            Mount::Never | Mount::Needless => return Ok(Way::Write),
            Mount::Instead(missing) => missing,
        };
        Ok(match (later, in_run) {
            (Some(later), _) if state.is_written() => Way::Tmpfiles(later),
            (None, _) if state.is_written() => Way::Write,
            (None, Some(other)) if other.is_better => Way::InRun(other),
            (None, _) if self.has_file(change)? => Way::MountOver,
            (_, Some(other)) => Way::InRun(other),
            (Some(later), None) if later.is_mounted && state == RootState::CannotBe => {
                Way::Tmpfiles(later)
            }
            _ => Way::Impossible(missing),
        })
    }

    /// Whether there is a file that another can be mounted over.
    fn has_file(&self, change: &Change) -> Result<bool, Error> {
        match (change.what, change.old) {
            (What::Nothing | What::Symlink(_), _) => Ok(false),
            (_, Some(old)) => Ok(old.is_some()),
            (_, None) => is_regular(self.root, change.path),
        }
    }

    fn mount_over(
        &mut self,
        change: &Change,
        done: Option<&'static [u8]>,
        placed: &mut Placed,
    ) -> Result<(), Error> {
        let path = change.path;
        if self.covered.contains(&path) {
            return Ok(());
        }
        self.covered.push(path);
        let copy = copy_of(path)?;
        match change.what {
            What::File(file) => {
                let directory = DirectoryPolicy::CreateOnly(Access::DIRECTORY);
                let file = memory::place(File { directory, ..*file });
                self.copy(copy, What::File(file), placed)?;
            }
            What::Directory(replaced) => {
                self.copy_directory(path, copy, replaced.name, placed)?;
                let name = copy.join(replaced.name)?;
                self.copy(name, What::File(&replaced.file), placed)?;
            }
            What::Symlink(_) | What::Nothing => {}
        }
        placed.step(path, Action::MountOver(copy), done);
        Ok(())
    }

    /// Adds a file or link of a copy.
    fn copy(&mut self, path: ResolvedPath, what: What, placed: &mut Placed) -> Result<(), Error> {
        self.add(&Change::new(path, what), RootState::CannotBe, placed)
    }

    /// Adds copies of all files and links in a directory, and in those below it. Leaves
    /// out the file `but`, and what is neither file, link nor directory.
    fn copy_directory(
        &mut self,
        from: ResolvedPath,
        to: ResolvedPath,
        but: &[u8],
        placed: &mut Placed,
    ) -> Result<(), Error> {
        let root = self.root;
        let stat = root.stat(from)?;
        let directory = DirectoryPolicy::Enforce(Access {
            mode: stat.st_mode & 0o7777,
            owner: Some((stat.st_uid, stat.st_gid)),
            label: Label::Neighbour,
        });
        for name in root.list(from.path())? {
            let (from, to) = (from.join(name)?, to.join(name)?);
            if let Some(target) = root.read_link(from.path())? {
                self.copy(to, What::Symlink(target), placed)?;
                continue;
            }
            match FileType::from_raw_mode(root.stat(from)?.st_mode) {
                FileType::Directory => self.copy_directory(from, to, b"", placed)?,
                FileType::RegularFile if *name != but => {
                    let found = root.read_resolved(from)?;
                    let (content, access) = (found.content, Access::of(found));
                    let file = File {
                        content,
                        access,
                        directory,
                    };
                    self.copy(to, What::File(memory::place(file)), placed)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes what an interrupted write of a file left.
    fn sweep(&self, path: ResolvedPath, placed: &mut Placed) -> Result<(), Error> {
        let temporary = path.temporary()?;
        if is_regular(self.root, temporary)? {
            placed.step(temporary, Action::Remove, None);
        }
        Ok(())
    }

    /// The file with the lines for systemd-tmpfiles, if there are any.
    pub fn finish(self) -> Result<Option<Change>, Error> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let path = ResolvedPath::new(tmpfiles::PATH)?;
        let file = tmpfiles::file(&self.lines);
        Ok(Some(Change::new(path, What::File(memory::place(file)))))
    }
}

impl Placed {
    fn step(&mut self, path: ResolvedPath, action: Action, done: Option<&'static [u8]>) {
        self.steps.push(Step { path, action, done });
    }

    fn list(&mut self, path: ResolvedPath) {
        self.list.extend(path.as_c_str().to_bytes_with_nul());
    }

    fn reason(&mut self, reason: &Reason) {
        let line = match reason.level {
            Level::Problem => failure(reason.step, reason.operand, reason.error),
            Level::Notice | Level::Note => {
                let mut line = Text::new();
                uwrite!(line, "{}: {}", Escaped(reason.operand), reason.error);
                line
            }
        };
        self.remarks.push((reason.level, line.finish()));
    }
}

impl Changes {
    /// All steps to a root that can be written, and all lines for the report. Nothing
    /// is written.
    pub fn place(&self, root: &Root) -> Placed {
        let state = RootState::Written;
        let mut placer = Placer::new(root, self.mounts);
        let mut all = Placed::default();
        for (level, line) in self.remarks(true) {
            all.remarks.push((level, line));
        }
        for (when, directive) in self.directives.iter() {
            if when.counts(true) {
                all.directives.push(*directive);
            }
        }
        for (when, change) in self.list.iter() {
            if when.counts(true) {
                all.extend(change, placer.place(change, state));
            }
        }
        match placer.finish() {
            Ok(Some(change)) => {
                let placed = Placer::new(root, None).place(&change, state);
                all.extend(&change, placed);
            }
            Ok(None) => {}
            Err(error) => all.problem(tmpfiles::PATH, error),
        }
        all
    }
}

impl Placed {
    fn extend(&mut self, change: &Change, placed: Result<Placed, Error>) {
        match placed {
            Ok(placed) => {
                self.steps.extend(&placed.steps);
                self.remarks.extend(&placed.remarks);
            }
            Err(error) => self.problem(change.path.path(), error),
        }
    }

    fn problem(&mut self, path: &[u8], error: Error) {
        let line = failure(c"write".into(), path, error).finish();
        self.remarks.push((Level::Problem, line));
    }
}

/// The content of a file.
fn content(what: &What) -> &'static [u8] {
    match what {
        What::File(file) => file.content,
        What::Symlink(_) | What::Directory(_) | What::Nothing => b"",
    }
}

/// The path of the copy of `path`.
fn copy_of(path: ResolvedPath) -> Result<ResolvedPath, Error> {
    Ok(ResolvedPath::new(memory::concat(&[COPIES, path.path()]))?)
}

/// Whether what shall be there is there. If it is not written, its directory may be as
/// it is.
fn is_there(root: &Root, change: &Change, is_written: bool) -> Result<bool, Error> {
    let path = change.path;
    match (&change.what, change.old) {
        (What::File(file), Some(old)) => {
            let is_same = old.is_some_and(|old| file.is(old));
            Ok(is_same && (!is_written || is_directory(root, path, file)?))
        }
        (What::File(file), None) => is_file(root, path, file),
        (What::Symlink(target), _) => Ok(root.read_link(path.path())? == Some(*target)),
        (What::Directory(_), _) => Ok(false),
        (What::Nothing, Some(old)) => Ok(old.is_none()),
        (What::Nothing, None) => Ok(!is_regular(root, path)?),
    }
}

/// Whether the file is there, with this content, mode and owner, in a directory that is
/// as it should be.
fn is_file(root: &Root, path: ResolvedPath, file: &File) -> Result<bool, Error> {
    // What is no regular file is replaced.
    let found = match root.read_resolved(path) {
        Err(error) if error.errno().is_none() => None,
        found => if_there(found)?,
    };
    Ok(found.is_some_and(|found| file.is(found)) && is_directory(root, path, file)?)
}

/// Whether the directory of a file is as it should be.
fn is_directory(root: &Root, path: ResolvedPath, file: &File) -> Result<bool, Error> {
    match file.directory {
        DirectoryPolicy::CreateOnly(_) => Ok(true),
        DirectoryPolicy::Enforce(access) => {
            let stat = root.stat(path.parent()?)?;
            Ok(access.is(stat.st_mode, stat.st_uid, stat.st_gid))
        }
    }
}

fn is_regular(root: &Root, path: ResolvedPath) -> Result<bool, Error> {
    match root.stat(path) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
