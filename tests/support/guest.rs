//! A machine made of namespaces of this thread: its links, its root, its kernel log;
//! and its state as iproute2 shows it.

use crate::release;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

/// A small machine: a root, a run directory, a kernel log.
pub struct Guest {
    pub top: PathBuf,
    pub log: fs::File,
}

impl Guest {
    /// Enters new namespaces. This needs root.
    pub fn new() -> Self {
        let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
        unshare(flags).expect("new namespaces: this needs root");
        mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )
        .unwrap();
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        mount(
            Some("tmpfs"),
            &top,
            Some("tmpfs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        // A root whose SSH server looks enabled to the binary and has its keys.
        for file in [
            "root/usr/sbin/sshd",
            "root/usr/lib/systemd/systemd",
            "root/usr/lib/systemd/system/ssh.service",
            "root/etc/systemd/system/multi-user.target.wants/ssh.service",
            "root/etc/ssh/ssh_host_ed25519_key",
            "root/home/alice/.profile",
            "root/root/.profile",
            "run/.keep",
        ] {
            fs::create_dir_all(top.join(file).parent().unwrap()).unwrap();
            fs::write(top.join(file), "[Service]\nExecStart=/usr/sbin/sshd -D\n").unwrap();
        }
        fs::create_dir(top.join("root/sbin")).unwrap();
        // As every Debian and Fedora has it.
        std::os::unix::fs::symlink("usr/lib", top.join("root/lib")).unwrap();
        std::os::unix::fs::symlink("/usr/lib/systemd/systemd", top.join("root/sbin/init")).unwrap();
        fs::write(
            top.join("root/etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
        )
        .unwrap();
        nix::unistd::chown(
            &top.join("root/home/alice"),
            Some(1000.into()),
            Some(1000.into()),
        )
        .unwrap();
        let kmsg = top.join("kmsg");
        nix::unistd::mkfifo(&kmsg, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        let log = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&kmsg)
            .unwrap();
        mount(
            Some(&kmsg),
            "/dev/kmsg",
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap();
        ip("link set lo up");
        Self { top, log }
    }

    /// Adds a cable whose near end has this name and MAC.
    pub fn nic(&self, name: &str, mac: &str) {
        ip(&format!(
            "link add {name} address {mac} type veth peer name far-{name}"
        ));
        ip(&format!("link set far-{name} up"));
    }

    /// Applies a context; returns the exit status and the new text of the log.
    pub fn apply(&mut self, context: &str) -> (i32, String) {
        let file = self.top.join("context.sh");
        fs::write(&file, context).unwrap();
        // Drops the text of earlier runs; EAGAIN: the pipe is empty.
        let _ = self.log.read_to_end(&mut Vec::new());
        let status = Command::new(release::initramfs())
            .args(["apply", "--root"])
            .arg(self.top.join("root"))
            .arg("--run")
            .arg(self.top.join("run"))
            .arg("--context")
            .arg(&file)
            .status()
            .unwrap();
        let mut log = Vec::new();
        let _ = self.log.read_to_end(&mut log);
        (
            status.code().expect("an exit status"),
            String::from_utf8(log).unwrap(),
        )
    }

    /// Applies whatever context disk is found: none, for there is no block device. Also
    /// returns how long that took.
    pub fn apply_found(&mut self) -> (i32, String, Duration) {
        let none = self.top.join("no-block-devices");
        fs::create_dir_all(&none).unwrap();
        bind(&none, "/sys/class/block");
        let _ = self.log.read_to_end(&mut Vec::new());
        let start = Instant::now();
        let status = Command::new(release::initramfs())
            .args(["apply", "--root"])
            .arg(self.top.join("root"))
            .arg("--run")
            .arg(self.top.join("run"))
            .status()
            .unwrap();
        let mut log = Vec::new();
        let _ = self.log.read_to_end(&mut log);
        (
            status.code().expect("an exit status"),
            String::from_utf8(log).unwrap(),
            start.elapsed(),
        )
    }

    /// Sets the kernel's command line.
    pub fn kernel_line(&self, line: &str) {
        let file = self.top.join("cmdline");
        fs::write(&file, line).unwrap();
        bind(&file, "/proc/cmdline");
    }

    /// The text of the log that was not read yet.
    pub fn said(&mut self) -> String {
        let mut log = Vec::new();
        let _ = self.log.read_to_end(&mut log);
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Applies a context without problems.
    #[track_caller]
    pub fn apply_well(&mut self, context: &str) {
        let (status, log) = self.apply(context);
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("<3>"), "{log}");
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Other mounts end with the namespace.
        let _ = umount2(&self.top, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.top);
    }
}

pub fn bind(source: &Path, target: &str) {
    let none = None::<&str>;
    mount(Some(source), target, none, MsFlags::MS_BIND, none).unwrap();
}

pub fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub fn ip(arguments: &str) {
    output(Command::new("ip").args(arguments.split(' ')));
}

pub fn json(arguments: &str) -> Value {
    let output = output(Command::new("ip").arg("-json").args(arguments.split(' ')));
    if output.stdout.is_empty() {
        Value::Array(vec![])
    } else {
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The configured addresses of a device, in the kernel's order.
pub fn addresses(device: &str) -> Vec<String> {
    let link = json(&format!("address show dev {device}"));
    let list = link[0]["addr_info"].as_array().unwrap().clone();
    list.iter()
        .filter(|address| address["scope"] == "global")
        .map(|address| {
            format!(
                "{}/{}",
                address["local"].as_str().unwrap(),
                address["prefixlen"]
            )
        })
        .collect()
}

/// The configured routes of the main table, as the text form has them.
pub fn routes(family: &str) -> Vec<String> {
    let mut routes: Vec<String> = json(&format!("{family} route show table main proto static"))
        .as_array()
        .unwrap()
        .iter()
        .map(|route| {
            let text = |name: &str, word: &str| {
                route
                    .get(name)
                    .map(|value| format!(" {word}{}", value.to_string().trim_matches('"')))
                    .unwrap_or_default()
            };
            let onlink = route["flags"]
                .as_array()
                .is_some_and(|flags| flags.iter().any(|flag| flag == "onlink"));
            format!(
                "{}{}{}{}{}",
                route["dst"].as_str().unwrap(),
                text("gateway", "via "),
                text("dev", "dev "),
                if onlink { " onlink" } else { "" },
                text("metric", "metric "),
            )
        })
        .collect();
    routes.sort();
    routes
}

pub fn setting(device: &str, name: &str) -> String {
    // A child process reads it: /proc/sys shows the network of the process, not that of
    // this thread.
    String::from_utf8(
        output(Command::new("cat").arg(format!("/proc/sys/net/ipv6/conf/{device}/{name}"))).stdout,
    )
    .unwrap()
    .trim()
    .into()
}

pub fn mode(path: &Path) -> (u32, u32) {
    let data = fs::metadata(path).unwrap();
    (data.permissions().mode() & 0o7777, data.uid())
}
