//! Doing what was decided: each file in one piece or not at all.
use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::fs::{
    fchmod, fchown, fgetxattr, fsetxattr, fstat, fsync, mkdirat, openat, renameat, symlinkat,
    unlinkat,
};
use rustix::io::{self, Errno};
use rustix::mount::mount_bind;
use ufmt::uwrite;

use super::{Access, Changes, Column, File, Folder, Label, Root, Spot, What, Writer, c_str};
use crate::report::{Level, Report};
use crate::text::{Reason, Shown};

/// Where SELinux keeps a label (xattr(7)).
const SELINUX: &CStr = c"security.selinux";
/// A label longer than this many bytes is not copied.
const LONGEST_LABEL: usize = 512;

impl<'a> Writer<'_, 'a> {
    /// Lets `decide` say what should be written, and does it. If the root
    /// proves to be read-only, `decide` is asked again, for the column that
    /// applies then; what was done stays done.
    pub fn apply(&mut self, report: &mut Report<'a>, decide: impl Fn(Column, &mut Changes<'a>)) {
        let mut column = self.column();
        loop {
            let mut changes = Changes::new(self.root.arena);
            decide(column, &mut changes);
            let written = column == Column::Written;
            let sealed = written && changes.touch_root() && !self.acquire(report)
                || self.carry_out(&changes, written, true, report);
            if !(written && sealed) {
                for (level, line) in changes.remarks() {
                    report.line(*level, |text| text.extend(line));
                }
                return;
            }
            column = Column::Sealed;
        }
    }

    /// Does what is below `/run`, and reports only what failed.
    pub fn carry_out_silently(&self, changes: &Changes<'a>, report: &mut Report<'a>) {
        self.carry_out(changes, false, false, report);
    }

    /// Does it, and reports each; without `notes` only what failed. With
    /// `again`, a read-only file system is no problem yet: the answer is then
    /// that something remains to be done.
    fn carry_out(
        &self,
        changes: &Changes<'a>,
        again: bool,
        notes: bool,
        report: &mut Report<'a>,
    ) -> bool {
        let mut sealed = false;
        for change in changes.list() {
            let path = change.spot.path();
            let (step, said, result) = match &change.what {
                What::File(file) => ("write", "wrote ", self.root.write(change.spot, file)),
                What::Link(link) => {
                    let made = self.root.symlink(change.spot, link.target);
                    ("link", "linked ", made)
                }
                What::Bind(bind) => {
                    let made = self.root.bind(bind.source, change.spot);
                    ("bind mount over", "mounted over ", made)
                }
            };
            match result {
                Ok(()) if !notes => {}
                Ok(()) if change.done.is_empty() => {
                    report.line(Level::Note, |text| uwrite!(text, "{}{}", said, Shown(path)));
                }
                Ok(()) => report.line(Level::Note, |text| text.extend(change.done)),
                Err(Reason::Os(Errno::ROFS)) if again => sealed = true,
                Err(reason) => report.problem(step, path, reason),
            }
        }
        sealed
    }
}

impl<'a> Root<'a> {
    /// Writes a file: a temporary one in the same directory, filled and on
    /// the disk, takes its place. A reader never sees half of it, and a
    /// failure leaves what was there.
    fn write(&self, spot: Spot<'a>, file: &File) -> Result<(), Reason> {
        if spot.is_hidden() {
            return Err("leads to a file system of the kernel".into());
        }
        let (above, name) = spot.split(self.arena)?;
        let directory = self.open_folder(above, &file.folder)?;
        // Always the same name: what a power cut left is swept by the next
        // attempt, and the initramfs runs one of us at a time.
        let temporary = c_str(self.arena, &[b".", name.to_bytes(), b".onecontext"])?;
        let made = self.fill(&directory, name, temporary, file, !spot.in_run());
        let renamed = made.and_then(|()| Ok(renameat(&directory, temporary, &directory, name)?));
        if renamed.is_err() {
            let _ = unlinkat(&directory, temporary, AtFlags::empty());
        } else if !spot.in_run() {
            fsync(&directory)?;
        }
        renamed
    }

    fn fill(
        &self,
        directory: &OwnedFd,
        name: &CStr,
        temporary: &CStr,
        file: &File,
        lasting: bool,
    ) -> Result<(), Reason> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(directory, temporary, flags, Mode::RUSR | Mode::WUSR);
        let output = match open() {
            Err(Errno::EXIST) => {
                unlinkat(directory, temporary, AtFlags::empty())?;
                open()?
            }
            answer => answer?,
        };
        let mut label = [0; LONGEST_LABEL];
        let label = self.label(directory, Some(name), file.access.label, &mut label);
        set_access(output.as_fd(), &file.access, label)?;
        let mut rest = file.content;
        while !rest.is_empty() {
            match io::write(&output, rest) {
                Ok(0) => return Err(Errno::IO.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or(b""),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if lasting {
            fsync(&output)?;
        }
        Ok(())
    }

    /// Opens a directory, made if it is missing, with those above it.
    fn open_folder(&self, spot: Spot<'a>, folder: &Folder) -> Result<OwnedFd, Reason> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let (Folder::Made(access) | Folder::Kept(access)) = folder;
        match self.open_spot(spot, flags) {
            Ok(directory) => {
                if let Folder::Kept(access) = folder {
                    let stat = fstat(&directory)?;
                    if !access.is(stat.st_mode, stat.st_uid, stat.st_gid) {
                        set_access(directory.as_fd(), access, b"")?;
                    }
                }
                return Ok(directory);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let (above, name) = spot.split(self.arena)?;
        let parent = self.open_folder(above, &Folder::Made(Access::FOLDER))?;
        mkdirat(&parent, name, Mode::RWXU)?;
        let directory = self.open_spot(spot, flags)?;
        let mut label = [0; LONGEST_LABEL];
        let label = self.label(&parent, None, access.label, &mut label);
        set_access(directory.as_fd(), access, label)?;
        if !spot.in_run() {
            fsync(&parent)?;
        }
        Ok(directory)
    }

    /// The label for something new in `directory`, empty for none: that of
    /// the file that it replaces, else one made from the directory's. Without
    /// a loaded policy the kernel gives no label itself, and a file without
    /// one is denied to sshd later.
    fn label<'l>(
        &self,
        directory: &OwnedFd,
        replaces: Option<&CStr>,
        rule: Label,
        room: &'l mut [u8; LONGEST_LABEL],
    ) -> &'l [u8] {
        // A file system without labels costs this one call.
        let Ok(length) = fgetxattr(directory, SELINUX, &mut room[..]) else {
            return b"";
        };
        if let Some(name) = replaces {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let own = openat(directory, name, flags, Mode::empty())
                .and_then(|file| fgetxattr(file, SELINUX, &mut room[..]));
            if let Ok(length) = own {
                return room.get(..length).unwrap_or(b"");
            }
        }
        let length = match rule {
            Label::Neighbour => length,
            Label::SshHome => ssh_home(room, length),
        };
        room.get(..length).unwrap_or(b"")
    }

    /// Makes a symbolic link; one that is there is replaced.
    fn symlink(&self, spot: Spot<'a>, target: &[u8]) -> Result<(), Reason> {
        let (above, name) = spot.split(self.arena)?;
        let directory = self.open_folder(above, &Folder::Made(Access::FOLDER))?;
        let target = c_str(self.arena, &[target])?;
        match symlinkat(target, &directory, name) {
            Err(Errno::EXIST) => {
                let temporary = c_str(self.arena, &[b".", name.to_bytes(), b".onecontext"])?;
                let _ = unlinkat(&directory, temporary, AtFlags::empty());
                symlinkat(target, &directory, temporary)?;
                let renamed = renameat(&directory, temporary, &directory, name);
                if renamed.is_err() {
                    let _ = unlinkat(&directory, temporary, AtFlags::empty());
                }
                renamed?;
            }
            answer => answer?,
        }
        Ok(())
    }

    /// Mounts a file over another.
    fn bind(&self, source: Spot<'a>, point: Spot<'a>) -> Result<(), Reason> {
        let source = self.open_spot(source, OFlags::PATH)?;
        let point = self.open_spot(point, OFlags::PATH)?;
        // mount(2) takes paths; these cannot be led astray (proc(5)).
        Ok(mount_bind(
            self.proc_path(source.as_fd())?,
            self.proc_path(point.as_fd())?,
        )?)
    }

    fn proc_path(&self, file: BorrowedFd) -> Result<&'a CStr, Reason> {
        let mut text = self.arena.table();
        uwrite!(text, "/proc/self/fd/{}", file.as_raw_fd())?;
        c_str(self.arena, &[&text])
    }
}

/// Owner before mode, since chown(2) clears set-id bits; all before any
/// content.
fn set_access(file: BorrowedFd, access: &Access, label: &[u8]) -> io::Result<()> {
    if let Some((uid, gid)) = access.owner {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fchmod(file, Mode::from_raw_mode(access.mode))?;
    if label.is_empty() {
        return Ok(());
    }
    match fsetxattr(file, SELINUX, label, XattrFlags::empty()) {
        // A kernel before 5.5 takes no label before the policy is loaded; the
        // file is still worth having.
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ACCESS | Errno::PERM) => Ok(()),
        answer => answer,
    }
}

/// Replaces the type in `user:role:type[:level]` by `ssh_home_t`; gives the
/// new length, 0 if it is no label.
fn ssh_home(label: &mut [u8; LONGEST_LABEL], length: usize) -> usize {
    const TYPE: &[u8] = b"ssh_home_t";
    let old = *label;
    let old = old.get(..length).unwrap_or(b"");
    let mut parts = old.splitn(4, |byte| *byte == b':');
    let (Some(user), Some(role), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
        return 0;
    };
    let end: &[u8] = if kind.ends_with(b"\0") { b"\0" } else { b"" };
    let (colon, level): (&[u8], _) = match parts.next() {
        Some(level) => (b":", level),
        None => (b"", end),
    };
    let new = [user, b":", role, b":", TYPE, colon, level];
    let mut count = 0;
    let bytes = new.into_iter().flatten();
    for (to, from) in label.iter_mut().zip(bytes) {
        *to = *from;
        count += 1;
    }
    count
}
