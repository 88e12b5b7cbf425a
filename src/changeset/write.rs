//! Making the changes: each file as a whole or not at all.
use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, StatxAttributes, StatxFlags, Uid, XattrFlags, fchmod, fchown,
    fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fsetxattr, fstat, fsync, mkdirat,
    openat, renameat, statx, symlinkat, unlinkat,
};
use rustix::io::{self, Errno};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::rand::{GetRandomFlags, getrandom};
use ufmt::uwrite;

use super::{Access, Action, Change, Changes, DirectoryPolicy, File, Label, RootAccess, Writer};
use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::memory::{self, Vector};
use crate::base::output::write_all;
use crate::base::text::{Escaped, c_str, format, split, split_once};
use crate::image::ResolvedPath;

/// The attribute with the SELinux label (xattr(7)).
const SELINUX: &CStr = c"security.selinux";
/// A label longer than this many bytes is not copied.
const LONGEST_LABEL: usize = 512;
/// The most bytes of attribute values in a file that is replaced. A user may have given
/// a file hundreds of megabytes of them (xfs), too much for the memory and the time
/// that there are. The kernel lists no more bytes of attribute names than this
/// (linux/limits.h, `XATTR_LIST_MAX`).
const LARGEST_ATTRIBUTES: usize = 64 << 10;
const TOO_MANY_ATTRIBUTES: Error = Error::new(c"more than 64 KiB of attributes");

impl Writer<'_> {
    /// Asks `decide` for the changes, and makes them. If the root, or a file of it,
    /// cannot be written, `decide` is asked again for an alternative; changes that were
    /// made stay.
    pub fn apply(&mut self, report: &mut Report, decide: impl Fn(RootAccess, &mut Changes)) {
        self.apply_decided(report, &decide);
    }

    fn apply_decided(&mut self, report: &mut Report, decide: &dyn Fn(RootAccess, &mut Changes)) {
        let mut refused = Vector::new();
        loop {
            let access = self.access();
            let mut known = Vector::new();
            known.extend(&refused);
            let mut changes = Changes::without(known.finish());
            decide(access, &mut changes);
            let changes = changes.pending(self.root);
            let is_writable = access == RootAccess::Writable;
            if is_writable && changes.touch_root() && !self.acquire(report) {
                continue;
            }
            if !self.carry_out(&changes, &mut refused, report) {
                for (level, line) in changes.remarks() {
                    // Reported in an earlier round.
                    if !refused.is_empty() && report.has_said(line) {
                        continue;
                    }
                    let mut copy = report.line();
                    copy.extend(line);
                    report.say(*level, copy);
                }
                return;
            }
        }
    }

    /// Makes the changes, and reports each. `true`: another file could not be written,
    /// and `decide` may have an alternative.
    fn carry_out(
        &mut self,
        changes: &Changes,
        refused: &mut Vector<ResolvedPath>,
        report: &mut Report,
    ) -> bool {
        let is_writable = self.access() == RootAccess::Writable;
        let mut is_new = false;
        for change in changes.list() {
            // Its failure was reported in an earlier round.
            let writes = change.action.writes();
            if writes && refused.contains(&change.path) {
                continue;
            }
            let (step, path) = (change.action.step(), change.path.path());
            report.begin(step, path);
            match self.make(change, refused) {
                Ok(()) => {
                    let mut line = report.line();
                    if change.done.is_empty() {
                        let made = change.action.participle();
                        uwrite!(line, "{} {}", made, Escaped(path));
                    } else {
                        line.extend(change.done);
                    }
                    report.say(Level::Note, line);
                }
                Err(error) => {
                    report.problem(step, path, error);
                    if writes {
                        refused.push(change.path);
                    }
                    if writes && is_writable && !change.path.in_run() {
                        is_new = true;
                        // Every other write would fail as well.
                        if self.concerns_whole_root(change, error) {
                            self.refuses_writes = true;
                            return true;
                        }
                    }
                }
            }
        }
        is_new
    }

    /// Whether an error concerns the whole root. A user can make a directory a
    /// read-only subvolume (btrfs-subvolume(8)), or fill it (ext4 allows some million
    /// names): that must not affect others.
    fn concerns_whole_root(&self, change: &Change, error: Error) -> bool {
        match error.errno() {
            Some(Errno::ROFS) => self.check_writable().is_err(),
            Some(Errno::NOSPC) => change.action.is_owned_by_root(),
            _ => false,
        }
    }

    fn make(&self, change: &Change, refused: &[ResolvedPath]) -> Result<(), Error> {
        match &change.action {
            // An incomplete copy of a directory is worse than the original.
            Action::Bind(source) if refused.iter().any(|path| path.is_below(source.path())) => {
                Err(Error::new(c"an incomplete copy"))
            }
            Action::Bind(source) => self.bind(*source, change.path),
            // Whatever was decided: a root that must not be written is not written.
            _ if self.is_sealed() && !change.path.in_run() => Err(Errno::ROFS.into()),
            Action::Removal => self.remove(change.path),
            action => self.replace(change.path, action),
        }
    }
}

impl Action {
    /// Whether it writes a file or link.
    fn writes(&self) -> bool {
        matches!(self, Self::File(_) | Self::Symlink(_))
    }

    /// Whether root owns what it makes.
    fn is_owned_by_root(&self) -> bool {
        match self {
            Self::File(file) => matches!(file.access.owner, None | Some((0, _))),
            _ => true,
        }
    }

    /// The step that a failure is reported as.
    pub(super) fn step(&self) -> &'static core::ffi::CStr {
        match self {
            Self::File(_) => c"write",
            Self::Symlink(_) => c"link",
            Self::BindOver(_) | Self::BindCopyOver(_) | Self::Bind(_) => c"mount over",
            Self::Removal => c"remove",
        }
    }

    /// What success is reported as.
    fn participle(&self) -> &'static str {
        match self {
            Self::File(_) => "wrote",
            Self::Symlink(_) => "linked",
            Self::BindOver(_) | Self::BindCopyOver(_) | Self::Bind(_) => "mounted over",
            Self::Removal => "removed",
        }
    }
}

impl Writer<'_> {
    /// Makes a file or a link: under a temporary name in the same directory, synced,
    /// then renamed. A reader never sees half of it, and a failure leaves what was
    /// there.
    fn replace(&self, resolved: ResolvedPath, what: &Action) -> Result<(), Error> {
        if resolved.is_hidden() {
            return Err(Error::new(c"leads to a file system of the kernel"));
        }
        let policy = match what {
            Action::File(file) => file.directory,
            _ => DirectoryPolicy::CreateOnly(Access::DIRECTORY),
        };
        let directory = self.open_directory(resolved.parent()?, &policy)?;
        let name = c_str(&[resolved.split_file_name().1])?;
        let lasting = !resolved.in_run();
        if lasting && is_append_only(&directory) {
            return Err(Error::new(c"its directory is append-only (chattr(1))"));
        }
        let mut temporary = c_str(&[resolved.temporary()?.split_file_name().1])?;
        let make = |temporary: &CStr| match what {
            Action::File(file) => self.fill(&directory, name, temporary, file, lasting),
            Action::Symlink(target) => c_str(&[target])
                .and_then(|target| symlinkat(target, &directory, temporary))
                .map_err(Error::from),
            _ => Ok(()),
        };
        let mut made = make(temporary);
        if made.is_err_and(|error| error == Errno::EXIST) {
            // The name is left from an interrupted write, or a user made it to prevent
            // ours. If it cannot be removed, another name is used, which nobody can
            // guess.
            if remove_entry(&directory, temporary).is_err() {
                temporary = self.unguessable(temporary)?;
            }
            made = make(temporary);
        }
        let made = made.and_then(|()| Ok(renameat(&directory, temporary, &directory, name)?));
        if made.is_err() {
            // The first error is reported; this is only the cleanup.
            let _ = remove_entry(&directory, temporary);
        } else if lasting {
            fsync(&directory)?;
        }
        made
    }

    /// `name` with a random number behind it.
    fn unguessable(&self, name: &CStr) -> Result<&'static CStr, Error> {
        let mut bytes = [0; 8];
        // GRND_INSECURE never blocks. Early in a boot these bytes are weaker, but no
        // process of a user runs yet that could guess them.
        getrandom(&mut bytes[..], GetRandomFlags::INSECURE)
            .or_else(|_| getrandom(&mut bytes[..], GetRandomFlags::NONBLOCK))?;
        let number = format(&u64::from_ne_bytes(bytes));
        Ok(c_str(&[name.to_bytes(), b".", number])?)
    }

    /// Removes a file.
    fn remove(&self, resolved: ResolvedPath) -> Result<(), Error> {
        let directory = self
            .root
            .open_resolved(resolved.parent()?, OFlags::RDONLY)?;
        let name = c_str(&[resolved.split_file_name().1])?;
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
        let replaced = match lasting {
            true => open_existing(directory, name)?,
            false => None,
        };
        if let Some(replaced) = &replaced {
            self.copy_attributes(replaced, &output)?;
        }
        let label = self.label(directory, replaced.as_ref(), file.access.label);
        set_access(output.as_fd(), &file.access, label)?;
        write_all(output.as_fd(), file.content)?;
        if lasting {
            fsync(&output)?;
        }
        Ok(())
    }

    /// Opens a directory. Creates it, and those above it, if it is missing.
    fn open_directory(
        &self,
        resolved: ResolvedPath,
        policy: &DirectoryPolicy,
    ) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let (DirectoryPolicy::CreateOnly(access) | DirectoryPolicy::Enforce(access)) = policy;
        match self.root.open_resolved(resolved, flags) {
            Ok(directory) => {
                if let DirectoryPolicy::Enforce(access) = policy {
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
        let above = resolved.parent()?;
        if above == resolved {
            return Err(Errno::NOENT.into());
        }
        let parent = self.open_directory(above, &DirectoryPolicy::CreateOnly(Access::DIRECTORY))?;
        let name = c_str(&[resolved.split_file_name().1])?;
        mkdirat(&parent, name, Mode::RWXU)?;
        let finish = || {
            let directory = self.root.open_resolved(resolved, flags)?;
            let label = self.label(&parent, None, access.label);
            set_access(directory.as_fd(), access, label)?;
            if !resolved.in_run() {
                fsync(&parent)?;
            }
            Ok(directory)
        };
        let finished: Result<_, Error> = finish();
        if finished.is_err() {
            // Otherwise the next run would use it without the right owner and mode.
            let _ = unlinkat(&parent, name, AtFlags::REMOVEDIR);
        }
        finished
    }

    /// The label for something new in `directory`, empty for none: that of the file
    /// that it replaces, else one made from the directory's. Without a loaded policy
    /// the kernel sets no label itself, and later SELinux denies sshd a file without
    /// one.
    fn label(&self, directory: &OwnedFd, replaces: Option<&OwnedFd>, rule: Label) -> &'static [u8] {
        // A file system without labels costs this one call.
        let above = self.label_of(directory);
        if above.is_empty() {
            return above;
        }
        if let Some(file) = replaces {
            let own = self.label_of(file);
            if !own.is_empty() {
                return own;
            }
        }
        match rule {
            Label::Neighbour => above,
            Label::SshHome => with_type(above, b"ssh_home_t"),
            Label::NetConf => with_type(above, b"net_conf_t"),
        }
    }

    /// Copies the access control list and the user attributes of the replaced file to
    /// the new one (acl(5), xattr(7)). This comes before the mode is set: in a file
    /// with a list, the group bits are the mask of the list.
    fn copy_attributes(&self, from: &OwnedFd, to: &OwnedFd) -> Result<(), Error> {
        let names = match flistxattr_query(from) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(()),
            Ok(length) => memory::bytes(length),
            Err(errno) => return Err(errno.into()),
        };
        let length = flistxattr(from, &mut *names)?;
        let mut left = LARGEST_ATTRIBUTES;
        for name in split(names.get(..length).unwrap_or_default(), |byte| byte == 0) {
            if name == b"system.posix_acl_access" || name.starts_with(b"user.") {
                let name = c_str(&[name])?;
                let length = fgetxattr_query(from, name)?;
                left = left.checked_sub(length).ok_or(TOO_MANY_ATTRIBUTES)?;
                let value = memory::bytes(length);
                let length = fgetxattr(from, name, &mut *value)?;
                let value = value.get(..length).unwrap_or_default();
                fsetxattr(to, name, value, XattrFlags::empty())?;
            }
        }
        Ok(())
    }

    fn label_of(&self, file: &OwnedFd) -> &'static [u8] {
        let mut buffer = [0; LONGEST_LABEL];
        let length = fgetxattr(file, SELINUX, &mut buffer[..]).unwrap_or(0);
        let label = buffer.get(..length).unwrap_or(b"");
        memory::copy(label)
    }

    /// Mounts a file or directory over another.
    fn bind(&self, source: ResolvedPath, point: ResolvedPath) -> Result<(), Error> {
        // mount(2) takes paths. These lead to the open files, whatever links there are
        // (proc(5)).
        let source = self.root.open_resolved(source, OFlags::PATH)?;
        let source_path = self.proc_path(source.as_fd())?;
        loop {
            let point = self.root.open_resolved(point, OFlags::PATH)?;
            let point_path = self.proc_path(point.as_fd())?;
            match mount_bind(source_path, point_path) {
                // The file that an earlier run mounted there was replaced since.
                // Nothing can be mounted on it.
                Err(Errno::NOENT) => unmount(point_path, UnmountFlags::DETACH)?,
                answer => return Ok(answer?),
            }
        }
    }

    fn proc_path(&self, file: BorrowedFd) -> Result<&'static CStr, Error> {
        let mut text = Vector::new();
        uwrite!(text, "/proc/self/fd/{}", file.as_raw_fd());
        Ok(c_str(&[&text])?)
    }
}

/// Opens the file of this name, to read its attributes.
fn open_existing(directory: &OwnedFd, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        // Nothing, a link, a socket.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether a rename in the directory is refused although a new file is not
/// (ioctl_iflags(2), FS_APPEND_FL). Kernels before 4.11 do not tell.
fn is_append_only(directory: &OwnedFd) -> bool {
    statx(directory, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::APPEND))
}

/// Removes the file or the empty directory of this name.
fn remove_entry(directory: &OwnedFd, name: &CStr) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => unlinkat(directory, name, AtFlags::REMOVEDIR),
        answer => answer,
    }
}

/// Sets owner, mode and label, before there is any content. The owner comes before the
/// mode, since chown(2) clears set-id bits.
fn set_access(file: BorrowedFd, access: &Access, label: &[u8]) -> io::Result<()> {
    if let Some((uid, gid)) = access.owner {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fchmod(file, Mode::from_raw_mode(access.mode))?;
    if label.is_empty() {
        return Ok(());
    }
    match fsetxattr(file, SELINUX, label, XattrFlags::empty()) {
        // A kernel before 5.5 refuses labels before the policy is loaded; the file is
        // useful without one.
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ACCESS | Errno::PERM) => Ok(()),
        answer => answer,
    }
}

/// `user:role:type[:level]` with another type.
fn with_type(label: &'static [u8], kind: &[u8]) -> &'static [u8] {
    let Some((user, (role, rest))) =
        split_once(label, b':').and_then(|(user, rest)| Some((user, split_once(rest, b':')?)))
    else {
        return b"";
    };
    match split_once(rest, b':') {
        Some((_, level)) => memory::concat(&[user, b":", role, b":", kind, b":", level]),
        // The NUL that xattrs of SELinux end with.
        None => memory::concat(&[user, b":", role, b":", kind, b"\0"]),
    }
}
