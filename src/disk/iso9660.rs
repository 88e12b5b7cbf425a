//! ISO 9660, as far as a context disk needs it: the files of the root
//! directory, by their Rock Ridge, Joliet or plain names, without a mount.
//!
//! Sources: ECMA-119 (the sections named below), the System Use Sharing Protocol (SUSP,
//! IEEE P1281) and the Rock Ridge Interchange Protocol (RRIP, IEEE P1282), Microsoft's
//! Joliet specification, and Linux' `fs/isofs` for what to do where disks and standards
//! differ. The image is not trusted: each offset is checked against the size of the
//! image before it is read, and each loop is bounded by what was read.
//!
//! Nothing but the content of a file is allocated, so that a search that is repeated
//! while a drive becomes ready takes no memory. A directory is read sector by sector.
use core::mem;
use core::slice;

use rustix::io::Errno;

use crate::base::error::Error;
use crate::base::memory;
use crate::base::text::{same, split_once};

/// The largest file of a context that is read, in bytes: a sanity limit.
/// Servers write some kilobytes.
pub const LARGEST: usize = 16 << 20;

const TOO_LARGE: Error = Error::new(c"larger than 16 MiB");

/// Bytes of a logical sector (ECMA-119, 6.1.2). No directory record crosses a sector
/// boundary (6.8.1.1), even if the logical blocks are smaller.
const SECTOR: usize = 2048;
/// The first sector of the volume descriptor set (ECMA-119, 6.2.1, 6.7.1).
const FIRST_DESCRIPTOR: u64 = 16;
/// Where the search ends in a set without terminator, as in isofs (`fs/isofs/inode.c`,
/// `isofs_fill_super`).
const LAST_DESCRIPTOR: u64 = 100;
/// The most continuation areas that one search of the directory reads. They are needed
/// only for names that begin like the one looked for.
const CONTINUATIONS: u32 = 1 << 16;

/// File flags (ECMA-119, 9.1.6).
const DIRECTORY: u8 = 1 << 1;
const ASSOCIATED: u8 = 1 << 2;
const MULTI_EXTENT: u8 = 1 << 7;

/// Bytes of a directory record before its name (ECMA-119, 9.1).
const FIXED: usize = 33;

const TRUNCATED: Error = Error::new(c"the image is truncated: it ends before its own data");
const BAD_RECORD: Error = Error::new(c"the root directory of the image is damaged");

/// Where an image is read from: a file or block device, or plain bytes in
/// tests.
pub trait ReadAt {
    /// The size in bytes.
    fn size(&self) -> Result<u64, Errno>;

    /// Reads at `offset`, in bytes. May read fewer bytes than asked for; 0 is the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// Reads until the buffer is full or the source ends. Returns the number of bytes
    /// read.
    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut filled = 0;
        while let Some(rest @ [_, ..]) = buffer.get_mut(filled..) {
            let count = self.read_at(rest, offset + filled as u64)?;
            if count == 0 {
                break;
            }
            filled += count;
        }
        Ok(filled)
    }
}

impl ReadAt for &[u8] {
    fn size(&self) -> Result<u64, Errno> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.get(offset..).unwrap_or_default();
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(rest.len().min(buffer.len()))
    }
}

fn read_exact(source: &impl ReadAt, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    if source.fill_at(buffer, offset)? < buffer.len() {
        return Err(TRUNCATED);
    }
    Ok(())
}

/// `N` bytes at `at`; zeros where there are fewer.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|bytes| bytes.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

/// A number in both byte orders (ECMA-119, 7.3.3). Where the two disagree,
/// the little-endian one counts, as in isofs.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

/// A volume descriptor: primary (ECMA-119, 8.4), supplementary (8.5), or
/// another of the set.
pub struct Descriptor([u8; SECTOR]);

impl Descriptor {
    /// Values of `kind` (ECMA-119, 8.1.1).
    const PRIMARY: u8 = 1;
    const SUPPLEMENTARY: u8 = 2;
    const TERMINATOR: u8 = 255;

    /// An empty buffer for a descriptor.
    pub const fn empty() -> Self {
        Self([0; SECTOR])
    }

    /// Reads sector 16; `false` if no volume descriptor is there.
    pub fn read_first(&mut self, source: &impl ReadAt) -> Result<bool, Errno> {
        self.read(source, FIRST_DESCRIPTOR)
    }

    fn read(&mut self, source: &impl ReadAt, sector: u64) -> Result<bool, Errno> {
        let filled = source.fill_at(&mut self.0, sector * SECTOR as u64)?;
        Ok(filled == SECTOR && array(&self.0, 1) == *b"CD001")
    }

    /// The volume's name, without its padding.
    pub fn label(&self) -> &[u8] {
        let mut label = self.0.get(40..72).unwrap_or_default();
        while let [rest @ .., b' ' | 0] = label {
            label = rest;
        }
        label
    }

    fn kind(&self) -> u8 {
        u8::from_le_bytes(array(&self.0, 0))
    }

    /// Whether the names are Joliet's: UCS-2 of level 1, 2 or 3.
    fn is_joliet(&self) -> bool {
        self.kind() == Self::SUPPLEMENTARY
            && matches!(array(&self.0, 88), [b'%', b'/', b'@' | b'C' | b'E'])
    }
}

/// Which names the records of the root directory carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameSystem {
    /// `NM` entries, after this many bytes of each system use area.
    RockRidge(u8),
    /// UCS-2, big-endian.
    Joliet,
    /// `CONTEXT.SH;1`
    Plain,
}

/// An opened image.
pub struct Iso<S> {
    source: S,
    /// Bytes of the image.
    size: u64,
    tree: Tree,
    names: NameSystem,
    /// The first sector of the root directory, which is nearly always all of it.
    first: [u8; SECTOR],
}

/// A root directory, and the block size of its volume.
#[derive(Clone, Copy, Default)]
struct Tree {
    /// Bytes of a logical block.
    block: u16,
    /// The bytes of the directory.
    root: Extent,
}

impl Tree {
    /// Bytes of the sector that begins at this place of the directory. The last one may
    /// be shorter than others.
    fn sector_size(&self, start: usize) -> usize {
        SECTOR.min((self.root.length as usize).saturating_sub(start))
    }
}

/// Consecutive bytes of the image.
#[derive(Clone, Copy, Default)]
struct Extent {
    /// Bytes from the start of the image.
    start: u64,
    /// In bytes.
    length: u32,
}

/// A file of an image. All of it lies within the image.
struct File {
    /// The place of its first record.
    first: usize,
    /// Bytes of all its sections (ECMA-119, 6.5.1).
    length: u64,
}

impl<S: ReadAt> Iso<S> {
    /// Opens the image whose sector 16 was read into `descriptor`.
    ///
    /// Rock Ridge names are preferred, as in isofs: they are the server's own,
    /// while Joliet shortens long ones.
    pub fn open(source: S, descriptor: &mut Descriptor) -> Result<Self, Error> {
        let mut iso = Self {
            size: source.size()?,
            source,
            // The primary descriptor has it.
            tree: Tree::default(),
            names: NameSystem::Plain,
            first: [0; SECTOR],
        };
        let mut has_primary = false;
        let mut joliet = None;
        let mut sector = FIRST_DESCRIPTOR;
        loop {
            match descriptor.kind() {
                Descriptor::PRIMARY if !has_primary => {
                    has_primary = true;
                    iso.take_tree(iso.tree_of(descriptor)?)?;
                    if let Some(skip) = iso.system_use()? {
                        iso.names = NameSystem::RockRidge(skip);
                        return Ok(iso);
                    }
                }
                Descriptor::TERMINATOR => break,
                // If it is damaged, the plain names can still be read.
                _ if joliet.is_none() && descriptor.is_joliet() => {
                    joliet = iso.tree_of(descriptor).ok();
                }
                _ => {}
            }
            sector += 1;
            if sector == LAST_DESCRIPTOR || !descriptor.read(&iso.source, sector)? {
                break;
            }
        }
        if !has_primary {
            return Err(Error::new(c"the image has no primary volume descriptor"));
        }
        if let Some(joliet) = joliet {
            iso.take_tree(joliet)?;
            iso.names = NameSystem::Joliet;
        }
        Ok(iso)
    }

    /// The descriptor's root directory.
    fn tree_of(&self, descriptor: &Descriptor) -> Result<Tree, Error> {
        let block = u16::from_le_bytes(array(&descriptor.0, 128));
        // ECMA-119, 6.2.2 allows more, but isofs and all makers of images
        // know only these.
        if !matches!(block, 512 | 1024 | 2048) {
            return Err(Error::new(
                c"the image's logical blocks are not of 512, 1024 or 2048 bytes",
            ));
        }
        let root = self.extent(block, &array(&descriptor.0, 156))?;
        if root.length as usize > LARGEST {
            return Err(Error::new(
                c"the root directory of the image is larger than 16 MiB",
            ));
        }
        Ok(Tree { block, root })
    }

    fn take_tree(&mut self, tree: Tree) -> Result<(), Error> {
        self.tree = tree;
        let first = self
            .first
            .get_mut(..tree.sector_size(0))
            .unwrap_or_default();
        read_exact(&self.source, first, tree.root.start)
    }

    /// Where the data of a directory record lies (ECMA-119, 9.1.2 to 9.1.4): behind its
    /// extended attribute record, whose length is in logical blocks.
    fn extent(&self, block: u16, record: &[u8; FIXED]) -> Result<Extent, Error> {
        let [attributes] = array(record, 1);
        let first = u64::from(number(record, 2)) + u64::from(attributes);
        let extent = Extent {
            start: first * u64::from(block),
            length: number(record, 10),
        };
        // An empty file may lie anywhere.
        if extent.length > 0 && extent.start + u64::from(extent.length) > self.size {
            return Err(TRUNCATED);
        }
        Ok(extent)
    }

    /// Whether the image uses SUSP, and how many bytes to skip in each system
    /// use area: the entry `SP` in the first record of the root says so
    /// (SUSP, 5.3). On CD-ROM XA it comes behind 14 other bytes.
    fn system_use(&self) -> Result<Option<u8>, Error> {
        let mut records = Records::of(self);
        let area = match records.next()? {
            Some(first) => records.at(first)?.system_use,
            None => b"",
        };
        Ok([0, 14].into_iter().find_map(|skip| {
            let [sp @ .., skip] = array::<7>(area, skip);
            (sp == *b"SP\x07\x01\xbe\xef").then_some(skip)
        }))
    }

    /// Whether there is a file with this name in the root directory: the exact name, or
    /// one that differs only in case.
    ///
    /// # Errors
    /// The directory, or a record of the file, is damaged or cannot be read.
    pub fn has(&self, name: &[u8]) -> Result<bool, Error> {
        Ok(self.find(name)?.is_some())
    }

    /// Reads the whole file with this name, see [`Iso::has`]; `None` if there is none.
    ///
    /// # Errors
    /// As [`Iso::has`]; the file cannot be read, or is larger than [`LARGEST`].
    pub fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error> {
        let Some(file) = self.find(name)? else {
            return Ok(None);
        };
        let content = place_for(file.length)?;
        let mut rest = &mut *content;
        let mut records = Records::of(self);
        records.next = file.first;
        records.sections(&mut |section| {
            let (place, after) = mem::take(&mut rest)
                .split_at_mut_checked(section.length as usize)
                .ok_or(BAD_RECORD)?;
            rest = after;
            read_exact(&self.source, place, section.start)
        })?;
        Ok(Some(content))
    }

    /// Looks for a file in the root directory: the exact name, else the first
    /// that differs only in case. `None`: there is none.
    fn find(&self, name: &[u8]) -> Result<Option<File>, Error> {
        let mut records = Records::of(self);
        let mut best = Match::No;
        let mut found = None;
        let mut continuations = CONTINUATIONS;
        while let Some(first) = records.next_of_file()? {
            let matched = self.compare(&records.at(first)?, name, &mut continuations)?;
            records.next = first;
            if matched <= best {
                records.skip_sections()?;
                continue;
            }
            best = matched;
            let mut length = 0;
            records.sections(&mut |section| {
                length += u64::from(section.length);
                Ok(())
            })?;
            found = Some(File { first, length });
            if best == Match::Exact {
                break;
            }
        }
        Ok(found)
    }

    fn compare(
        &self,
        record: &Record<'_>,
        name: &[u8],
        continuations: &mut u32,
    ) -> Result<Match, Error> {
        Ok(match self.names {
            NameSystem::RockRidge(skip) => {
                let area = record.system_use.get(skip.into()..).unwrap_or_default();
                match self.compare_rock_ridge(area, name, continuations)? {
                    Some(matched) => matched,
                    None => compare_plain(record.name, name),
                }
            }
            NameSystem::Joliet => compare_joliet(record.name, name),
            NameSystem::Plain => compare_plain(record.name, name),
        })
    }

    /// Compares with the name in a system use area and in the areas that continue it
    /// (SUSP, 5.1). `None`: no name is there.
    fn compare_rock_ridge(
        &self,
        area: &[u8],
        name: &[u8],
        continuations: &mut u32,
    ) -> Result<Option<Match>, Error> {
        let mut comparison = RockRidgeComparison::with(name);
        let mut buffer = [0; SECTOR];
        let mut next = comparison.take(area);
        while let Some(continuation) = next {
            // This also ends a chain of areas that loops.
            *continuations = continuations
                .checked_sub(1)
                .ok_or(Error::new(c"the image has names without an end"))?;
            let area = buffer
                .get_mut(..continuation.length as usize)
                .ok_or(Error::new(
                    c"a name of the image continues beyond its sector",
                ))?;
            let block = u64::from(continuation.block) * u64::from(self.tree.block);
            read_exact(&self.source, area, block + u64::from(continuation.offset))?;
            next = comparison.take(area);
        }
        Ok(comparison.end())
    }
}

/// The records of the root directory, in their order.
struct Records<'i, S> {
    iso: &'i Iso<S>,
    /// The place of the next record: bytes from the start of the directory.
    next: usize,
    /// The sector that was read last, and its place in the directory; none at 0.
    sector: [u8; SECTOR],
    read: usize,
}

impl<'i, S: ReadAt> Records<'i, S> {
    fn of(iso: &'i Iso<S>) -> Self {
        Self {
            iso,
            next: 0,
            sector: [0; SECTOR],
            read: 0,
        }
    }

    /// The place of the next record.
    fn next(&mut self) -> Result<Option<usize>, Error> {
        while self.next < self.iso.tree.root.length as usize {
            let place = self.next;
            match self.sector_from(place)?.first() {
                // The sector holds no more records (ECMA-119, 6.8.1.1).
                None | Some(0) => self.next = (place / SECTOR + 1) * SECTOR,
                Some(length) => {
                    self.next = place + usize::from(*length);
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }

    /// The place of the next record of a file.
    fn next_of_file(&mut self) -> Result<Option<usize>, Error> {
        while let Some(place) = self.next()? {
            if self.at(place)?.is_file() {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// The record at this place.
    fn at(&mut self, place: usize) -> Result<Record<'_>, Error> {
        Record::first_of(self.sector_from(place)?).ok_or(BAD_RECORD)
    }

    /// The sector with this place of the directory, from there on.
    fn sector_from(&mut self, place: usize) -> Result<&[u8], Error> {
        let iso = self.iso;
        let offset = place % SECTOR;
        let start = place - offset;
        let size = iso.tree.sector_size(start);
        let sector = if start == 0 {
            iso.first.get(..size)
        } else {
            let sector = self.sector.get_mut(..size).unwrap_or_default();
            if self.read != start {
                read_exact(&iso.source, sector, iso.tree.root.start + start as u64)?;
                self.read = start;
            }
            Some(&*sector)
        };
        Ok(sector
            .and_then(|sector| sector.get(offset..))
            .unwrap_or_default())
    }

    /// Passes each section of the file that begins with the next record to `each`.
    fn sections(&mut self, each: &mut dyn FnMut(Extent) -> Result<(), Error>) -> Result<(), Error> {
        let iso = self.iso;
        loop {
            let place = self
                .next_of_file()?
                .ok_or(Error::new(c"the file's last section is missing"))?;
            let record = self.at(place)?;
            // File unit size and interleave gap size (ECMA-119, 6.4.3).
            if array(record.fixed, 26) != [0, 0] {
                return Err(Error::new(c"the file is interleaved"));
            }
            let is_last = !record.has_more_sections();
            each(iso.extent(iso.tree.block, record.fixed)?)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Skips the sections of a file, beginning with the next record.
    fn skip_sections(&mut self) -> Result<(), Error> {
        while let Some(place) = self.next_of_file()? {
            if !self.at(place)?.has_more_sections() {
                break;
            }
        }
        Ok(())
    }
}

/// A directory record (ECMA-119, 9.1).
struct Record<'b> {
    fixed: &'b [u8; FIXED],
    flags: u8,
    name: &'b [u8],
    /// The system use area (9.1.13), for SUSP.
    system_use: &'b [u8],
}

impl<'b> Record<'b> {
    /// Whether it describes a file: no directory and no associated file (9.1.6).
    fn is_file(&self) -> bool {
        self.flags & (DIRECTORY | ASSOCIATED) == 0
    }

    fn has_more_sections(&self) -> bool {
        self.flags & MULTI_EXTENT != 0
    }

    /// The record at the start of these bytes; `None` if it is damaged.
    fn first_of(sector: &'b [u8]) -> Option<Self> {
        let record = sector.get(..usize::from(*sector.first()?))?;
        let (fixed, rest) = record.split_first_chunk()?;
        let [flags, .., length] = array::<8>(fixed, 25);
        let (name, rest) = rest.split_at_checked(length.into())?;
        // A name of even length is padded (9.1.12).
        let padding = usize::from(length % 2 == 0);
        Some(Self {
            fixed,
            flags,
            name,
            system_use: rest.get(padding..).unwrap_or_default(),
        })
    }
}

/// The first entry of a system use area, and the rest (SUSP, 4). What does
/// not fit ends the area, as in isofs.
fn split_entry(area: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = area.get(2).copied().filter(|length| *length >= 4)?;
    area.split_at_checked(length.into())
}

/// How well two names agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    No,
    /// Equal except for the case of ASCII letters.
    Nearly,
    Exact,
}

/// Compares a name that comes in parts.
struct Comparison<'n> {
    rest: &'n [u8],
    matched: Match,
}

impl<'n> Comparison<'n> {
    fn with(name: &'n [u8]) -> Self {
        Self {
            rest: name,
            matched: Match::Exact,
        }
    }

    fn take(&mut self, part: &[u8]) {
        let matched = match self.rest.split_at_checked(part.len()) {
            Some((head, rest)) => {
                self.rest = rest;
                if head == part {
                    Match::Exact
                } else if same(head, part) {
                    Match::Nearly
                } else {
                    Match::No
                }
            }
            None => Match::No,
        };
        self.matched = self.matched.min(matched);
    }

    fn end(&self) -> Match {
        if self.rest.is_empty() {
            self.matched
        } else {
            Match::No
        }
    }
}

/// Compares with a name that Rock Ridge entries hold (RRIP, 4.1.4).
struct RockRidgeComparison<'n> {
    comparison: Comparison<'n>,
    /// Whether an entry of the name was there.
    is_named: bool,
}

/// Where a system use area is continued (SUSP, 5.1).
struct Continuation {
    /// The logical block, an offset in it, and the length, both in bytes.
    block: u32,
    offset: u32,
    length: u32,
}

impl<'n> RockRidgeComparison<'n> {
    fn with(name: &'n [u8]) -> Self {
        Self {
            comparison: Comparison::with(name),
            is_named: false,
        }
    }

    /// Takes the part of the name that an area holds. Returns where the area is
    /// continued, if the rest of the name matters.
    fn take(&mut self, mut area: &[u8]) -> Option<Continuation> {
        const CONTINUE: u8 = 1;
        /// Stands for `.` or `..`.
        const CURRENT_OR_PARENT: u8 = 2 | 4;
        let mut next = None;
        while let Some((entry, rest)) = split_entry(area) {
            area = rest;
            match entry {
                [b'N', b'M', _, _, flags, part @ ..] if flags & CURRENT_OR_PARENT == 0 => {
                    self.is_named = true;
                    self.comparison.take(part);
                    if flags & CONTINUE == 0 || self.comparison.matched == Match::No {
                        return None;
                    }
                }
                [b'C', b'E', ..] => {
                    next = Some(Continuation {
                        block: number(entry, 4),
                        offset: number(entry, 12),
                        length: number(entry, 20),
                    });
                }
                [b'S', b'T', ..] => break,
                _ => {}
            }
        }
        next
    }

    /// `None`: there was no entry of a name.
    fn end(&self) -> Option<Match> {
        self.is_named.then(|| self.comparison.end())
    }
}

/// Compares with a plain name such as `CONTEXT.SH;1` (ECMA-119, 7.5.1), without its
/// version and without the final dot of a name that has no extension.
fn compare_plain(record: &[u8], name: &[u8]) -> Match {
    let record = split_once(record, b';').map_or(record, |(record, _)| record);
    let mut comparison = Comparison::with(name);
    comparison.take(record.strip_suffix(b".").unwrap_or(record));
    comparison.end()
}

/// Compares with a UCS-2 name. Version and final dot are left out as in isofs'
/// `get_joliet_filename`. Only ASCII names can match: the files of a context have no
/// others.
fn compare_joliet(record: &[u8], name: &[u8]) -> Match {
    let record = record.strip_suffix(b"\0;\x001").unwrap_or(record);
    let record = record.strip_suffix(b"\0.").unwrap_or(record);
    let mut comparison = Comparison::with(name);
    for unit in record.chunks(2) {
        comparison.take(match unit {
            [0, ascii] => slice::from_ref(ascii),
            // A byte that is in no name.
            _ => &[0xff],
        });
    }
    comparison.end()
}

/// The whole content of a source that is no image.
///
/// # Errors
/// It cannot be read, or is larger than [`LARGEST`].
pub fn read_whole(source: &impl ReadAt) -> Result<&'static mut [u8], Error> {
    let content = place_for(source.size()?)?;
    read_exact(source, content, 0)?;
    Ok(content)
}

/// Memory for a file of this many bytes.
fn place_for(length: u64) -> Result<&'static mut [u8], Error> {
    match usize::try_from(length) {
        Ok(length @ ..=LARGEST) => Ok(memory::bytes(length)),
        _ => Err(TOO_LARGE),
    }
}
