//! File systems that never answer: the program gives up within a minute, and reports
//! the step that hung. Each of these tests takes that minute, so they are in the second
//! tier.

use crate::guest::{Guest, addresses, bind, output};
use crate::{KEY, release};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

/// Applies a context to a root that hangs. Returns the exit status, 124 if the program
/// still ran after two minutes, and the kernel log.
fn apply(guest: &mut Guest) -> (i32, String) {
    apply_by(guest, &[])
}

/// The same, by a program with these arguments.
fn apply_by(guest: &mut Guest, by: &[&str]) -> (i32, String) {
    let context =
        format!("ETH0_MAC='02:00:0a:12:01:01'\nETH0_IP='10.18.1.1'\nSSH_PUBLIC_KEY='{KEY}'\n");
    fs::write(guest.top.join("context.sh"), context).unwrap();
    let status = Command::new("timeout")
        .arg("120")
        .args(by)
        .arg(release::initramfs())
        .arg("apply")
        .arg("--root")
        .arg(guest.top.join("root"))
        .arg("--run")
        .arg(guest.top.join("run"))
        .arg("--context")
        .arg(guest.top.join("context.sh"))
        .status()
        .unwrap();
    (status.code().expect("an exit status"), guest.said())
}

fn assert_given_up((status, log): (i32, String), step: &str) {
    let line = format!("<3>onecontext: apply: given up after 58 s, at: {step}\n");
    assert!(log.ends_with(&line), "{log}");
    assert_eq!(status, 1, "{log}");
    // The independent steps were done before.
    assert_eq!(addresses("ens3"), ["10.18.1.1/24"]);
}

/// A FUSE server that never answers.
#[test]
#[ignore = "takes a minute: make test-hang"]
fn a_home_whose_server_never_answers() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:0a:12:01:01");
    let server = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        server.as_raw_fd()
    );
    let home = guest.top.join("root/home/alice");
    let flags = MsFlags::empty();
    mount(Some("none"), &home, Some("fuse"), flags, Some(&*options)).unwrap();
    let step = format!("look for users in {}", guest.top.join("root").display());
    assert_given_up(apply(&mut guest), &step);
    drop(server);
}

/// A file system that blocks every writer, so that no signal reaches it
/// (ioctl_fsfreeze(2)), as a hanging drive does.
struct Frozen(PathBuf);

impl Frozen {
    fn freeze(path: PathBuf) -> Self {
        output(Command::new("fsfreeze").arg("--freeze").arg(&path));
        Self(path)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze")
            .arg("--unfreeze")
            .arg(&self.0)
            .status();
    }
}

#[test]
#[ignore = "takes a minute: make test-hang"]
fn a_root_that_hangs_when_it_is_written() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:0a:12:01:01");
    let (root, image) = (guest.top.join("root"), guest.top.join("image"));
    output(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(&root)
            .arg(&image)
            .arg("32M"),
    );
    let frozen = guest.top.join("frozen");
    fs::create_dir(&frozen).unwrap();
    output(
        Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&frozen),
    );
    bind(&frozen, root.to_str().unwrap());
    let frozen = Frozen::freeze(root);
    assert_given_up(apply(&mut guest), "write /root/.ssh/authorized_keys");
    drop(frozen);
}

/// A process that stops after it has made the root writable.
#[test]
#[ignore = "takes a minute: make test-hang"]
fn a_root_that_was_remounted_is_read_only_again() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:0a:12:01:01");
    let (root, image) = (guest.top.join("root"), guest.top.join("image"));
    let tmpfs = Some("tmpfs");
    fs::create_dir(&image).unwrap();
    mount(tmpfs, &image, tmpfs, MsFlags::empty(), None::<&str>).unwrap();
    output(Command::new("cp").arg("-a").arg(root.join(".")).arg(&image));
    bind(&image, root.to_str().unwrap());
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, &root, None::<&str>, flags, None::<&str>).unwrap();
    let is_read_only = || statvfs(&root).unwrap().flags().contains(FsFlags::ST_RDONLY);
    assert!(is_read_only());
    let stop = "inject=fsync:signal=STOP:when=1";
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null"];
    let by = [&strace[..], &["-e", "trace=fsync", "-e", stop]].concat();
    let step = "write /root/.ssh/authorized_keys";
    assert_given_up(apply_by(&mut guest, &by), step);
    assert!(is_read_only());
}
