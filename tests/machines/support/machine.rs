//! A machine under QEMU: its parts, its start, its end, and two ways to run commands in
//! it: SSH, and a shell on its second serial port.

use super::context::Key;
use super::image::Image;
use super::network::{Namespace, Network, Ping};
use super::progress::Boot;
use super::{assert_can_boot, command, run, running_test, top};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The limit for a boot, or for an event of the boot. Under emulation an idle machine
/// with two cores needs 20 s from power-on to a shell. A busy one needs minutes, and
/// nearly five with cloud-init in the image. No test is about the time; these limits
/// only bound what a hung machine costs.
const BOOT: Duration = Duration::from_secs(900);

/// The limit for one command in a machine that has booted.
const COMMAND: Duration = Duration::from_secs(300);

/// How long systemd waits for a unit or a device. A busy host can need more than the
/// default of 90 s (kernel-command-line(7)).
const PATIENCE: &str = "systemd.default_timeout_start_sec=600";

/// How a context disk is attached.
#[derive(Clone, Copy)]
pub enum Drive {
    /// IDE on i440fx, SATA on q35.
    Cdrom,
    /// A second cdrom, sr1; the first one holds something else.
    SecondCdrom,
    /// A plain virtio disk.
    Virtio,
    /// The same, limited to 64 bytes a second: reading a block takes a minute.
    Stuck,
    /// A cdrom behind a virtio SCSI controller.
    VirtioScsi,
    /// A cdrom behind an LSI 53C895A.
    LsiScsi,
    /// A USB stick.
    Usb,
}

/// A file system that takes no writes.
#[derive(Clone, Copy)]
pub enum Format {
    Squashfs,
    Erofs,
}

impl Format {
    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Squashfs => "squashfs",
            Format::Erofs => "erofs",
        }
    }
}

/// Whether root's authorized_keys is in the image, with only a comment in it.
#[derive(Clone, Copy)]
pub enum Own {
    Keys,
    NoKeys,
}

/// Another format of the root, and directories with file systems of their own: words of
/// `tests/images/convert`.
#[derive(Clone, Copy)]
struct Layout {
    format: &'static str,
    apart: &'static [&'static str],
}

impl Layout {
    /// The kernel parameters for the root in this file.
    fn parameters(self, root: &Path) -> String {
        let parameters = match self.format {
            "btrfs" | "btrfs-frozen" => "root=LABEL=root rootflags=subvol=@ ro",
            "lvm" => "root=/dev/machine/root ro",
            // It has no label.
            "squashfs" => "root=/dev/vda rootfstype=squashfs ro",
            // initramfs-tools has its crypttab; dracut needs parameters.
            "luks" => {
                let uuid = luks_uuid(root);
                return format!("root=/dev/mapper/root rd.luks.name={uuid}=root ro");
            }
            _ => ON_EXT4,
        };
        parameters.to_string()
    }
}

/// The UUID in a LUKS1 header: 40 bytes from byte 168 on, zero-padded (LUKS1 On-Disk
/// Format Specification 1.2.3, figure 1).
fn luks_uuid(disk: &Path) -> String {
    let mut bytes = [0; 36];
    let file = File::open(disk).unwrap();
    file.read_exact_at(&mut bytes, 168).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The passphrase of the layout "luks".
pub const PASSPHRASE: &str = "open sesame";
/// The UEFI firmware of Debian's package ovmf, with room for its variables in the same
/// file.
const OVMF: &str = "/usr/share/ovmf/OVMF.fd";

/// The kernel parameters for a root as images have it.
const ON_EXT4: &str = "root=LABEL=root ro";

/// What starts the kernel, which QEMU passes on with its initramfs.
#[derive(Clone, Copy)]
pub enum Firmware {
    /// QEMU's own: SeaBIOS; on aarch64 none.
    Bios,
    /// OVMF, then the kernel's EFI stub.
    Uefi,
}

/// A machine before its start.
pub struct Machine {
    image: Image,
    folder: Folder,
    machine: &'static str,
    nics: Vec<(&'static str, u8)>,
    first_nic: &'static str,
    read_only: bool,
    reboots: bool,
    immutable: Option<(Format, Own)>,
    layout: Option<Layout>,
    namespace: Option<Namespace>,
    disks: Vec<String>,
    devices: Vec<&'static str>,
    firmware: Firmware,
    kernel: String,
    edits: String,
    overlay: Option<Vec<u8>>,
}

impl Machine {
    pub fn new(image: Image) -> Machine {
        assert_can_boot();
        Machine {
            image,
            folder: Folder::new(),
            machine: match image {
                Image::Debian13Aarch64 => "virt",
                _ => "pc",
            },
            nics: Vec::new(),
            first_nic: "virtio-net-pci",
            read_only: false,
            reboots: false,
            immutable: None,
            layout: None,
            namespace: None,
            disks: Vec::new(),
            devices: Vec::new(),
            firmware: Firmware::Bios,
            kernel: String::new(),
            edits: String::new(),
            overlay: None,
        }
    }

    /// A directory for this machine alone, removed with it.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Sets a chip set other than i440fx.
    pub fn chip_set(mut self, name: &'static str) -> Machine {
        self.machine = name;
        self
    }

    /// Sets firmware other than SeaBIOS.
    pub fn firmware(mut self, firmware: Firmware) -> Machine {
        self.firmware = firmware;
        self
    }

    /// Adds a NIC in the next PCI slot, from 3 on (ens3, ens4 …), in a network of its
    /// own: 10.18.NET.0/24. This host is .254; logins go to .1.
    pub fn nic(mut self, mac: &'static str, net: u8) -> Machine {
        self.nics.push((mac, net));
        self
    }

    /// Sets a QEMU model other than virtio for the first NIC.
    pub fn first_nic(mut self, model: &'static str) -> Machine {
        self.first_nic = model;
        self
    }

    /// Makes the root's drive read-only.
    pub fn read_only(mut self) -> Machine {
        self.read_only = true;
        self
    }

    /// Lets it reboot on request; otherwise a reboot ends QEMU.
    pub fn reboots(mut self) -> Machine {
        self.reboots = true;
        self
    }

    /// Sets a root file system that takes no writes. Edits for a single test are not
    /// possible either.
    pub fn immutable(mut self, format: Format, own: Own) -> Machine {
        self.immutable = Some((format, own));
        self.read_only()
    }

    /// Has `tests/images/convert` convert its edited root to this format, with these
    /// directories as file systems of their own.
    pub fn layout(mut self, format: &'static str, apart: &'static [&'static str]) -> Machine {
        self.layout = Some(Layout { format, apart });
        self
    }

    /// Puts its NICs into these networks instead of QEMU's own.
    pub fn in_network(mut self, network: &Network) -> Machine {
        self.namespace = Some(network.namespace.clone());
        self
    }

    /// Adds a context disk.
    pub fn disk(mut self, iso: &Path, drive: Drive) -> Machine {
        let file = iso.display();
        let drive = match drive {
            Drive::Cdrom => "if=ide,index=0,media=cdrom",
            Drive::SecondCdrom => "if=ide,index=2,media=cdrom",
            Drive::Virtio => "if=virtio,readonly=on",
            Drive::Stuck => "if=virtio,readonly=on,throttling.bps-total=64",
            Drive::VirtioScsi => {
                self.devices
                    .extend(["virtio-scsi-pci", "scsi-cd,drive=context"]);
                "if=none,id=context,media=cdrom"
            }
            Drive::LsiScsi => {
                self.devices.extend(["lsi53c895a", "scsi-cd,drive=context"]);
                "if=none,id=context,media=cdrom"
            }
            Drive::Usb => {
                self.devices
                    .extend(["qemu-xhci", "usb-storage,drive=context"]);
                "if=none,id=context,readonly=on"
            }
        };
        self.disks.push(format!("file={file},format=raw,{drive}"));
        self
    }

    /// Goes without a context disk.
    pub fn without_disks(mut self) -> Machine {
        self.disks.clear();
        self.devices.clear();
        self
    }

    /// Adds kernel parameters.
    pub fn kernel(mut self, parameters: &str) -> Machine {
        self.kernel += " ";
        self.kernel += parameters;
        self
    }

    /// Adds debugfs commands that change this machine's copy of the root.
    pub fn edit(mut self, commands: &str) -> Machine {
        self.edits += commands;
        self.edits += "\n";
        self
    }

    /// Writes a file into this machine's root, readable for root alone.
    pub fn write(self, path: &str, text: &str) -> Machine {
        let local = self.folder().join(path.replace('/', "-"));
        fs::write(&local, text).unwrap();
        let local = local.display();
        self.edit(&format!(
            "write {local} {path}\nset_inode_field {path} mode 0100600"
        ))
    }

    /// Puts a symbolic link into the initramfs, in place of the file there.
    pub fn link_in_initramfs(mut self, path: &str, target: &str) -> Machine {
        self.overlay = Some(cpio_with(path, 0o120777, target));
        self
    }

    /// Puts a program into the initramfs, in place of the file there.
    pub fn program_in_initramfs(mut self, path: &str, text: &str) -> Machine {
        self.overlay = Some(cpio_with(path, 0o100755, text));
        self
    }

    /// A changed copy of the image's root, for this machine alone.
    fn root(&self) -> PathBuf {
        let root = self.folder().join("root.img");
        run(command("cp")
            .arg("--sparse=always")
            .arg(self.image.root())
            .arg(&root));
        if !self.edits.is_empty() {
            edit(&root, &self.edits);
        }
        root
    }

    /// The same, converted, and the separate file systems.
    fn converted(&self, layout: Layout) -> (PathBuf, Vec<PathBuf>) {
        let disks = self.folder().join("disks");
        fs::create_dir(&disks).unwrap();
        run(Command::new(top().join("tests/images/convert"))
            .arg(self.root())
            .arg(&disks)
            .arg(layout.format)
            .args(layout.apart)
            .stdin(Stdio::null()));
        // This one stays in /var.
        let apart = layout.apart.iter().filter(|folder| **folder != "root");
        let disk = |folder: &&str| disks.join(folder).with_extension("img");
        (disks.join("root.img"), apart.map(disk).collect())
    }

    /// Makes the disks and starts the machine.
    pub fn start(self) -> Running {
        let mut apart = Vec::new();
        let (root, parameters) = match (self.immutable, self.layout) {
            (None, None) => (self.root(), ON_EXT4.to_string()),
            (None, Some(layout)) => {
                let (root, others) = self.converted(layout);
                apart = others;
                let parameters = layout.parameters(&root);
                (root, parameters)
            }
            (Some((format, own)), _) => {
                assert_eq!(self.edits, "");
                let root = self.image.immutable_root(format, own);
                let name = format.name();
                (root, format!("root=/dev/vda rootfstype={name} ro"))
            }
        };

        let initrd = self.folder().join("initrd");
        let mut bytes = fs::read(self.image.initrd()).unwrap();
        if let Some(overlay) = &self.overlay {
            // The kernel requires an uncompressed archive at a multiple of four.
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(overlay);
        }
        fs::write(&initrd, bytes).unwrap();

        let boot = Boot::begin();
        // These logs are from an earlier run.
        for old in [kept_log(), kept_log().with_extension("qemu")] {
            let _ = fs::remove_file(old);
        }
        let serial = self.folder().join("serial");
        let qemu_log = File::create(self.folder().join("qemu")).unwrap();
        let aarch64 = self.image == Image::Debian13Aarch64;
        let (mut qemu, console) = if aarch64 {
            let mut qemu = command("qemu-system-aarch64");
            // A processor of servers; the default has 32 bits.
            qemu.args(["-cpu", "cortex-a72", "-accel", "tcg,thread=multi"]);
            (qemu, "ttyAMA0")
        } else {
            let mut qemu = command("qemu-system-x86_64");
            qemu.args(["-accel", accelerator()]);
            (qemu, "ttyS0")
        };
        // cache=unsafe: this disk need not survive a power cut.
        let root_drive = format!(
            "file={},format=raw,if=virtio,cache=unsafe{}",
            root.display(),
            if self.read_only { ",readonly=on" } else { "" }
        );
        if !self.reboots {
            qemu.arg("-no-reboot");
        }
        qemu.args(["-nodefaults", "-display", "none"])
            .args(["-machine", self.machine])
            .args(["-m", "512"])
            .arg("-serial")
            .arg(format!("file:{}", serial.display()))
            .args(["-chardev", "stdio,id=shell,signal=off"])
            .args(["-serial", "chardev:shell"])
            .arg("-kernel")
            .arg(self.image.kernel())
            .arg("-initrd")
            .arg(&initrd)
            .arg("-append")
            .arg(format!(
                "{parameters} console={console} {PATIENCE}{}",
                self.kernel
            ))
            .args(["-drive", &root_drive]);
        for disk in apart {
            let disk = disk.display();
            qemu.arg("-drive")
                .arg(format!("file={disk},format=raw,if=virtio,cache=unsafe"));
        }
        for disk in &self.disks {
            qemu.args(["-drive", disk]);
        }
        if let Firmware::Uefi = self.firmware {
            qemu.args(["-bios", OVMF]);
        }
        let bus = if self.machine == "pc" { "pci" } else { "pcie" };
        let mut servers = Vec::new();
        for (index, (mac, net)) in self.nics.iter().enumerate() {
            let slot = index + 3;
            let model = match index {
                0 => self.first_nic,
                _ => "virtio-net-pci",
            };
            let (netdev, host, port) = match &self.namespace {
                None => {
                    let (address, port) = free_port();
                    let netdev = format!(
                        "user,id=net{net},restrict=on,net=10.18.{net}.0/24,\
                         host=10.18.{net}.254,dns=10.18.{net}.253,\
                         ipv6-net=2001:db8:{net}::/64,\
                         ipv6-host=2001:db8:{net}::ff,\
                         ipv6-dns=2001:db8:{net}::fd,\
                         hostfwd=tcp:{address}:{port}-10.18.{net}.1:22"
                    );
                    (netdev, address.to_string(), port)
                }
                Some(_) => {
                    let netdev = format!("tap,id=net{net},ifname=tap{net},script=no,downscript=no");
                    (netdev, format!("10.18.{net}.1"), 22)
                }
            };
            qemu.args(["-netdev", &netdev]).arg("-device").arg(format!(
                "{model},netdev=net{net},mac={mac},\
                 bus={bus}.0,addr={slot},romfile="
            ));
            servers.push((*net, host, port));
        }
        // After the NICs, whose slots are fixed.
        for device in &self.devices {
            qemu.args(["-device", device]);
        }
        if let Some(namespace) = &self.namespace {
            namespace.around(&mut qemu);
        }

        qemu.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(qemu_log);
        // If the tests are killed, so is the machine.
        let dies_with_us = || Ok(prctl::set_pdeathsig(Signal::SIGKILL)?);
        // SAFETY: one system call, which takes no lock of another thread.
        unsafe { qemu.pre_exec(dies_with_us) };
        let mut qemu = qemu.spawn().unwrap();
        let shell_input = qemu.stdin.take().unwrap();
        let shell_output = in_background(qemu.stdout.take().unwrap());
        Running {
            folder: self.folder,
            started: Instant::now(),
            servers,
            namespace: self.namespace,
            image: self.image,
            root,
            format: self.layout.map(|layout| layout.format),
            logins: 0,
            serial,
            qemu,
            shell_input,
            shell_output,
            _boot: boot,
        }
    }
}

/// A running machine; it ends when this is dropped.
pub struct Running {
    folder: Folder,
    started: Instant,
    /// Networks, and the address of the SSH server in each.
    servers: Vec<(u8, String, u16)>,
    namespace: Option<Namespace>,
    image: Image,
    root: PathBuf,
    /// The format that it was converted to.
    format: Option<&'static str>,
    /// The number of logins so far.
    logins: u32,
    serial: PathBuf,
    qemu: Child,
    shell_input: ChildStdin,
    shell_output: Receiver<Vec<u8>>,
    _boot: Boot,
}

impl Running {
    /// Logs in by SSH at 10.18.NET.1, as soon as the server accepts.
    pub fn login(&mut self, user: &str, net: u8, key: &Key) -> Login {
        self.login_where("true", user, net, key)
    }

    /// The same, as soon as this command succeeds there: a machine may have several SSH
    /// servers, one after the other.
    pub fn login_where(&mut self, command: &str, user: &str, net: u8, key: &Key) -> Login {
        let mut login = self.login_without_a_try(user, net, key);
        loop {
            let last = login.ssh(COMMAND).arg(command).output().unwrap();
            if last.status.success() {
                login.took = self.started.elapsed();
                return login;
            }
            assert!(
                self.started.elapsed() < BOOT,
                "no login as {user}: {}",
                String::from_utf8_lossy(&last.stderr)
            );
            self.assert_alive();
            login.disconnect();
            sleep(Duration::from_millis(500));
        }
    }

    /// Fails unless the SSH server that answers refuses this key.
    pub fn assert_refuses(&mut self, user: &str, net: u8, key: &Key) {
        let login = self.login_without_a_try(user, net, key);
        let output = login.ssh(COMMAND).arg("true").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Permission denied"), "{said}");
    }

    fn login_without_a_try(&mut self, user: &str, net: u8, key: &Key) -> Login {
        let (_, host, port) = self.servers.iter().find(|(n, ..)| *n == net).unwrap();
        self.logins += 1;
        Login {
            user: user.to_string(),
            host: host.clone(),
            port: *port,
            namespace: self.namespace.clone(),
            key: key.file.clone(),
            // One for each login, else one key's connection would serve another key.
            control: self.folder.0.join(format!("ssh-{}", self.logins)),
            took: Duration::ZERO,
        }
    }

    /// Waits until the console shows this.
    pub fn wait_for_console(&mut self, text: &str) {
        while !self.console().contains(text) {
            assert!(self.started.elapsed() < BOOT, "never said: {text}");
            self.assert_alive();
            sleep(Duration::from_millis(500));
        }
    }

    /// Pings one of its addresses from now on, in a network of the test's own.
    pub fn ping(&self, address: &str) -> Ping {
        Ping::start(self.namespace.as_ref().unwrap(), self.qemu.id(), address)
    }

    /// The shell on the second serial port, for machines without a network. systemd
    /// starts it with `Machine::kernel(SHELL)`. Returns once the boot is over.
    pub fn shell(&mut self) -> Shell<'_> {
        let mut seen = String::new();
        // Input from before the shell reads may be lost, so ask until it answers. The
        // sum distinguishes the answer from the echo. HISTFILE: else the replaced shell
        // writes its history to /root, if that is writable by then.
        while !seen.contains("shell-42") {
            assert!(self.started.elapsed() < BOOT, "no shell: {seen}");
            self.assert_alive();
            self.shell_input
                .write_all(b"\nunset HISTFILE; echo shell-$((40+2))\n")
                .unwrap();
            let pause = Instant::now() + Duration::from_secs(2);
            self.read_shell(&mut seen, pause, |seen| seen.contains("shell-42"));
        }
        // Plain sh has no line editor, so it prints no escape sequences.
        self.shell_input
            .write_all(b"exec env PS1= PS2= sh\nstty -echo\n")
            .unwrap();
        let mut shell = Shell(self);
        shell.booted();
        shell
    }

    /// Ends the machine. Returns the files and directories of its converted root that
    /// differ from before its start, as far as they reached its disk.
    pub fn changed_files(&mut self) -> Vec<String> {
        self.end();
        let list = self.root.with_file_name("files");
        let before = fs::read_to_string(list).unwrap();
        let after = run(Command::new(top().join("tests/images/files"))
            .arg(&self.root)
            .arg(self.format.unwrap())
            .stdin(Stdio::null()));
        let before: BTreeSet<_> = before.lines().collect();
        let after: BTreeSet<_> = after.lines().collect();
        let path = |line: &&str| line.split('\t').next().unwrap().to_string();
        let changed: BTreeSet<_> = before.symmetric_difference(&after).map(path).collect();
        changed.into_iter().collect()
    }

    /// Ends the machine. Fails unless its root's disk is identical to that of its
    /// image.
    pub fn assert_root_is_that_of_the_image(&mut self) {
        self.end();
        run(command("cmp").arg(self.image.root()).arg(&self.root));
    }

    fn end(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }

    /// The text on the console so far.
    pub fn console(&self) -> String {
        let bytes = fs::read(&self.serial).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Appends the shell's output until `done` or the end of the time.
    fn read_shell(&self, seen: &mut String, end: Instant, done: impl Fn(&str) -> bool) {
        while !done(seen) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.shell_output.recv_timeout(left) else {
                return;
            };
            *seen += &String::from_utf8_lossy(&bytes).replace('\r', "");
        }
    }

    /// Copies the console's log and QEMU's own log to where they stay until the running
    /// test runs again.
    fn keep_logs(&self) -> std::io::Result<PathBuf> {
        let log = kept_log();
        fs::create_dir_all(log.parent().unwrap())?;
        fs::copy(&self.serial, &log)?;
        fs::copy(self.folder.0.join("qemu"), log.with_extension("qemu"))?;
        Ok(log)
    }

    fn assert_alive(&mut self) {
        if let Some(status) = self.qemu.try_wait().unwrap() {
            let log = fs::read_to_string(self.folder.0.join("qemu"));
            panic!("qemu: {status}\n{}", log.unwrap_or_default());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let console = self.console();
            let lines: Vec<_> = console.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            eprintln!("the console's last lines:\n{}", tail.join("\n"));
            match self.keep_logs() {
                Ok(log) => eprintln!("all of the console: {}", log.display()),
                Err(error) => eprintln!("the console's log is lost: {error}"),
            }
        }
    }
}

/// Where the running test's console log is kept if the test fails.
fn kept_log() -> PathBuf {
    let name = running_test().replace("::", "-");
    top().join("target/boot-logs").join(name + ".log")
}

/// Runs commands in a machine and returns their output. A command that fails fails the
/// test.
pub trait Inside {
    fn run_within(&mut self, limit: Duration, command: &str) -> String;

    fn run(&mut self, command: &str) -> String {
        self.run_within(COMMAND, command)
    }

    /// A command that waits for an event of the boot.
    fn wait(&mut self, command: &str) -> String {
        self.run_within(BOOT, command)
    }

    /// Waits for the end of the boot; returns systemd's word for its state.
    fn booted(&mut self) -> String {
        self.wait("systemctl is-system-running --wait || true")
    }

    /// The output of a command that prints JSON, as `ip -json` does.
    fn json(&mut self, command: &str) -> Value {
        let output = self.run(command);
        serde_json::from_str(&output).unwrap_or_else(|error| {
            panic!("{command}: {error}\n{output}");
        })
    }
}

/// A login by SSH.
pub struct Login {
    user: String,
    host: String,
    port: u16,
    namespace: Option<Namespace>,
    key: PathBuf,
    control: PathBuf,
    /// The time from power-on to this login.
    pub took: Duration,
}

impl Login {
    /// `ssh` without the remote command. All commands share one connection.
    fn ssh(&self, limit: Duration) -> Command {
        let mut ssh = command("timeout");
        if let Some(namespace) = &self.namespace {
            namespace.around(&mut ssh);
        }
        ssh.arg(limit.as_secs().to_string())
            .args(["ssh", "-F", "none", "-i"])
            .arg(&self.key)
            .args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"])
            .args(["-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=30"])
            // The master ends with the login, or else by this timeout.
            .args(["-o", "ControlMaster=auto", "-o", "ControlPersist=1200"])
            .arg("-o")
            .arg(format!("ControlPath={}", self.control.display()))
            .args(["-p", &self.port.to_string()])
            .arg(format!("{}@{}", self.user, self.host));
        ssh
    }
}

impl Login {
    fn disconnect(&self) {
        let _ = self.ssh(COMMAND).args(["-O", "exit"]).output();
    }

    /// Runs a command with this standard input. Its success is not checked: the command
    /// may end the SSH server.
    pub fn feed(&mut self, input: &str, command: &str) {
        let mut ssh = self.ssh(COMMAND);
        let mut ssh = ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = ssh.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        ssh.wait().unwrap();
    }
}

impl Inside for Login {
    fn run_within(&mut self, limit: Duration, command: &str) -> String {
        run(self.ssh(limit).arg(command))
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// The shell on the second serial port.
pub struct Shell<'a>(&'a mut Running);

/// The kernel parameter that starts it.
pub const SHELL: &str = "systemd.debug_shell=ttyS1";

impl Inside for Shell<'_> {
    fn run_within(&mut self, limit: Duration, command: &str) -> String {
        const END: &str = "@status@";
        // The quotes keep the mark out of an echo of the line.
        let line = format!("echo @'start'@; {{ {command}\n}} 2>&1; echo @'status'@$?@\n");
        self.0.shell_input.write_all(line.as_bytes()).unwrap();
        let mut seen = String::new();
        let is_complete = |seen: &str| {
            seen.rsplit_once(END)
                .is_some_and(|(_, rest)| rest.contains('@'))
        };
        self.0
            .read_shell(&mut seen, Instant::now() + limit, is_complete);
        let (_, rest) = seen
            .split_once("@start@\n")
            .unwrap_or_else(|| panic!("{command}: no answer: {seen}"));
        let (output, status) = rest
            .rsplit_once(END)
            .unwrap_or_else(|| panic!("{command}: no end: {seen}"));
        assert!(status.starts_with("0@"), "{command}: {status}\n{output}");
        output.to_string()
    }
}

/// A directory that is removed at the end. Its path is short, for the sockets in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let template = std::env::temp_dir().join("onecontext-XXXXXX");
        Folder(nix::unistd::mkdtemp(&template).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// KVM only if it is the hardware's own; under imitations of it guests hang.
fn accelerator() -> &'static str {
    let ours = ["kvm_intel", "kvm_amd"]
        .iter()
        .any(|module| Path::new("/sys/module").join(module).exists());
    let usable = ours
        && File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok();
    if usable { "kvm" } else { "tcg,thread=multi" }
}

/// An address of this host and a TCP port for this machine alone: the address depends
/// on the process, the port number grows. Ports where another program listens at all
/// addresses are skipped.
fn free_port() -> (Ipv4Addr, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(2200);
    // Process numbers have 22 bits (proc(5), pid_max).
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 64 | high, middle, low);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((address, port)).is_ok() {
            return (address, port);
        }
    }
}

/// Changes a file system with debugfs, which prints errors to stderr (after its own
/// name and version) but still succeeds.
fn edit(root: &Path, commands: &str) {
    let mut debugfs = command("debugfs")
        .args(["-w", "-f", "-"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = debugfs.stdin.take().unwrap();
    input.write_all(commands.as_bytes()).unwrap();
    drop(input);
    let output = debugfs.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

/// Sends a program's output through a channel, so that a reader can use a timeout.
fn in_background(mut output: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A cpio archive ("newc") that holds one file, or one symbolic link to `data`.
fn cpio_with(path: &str, mode: u32, data: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut entry = |path: &str, mode: u32, data: &str| {
        let size = data.len();
        let name_size = path.len() + 1;
        let fields = [
            1,
            mode,
            0,
            0,
            1,
            0,
            size as u32,
            0,
            0,
            0,
            0,
            name_size as u32,
            0,
        ];
        archive.extend(b"070701");
        for field in fields {
            archive.extend(format!("{field:08x}").bytes());
        }
        for bytes in [&[path.as_bytes(), b"\0"].concat(), data.as_bytes()] {
            archive.extend(bytes);
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
    };
    entry(path.trim_start_matches('/'), mode, data);
    entry("TRAILER!!!", 0, "");
    archive
}
