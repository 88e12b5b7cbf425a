//! The images that `tests/images/build` makes, with the shipped binary in them.

use super::context::Key;
use super::machine::{Format, Own};
use super::{assert_can_boot, top};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

/// A machine of Debian 12 unless the variant names another; the variants differ in how
/// the initramfs is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Image {
    InitramfsTools,
    /// With few drivers besides those that the hook brings.
    InitramfsToolsFewDrivers,
    Dracut,
    /// Made for a single host, so with few drivers, too.
    DracutWithoutSystemd,
    Debian13InitramfsTools,
    Debian13Dracut,
    /// With the initramfs after the package was upgraded, removed and installed again,
    /// in a root without the package.
    PackageReinstalled,
    /// With the initramfs after the package was purged.
    PackagePurged,
    /// With LUKS and an SSH server in the initramfs, which accepts `own_key`.
    EarlyDracut,
    EarlyDracutWithoutSystemd,
    /// The same for aarch64, with initramfs-tools.
    Debian13Aarch64,
    /// With the additions of `tests/images/manager`; the name is one that
    /// tests/images/build takes.
    With(&'static str),
    /// The same with dracut, made for a single host, and without systemd in it.
    WithFewDrivers(&'static str),
}

use Image::*;

impl Image {
    /// The directory that holds it. Makes the image first if needed, once in a run; two
    /// kinds are made in parallel if two tests ask for them.
    fn folder(self) -> PathBuf {
        static MADE: Mutex<BTreeMap<&str, Arc<OnceLock<()>>>> = Mutex::new(BTreeMap::new());
        let kind = match self {
            InitramfsTools | InitramfsToolsFewDrivers => "initramfs-tools",
            Dracut | DracutWithoutSystemd => "dracut",
            Debian13InitramfsTools => "trixie-initramfs-tools",
            Debian13Dracut => "trixie-dracut",
            PackageReinstalled | PackagePurged => "package-steps",
            EarlyDracut | EarlyDracutWithoutSystemd => "early-dracut",
            Debian13Aarch64 => "arm64-trixie-initramfs-tools",
            With(kind) | WithFewDrivers(kind) => kind,
        };
        let made = Arc::clone(MADE.lock().unwrap().entry(kind).or_default());
        made.get_or_init(|| build(kind));
        images().join(kind)
    }

    pub fn root(self) -> PathBuf {
        self.folder().join("root.img")
    }

    /// The same root as a file system that takes no writes.
    pub fn immutable_root(self, format: Format, own: Own) -> PathBuf {
        let name = match own {
            Own::Keys => "root-key",
            Own::NoKeys => "root",
        };
        let name = format!("{name}.{}", format.name());
        self.folder().join(name)
    }

    /// The key that such a root accepts, or the initramfs of "early".
    pub fn own_key(self) -> Key {
        Key::of(self.folder().join("key"))
    }

    pub fn kernel(self) -> PathBuf {
        self.folder().join("vmlinuz")
    }

    pub fn initrd(self) -> PathBuf {
        self.folder().join(match self {
            InitramfsToolsFewDrivers
            | DracutWithoutSystemd
            | PackageReinstalled
            | EarlyDracutWithoutSystemd
            | WithFewDrivers(_) => "initrd-2",
            _ => "initrd",
        })
    }

    /// The content of the initramfs, as its generator's own tool lists it.
    pub fn list(self) -> String {
        let list = self.initrd().with_extension("list");
        std::fs::read_to_string(list).unwrap()
    }

    /// The same after a step of `tests/images/package`, with sizes.
    pub fn list_after(self, step: &str) -> String {
        let list = self.folder().join(step).with_extension("list");
        std::fs::read_to_string(list).unwrap()
    }
}

fn images() -> PathBuf {
    top().join("target/images")
}

/// Makes an image. Its progress goes to this process's own stderr, which the test
/// harness does not capture.
fn build(kind: &str) {
    assert_can_boot();
    static BINARIES: [OnceLock<()>; 2] = [const { OnceLock::new() }; 2];
    let [ours, other] = &BINARIES;
    let (binary, cargo) = match kind.starts_with("arm64-") {
        false => (ours, env!("CARGO")),
        true => (other, "tests/support/cargo-aarch64"),
    };
    binary.get_or_init(|| {
        let mut cargo = Command::new(cargo);
        cargo.args(["build", "--quiet", "--release"]);
        succeed(&mut cargo);
    });
    succeed(Command::new(Path::new("tests/images/build")).arg(kind));
}

fn succeed(command: &mut Command) {
    let status = command
        .current_dir(top())
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
