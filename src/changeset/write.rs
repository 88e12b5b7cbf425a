//! Doing what was decided: each file in one piece or not at all.
use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, StatxAttributes, StatxFlags, Uid, XattrFlags, fchmod, fchown,
    fgetxattr, fsetxattr, fstat, fsync, mkdirat, openat, renameat, statx, symlinkat, unlinkat,
};
use rustix::io::{self, Errno};
use rustix::mount::mount_bind;
use rustix::rand::{GetRandomFlags, getrandom};
use ufmt::uwrite;

use super::{Access, Action, Change, Changes, File, Folder, Label, RootAccess, Writer};
use crate::base::arena::Arena;
use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::text::{Escaped, c_str, cut, format};
use crate::image::{ResolvedPath, Root};

/// Where SELinux keeps a label (xattr(7)).
const SELINUX: &CStr = c"security.selinux";
/// A label longer than this many bytes is not copied.
const LONGEST_LABEL: usize = 512;

impl<'a> Writer<'_, 'a> {
    /// Lets `decide` say what should be written, and does it. If the root
    /// proves to be read-only, `decide` is asked again, for the access that
    /// applies then; what was done stays done.
    pub fn apply(
        &mut self,
        report: &mut Report<'a>,
        decide: impl Fn(RootAccess, &mut Changes<'a>),
    ) {
        self.apply_decided(report, &decide);
    }

    fn apply_decided(
        &mut self,
        report: &mut Report<'a>,
        decide: &dyn Fn(RootAccess, &mut Changes<'a>),
    ) {
        let mut access = self.access();
        loop {
            let mut changes = Changes::new(self.root.arena());
            decide(access, &mut changes);
            let changes = changes.pending(self.root);
            let may_write = access == RootAccess::Writable;
            let proves_read_only = may_write && changes.touch_root() && !self.acquire(report)
                || self.carry_out(&changes, access, report);
            if !proves_read_only {
                for (level, line) in changes.remarks() {
                    let mut copy = report.line();
                    copy.extend(line);
                    report.say(*level, copy);
                }
                return;
            }
            access = RootAccess::ReadOnly;
        }
    }

    /// Makes the changes, and reports each. `true`: the root was taken for
    /// writable, and proves to be read-only.
    fn carry_out(
        &self,
        changes: &Changes<'a>,
        access: RootAccess,
        report: &mut Report<'a>,
    ) -> bool {
        let mut proves_read_only = false;
        for change in changes.list() {
            match self.make(change) {
                Ok(()) => {
                    let mut line = report.line();
                    if change.done.is_empty() {
                        let path = Escaped(change.path.path());
                        uwrite!(line, "{} {}", change.action.participle(), path);
                    } else {
                        line.extend(change.done);
                    }
                    report.say(Level::Note, line);
                }
                Err(error) if access == RootAccess::Writable && error == Errno::ROFS => {
                    proves_read_only = true;
                }
                Err(error) => report.problem(change.action.step(), change.path.path(), error),
            }
        }
        proves_read_only
    }

    fn make(&self, change: &Change<'a>) -> Result<(), Error> {
        match &change.action {
            Action::Bind(source) => self.root.bind(*source, change.path),
            Action::Removal => self.root.remove(change.path),
            action => self.root.replace(change.path, action),
        }
    }
}

impl Action<'_> {
    /// What a failure of it is reported as.
    pub(super) fn step(&self) -> &'static str {
        match self {
            Self::File(_) => "write",
            Self::Symlink(_) => "link",
            Self::BindOver(_) | Self::BindCopyOver(_) | Self::Bind(_) => "mount over",
            Self::Removal => "remove",
        }
    }

    /// What its success is reported as.
    fn participle(&self) -> &'static str {
        match self {
            Self::File(_) => "wrote",
            Self::Symlink(_) => "linked",
            Self::BindOver(_) | Self::BindCopyOver(_) | Self::Bind(_) => "mounted over",
            Self::Removal => "removed",
        }
    }
}

impl<'a> Root<'a> {
    /// Makes a file or a link: under another name in the same directory,
    /// filled and on the disk, then it takes its place. A reader never sees
    /// half of it, and a failure leaves what was there.
    fn replace(&self, resolved: ResolvedPath<'a>, what: &Action) -> Result<(), Error> {
        if resolved.is_hidden() {
            return Err(Error::new(&"leads to a file system of the kernel"));
        }
        let folder = match what {
            Action::File(file) => file.folder,
            _ => Folder::Made(Access::FOLDER),
        };
        let directory = self.open_folder(resolved.parent(self.arena())?, &folder)?;
        let name = c_str(self.arena(), &[resolved.cut().1])?;
        let lasting = !resolved.in_run();
        if lasting && is_append_only(&directory) {
            return Err(Error::new(&"its directory is append-only (chattr(1))"));
        }
        let mut temporary = c_str(self.arena(), &[resolved.temporary(self.arena())?.cut().1])?;
        let make = |temporary: &CStr| match what {
            Action::File(file) => self.fill(&directory, name, temporary, file, lasting),
            Action::Symlink(target) => c_str(self.arena(), &[target])
                .and_then(|target| symlinkat(target, &directory, temporary))
                .map_err(Error::from),
            _ => Ok(()),
        };
        let mut made = make(temporary);
        if made.is_err_and(|error| error == Errno::EXIST) {
            // A leftover, or a user's way to keep us from writing; what cannot
            // be removed stays, and nobody can have made the other name.
            if remove_entry(&directory, temporary).is_err() {
                temporary = self.unguessable(temporary)?;
            }
            made = make(temporary);
        }
        let made = made.and_then(|()| Ok(renameat(&directory, temporary, &directory, name)?));
        if made.is_err() {
            // Why it could not be written is said; this is what can be done.
            let _ = remove_entry(&directory, temporary);
        } else if lasting {
            fsync(&directory)?;
        }
        made
    }

    /// `name` with a random number behind it.
    fn unguessable(&self, name: &CStr) -> Result<&'a CStr, Error> {
        let mut bytes = [0; 8];
        // Never blocks; before the kernel has gathered enough randomness these
        // bytes are weaker, but not weak enough for a user who is not running.
        getrandom(&mut bytes[..], GetRandomFlags::INSECURE)
            .or_else(|_| getrandom(&mut bytes[..], GetRandomFlags::NONBLOCK))?;
        let number = format(self.arena(), &u64::from_ne_bytes(bytes));
        Ok(c_str(self.arena(), &[name.to_bytes(), b".", number])?)
    }

    /// Removes a file.
    fn remove(&self, resolved: ResolvedPath<'a>) -> Result<(), Error> {
        let directory = self.open_resolved(resolved.parent(self.arena())?, OFlags::RDONLY)?;
        let name = c_str(self.arena(), &[resolved.cut().1])?;
        unlinkat(&directory, name, AtFlags::empty())?;
        Ok(fsync(&directory)?)
    }

    fn fill(
        &self,
        directory: &OwnedFd,
        name: &CStr,
        other: &CStr,
        file: &File,
        lasting: bool,
    ) -> Result<(), Error> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let output = openat(directory, other, flags, Mode::RUSR | Mode::WUSR)?;
        let label = self.label(directory, Some(name), file.access.label);
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
    fn open_folder(&self, resolved: ResolvedPath<'a>, folder: &Folder) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let (Folder::Made(access) | Folder::Kept(access)) = folder;
        match self.open_resolved(resolved, flags) {
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
        let above = resolved.parent(self.arena())?;
        if above == resolved {
            return Err(Errno::NOENT.into());
        }
        let parent = self.open_folder(above, &Folder::Made(Access::FOLDER))?;
        mkdirat(
            &parent,
            c_str(self.arena(), &[resolved.cut().1])?,
            Mode::RWXU,
        )?;
        let directory = self.open_resolved(resolved, flags)?;
        let label = self.label(&parent, None, access.label);
        set_access(directory.as_fd(), access, label)?;
        if !resolved.in_run() {
            fsync(&parent)?;
        }
        Ok(directory)
    }

    /// The label for something new in `directory`, empty for none: that of
    /// the file that it replaces, else one made from the directory's. Without
    /// a loaded policy the kernel gives no label itself, and a file without
    /// one is denied to sshd later.
    fn label(&self, directory: &OwnedFd, replaces: Option<&CStr>, rule: Label) -> &'a [u8] {
        // A file system without labels costs this one call.
        let above = self.label_of(directory);
        if above.is_empty() {
            return above;
        }
        if let Some(name) = replaces {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(file) = openat(directory, name, flags, Mode::empty()) {
                let own = self.label_of(&file);
                if !own.is_empty() {
                    return own;
                }
            }
        }
        match rule {
            Label::Neighbour => above,
            Label::SshHome => with_type(self.arena(), above, b"ssh_home_t"),
            Label::NetConf => with_type(self.arena(), above, b"net_conf_t"),
        }
    }

    fn label_of(&self, file: &OwnedFd) -> &'a [u8] {
        let mut buffer = [0; LONGEST_LABEL];
        let length = fgetxattr(file, SELINUX, &mut buffer[..]).unwrap_or(0);
        let label = buffer.get(..length).unwrap_or(b"");
        self.arena().copy(label)
    }

    /// Mounts a file over another.
    fn bind(&self, source: ResolvedPath<'a>, point: ResolvedPath<'a>) -> Result<(), Error> {
        let source = self.open_resolved(source, OFlags::PATH)?;
        let point = self.open_resolved(point, OFlags::PATH)?;
        // mount(2) takes paths; these cannot be led astray (proc(5)).
        Ok(mount_bind(
            self.proc_path(source.as_fd())?,
            self.proc_path(point.as_fd())?,
        )?)
    }

    fn proc_path(&self, file: BorrowedFd) -> Result<&'a CStr, Error> {
        let mut text = self.arena().vector();
        uwrite!(text, "/proc/self/fd/{}", file.as_raw_fd());
        Ok(c_str(self.arena(), &[&text])?)
    }
}

/// Whether a rename in the directory is refused although a new file is not
/// (ioctl_iflags(2), FS_APPEND_FL). Kernels before 4.11 do not say so.
fn is_append_only(directory: &OwnedFd) -> bool {
    statx(directory, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::APPEND))
}

/// Removes what has this name, unless it is a directory with something in it.
fn remove_entry(directory: &OwnedFd, name: &CStr) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => unlinkat(directory, name, AtFlags::REMOVEDIR),
        answer => answer,
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

/// `user:role:type[:level]` with another type.
fn with_type<'a>(arena: &'a Arena, label: &'a [u8], kind: &[u8]) -> &'a [u8] {
    let Some((user, (role, rest))) =
        cut(label, b':').and_then(|(user, rest)| Some((user, cut(rest, b':')?)))
    else {
        return b"";
    };
    match cut(rest, b':') {
        Some((_, level)) => arena.concat(&[user, b":", role, b":", kind, b":", level]),
        // The NUL that xattrs of SELinux end with.
        None => arena.concat(&[user, b":", role, b":", kind, b"\0"]),
    }
}
