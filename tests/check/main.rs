//! `onecontext check --root` names each fault of an image that would prevent a login,
//! in one line, and writes nothing.
#[path = "../support/release.rs"]
mod release;

mod places;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONTEXT: &str = "ETH0_MAC='02:00:0a:12:01:01'\nETH0_IP='10.0.0.1'\n\
    SSH_PUBLIC_KEY='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a'\n";

/// An image without a fault.
struct Image(PathBuf);

impl Image {
    fn new() -> Self {
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        let image = Self(top);
        image.write("context.sh", CONTEXT);
        image.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        image.write("root/etc/ssh/ssh_host_ed25519_key", "a key");
        image.write(
            "root/etc/ssh/sshd_config",
            "PermitRootLogin prohibit-password\n",
        );
        image.write("root/root/.profile", "");
        image.write("root/usr/bin/ssh-keygen", "");
        image.write("root/usr/lib/systemd/systemd", "");
        image.write(
            "root/usr/lib/systemd/system/ssh.service",
            "[Service]\nExecStart=/usr/sbin/sshd -D\n",
        );
        image.write("root/usr/sbin/sshd", "");
        image.write("root/bin/sh", "");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(image.path("root/bin/sh"), executable).unwrap();
        fs::create_dir(image.path("root/sbin")).unwrap();
        std::os::unix::fs::symlink("/usr/lib/systemd/systemd", image.path("root/sbin/init"))
            .unwrap();
        image
    }
    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }
    fn with_sysvinit(&self) {
        self.remove("root/sbin/init");
        self.write("root/sbin/init", "");
    }
    /// The lines of `check`. Asserts that no file was made or changed.
    fn check(&self) -> Vec<String> {
        let before = listing(&self.0);
        let output = Command::new(release::binary())
            .arg("check")
            .arg(self.path("context.sh"))
            .arg("--root")
            .arg(self.path("root"))
            .output()
            .unwrap();
        assert_eq!(listing(&self.0), before);
        let lines: Vec<String> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(String::from)
            .collect();
        assert_eq!(
            output.status.code(),
            Some(i32::from(!lines.is_empty())),
            "{lines:?}"
        );
        lines
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn listing(top: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let mut found = vec![];
    for entry in fs::read_dir(top).unwrap().map(Result::unwrap) {
        let data = entry.path().symlink_metadata().unwrap();
        found.push((entry.path(), data.modified().unwrap()));
        if data.is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_good_image_is_not_complained_about() {
    let image = Image::new();
    assert_eq!(image.check(), [""; 0]);
    // As on RHEL 6: the server's script makes its keys.
    image.with_sysvinit();
    image.remove("root/etc/ssh/ssh_host_ed25519_key");
    image.write("root/etc/init.d/sshd", "KEYGEN=/usr/bin/ssh-keygen\n");
    assert_eq!(image.check(), [""; 0]);
}

/// The image is checked as it will boot, with an empty /run: the /run of the machine
/// that runs the check does not count.
#[test]
#[ignore = "needs root: make test-fast"]
fn the_builders_run_directory_does_not_count() {
    let image = Image::new();
    image.write("root/usr/lib/systemd/system-generators/netplan", "");
    image.write(
        "root/usr/lib/systemd/system/systemd-networkd.service",
        "[Service]\n",
    );
    image.write("root/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    let plan = || {
        let mut command = Command::new(release::binary());
        command.arg("plan").arg(image.path("context.sh"));
        command.arg("--root").arg(image.path("root"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    // No link enables networkd, so nothing is planned for it.
    let lines = image.check();
    let before = plan();
    assert!(!before.contains("/run/systemd/network/"), "{before}");
    let flags = nix::sched::CloneFlags::CLONE_NEWNS | nix::sched::CloneFlags::CLONE_FS;
    nix::sched::unshare(flags).unwrap();
    let none = None::<&str>;
    let private = nix::mount::MsFlags::MS_PRIVATE | nix::mount::MsFlags::MS_REC;
    nix::mount::mount(none, "/", none, private, none).unwrap();
    nix::mount::mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        none,
    )
    .unwrap();
    let write = |path: &str, text: &str| {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "/run/netplan/90-host.yaml",
        "network:\n  renderer: networkd\n",
    );
    write("/run/systemd/system/ssh.service", "");
    // The file that would be planned if networkd counted is there as well.
    write("/run/systemd/network/00-onecontext-eth0.network", "");
    let wants = "/run/systemd/system/multi-user.target.wants";
    fs::create_dir_all(wants).unwrap();
    let unit = "/usr/lib/systemd/system/systemd-networkd.service";
    std::os::unix::fs::symlink(unit, format!("{wants}/systemd-networkd.service")).unwrap();
    assert_eq!((image.check(), plan()), (lines, before));
}

/// Files that an image's builder makes as root, and forgets to give to the user.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_directory_that_root_left_in_a_home_is_named() {
    let image = Image::new();
    image.write("context.sh", &format!("{CONTEXT}USERNAME='alice'\n"));
    image.write(
        "root/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100::/home/alice:/bin/sh\n",
    );
    image.write("root/home/alice/.ssh/authorized_keys", "");
    let give = |path: &str| {
        let (user, group) = (Some(1000.into()), Some(100.into()));
        nix::unistd::chown(&image.path(path), user, group).unwrap();
    };
    give("root/home/alice");
    let lines = image.check();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("login of user: alice: its .ssh belongs to root"));
    give("root/home/alice/.ssh");
    give("root/home/alice/.ssh/authorized_keys");
    assert_eq!(image.check(), [""; 0]);
}

#[test]
fn what_keeps_somebody_out_is_named() {
    type Break = fn(&Image);
    let cases: [(Break, &str); 14] = [
        (
            |image| image.remove("root/usr/sbin/sshd"),
            "SSH server: sshd: not installed in this image",
        ),
        (
            |image| image.write("root/etc/ssh/sshd_config", "PermitRootLogin no\n"),
            "PermitRootLogin in /etc/ssh/sshd_config:1: says no to root",
        ),
        (
            |image| image.write("root/etc/ssh/sshd_config", "AllowUsers alice\n"),
            "login of user: root: AllowUsers in /etc/ssh/sshd_config:1: keeps it out",
        ),
        (
            |image| {
                image.write(
                    "root/etc/ssh/sshd_config",
                    "AuthorizedKeysFile /etc/keys/%u\n",
                )
            },
            "does not name .ssh/authorized_keys: sshd looks elsewhere",
        ),
        (
            |image| {
                image.remove("root/etc/ssh/ssh_host_ed25519_key");
                image.remove("root/usr/bin/ssh-keygen");
            },
            "SSH host keys: /etc/ssh: none, and no ssh-keygen to make them",
        ),
        (
            |image| {
                image.with_sysvinit();
                image.remove("root/etc/ssh/ssh_host_ed25519_key");
            },
            "SSH host keys: /etc/ssh: none, and this image's init takes nothing from /run",
        ),
        (
            |image| {
                image.with_sysvinit();
                image.write("root/etc/init.d/dhcpcd", "");
                image.write("root/etc/rc2.d/S01dhcpcd", "");
            },
            "hand over: dhcpcd: its file cannot be read, so it asks for DHCP on every NIC",
        ),
        (
            |image| {
                let wants = image.path("root/etc/systemd/system/multi-user.target.wants");
                let unit = "/usr/lib/systemd/system/wicked.service";
                image.write(&format!("root{unit}"), "[Service]\n");
                fs::create_dir_all(&wants).unwrap();
                std::os::unix::fs::symlink(unit, wants.join("wicked.service")).unwrap();
            },
            "hand over: wicked: not supported: the kernel's configuration stands until it \
             starts, and its own files win if they configure the NIC",
        ),
        (
            |image| {
                fs::create_dir_all(image.path("root/etc/systemd/system")).unwrap();
                let mask = image.path("root/etc/systemd/system/ssh.service");
                std::os::unix::fs::symlink("/dev/null", mask).unwrap();
            },
            "ssh.service: the image switches it off on purpose",
        ),
        (
            |image| image.write("context.sh", &format!("USERNAME=alice\n{CONTEXT}")),
            "make user: alice: there is no useradd in this image",
        ),
        (
            |image| {
                let long = "x".repeat(300);
                std::os::unix::fs::symlink(long, image.path("root/etc/fstab")).unwrap();
            },
            "look for later mounts in: /etc/fstab: File name too long",
        ),
        (
            |image| image.write("root/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config\n"),
            "sshd configuration: /etc/ssh/sshd_config: includes itself, so sshd does not start",
        ),
        (
            |image| image.remove("root/etc/passwd"),
            "/etc/passwd: No such file or directory",
        ),
        (
            |image| image.write("context.sh", &CONTEXT.replace("10.0.0.1", "10.0.0.x")),
            "context.sh:2 ETH0_IP: not an IPv4",
        ),
    ];
    for (spoil, expected) in cases {
        let image = Image::new();
        spoil(&image);
        let lines = image.check();
        assert!(
            lines.iter().any(|line| line.contains(expected)),
            "{expected}: {lines:?}"
        );
    }
}
