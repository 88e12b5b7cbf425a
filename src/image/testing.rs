//! A root made for one test, in a directory of its own.
use std::ffi::{CStr, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::Root;
use crate::base::log::{Console, Level, Report};
use crate::base::text::c_str;
use crate::changeset::{Changes, Policy, Writer, uncover};
use crate::plan::{Dialect, Login, Plan, Scripts};

/// `top/root` is the root, `top/run` the run directory.
pub struct Fixture {
    top: PathBuf,
    names: [&'static CStr; 2],
}

impl Fixture {
    /// An empty root.
    pub fn new() -> Self {
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        Self::at(top)
    }

    /// An empty root in `top`, which is removed in the end.
    pub fn at(top: PathBuf) -> Self {
        let names = ["root", "run"].map(|name| {
            let path = top.join(name);
            fs::create_dir_all(&path).unwrap();
            c_str(&[path.as_os_str().as_bytes()]).unwrap()
        });
        Self { top, names }
    }

    /// The directory that holds both.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// What the program sees of it.
    pub fn root(&self) -> Root {
        let [root, run] = self.names;
        Root::open(root, Some(run)).unwrap()
    }

    /// The same as the image has it, with nothing in the run directory.
    pub fn image(&self) -> Root {
        self.root().image().unwrap()
    }

    /// Where a path is on the host: below `run/` in the run directory.
    pub fn host(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/');
        match path.strip_prefix("run/") {
            Some(rest) => self.top.join("run").join(rest),
            None => self.top.join("root").join(path),
        }
    }

    /// Makes a directory and those above it.
    pub fn directory(&self, path: &str) {
        fs::create_dir_all(self.host(path)).unwrap();
    }

    /// Makes a file, mode 0644.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.host(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Makes a symbolic link.
    pub fn link(&self, path: &str, target: &str) {
        let path = self.host(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// Sets mode and owner.
    pub fn access(&self, path: &str, mode: u32, uid: u32, gid: u32) {
        let path = self.host(path);
        chown(&path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The content of a file.
    pub fn text(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.host(path)).unwrap_or_else(|e| panic!("{path}: {e}")))
            .unwrap()
    }

    /// Mode, uid and gid.
    pub fn stat(&self, path: &str) -> (u32, u32, u32) {
        let stat = fs::symlink_metadata(self.host(path)).unwrap();
        (stat.mode() & 0o7777, stat.uid(), stat.gid())
    }

    /// Whether something is there, a dangling link included.
    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.host(path)).is_ok()
    }

    /// Everything below both directories: path, mode, owner, change time in
    /// nanoseconds, content or target. Two equal pictures: nothing was written.
    pub fn picture(&self) -> Vec<String> {
        fn visit(path: &Path, out: &mut Vec<String>) {
            let stat = fs::symlink_metadata(path).unwrap();
            let what = if stat.is_symlink() {
                format!("{:?}", fs::read_link(path).unwrap())
            } else if stat.is_file() {
                format!("{:?}", OsStr::from_bytes(&fs::read(path).unwrap()))
            } else {
                String::new()
            };
            out.push(format!(
                "{} {:o} {}:{} {}.{} {what}",
                path.display(),
                stat.mode(),
                stat.uid(),
                stat.gid(),
                stat.ctime(),
                stat.ctime_nsec(),
            ));
            if stat.is_dir() {
                let mut names: Vec<_> = fs::read_dir(path)
                    .unwrap()
                    .map(|e| e.unwrap().path())
                    .collect();
                names.sort();
                for name in names {
                    visit(&name, out);
                }
            }
        }
        let mut out = Vec::new();
        visit(&self.top.join("root"), &mut out);
        visit(&self.top.join("run"), &mut out);
        out
    }

    /// Lets `write` write, with the facts of the image; gives the lines of the report,
    /// problems marked with `!`.
    pub fn apply(
        &self,
        policy: Policy,
        write: impl FnOnce(&Root, &mut Writer<'_>, &mut Report),
    ) -> Vec<String> {
        let root = self.root();
        let mut report = Report::new(Console::Silent);
        uncover(&root, &mut report);
        let mut writer = Writer::new(&root, policy);
        write(&self.image(), &mut writer, &mut report);
        writer.finish(&mut report);
        lines(&report)
    }

    /// Makes the changes that `decide` adds; gives the lines of the report.
    pub fn change(&self, policy: Policy, decide: impl FnOnce(&Root, &mut Changes)) -> Vec<String> {
        self.apply(policy, |root, writer, report| {
            writer.apply(&decided(|changes| decide(root, changes)), report);
        })
    }
}

/// What `decide` adds.
pub fn decided(decide: impl FnOnce(&mut Changes)) -> Changes {
    let mut changes = Changes::new();
    decide(&mut changes);
    changes
}

/// The lines of a report, problems marked with `!`.
pub fn lines(report: &Report) -> Vec<String> {
    let line = |(level, line): &(Level, &[u8])| {
        let mark = if *level == Level::Problem { "!" } else { "" };
        format!("{mark}{}", String::from_utf8_lossy(line))
    };
    report.lines().iter().map(line).collect()
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

/// A file or directory that the kernel does not let be changed, until this is
/// dropped (chattr(1)).
pub struct Attribute(PathBuf, char);

impl Attribute {
    /// Sets `i`, immutable, or `a`, append-only, for which the file system of the
    /// temporary files must have attributes.
    pub fn set(path: PathBuf, attribute: char) -> Self {
        let is_set = chattr(&path, '+', attribute);
        assert!(is_set, "no attributes (chattr) in {}", path.display());
        Self(path, attribute)
    }
}

impl Drop for Attribute {
    fn drop(&mut self) {
        chattr(&self.0, '-', self.1);
    }
}

fn chattr(path: &Path, sign: char, attribute: char) -> bool {
    let status = std::process::Command::new("chattr")
        .arg(format!("{sign}{attribute}"))
        .arg(path)
        .stderr(std::process::Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Runs `test` in a mount namespace of its own.
pub fn in_own_mounts(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
                let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
                mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
                test();
            })
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Mounts an overlay without an upper layer over the root, which is then as read-only
/// as squashfs.
pub fn seal(fixture: &Fixture) {
    let root = fixture.top().join("root");
    let empty = fixture.top().join("empty");
    fs::create_dir_all(&empty).unwrap();
    let layers = format!("lowerdir={}:{}", root.display(), empty.display());
    let kind = Some("overlay");
    mount(kind, &root, kind, MsFlags::MS_RDONLY, Some(layers.as_str())).expect("an overlay");
}

/// A plan with nothing in it.
pub const EMPTY: Plan = Plan {
    dialect: Dialect::OpenNebula,
    source: b"context.sh",
    hostname: None,
    links: &[],
    dns: &[],
    search: &[],
    user: None,
    login: Login::NONE,
    keys: &[],
    scripts: Scripts::NONE,
    user_data: &[],
    warnings: &[],
};
