//! Power cuts: the shipped binary writes to a disk that loses whatever was not flushed.
//! `make powercut`; tests/README.md explains why the simulation is honest.
//!
//! QEMU's storage daemon serves a disk as a file (FUSE) and logs every write and flush
//! (its driver `blklogwrites`, in the format of the kernel's dm-log-writes). A loop
//! device on that file is mounted, and `apply` runs on it. For each cut, a disk is made
//! with everything flushed by then, and any part of the rest.

use crate::release;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{panicking, sleep};
use std::time::Duration;

use crate::guest::Guest;
use crate::random::Random;
use crate::tree::{Tree, difference, tree};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, unshare};

/// The sample scripts of OpenNebula 1.4: keys for root and another user.
const CONTEXT: [(&str, &str); 3] = [
    (
        "context.sh",
        "HOSTNAME=\"web1\"\nIP_PUBLIC=\"10.18.1.1\"\nNETMASK=\"255.255.255.0\"\n\
         DNS=\"9.9.9.9\"\nROOT_PUBKEY=\"root.pub\"\nUSERNAME=\"alice\"\nUSER_PUBKEY=\"alice.pub\"\n",
    ),
    ("root.pub", KEY),
    ("alice.pub", KEY),
];
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl new\n";
/// The keys that an earlier boot with another context left.
const OLD_BLOCK: &str = "# onecontext: begin (keys of the context, made anew at each boot)\n\
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl old\n\
    # onecontext: end\n";
/// Users of an earlier context, `former0` and so on, whose keys are removed. There are
/// many of them, so that the writing takes a while.
const FORMER: u32 = 10;

const NOWHERE: [&Path; 0] = [];
/// No command that looks at a disk takes this many seconds.
const LIMIT: &str = "60";

struct FileSystem {
    name: &'static str,
    mkfs: &'static [&'static str],
    /// As small as mkfs allows; nearly all of it is a hole.
    megabytes: u64,
    options: &'static str,
    /// The bytes that the disk writes as a whole.
    atom: usize,
}

#[test]
#[ignore = "needs root, FUSE and loop devices: make powercut"]
fn ext4() {
    cut_power(&FileSystem {
        name: "ext4",
        mkfs: &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
        megabytes: 32,
        // Without this option ext4 itself flushes a file that replaces another
        // (ext4(5)), for programs that do not.
        options: "noauto_da_alloc",
        atom: 512,
    });
}

#[test]
#[ignore = "needs root, FUSE and loop devices: make powercut"]
fn xfs() {
    cut_power(&FileSystem {
        name: "xfs",
        mkfs: &["-q", "-f"],
        megabytes: 300,
        options: "rw",
        atom: 512,
    });
}

#[test]
#[ignore = "needs root, FUSE and loop devices: make powercut"]
fn btrfs() {
    cut_power(&FileSystem {
        name: "btrfs",
        mkfs: &["-q", "-f"],
        megabytes: 128,
        options: "nodiscard",
        // Its super block is one write of 4096 bytes with one checksum. A disk that
        // tears that write is not supported.
        atom: 4096,
    });
}

fn cut_power(system: &FileSystem) {
    needed(system);
    let mut guest = Guest::new();
    guest.nic("eth0", "02:00:0a:12:01:01");
    let top = guest.top.clone();
    let context = top.join("context");
    fs::create_dir(&context).unwrap();
    for (name, text) in CONTEXT {
        fs::write(context.join(name), text).unwrap();
    }
    fs::create_dir(top.join("mnt")).unwrap();
    let base = top.join("base.img");
    make(system, &base, &guest);

    let disk = top.join("disk.img");
    copy(&base, &disk);
    let daemon = Daemon::start(&top, &disk, system.megabytes << 20);
    let mounted = Mounted::new(system, &daemon.file, &top).unwrap();
    let old = tree(&mounted.point, &[""]);
    let begin = entries(&fs::read(&daemon.log).unwrap()).len();
    let (status, said) = apply(&mut guest);
    // The later writes are from umount(2), not from this program.
    let log = fs::read(&daemon.log).unwrap();
    assert_eq!(status, 0, "{}: {said}", system.name);
    let new = tree(&mounted.point, &[""]);
    drop(mounted);
    drop(daemon);

    let mut changed = difference(&old, &new);
    changed.retain(|path| !is_directory(&new, path));
    assert_eq!(changed, to_change().iter().collect::<Vec<_>>());
    let entries = entries(&log);
    let cut_disk = top.join("cut.img");
    let mut tally = Tally::default();
    for cut in cuts(&entries, begin) {
        let what = format!("{}, {cut} of {}", system.name, entries.len());
        copy(&base, &cut_disk);
        cut.replay(&entries, &cut_disk, system.atom);
        let mounted = Mounted::new(system, &cut_disk, &top)
            .unwrap_or_else(|error| panic!("{what}: it does not mount: {error}"));
        let found = tree(&mounted.point, &[""]);
        if cut.at == entries.len() {
            // What it reported as done stays done.
            assert_eq!(
                difference(&found, &new),
                NOWHERE,
                "{what}, when it had ended"
            );
        }
        tally.count(&cut, &found, &old, &new, &what);
        let (status, said) = apply(&mut guest);
        assert_eq!(status, 0, "{what}: the next boot: {said}");
        let found = tree(&mounted.point, &[""]);
        assert_eq!(difference(&found, &new), NOWHERE, "{what}: the next boot");
    }
    eprintln!("{:5} {tally}", system.name);
    assert!(tally.moments.len() >= 50 && tally.cuts >= 100, "{tally}");
    // Otherwise no cut was during its writes.
    assert!(
        tally.old >= 100 && tally.new >= 100 && tally.temporary > 0,
        "{tally}"
    );
}

/// Prints what is missing.
fn needed(system: &FileSystem) {
    let kernel = fs::read_to_string("/proc/filesystems").unwrap();
    for name in ["fuse", system.name] {
        let is_known = kernel
            .lines()
            .any(|line| line.ends_with(&format!("\t{name}")));
        // Otherwise it may be a module.
        let loads = || output_of(Command::new("modprobe").arg(name)).is_ok();
        assert!(is_known || loads(), "this kernel has no {name}");
    }
    for node in ["/dev/fuse", "/dev/loop-control"] {
        let opened = fs::OpenOptions::new().read(true).write(true).open(node);
        opened.unwrap_or_else(|error| panic!("power cuts need {node}: {error}"));
    }
    let mkfs = format!("mkfs.{}", system.name);
    for (program, option) in [("qemu-storage-daemon", "--version"), (mkfs.as_str(), "-V")] {
        output_of(Command::new(program).arg(option))
            .unwrap_or_else(|error| panic!("{program}: {error}; run `make setup`"));
    }
}

/// The files that `apply` changes here.
fn to_change() -> BTreeSet<PathBuf> {
    let former = (0..FORMER).map(|number| format!("home/former{number}/.ssh/authorized_keys"));
    let others = [
        "etc/hostname",
        "etc/hosts",
        "etc/resolv.conf",
        "home/alice/.ssh/authorized_keys",
        "root/.ssh/authorized_keys",
    ];
    former
        .chain(others.map(str::to_string))
        .map(PathBuf::from)
        .collect()
}

/// Makes the root of an image on which an earlier boot had another context.
fn make(system: &FileSystem, disk: &Path, guest: &Guest) {
    let file = fs::File::create(disk).unwrap();
    file.set_len(system.megabytes << 20).unwrap();
    let mkfs = format!("mkfs.{}", system.name);
    output_of(Command::new(mkfs).args(system.mkfs).arg(disk)).unwrap();
    let mounted = Mounted::new(system, disk, &guest.top).unwrap();
    let root = &mounted.point;
    let from = guest.top.join("root/.");
    output_of(Command::new("cp").arg("-a").arg(from).arg(root)).unwrap();
    let mut passwd = fs::read_to_string(root.join("etc/passwd")).unwrap();
    for number in 0..FORMER {
        let (user, uid) = (format!("former{number}"), 2000 + number);
        passwd += &format!("{user}:x:{uid}:{uid}::/home/{user}:/bin/sh\n");
        keys_of(&root.join("home").join(user), uid);
    }
    keys_of(&root.join("root"), 0);
    for (name, text) in [
        ("passwd", passwd.as_str()),
        ("hostname", "image\n"),
        ("resolv.conf", "nameserver 192.0.2.1\n"),
        (
            "hosts",
            "127.0.0.1 localhost\n127.0.1.1 image # onecontext\n",
        ),
    ] {
        fs::write(root.join("etc").join(name), text).unwrap();
    }
}

/// Keys of its own and an old block, longer than a block of the file system.
fn keys_of(home: &Path, uid: u32) {
    let folder = home.join(".ssh");
    let file = folder.join("authorized_keys");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .unwrap();
    let own: String = (0..150)
        .map(|n| KEY.replace("new", &format!("own {n}")))
        .collect();
    fs::write(&file, own + OLD_BLOCK).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for path in [home, &folder, &file] {
        nix::unistd::chown(path, Some(uid.into()), Some(uid.into())).unwrap();
    }
}

/// One boot on the mounted disk: its exit status and its output.
fn apply(guest: &mut Guest) -> (i32, String) {
    let run = guest.top.join("fresh-run");
    let _ = fs::remove_dir_all(&run);
    fs::create_dir(&run).unwrap();
    guest.said();
    let status = Command::new("timeout")
        .arg(LIMIT)
        .arg(release::initramfs())
        .args(["apply", "--root"])
        .arg(guest.top.join("mnt"))
        .arg("--run")
        .arg(run)
        .arg("--context")
        .arg(guest.top.join("context"))
        .status()
        .unwrap();
    (status.code().expect("an exit status"), guest.said())
}

/// A copy with the holes of the original.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_file(to);
    output_of(Command::new("cp").arg("--sparse=always").arg(from).arg(to)).unwrap();
}

fn output_of(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn is_directory(tree: &Tree, path: &Path) -> bool {
    tree.get(path)
        .is_some_and(|(mode, ..)| mode & 0o170000 == 0o040000)
}

/// A disk that is mounted on a loop device, which goes with the mount.
struct Mounted {
    point: PathBuf,
}

impl Mounted {
    fn new(system: &FileSystem, disk: &Path, top: &Path) -> Result<Self, String> {
        let point = top.join("mnt");
        let mut command = Command::new("timeout");
        command.args([LIMIT, "mount", "-t", system.name, "-o"]);
        command.arg(format!("loop,{}", system.options));
        output_of(command.arg(disk).arg(&point))?;
        Ok(Self { point })
    }
}

impl Drop for Mounted {
    /// Afterwards everything is on the disk. A program that another test's thread
    /// starts holds the open files of this one between fork(2) and execve(2), and keeps
    /// the file system busy until then.
    fn drop(&mut self) {
        if panicking() {
            let _ = umount2(&self.point, MntFlags::MNT_DETACH);
            return;
        }
        for _ in 0..600 {
            match umount2(&self.point, MntFlags::empty()) {
                Err(Errno::EBUSY) => sleep(Duration::from_millis(100)),
                Ok(()) => return,
                Err(errno) => panic!("umount {}: {errno}", self.point.display()),
            }
        }
        panic!("{} is busy for a minute", self.point.display());
    }
}

/// QEMU's storage daemon with one disk.
struct Daemon {
    process: Child,
    /// The disk, as the daemon serves it.
    file: PathBuf,
    log: PathBuf,
}

impl Daemon {
    fn start(top: &Path, disk: &Path, size: u64) -> Self {
        let (file, log) = (top.join("served.img"), top.join("log"));
        for path in [&file, &log] {
            fs::write(path, "").unwrap();
        }
        let text = |path: &Path| path.to_str().unwrap().to_string();
        // The parent-death signal ends the daemon with this thread, however that ends.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-storage-daemon", "--blockdev"])
            .arg(format!("file,node-name=disk,filename={}", text(disk)))
            .arg("--blockdev")
            .arg(format!("file,node-name=log,filename={}", text(&log)))
            .arg("--blockdev")
            .arg("blklogwrites,node-name=logged,file=disk,log=log,log-super-update-interval=1")
            .arg("--export")
            .arg(format!(
                "fuse,id=export,node-name=logged,writable=on,mountpoint={}",
                text(&file)
            ))
            .stdin(Stdio::null())
            .spawn()
            .expect("setpriv runs (util-linux)");
        let mut daemon = Self { process, file, log };
        for _ in 0..600 {
            if fs::metadata(&daemon.file).is_ok_and(|data| data.len() == size) {
                // Later mounts are visible to this thread alone. In the daemon's
                // namespace, too, the end of the daemon would unmount them. The daemon
                // would then wait forever for its own answer, and so would every
                // program that sets up a loop device.
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                return daemon;
            }
            if let Some(status) = daemon.process.try_wait().unwrap() {
                panic!("qemu-storage-daemon does not serve a file: {status}");
            }
            sleep(Duration::from_millis(100));
        }
        panic!("qemu-storage-daemon serves no file after a minute");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = umount2(&self.file, MntFlags::MNT_DETACH);
        let _ = self.process.kill();
        for _ in 0..300 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        eprintln!("qemu-storage-daemon was killed, and is still there");
    }
}

/// A request to the disk.
enum Entry<'l> {
    /// To write this at this byte.
    Write(u64, &'l [u8]),
    /// To forget this many bytes from this byte on, which then are zeros.
    Discard(u64, u64),
    /// To put all completed writes on the medium.
    Flush,
}

/// Reads the log (drivers/md/dm-log-writes.c, block/blklogwrites.c of QEMU): a super
/// block, then entries, each with its data, all in whole sectors.
fn entries(log: &[u8]) -> Vec<Entry<'_>> {
    const MAGIC: u64 = 0x6a_7366_7773_6872;
    const FLUSH: u64 = 1;
    const DISCARD: u64 = 4;
    if log.is_empty() {
        // The daemon writes the super block with the first entry.
        return vec![];
    }
    let number = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
    assert_eq!((number(0), number(8)), (MAGIC, 1), "no log of writes");
    let sector = u32::from_le_bytes(log[24..28].try_into().unwrap()) as usize;
    let mut entries = Vec::new();
    let mut at = sector;
    for _ in 0..number(16) {
        let place = number(at) * sector as u64;
        let (count, flags) = (number(at + 8), number(at + 16));
        at += sector;
        entries.push(match flags {
            0 => {
                let data = &log[at..at + count as usize * sector];
                at += data.len();
                Entry::Write(place, data)
            }
            DISCARD => Entry::Discard(place, count * sector as u64),
            FLUSH if count == 0 => Entry::Flush,
            _ => panic!("an entry of {count} sectors with flags {flags}"),
        });
    }
    entries
}

/// What happens to the writes after the last flush.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// None is on the medium.
    Lost,
    /// All are.
    Kept,
    /// Some are.
    Some,
    /// Some are, in part.
    Torn,
}

/// A cut: after how many entries, and the fate of the unflushed writes.
struct Cut {
    at: usize,
    fate: Fate,
    seed: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { at, fate, seed } = self;
        write!(f, "{fate:?} ({seed:#x}) after write or flush {at}")
    }
}

/// A cut after each entry from `begin` on; several if the disk has a choice.
fn cuts(entries: &[Entry], begin: usize) -> Vec<Cut> {
    let mut random = Random(1);
    let mut cuts = Vec::new();
    for at in begin..=entries.len() {
        let fates: &[Fate] = match at.checked_sub(1).and_then(|last| entries.get(last)) {
            // With all later writes lost, the cuts up to the next flush are equal.
            None | Some(Entry::Flush) => &[Fate::Lost],
            _ => &[Fate::Kept, Fate::Some, Fate::Torn],
        };
        for fate in fates {
            let (fate, seed) = (*fate, random.next());
            cuts.push(Cut { at, fate, seed });
        }
    }
    cuts
}

impl Cut {
    /// Writes to the disk what is on the medium after the cut. A disk may write in any
    /// order what it was not told to flush, so a later write may be there and an
    /// earlier one not. No other effect is visible.
    fn replay(&self, entries: &[Entry], disk: &Path, atom: usize) {
        let file = fs::OpenOptions::new().write(true).open(disk).unwrap();
        let before = &entries[..self.at];
        let flush = before
            .iter()
            .rposition(|entry| matches!(entry, Entry::Flush));
        let flushed = flush.map_or(0, |flush| flush + 1);
        let mut random = Random(self.seed);
        for (index, entry) in before.iter().enumerate() {
            let zeros;
            let (place, data) = match entry {
                Entry::Flush => continue,
                Entry::Write(place, data) => (*place, *data),
                Entry::Discard(place, length) => {
                    zeros = vec![0; *length as usize];
                    (*place, zeros.as_slice())
                }
            };
            let fate = if index < flushed {
                Fate::Kept
            } else {
                self.fate
            };
            let is_kept = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Some | Fate::Torn => coin(&mut random),
            };
            if is_kept {
                file.write_all_at(data, place).unwrap();
            } else if matches!(fate, Fate::Torn) {
                for (part, at) in data.chunks(atom).zip((place..).step_by(atom)) {
                    if coin(&mut random) {
                        file.write_all_at(part, at).unwrap();
                    }
                }
            }
        }
    }
}

fn coin(random: &mut Random) -> bool {
    random.next() >> 63 == 1
}

/// The findings after the cuts.
#[derive(Default)]
struct Tally {
    cuts: usize,
    moments: BTreeSet<usize>,
    /// Files with the old content.
    old: usize,
    /// Files with the new content.
    new: usize,
    /// Temporary files beside them.
    temporary: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{} cuts at {} moments: {} files old, {} new; {} temporary files",
            self.cuts,
            self.moments.len(),
            self.old,
            self.new,
            self.temporary
        )
    }
}

impl Tally {
    /// Checks that each file and directory is the old one or the new one, whole.
    fn count(&mut self, cut: &Cut, found: &Tree, old: &Tree, new: &Tree, what: &str) {
        self.cuts += 1;
        self.moments.insert(cut.at);
        for path in difference(found, new) {
            let entry = found.get(path);
            if path.to_str().unwrap().ends_with(".onecontext") {
                self.temporary += 1;
            } else if entry != old.get(path) {
                let entry = entry.map(|(mode, owner, content)| (mode, owner, content.len()));
                panic!("{what}: neither old nor new: {}: {entry:?}", path.display());
            } else {
                self.old += usize::from(!is_directory(new, path));
            }
        }
        let is_new = |path: &PathBuf| found.get(path) == new.get(path);
        self.new += to_change().iter().filter(|path| is_new(path)).count();
    }
}
