//! Machines to boot: images, context disks, QEMU, and a shell inside.

pub mod context;
pub mod image;
pub mod machine;
pub mod network;
pub mod progress;
pub mod rows;
pub mod tiers;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One program of each package that `tests/run/setup.sh` installs.
const PROGRAMS: [&str; 14] = [
    "debugfs",
    "dnsmasq",
    "genisoimage",
    "lvm",
    "mkfs.btrfs",
    "mkfs.erofs",
    "mkfs.xfs",
    "mksquashfs",
    "mmdebstrap",
    "ping",
    "qemu-system-x86_64",
    "ssh",
    "ssh-keygen",
    "xorriso",
];

/// The top of the source tree.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with the reason if machines cannot be booted. Every boot is `#[ignore]`d, so
/// this runs only when boots were asked for.
pub fn assert_can_boot() {
    if let Some(program) = PROGRAMS.iter().find(|program| find(program).is_none()) {
        panic!("{program} is not installed; run `make setup`");
    }
}

/// The name of the running test, from its thread.
pub fn running_test() -> String {
    std::thread::current().name().unwrap_or("test").to_string()
}

/// The path of a program; the search includes the administrator's directories.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.exists())
}

/// A command for a program, without stdin. `assert_can_boot` has checked that it
/// exists, except programs for `make test-matrix` alone.
pub fn command(program: &str) -> Command {
    let path = find(program).unwrap_or_else(|| {
        panic!("{program} is not installed; run `tests/run/setup.sh matrix`");
    });
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// Runs a command that has to succeed; returns its output.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
