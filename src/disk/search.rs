//! Finding the context disk among the block devices of the machine.
//!
//! udev's `by-label` links are not used: some initramfs images have no rules that make
//! them for optical drives. Sector 16 of each device is read instead.
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, openat};
use rustix::io::Errno;
use ufmt::uwrite;

use super::drive::DriveStatus;
use super::iso9660::{Descriptor, Iso};
use super::medium::{Disk, Medium, NO_CONTEXT, OpenFile, open};
use crate::base::context_files::{CONTEXT, Files};
use crate::base::error::Error;
use crate::base::getdents::names;
use crate::base::log::{Level, Report};
use crate::base::memory::{self, Vector};
use crate::base::sort::sort;
use crate::base::text::{c_str, same, words};
use crate::base::wait::Wait;

/// What the lines of the report begin with.
const STEP: &str = "context disk";
/// How often an unreadable optical drive or named device is tried again, 100 ms apart.
/// A drive may refuse its first reads after it has reported that it is ready.
const TRIES: u8 = 5;

/// How to look for the disk.
#[derive(Clone, Copy)]
pub struct Search<'s> {
    /// The only device that counts: a path, or a name in `/dev`. It may also
    /// be an image, a directory or a lone `context.sh`.
    pub device: Option<&'s CStr>,
    /// The longest wait for pending devices, in seconds.
    pub wait: u32,
    /// A context is required: wait even if nothing is pending, and a missing disk is an
    /// error.
    pub required: bool,
    /// Where to look.
    pub paths: SystemPaths<'s>,
}

/// The paths and the ioctl that the search uses.
#[derive(Clone, Copy)]
pub struct SystemPaths<'s> {
    /// The directory with one entry for each block device, partitions too.
    pub block: &'s CStr,
    /// The directory with their nodes.
    pub dev: &'s CStr,
    /// Exists while udev has events to handle.
    pub queue: &'s CStr,
    /// Asks an optical drive for its status.
    pub status: fn(BorrowedFd<'_>) -> DriveStatus,
}

impl SystemPaths<'_> {
    /// The paths of the running system.
    pub const SYSTEM: SystemPaths<'static> = SystemPaths {
        block: c"/sys/class/block",
        dev: c"/dev",
        // Made and removed by systemd-udevd and eudev (`src/udev/udevd.c`).
        queue: c"/run/udev/queue",
        status: DriveStatus::of,
    };

    /// Whether udev has events to handle: a drive or NIC may still appear, or be
    /// renamed.
    pub fn udev_is_busy(&self) -> bool {
        accessat(CWD, self.queue, Access::EXISTS, AtFlags::empty()).is_ok()
    }
}

/// Looks for the context disk, and reports what was unusable.
///
/// A device counts if it holds `context.sh` in an ISO 9660 image. The best is the one
/// whose label comes first in `CONTEXT`, `_STRATUSLAB`, `CDROM`, and any other on `hdc`
/// and `sr0`; of one label, optical drives come before others; then names decide. The
/// search ends at a device that no other can beat.
///
/// There is no delay unless something is pending: udev has events to handle, an optical
/// drive is becoming ready, or the disk is required.
///
/// # Errors
/// Why there is no disk, if a device is named or the disk is required. The error of a
/// named device is not in the report yet.
pub fn search(report: &mut Report, options: &Search<'_>) -> Result<Option<Disk>, Error> {
    match options.device {
        Some(device) => {
            report.begin(c"read", device.to_bytes());
            named(device, options).map(Some)
        }
        None => any(report, options),
    }
}

/// Opens the named device, and waits for it if necessary.
fn named(device: &CStr, options: &Search<'_>) -> Result<Disk, Error> {
    let device = device.to_bytes();
    let parts: [&[u8]; 3] = match device.first() {
        Some(b'/') => [b"", b"", device],
        _ => [options.paths.dev.to_bytes(), b"/", device],
    };
    let path = c_str(&parts)?;
    let mut wait = Wait::seconds(options.wait);
    let mut tries = 0..TRIES;
    loop {
        let found = Disk::open(path).and_then(|disk| Ok((disk.has(CONTEXT)?, disk)));
        let error = match found {
            Ok((true, disk)) => return Ok(disk),
            Ok((false, _)) => return Err(NO_CONTEXT),
            Err(error) => error,
        };
        let on_its_way = error == DriveStatus::NOT_READY
            || error.is(&[Errno::NOENT, Errno::NXIO, Errno::NODEV])
            || error == Errno::NOMEDIUM && options.required
            || error == Errno::IO && tries.next().is_some();
        if !on_its_way || !wait.sleep() {
            return Err(error);
        }
    }
}

/// The best device.
fn any(report: &mut Report, options: &Search<'_>) -> Result<Option<Disk>, Error> {
    let mut scan = Scan {
        paths: options.paths,
        candidates: Vector::new(),
        pass: 0,
        best: None,
    };
    let mut wait = Wait::seconds(options.wait);
    loop {
        // Asked before the pass: if udev finishes during it, the next pass sees the
        // result.
        let udev_is_busy = options.paths.udev_is_busy();
        if let Err(reason) = scan.run_pass(report) {
            report.problem(c"context disk", options.paths.block.to_bytes(), reason);
            break;
        }
        let found = match &scan.best {
            Some((rank, _)) if scan.cannot_be_beaten(rank) => break,
            best => best.is_some(),
        };
        let pending = if udev_is_busy {
            "udev still has devices to handle"
        } else if scan.drive_is_pending() {
            "a drive is still becoming ready"
        } else if options.required && !found {
            "none has appeared"
        } else {
            break;
        };
        if !wait.sleep() {
            let level = if found { Level::Note } else { Level::Problem };
            let mut line = report.line();
            uwrite!(line, "{}: waited {} s: {}", STEP, options.wait, pending);
            report.say(level, line);
            break;
        }
    }
    match scan.best {
        Some((_, disk)) => Ok(Some(disk)),
        None => {
            scan.report_missed(report);
            if options.required {
                return Err(Error::new(c"it is required, and there is none"));
            }
            Ok(None)
        }
    }
}

struct Scan<'s> {
    paths: SystemPaths<'s>,
    /// Every device seen, in their [`order`].
    candidates: Vector<Candidate>,
    /// The number of the current pass over the devices.
    pass: u32,
    best: Option<(Rank, Disk)>,
}

#[derive(Clone, Copy)]
struct Candidate {
    /// Its device node.
    path: &'static CStr,
    /// Its kernel name.
    name: &'static [u8],
    optical: bool,
    /// The last pass that listed it.
    listed: u32,
    state: CandidateState,
}

#[derive(Clone, Copy)]
enum CandidateState {
    /// Settled: not examined again.
    Done,
    /// Not examined yet, or without a medium.
    Empty,
    /// It is becoming ready.
    NotReady,
    /// This many reads failed.
    Failing(u8),
    /// It has no node, or it is unreadable and no optical drive. The latter may be
    /// normal, as for the passive path of a multipath disk, so it is reported only if
    /// no disk is found.
    Missed(Error),
}

/// The rank of a device; the smaller is the better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    label: VolumeLabel,
    not_optical: bool,
    name: &'static [u8],
}

/// The labels that count, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum VolumeLabel {
    /// `CONTEXT`: OpenNebula 4.2 and later.
    Context,
    /// `_STRATUSLAB`: StratusLab's own.
    StratusLab,
    /// `CDROM`: the default volume name of mkisofs, which OpenNebula up to 4.0 left as
    /// it was.
    Cdrom,
    /// Any other, on a device where the sample scripts of OpenNebula up to 4.0
    /// and of StratusLab look.
    Other,
}

impl VolumeLabel {
    /// `None`: a disk of this label does not count. Letters compare in any
    /// case, as some tools write labels in lower case.
    fn of(label: &[u8], name: &[u8]) -> Option<Self> {
        if same(label, b"CONTEXT") {
            return Some(Self::Context);
        }
        if same(label, b"_STRATUSLAB") {
            return Some(Self::StratusLab);
        }
        if same(label, b"CDROM") {
            return Some(Self::Cdrom);
        }
        matches!(name, b"hdc" | b"sr0").then_some(Self::Other)
    }

    /// Whether only context disks have this label.
    fn is_ours(self) -> bool {
        matches!(self, Self::Context | Self::StratusLab)
    }
}

/// `sr` is the kernel's driver of SCSI optical drives. `hd` is the old IDE driver
/// (until Linux 5.14); its hard disks have such names too, which affects only the order
/// of equal labels and the handling of read errors.
fn is_optical(name: &[u8]) -> bool {
    matches!(name, [b's', b'r', b'0'..=b'9', ..] | [b'h', b'd', ..])
}

/// Whether a device is never a context disk. Memory and files (`loop`, `ram`, `zram`)
/// hold only what the machine put there. An empty floppy drive (`fd`) takes seconds to
/// report that. Raw flash (`mtd`) is no disk. Devices made of others (`dm-`, `md`) or
/// of a network (`nbd`, `drbd`) can block their readers without limit, and the devices
/// below them are read themselves.
fn is_skipped(name: &[u8]) -> bool {
    words(b"loop ram zram fd mtd dm- md nbd drbd").any(|prefix| name.starts_with(prefix))
}

/// The part of a [`Rank`] that is known before reading: optical drives come first, then
/// names decide.
fn order(name: &[u8]) -> (bool, &[u8]) {
    (!is_optical(name), name)
}

impl Scan<'_> {
    /// One pass over all devices that are not settled.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    fn run_pass(&mut self, report: &mut Report) -> Result<(), Error> {
        self.list()?;
        for position in 0..self.candidates.len() {
            let Some(candidate) = self.candidates.get(position).copied() else {
                break;
            };
            if candidate.listed != self.pass || matches!(candidate.state, CandidateState::Done) {
                continue;
            }
            let state = self.examine(&candidate, report);
            if let Some(candidate) = self.candidates.get_mut(position) {
                candidate.state = state;
            }
            if matches!(&self.best, Some((key, _)) if key.label == VolumeLabel::Context) {
                // All others rank behind it, by kind or name.
                break;
            }
        }
        Ok(())
    }

    /// Lists the devices. Those known and settled stay as they are.
    fn list(&mut self) -> Result<(), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, self.paths.block, flags, Mode::empty())?;
        let last = self.pass;
        let pass = last.wrapping_add(1);
        self.pass = pass;
        let mut new = Vector::new();
        names(directory.as_fd(), &mut |name| {
            if is_skipped(name) {
                return Ok(());
            }
            match self.known(name) {
                Some(known) => {
                    if known.listed != last {
                        // A device that was gone and is back may be another one.
                        known.state = CandidateState::Empty;
                    }
                    known.listed = pass;
                }
                None => new.push(self.candidate(name)?),
            }
            Ok(())
        })?;
        self.candidates.extend(&new);
        sort(&mut self.candidates, |one, other| {
            order(one.name) < order(other.name)
        });
        Ok(())
    }

    /// The candidate of this name, if an earlier pass listed it.
    fn known(&mut self, name: &[u8]) -> Option<&mut Candidate> {
        let is_before = |candidate: &Candidate| order(candidate.name) < order(name);
        let position = self.candidates.partition_point(is_before);
        let candidate = self.candidates.get_mut(position)?;
        (candidate.name == name).then_some(candidate)
    }

    fn candidate(&self, name: &[u8]) -> Result<Candidate, Error> {
        // sysfs writes the slash of a name such as cciss/c0d0 as `!`.
        let node = memory::copy(name);
        for byte in node.iter_mut().filter(|byte| **byte == b'!') {
            *byte = b'/';
        }
        Ok(Candidate {
            path: c_str(&[self.paths.dev.to_bytes(), b"/", node])?,
            name: memory::copy(name),
            optical: is_optical(name),
            listed: self.pass,
            state: CandidateState::Empty,
        })
    }

    /// Finds out whether a device is a context disk.
    fn examine(&mut self, candidate: &Candidate, report: &mut Report) -> CandidateState {
        let failures = match candidate.state {
            CandidateState::Failing(failures) => failures,
            _ => 0,
        };
        report.begin(c"read", candidate.path.to_bytes());
        match self.open(candidate) {
            Ok(state) => state,
            Err(error) if error == Errno::NOENT => {
                CandidateState::Missed(Error::new(c"the device has no node"))
            }
            Err(error) if error == Errno::NOMEDIUM => CandidateState::Empty,
            Err(error) if error.errno().is_some() && !candidate.optical => {
                CandidateState::Missed(error)
            }
            Err(error) if error.errno().is_some() && failures < TRIES => {
                CandidateState::Failing(failures + 1)
            }
            Err(reason) => {
                report.problem(c"context disk", candidate.path.to_bytes(), reason);
                CandidateState::Done
            }
        }
    }

    /// Keeps the device if it is a context disk, and better than the best.
    ///
    /// # Errors
    /// The device could not be read, or it has a label of ours and no usable context.
    fn open(&mut self, candidate: &Candidate) -> Result<CandidateState, Error> {
        let device = OpenFile(open(CWD, candidate.path)?);
        if candidate.optical {
            match (self.paths.status)(device.0.as_fd()) {
                DriveStatus::Ready => {}
                DriveStatus::Empty => return Ok(CandidateState::Empty),
                DriveStatus::NotReady => return Ok(CandidateState::NotReady),
            }
        }
        let mut descriptor = Descriptor::empty();
        if !descriptor.read_first(&device)? {
            return Ok(CandidateState::Done);
        }
        let Some(label) = VolumeLabel::of(descriptor.label(), candidate.name) else {
            return Ok(CandidateState::Done);
        };
        let key = Rank {
            label,
            not_optical: !candidate.optical,
            name: candidate.name,
        };
        if matches!(&self.best, Some((best, _)) if *best < key) {
            return Ok(CandidateState::Done);
        }
        let iso = Iso::open(device, &mut descriptor)?;
        if iso.has(CONTEXT)? {
            let disk = Disk {
                source: candidate.path.to_bytes(),
                medium: Medium::Iso(iso),
            };
            self.best = Some((key, disk));
        } else if label.is_ours() {
            return Err(NO_CONTEXT);
        }
        Ok(CandidateState::Done)
    }

    fn drive_is_pending(&self) -> bool {
        self.pending_drives().next().is_some()
    }

    fn pending_drives(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| {
            candidate.listed == self.pass
                && matches!(
                    candidate.state,
                    CandidateState::NotReady | CandidateState::Failing(_)
                )
        })
    }

    /// Whether no other device can beat this rank: it has the best label, and no
    /// pending drive comes before it in [`order`].
    fn cannot_be_beaten(&self, rank: &Rank) -> bool {
        let mut pending = self.pending_drives();
        rank.label == VolumeLabel::Context
            && !pending.any(|drive| order(drive.name) < (rank.not_optical, rank.name))
    }

    /// Reports the devices that might have been the context disk.
    fn report_missed(&self, report: &mut Report) {
        for candidate in self.candidates.iter() {
            if let CandidateState::Missed(reason) = candidate.state {
                report.problem(c"context disk", candidate.path.to_bytes(), reason);
            }
        }
    }
}
