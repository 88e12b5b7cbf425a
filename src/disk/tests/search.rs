//! The choice of the context disk, and how long the search waits for it. The devices
//! are regular files in a tree of their own.
use std::cell::RefCell;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::BorrowedFd;

use super::*;
use crate::disk::{DriveStatus, Search, SystemPaths, search};

/// The length of a wait that must end early or not happen.
const LONG: u32 = 60;
/// A search that did not wait that long ends within this time, on a busy machine as
/// well.
const IN_TIME: f32 = 50.0;

/// The block devices of a machine.
struct Machine(Scratch);

impl Machine {
    fn new() -> Self {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path("block")).unwrap();
        fs::create_dir(scratch.path("dev")).unwrap();
        Self(scratch)
    }

    /// Adds a device with this content.
    fn device(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.add(name, bytes);
        self
    }

    fn add(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.0
            .write(&format!("dev/{}", name.replace('!', "/")), bytes);
        self.0.write(&format!("block/{name}"), "");
    }

    fn path(&self, name: &str) -> String {
        self.0.path(name).to_str().unwrap().to_owned()
    }

    fn look(&self) -> Outcome {
        self.search(None, 0, false, |_| DriveStatus::Ready)
    }

    fn search(
        &self,
        device: Option<&str>,
        wait: u32,
        required: bool,
        status: fn(BorrowedFd<'_>) -> DriveStatus,
    ) -> Outcome {
        let mut report = silent();
        let device = device.map(|device| CString::new(device).unwrap());
        let (block, dev, queue) = (
            c(&self.0.path("block")),
            c(&self.0.path("dev")),
            c(&self.0.path("queue")),
        );
        let start = Instant::now();
        let found = search(
            &mut report,
            &Search {
                device: device.as_deref(),
                wait,
                required,
                paths: SystemPaths {
                    block: &block,
                    dev: &dev,
                    queue: &queue,
                    status,
                },
            },
        );
        let own = format!("{}/", self.0.0.display());
        Outcome {
            seconds: start.elapsed().as_secs_f32(),
            found: match found {
                Ok(found) => Ok(found.map(|disk| {
                    let text = disk.read(b"context.sh").unwrap().unwrap();
                    assert!(text.starts_with(b"A=1"));
                    String::from_utf8_lossy(disk.source()).replace(&own, "")
                })),
                Err(reason) => Err(words(reason)),
            },
            lines: report
                .lines()
                .iter()
                .map(|(level, line)| {
                    format!("{level:?} {}", String::from_utf8_lossy(line)).replace(&own, "")
                })
                .collect(),
        }
    }
}

#[derive(Debug)]
struct Outcome {
    found: Result<Option<String>, String>,
    lines: Vec<String>,
    seconds: f32,
}

impl Outcome {
    /// The search finds it at once and reports no problem.
    #[track_caller]
    fn is(&self, name: &str) {
        assert_eq!(self.found, Ok(Some(format!("dev/{name}"))), "{self:?}");
        assert!(self.lines.is_empty(), "{self:?}");
        assert!(self.seconds < IN_TIME, "{self:?}");
    }

    /// The search finds nothing, at once, and reports these lines.
    #[track_caller]
    fn is_none(&self, lines: &[&str]) {
        assert_eq!(self.found, Ok(None), "{self:?}");
        assert_eq!(self.lines, lines, "{self:?}");
        assert!(self.seconds < IN_TIME, "{self:?}");
    }
}

/// An image with `context.sh` and this label. The tool makes one image; only the label
/// is changed.
fn labelled(label: &str) -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let image = || Image::new(TODAY).file("context.sh", "A=1\n").build();
    let mut image = IMAGE.get_or_init(image).clone();
    let place = 16 * 2048 + 40;
    image[place..place + 32].fill(b' ');
    image[place..place + label.len()].copy_from_slice(label.as_bytes());
    image
}

/// An image without a context.
fn foreign(label: &str) -> Vec<u8> {
    Image::new(&["-R", "-V", label])
        .file("README", "hello")
        .build()
}

/// An image that ends before the sector with the text of context.sh.
fn truncated(label: &str) -> Vec<u8> {
    let mut image = labelled(label);
    let text = image
        .chunks(2048)
        .position(|sector| sector.starts_with(b"A=1"))
        .unwrap();
    image.truncate(text * 2048);
    image
}

static NO_FILE_SYSTEM: [u8; 65536] = [0; 65536];

#[test]
fn any_block_device_can_be_the_disk() {
    let context = labelled("CONTEXT");
    for name in [
        "sr0",
        "sr1",
        "hdc",
        "vda",
        "vdb",
        "sda",
        "sdb1",
        "xvdb",
        "nvme0n1",
        "mmcblk0",
        "cciss!c0d0",
    ] {
        let machine = Machine::new()
            .device("vdz", NO_FILE_SYSTEM)
            .device("sdz", "short")
            .device("sr7", [])
            .device(name, &context);
        machine.look().is(&name.replace('!', "/"));
    }
}

#[test]
fn labels_come_first() {
    let [context, stratuslab, cdrom, other] =
        ["CONTEXT", "_STRATUSLAB", "CDROM", "anything"].map(labelled);
    let machine = Machine::new().device("sr0", &other);
    machine.look().is("sr0");
    let machine = machine.device("hdc", &other);
    machine.look().is("hdc");
    let machine = machine.device("vdc", &cdrom);
    machine.look().is("vdc");
    let machine = machine.device("vdd", &stratuslab);
    machine.look().is("vdd");
    let machine = machine.device("vde", &context);
    machine.look().is("vde");
}

#[test]
fn labels_compare_in_any_case() {
    let context = labelled("context");
    let cdrom = labelled("CDROM");
    Machine::new()
        .device("sr0", cdrom)
        .device("vda", context)
        .look()
        .is("vda");
}

#[test]
fn of_one_label_optical_drives_come_first_then_names() {
    let context = labelled("CONTEXT");
    let machine = Machine::new()
        .device("vdb", &context)
        .device("sda", &context)
        .device("nvme0n1", &context);
    machine.look().is("nvme0n1");
    let machine = machine.device("sr1", &context);
    machine.look().is("sr1");
    let machine = machine.device("sr0", &context);
    machine.look().is("sr0");
}

#[test]
fn another_label_counts_only_where_old_scripts_looked() {
    let other = labelled("anything");
    let machine = Machine::new();
    for name in ["sr1", "hda", "hdd", "vda", "sda"] {
        machine.add(name, &other);
    }
    machine.look().is_none(&[]);
}

#[test]
fn some_devices_never_count() {
    let context = labelled("CONTEXT");
    let machine = Machine::new();
    for name in [
        "loop0",
        "ram0",
        "zram0",
        "fd0",
        "dm-0",
        "md0",
        "nbd0",
        "mtdblock0",
        "drbd0",
    ] {
        machine.add(name, &context);
    }
    machine.look().is_none(&[]);
}

#[test]
fn a_foreign_disk_is_silently_none() {
    for label in ["CDROM", "Debian 12", ""] {
        let image = foreign(label);
        Machine::new()
            .device("sr0", &image)
            .device("hdc", &image)
            .device("vda", &image)
            .look()
            .is_none(&[]);
    }
    // A file of that name in a directory, and a directory of that name.
    for file in ["folder/context.sh", "context.sh/file"] {
        let image = Image::new(&["-R"]).file(file, "A=1\n");
        let image = image.build();
        Machine::new().device("sr0", image).look().is_none(&[]);
    }
}

#[test]
fn a_disk_that_says_it_is_ours_is_reported_when_missed() {
    for label in ["CONTEXT", "context", "_STRATUSLAB"] {
        Machine::new()
            .device("sr0", foreign(label))
            .look()
            .is_none(&["Problem context disk: dev/sr0: there is no context.sh"]);
    }
    for label in ["CONTEXT", "CDROM", "_STRATUSLAB"] {
        let machine = Machine::new().device("vdb", truncated(label));
        machine.look().is_none(&[
            "Problem context disk: dev/vdb: the image is truncated: it ends before its own data",
        ]);
    }
}

#[test]
fn another_disk_stands_in_for_a_broken_one() {
    let machine = Machine::new()
        .device("sr0", truncated("CONTEXT"))
        .device("sr1", labelled("CDROM"));
    let outcome = machine.look();
    assert_eq!(outcome.found, Ok(Some("dev/sr1".into())));
    assert_eq!(outcome.lines.len(), 1, "{outcome:?}");
}

#[test]
fn reading_stops_at_a_disk_that_cannot_be_beaten() {
    let machine = Machine::new()
        .device("sr0", labelled("CONTEXT"))
        // Reading either of these would be reported.
        .device("sr1", truncated("CONTEXT"))
        .device("vda", truncated("CONTEXT"));
    machine.look().is("sr0");
}

#[test]
fn a_device_without_node_matters_only_without_disk() {
    let machine = Machine::new();
    machine.0.write("block/vdb", "");
    machine
        .look()
        .is_none(&["Problem context disk: dev/vdb: the device has no node"]);
    machine.add("vdc", labelled("CDROM"));
    machine.look().is("vdc");
}

#[test]
fn unreadable_devices() {
    // A directory can be opened, but every read of it fails.
    let machine = Machine::new();
    fs::create_dir(machine.0.path("dev/vda")).unwrap();
    machine.0.write("block/vda", "");
    machine
        .look()
        .is_none(&["Problem context disk: dev/vda: Is a directory"]);
    machine.add("vdb", labelled("CDROM"));
    machine.look().is("vdb");

    // The search tries an optical drive again for half a second, then reports it.
    fs::create_dir(machine.0.path("dev/sr0")).unwrap();
    machine.0.write("block/sr0", "");
    let outcome = machine.search(None, LONG, false, |_| DriveStatus::Ready);
    assert_eq!(outcome.found, Ok(Some("dev/vdb".into())));
    assert_eq!(
        outcome.lines,
        ["Problem context disk: dev/sr0: Is a directory"]
    );
    assert!((0.5..IN_TIME).contains(&outcome.seconds), "{outcome:?}");
}

#[test]
fn a_better_drive_counts_also_if_it_cannot_be_read_yet() {
    static ASKED: AtomicU8 = AtomicU8::new(0);
    let context = labelled("CONTEXT");
    let machine = Machine::new()
        .device("sr0", &context)
        .device("vdb", &context);
    let outcome = machine.search(None, LONG, false, |_| {
        if ASKED.fetch_add(1, Ordering::Relaxed) < 3 {
            DriveStatus::NotReady
        } else {
            DriveStatus::Ready
        }
    });
    came_late(&outcome, "sr0");

    // It never becomes readable: the search reports it and uses the other one.
    fs::remove_file(machine.0.path("dev/sr0")).unwrap();
    fs::create_dir(machine.0.path("dev/sr0")).unwrap();
    let outcome = machine.search(None, LONG, false, |_| DriveStatus::Ready);
    assert_eq!(outcome.found, Ok(Some("dev/vdb".into())), "{outcome:?}");
    assert_eq!(
        outcome.lines,
        ["Problem context disk: dev/sr0: Is a directory"]
    );
    assert!(outcome.seconds < IN_TIME, "{outcome:?}");

    // A drive of lower priority is not opened.
    let machine = machine.device("hdc", &context);
    machine
        .search(None, LONG, false, |_| DriveStatus::Ready)
        .is("hdc");
}

#[test]
fn nothing_to_wait_for_means_no_delay() {
    let machine = Machine::new();
    machine
        .search(None, LONG, false, |_| DriveStatus::Ready)
        .is_none(&[]);
    let machine = machine
        .device("vda", NO_FILE_SYSTEM)
        .device("sr0", labelled("CONTEXT"));
    machine
        .search(None, LONG, false, |_| DriveStatus::Empty)
        .is_none(&[]);
}

#[test]
fn a_system_without_sysfs_says_so() {
    let machine = Machine::new();
    fs::remove_dir(machine.0.path("block")).unwrap();
    machine
        .search(None, LONG, false, |_| DriveStatus::Ready)
        .is_none(&["Problem context disk: block: No such file or directory"]);
}

/// Changes the machine after a second.
fn soon<T>(machine: &Machine, change: impl FnOnce(&Machine) + Send, then: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(1));
            change(machine);
        });
        then()
    })
}

#[track_caller]
fn came_late(outcome: &Outcome, name: &str) {
    assert_eq!(
        outcome.found,
        Ok(Some(format!("dev/{name}"))),
        "{outcome:?}"
    );
    assert!(outcome.lines.is_empty(), "{outcome:?}");
    assert!(outcome.seconds < IN_TIME, "{outcome:?}");
}

#[test]
fn a_busy_udev_is_waited_for() {
    let context = labelled("CONTEXT");
    let machine = Machine::new();
    machine.0.write("queue", "");
    let appear = |machine: &Machine| {
        machine.add("sr0", &context);
        fs::remove_file(machine.0.path("queue")).unwrap();
    };
    let outcome = soon(&machine, appear, || {
        machine.search(None, LONG, false, |_| DriveStatus::Ready)
    });
    came_late(&outcome, "sr0");

    // The wait ends when this is done.
    let machine = Machine::new();
    machine.0.write("queue", "");
    let finish = |machine: &Machine| fs::remove_file(machine.0.path("queue")).unwrap();
    let outcome = soon(&machine, finish, || {
        machine.search(None, LONG, false, |_| DriveStatus::Ready)
    });
    assert_eq!(outcome.found, Ok(None));
    assert!(outcome.lines.is_empty(), "{outcome:?}");
    assert!((0.3..IN_TIME).contains(&outcome.seconds), "{outcome:?}");
}

#[test]
fn a_busy_udev_is_not_waited_for_when_the_disk_cannot_be_beaten() {
    let machine = Machine::new().device("sr0", labelled("CONTEXT"));
    machine.0.write("queue", "");
    machine
        .search(None, LONG, false, |_| DriveStatus::Ready)
        .is("sr0");
}

#[test]
fn a_better_disk_may_be_on_its_way() {
    let context = labelled("CONTEXT");
    let machine = Machine::new().device("sr0", labelled("CDROM"));
    machine.0.write("queue", "");
    let appear = |machine: &Machine| machine.add("vdb", &context);
    let outcome = soon(&machine, appear, || {
        machine.search(None, LONG, false, |_| DriveStatus::Ready)
    });
    came_late(&outcome, "vdb");
}

#[test]
fn a_wait_that_was_in_vain_is_said() {
    let machine = Machine::new();
    machine.0.write("queue", "");
    let outcome = machine.search(None, 1, false, |_| DriveStatus::Ready);
    assert_eq!(outcome.found, Ok(None));
    assert_eq!(
        outcome.lines,
        ["Problem context disk: waited 1 s: udev still has devices to handle"]
    );
    assert!((1.0..IN_TIME).contains(&outcome.seconds), "{outcome:?}");

    let machine = machine.device("sr0", labelled("CDROM"));
    let outcome = machine.search(None, 1, false, |_| DriveStatus::Ready);
    assert_eq!(outcome.found, Ok(Some("dev/sr0".into())));
    assert_eq!(
        outcome.lines,
        ["Note context disk: waited 1 s: udev still has devices to handle"]
    );

    let outcome = machine.search(None, 1, false, |_| DriveStatus::NotReady);
    assert_eq!(outcome.found, Ok(None));
    assert_eq!(outcome.lines.len(), 1, "{outcome:?}");
}

#[test]
fn a_drive_that_is_becoming_ready_is_waited_for() {
    static ASKED: AtomicU8 = AtomicU8::new(0);
    let machine = Machine::new().device("sr0", labelled("CONTEXT"));
    let outcome = machine.search(None, LONG, false, |_| {
        if ASKED.fetch_add(1, Ordering::Relaxed) < 4 {
            DriveStatus::NotReady
        } else {
            DriveStatus::Ready
        }
    });
    came_late(&outcome, "sr0");

    // The drive turns out to be empty.
    static AGAIN: AtomicU8 = AtomicU8::new(0);
    let outcome = machine.search(None, LONG, false, |_| {
        if AGAIN.fetch_add(1, Ordering::Relaxed) < 2 {
            DriveStatus::NotReady
        } else {
            DriveStatus::Empty
        }
    });
    assert_eq!(outcome.found, Ok(None));
    assert!(outcome.lines.is_empty(), "{outcome:?}");
    assert!((0.2..IN_TIME).contains(&outcome.seconds), "{outcome:?}");

    let outcome = machine.search(None, 1, false, |_| DriveStatus::NotReady);
    assert_eq!(
        outcome.lines,
        ["Problem context disk: waited 1 s: a drive is still becoming ready"]
    );
}

#[test]
fn a_wait_takes_no_memory() {
    std::thread_local! {
        static TAKEN: RefCell<Vec<memory::Mark>> = const { RefCell::new(Vec::new()) };
    }
    let machine = Machine::new()
        .device("sr0", labelled("CONTEXT"))
        .device("vdb", labelled("CDROM"));
    // Both fail in every pass.
    fs::create_dir(machine.0.path("dev/vda")).unwrap();
    machine.0.write("block/vda", "");
    machine.0.write("block/vdc", "");
    // Asked in every pass.
    let outcome = machine.search(None, 2, true, |_| {
        TAKEN.with_borrow_mut(|taken| taken.push(memory::mark()));
        DriveStatus::NotReady
    });
    assert_eq!(outcome.found, Ok(Some("dev/vdb".into())));
    let taken = TAKEN.take();
    assert!(taken.len() > 4, "{}", taken.len());
    // The first pass lists the devices.
    let later = &taken[2..];
    assert!(later.iter().all(|mark| *mark == later[0]), "{taken:?}");
}

#[test]
fn a_required_disk_is_waited_for() {
    let context = labelled("CDROM");
    let machine = Machine::new().device("sr0", NO_FILE_SYSTEM);
    let appear = |machine: &Machine| machine.add("vdb", &context);
    let outcome = soon(&machine, appear, || {
        machine.search(None, LONG, true, |_| DriveStatus::Ready)
    });
    came_late(&outcome, "vdb");

    let outcome = Machine::new().search(None, 1, true, |_| DriveStatus::Ready);
    assert_eq!(
        outcome.found,
        Err("it is required, and there is none".into())
    );
    assert!((1.0..IN_TIME).contains(&outcome.seconds), "{outcome:?}");
    Machine::new()
        .device("sr0", labelled("CDROM"))
        .search(None, LONG, true, |_| DriveStatus::Ready)
        .is("sr0");
}

#[test]
fn a_disk_put_in_while_waiting_is_found() {
    // Settled devices are not read again, but one that was gone counts as new.
    let context = labelled("CONTEXT");
    let machine = Machine::new().device("sdb", NO_FILE_SYSTEM);
    let change = |machine: &Machine| {
        fs::remove_file(machine.0.path("block/sdb")).unwrap();
        thread::sleep(Duration::from_secs(2));
        machine.add("sdb", &context);
    };
    let outcome = soon(&machine, change, || {
        machine.search(None, LONG, true, |_| DriveStatus::Ready)
    });
    came_late(&outcome, "sdb");

    // An empty drive gets a medium.
    static ASKED: AtomicU8 = AtomicU8::new(0);
    let machine = Machine::new().device("sr0", &context);
    let outcome = machine.search(None, LONG, true, |_| {
        if ASKED.fetch_add(1, Ordering::Relaxed) < 4 {
            DriveStatus::Empty
        } else {
            DriveStatus::Ready
        }
    });
    came_late(&outcome, "sr0");
}

#[test]
fn settled_devices_are_read_once() {
    let context = labelled("CONTEXT");
    let machine = Machine::new().device("sda", NO_FILE_SYSTEM);
    machine.0.write("queue", "");
    // The file changes without an event, so the search does not look again.
    let change = |machine: &Machine| {
        let mut file = fs::File::create(machine.0.path("dev/sda")).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&context).unwrap();
    };
    let outcome = soon(&machine, change, || {
        machine.search(None, 3, false, |_| DriveStatus::Ready)
    });
    assert_eq!(outcome.found, Ok(None), "{outcome:?}");
}

#[test]
fn a_named_device_is_the_only_one_that_counts() {
    let other = labelled("anything");
    let machine = Machine::new()
        .device("sr0", labelled("CONTEXT"))
        .device("vdb", &other)
        .device("vdc", NO_FILE_SYSTEM)
        .device("vdd", foreign("CONTEXT"))
        .device("vde", truncated("CONTEXT"));
    let named = |name: &str| machine.search(Some(name), LONG, false, |_| DriveStatus::Ready);
    named("vdb").is("vdb");
    named(&machine.path("dev/vdb")).is("vdb");
    // A loop device works as well.
    machine.0.write("dev/loop0", &other);
    named("loop0").is("loop0");
    for (name, reason) in [
        ("vdc", "neither a text nor a whole ISO 9660 image"),
        ("vdd", "there is no context.sh"),
        ("vde", "the image is truncated: it ends before its own data"),
    ] {
        let outcome = named(name);
        assert_eq!(outcome.found, Err(reason.into()), "{outcome:?}");
        assert!(
            outcome.lines.is_empty() && outcome.seconds < IN_TIME,
            "{outcome:?}"
        );
    }
}

#[test]
fn a_named_device_is_waited_for() {
    let context = labelled("CONTEXT");
    let machine = Machine::new();
    let appear = |machine: &Machine| machine.add("sr1", &context);
    let outcome = soon(&machine, appear, || {
        machine.search(Some("sr1"), LONG, false, |_| DriveStatus::Ready)
    });
    came_late(&outcome, "sr1");

    let outcome = machine.search(Some("sr2"), 1, false, |_| DriveStatus::Ready);
    assert_eq!(outcome.found, Err("No such file or directory".into()));
    assert!((1.0..IN_TIME).contains(&outcome.seconds), "{outcome:?}");
}

#[test]
fn a_thousand_devices() {
    let machine = Machine::new().device("vdzz", labelled("CDROM"));
    for number in 0..1000 {
        machine.add(&format!("sd{number}"), []);
    }
    let outcome = machine.look();
    assert_eq!(outcome.found, Ok(Some("dev/vdzz".into())));
}
