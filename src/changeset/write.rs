//! Making the changes: each file as a whole or not at all.
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, StatxAttributes, StatxFlags, Uid, XattrFlags, fchmod, fchown,
    fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fsetxattr, fstat, fsync, mkdirat,
    openat, renameat, statx, symlinkat, unlinkat,
};
use rustix::io::{self, Errno};
use rustix::mount::mount_bind;
use rustix::rand::{GetRandomFlags, getrandom};
use ufmt::uwrite;

use super::change::{Change, Changes, Mount};
use super::earlier::{LIST, is_ours, open_to_mount};
use super::file::{Access, DirectoryPolicy, File, Label};
use super::place::{Action, Placer, RootState, Step};
use super::remount::{Policy, Remount};
use super::tmpfiles;
use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::memory::{self, Vector};
use crate::base::output::write_all;
use crate::base::set::Set;
use crate::base::text::{Escaped, Text, c_str, format, split, split_once};
use crate::image::{ResolvedPath, Root};

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

/// Makes changes to a root and its run directory.
pub struct Writer<'r> {
    root: &'r Root,
    mount: Remount<'r>,
    policy: Policy,
    /// The root seemed to be writable, and a write failed for all of it.
    refuses_writes: bool,
    /// The files and links of the run directory that are ours, for the next run.
    list: Text,
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was not tried, or is left to a line for systemd-tmpfiles.
    Open,
    /// It was made or found, or its failure was reported.
    Settled,
}

/// The root proved not to be written.
struct NotWritten {
    /// The change failed for it, which was reported.
    is_reported: bool,
}

impl<'r> Writer<'r> {
    /// A writer for one root. Changes nothing yet.
    pub fn new(root: &'r Root, policy: Policy) -> Self {
        Self {
            root,
            mount: Remount::new(root, policy),
            policy,
            refuses_writes: false,
            list: Text::new(),
        }
    }

    /// Whether the root is written, as far as it is known.
    pub fn state(&self) -> RootState {
        match self.policy {
            Policy::ReadOnly => RootState::MustNotBe,
            Policy::Auto if self.mount.is_sealed() || self.refuses_writes => RootState::CannotBe,
            Policy::Auto => RootState::Written,
        }
    }

    /// Makes the changes, and reports each. If the root as a whole cannot be written,
    /// they are placed once more; what was made stays.
    pub fn apply(&mut self, changes: &Changes, report: &mut Report) {
        let mut outcomes = Vector::new();
        for _ in changes.list.iter() {
            outcomes.push(Outcome::Open);
        }
        if self.make_all(changes, &mut outcomes, report).is_err() {
            // Now nothing is placed in the root.
            let _ = self.make_all(changes, &mut outcomes, report);
        }
        for (level, line) in changes.remarks(self.state().is_written()) {
            report.add(level, line);
        }
    }

    fn make_all(
        &mut self,
        changes: &Changes,
        outcomes: &mut [Outcome],
        report: &mut Report,
    ) -> Result<(), NotWritten> {
        let mut placer = Placer::new(self.root, changes.mounts);
        let state = self.state();
        if changes.is_written_later && state.is_written() {
            self.acquire(report)?;
        }
        for ((when, change), outcome) in changes.list.iter().zip(outcomes) {
            if !when.counts(state.is_written()) || *outcome == Outcome::Settled {
                continue;
            }
            match self.make_change(change, state, &mut placer, report) {
                Ok(made) => *outcome = made,
                Err(not) => {
                    // Nothing stands in for it.
                    if not.is_reported && !change.mount.stands_in() {
                        *outcome = Outcome::Settled;
                    }
                    return Err(not);
                }
            }
        }
        match placer.finish() {
            Ok(Some(lines)) => {
                self.make_change(&lines, state, &mut Placer::new(self.root, None), report)?;
            }
            Ok(None) => {}
            Err(error) => report.problem(c"write", tmpfiles::PATH, error),
        }
        Ok(())
    }

    /// The root will be written.
    fn acquire(&mut self, report: &mut Report) -> Result<(), NotWritten> {
        match self.state().is_written() && self.mount.acquire(report) {
            true => Ok(()),
            false => Err(NotWritten { is_reported: false }),
        }
    }

    /// Makes one change. A file that refuses to be written is placed as if the root
    /// could not be.
    fn make_change(
        &mut self,
        change: &Change,
        state: RootState,
        placer: &mut Placer,
        report: &mut Report,
    ) -> Result<Outcome, NotWritten> {
        let path = change.path.path();
        let placed = match placer.place(change, state) {
            Ok(placed) => placed,
            Err(error) => {
                report.problem(Action::of(&change.what).step(), path, error);
                return Ok(Outcome::Settled);
            }
        };
        if placed.is_written_later {
            self.acquire(report)?;
        }
        for (level, line) in placed.remarks.iter() {
            report.add(*level, line);
        }
        self.list.extend(&placed.list);
        let mut refused = Vector::new();
        for step in placed.steps.iter() {
            if step.writes_root() && state.is_written() {
                self.acquire(report)?;
            }
            let Err(error) = self.make_step(step, &refused, report) else {
                continue;
            };
            refused.push(step.path);
            if step.writes_root() && state.is_written() {
                // Every other write would fail as well.
                if self.concerns_whole_root(step, error) {
                    self.refuses_writes = true;
                    return Err(NotWritten { is_reported: true });
                }
                if change.mount.stands_in() {
                    return self.make_change(change, RootState::CannotBe, placer, report);
                }
            }
        }
        Ok(match placed.is_by_tmpfiles {
            true => Outcome::Open,
            false => Outcome::Settled,
        })
    }

    /// Whether an error concerns the whole root. A user can make a directory a
    /// read-only subvolume (btrfs-subvolume(8)), or fill it (ext4 allows some million
    /// names): that must not affect others.
    fn concerns_whole_root(&self, step: &Step, error: Error) -> bool {
        match error.errno() {
            Some(Errno::ROFS) => self.mount.check_writable().is_err(),
            Some(Errno::NOSPC) => step.is_owned_by_root(),
            _ => false,
        }
    }

    /// Makes a step, and reports it.
    fn make_step(
        &self,
        step: &Step,
        refused: &[ResolvedPath],
        report: &mut Report,
    ) -> Result<(), Error> {
        let name = step.action.step();
        report.begin(name, step.path.path());
        let made = self.make(step, refused);
        match made {
            Ok(()) => report.add(Level::Note, step.line()),
            Err(error) => report.problem(name, step.path.path(), error),
        }
        made
    }

    fn make(&self, step: &Step, refused: &[ResolvedPath]) -> Result<(), Error> {
        match &step.action {
            // An incomplete copy of a directory is worse than the original.
            Action::MountOver(source)
                if refused.iter().any(|path| path.is_below(source.path())) =>
            {
                Err(Error::new(c"an incomplete copy"))
            }
            Action::MountOver(source) => self.bind(*source, step.path),
            _ if step.writes_root() && self.mount.is_sealed() => Err(Errno::ROFS.into()),
            Action::Remove => self.remove(step.path),
            action => self.replace(step.path, action),
        }
    }

    /// Puts the root back as it was mounted, and removes what earlier runs have made in
    /// the run directory and this one has not.
    pub fn finish(&mut self, report: &mut Report) {
        if let Err(error) = self.list_files(report) {
            report.problem(c"write", LIST, error);
        }
        self.mount.finish(report);
    }

    fn list_files(&self, report: &mut Report) -> Result<(), Error> {
        let new = memory::copy(&self.list);
        let old = self.root.read_if_there(LIST)?;
        let old = old.map_or(&b""[..], |old| old.content);
        if new == old {
            return Ok(());
        }
        let paths = |list| split(list, |byte| byte == 0);
        let mut seen = Set::new();
        for path in paths(new) {
            seen.insert(0, path);
        }
        for path in paths(old).filter(|path| seen.insert(0, path)) {
            let path = ResolvedPath::new(path)?;
            if is_ours(self.root, path) {
                let action = Action::Remove;
                let done = None;
                // A failure is reported.
                let _ = self.make_step(&Step { path, action, done }, &[], report);
            }
        }
        let file = File {
            access: Access::ours(0o600),
            ..File::public(new)
        };
        self.replace(
            ResolvedPath::new(LIST)?,
            &Action::Write(memory::place(file)),
        )
    }
}

impl Mount {
    /// Whether it may stand in for a file that is not written.
    fn stands_in(&self) -> bool {
        matches!(self, Self::Instead(_))
    }
}

impl Step {
    /// Whether it writes a file system of the root.
    fn writes_root(&self) -> bool {
        !self.path.in_run() && !matches!(self.action, Action::MountOver(_))
    }

    /// Whether root owns what it makes.
    fn is_owned_by_root(&self) -> bool {
        match self.action {
            Action::Write(file) => matches!(file.access.owner, None | Some((0, _))),
            _ => true,
        }
    }

    /// The line that reports success.
    fn line(&self) -> &'static [u8] {
        if let Some(done) = self.done {
            return done;
        }
        let made = match self.action {
            Action::Write(_) => "wrote",
            Action::Link(_) => "linked",
            Action::MountOver(_) => "mounted over",
            Action::Remove => "removed",
        };
        let mut line = Text::new();
        uwrite!(line, "{} {}", made, Escaped(self.path.path()));
        line.finish()
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
            Action::Write(file) => file.directory,
            _ => DirectoryPolicy::CreateOnly(Access::DIRECTORY),
        };
        let directory = self.open_directory(resolved.parent()?, &policy)?;
        let name = c_str(&[resolved.split_file_name().1])?;
        let lasting = !resolved.in_run();
        if lasting && is_append_only(&directory) {
            return Err(Error::new(c"its directory is append-only (chattr(1))"));
        }
        let mut make = |temporary: &CStr| match what {
            Action::Write(file) => self.fill(&directory, name, temporary, file, lasting),
            Action::Link(target) => c_str(&[target])
                .and_then(|target| symlinkat(target, &directory, temporary))
                .map_err(Error::from),
            _ => Ok(()),
        };
        self.put(&directory, resolved, &mut make)
    }

    /// Makes a directory's entry under a temporary name, then renames it.
    fn put(
        &self,
        directory: &OwnedFd,
        path: ResolvedPath,
        make: &mut dyn FnMut(&CStr) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let name = c_str(&[path.split_file_name().1])?;
        let mut temporary = c_str(&[path.temporary()?.split_file_name().1])?;
        let mut made = make(temporary);
        if made.is_err_and(|error| error == Errno::EXIST) {
            // The name is left from an interrupted write, or a user made it to prevent
            // ours. If it cannot be removed, another name is used, which nobody can
            // guess.
            if remove_entry(directory, temporary).is_err() {
                temporary = self.unguessable(temporary)?;
            }
            made = make(temporary);
        }
        let made = made.and_then(|()| Ok(renameat(directory, temporary, directory, name)?));
        if made.is_err() {
            // The first error is reported; this is only the cleanup.
            let _ = remove_entry(directory, temporary);
        } else if !path.in_run() {
            fsync(directory)?;
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

    /// Removes a file or a link.
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
        let mut made = None;
        let mut make = |name: &CStr| {
            // With its mode at once, as far as the umask has it: nobody mends that of a
            // directory that is there.
            mkdirat(&parent, name, Mode::from_raw_mode(access.mode))?;
            let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = openat(&parent, name, flags, Mode::empty())?;
            let label = self.label(&parent, None, access.label);
            set_access(directory.as_fd(), access, label)?;
            made = Some(directory);
            Ok(())
        };
        match resolved.in_run() {
            true => make(c_str(&[resolved.split_file_name().1])?),
            // Whoever ends in between has not left a directory of root's in a home.
            false => self.put(&parent, resolved, &mut make),
        }?;
        Ok(made.ok_or(Errno::NOENT)?)
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
        let (_source, source) = open_to_mount(self.root, source)?;
        let (_point, point) = open_to_mount(self.root, point)?;
        Ok(mount_bind(source, point)?)
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
