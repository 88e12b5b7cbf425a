//! Finds the changes that are not made yet. Reads the root, and writes nothing.
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Access, Action, Change, Changes, DirectoryPolicy, File, Label};
use crate::base::error::Error;
use crate::base::memory;
use crate::image::{ResolvedPath, Root, if_there};

/// The directory for copies of what cannot be written.
const COPIES: &[u8] = b"/run/onecontext/copies";

impl Changes {
    /// The changes that differ from what is there, and every remark. A `BindOver` or
    /// `BindCopyOver` becomes the files of the copy and a `Bind`.
    pub fn pending(self, root: &Root) -> Self {
        let mut pending = Self::new();
        for change in self.list.iter() {
            if let Err(error) = pending.add_if_pending(root, change) {
                pending.problem(change.action.step(), change.path.path(), error);
            }
        }
        pending.remarks.extend(&self.remarks);
        pending.directives.extend(&self.directives);
        pending.root_is_written_later = self.root_is_written_later;
        pending
    }

    fn add_if_pending(&mut self, root: &Root, change: &Change) -> Result<(), Error> {
        let path = change.path;
        match &change.action {
            Action::File(file) if is_file(root, path, file)? => {
                let temporary = path.temporary()?;
                if !path.in_run() && is_regular(root, temporary)? {
                    self.add(temporary, Action::Removal);
                }
            }
            Action::Symlink(target) if root.read_link(path.path())? == Some(*target) => {}
            Action::Removal if !is_regular(root, path)? => {}
            Action::BindOver(file) => {
                let directory = DirectoryPolicy::CreateOnly(Access::DIRECTORY);
                let file = File { directory, ..*file };
                if !is_file(root, path, &file)? {
                    let copy = copy_of(path)?;
                    self.file_if_pending(root, copy, file)?;
                    self.bind(change, copy);
                }
            }
            Action::BindCopyOver(replaced) => {
                let copy = copy_of(path)?;
                self.copy_directory(root, path, copy, replaced.name)?;
                let file = copy.join(replaced.name)?;
                self.file_if_pending(root, file, replaced.file)?;
                self.bind(change, copy);
            }
            Action::File(_) | Action::Symlink(_) | Action::Bind(_) | Action::Removal => {
                self.push(*change);
            }
        }
        Ok(())
    }

    fn file_if_pending(
        &mut self,
        root: &Root,
        path: ResolvedPath,
        file: File,
    ) -> Result<(), Error> {
        if !is_file(root, path, &file)? {
            self.file(path, file);
        }
        Ok(())
    }

    fn bind(&mut self, change: &Change, source: ResolvedPath) {
        let action = Action::Bind(source);
        self.push(Change { action, ..*change });
    }

    /// Adds copies of all files and links in a directory, and in those below it. Leaves
    /// out the file `but`, and what is neither file, link nor directory.
    fn copy_directory(
        &mut self,
        root: &Root,
        from: ResolvedPath,
        to: ResolvedPath,
        but: &[u8],
    ) -> Result<(), Error> {
        let stat = root.stat(from)?;
        let directory = DirectoryPolicy::Enforce(Access {
            mode: stat.st_mode & 0o7777,
            owner: Some((stat.st_uid, stat.st_gid)),
            label: Label::Neighbour,
        });
        for name in root.list(from.path())? {
            let (from, to) = (from.join(name)?, to.join(name)?);
            if let Some(target) = root.read_link(from.path())? {
                self.add(to, Action::Symlink(target));
                continue;
            }
            match FileType::from_raw_mode(root.stat(from)?.st_mode) {
                FileType::Directory => self.copy_directory(root, from, to, b"")?,
                FileType::RegularFile if *name != but => {
                    let found = root.read_resolved(from)?;
                    let (content, access) = (found.content, Access::of(found));
                    let file = File {
                        content,
                        access,
                        directory,
                    };
                    self.file_if_pending(root, to, file)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The path of the copy of `path`.
fn copy_of(path: ResolvedPath) -> Result<ResolvedPath, Error> {
    Ok(ResolvedPath::new(memory::concat(&[COPIES, path.path()]))?)
}

/// Whether the file is there, with this content, mode and owner, in a directory
/// that is as it should be.
fn is_file(root: &Root, path: ResolvedPath, file: &File) -> Result<bool, Error> {
    // What is no regular file is replaced.
    let found = match root.read_resolved(path) {
        Err(error) if error.errno().is_none() => None,
        found => if_there(found)?,
    };
    let is_same = found.is_some_and(|found| {
        found.content == file.content && file.access.is(found.mode, found.uid, found.gid)
    });
    match file.directory {
        DirectoryPolicy::Enforce(access) if is_same => {
            let stat = root.stat(path.parent()?)?;
            Ok(access.is(stat.st_mode, stat.st_uid, stat.st_gid))
        }
        _ => Ok(is_same),
    }
}

fn is_regular(root: &Root, path: ResolvedPath) -> Result<bool, Error> {
    match root.stat(path) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
