//! ISO 9660, as far as a context disk needs it: the files of the root
//! directory, by their Rock Ridge, Joliet or plain names, without a mount.
//!
//! Sources: ECMA-119 (the sections named below), the System Use Sharing Protocol (SUSP,
//! IEEE P1281) and the Rock Ridge Interchange Protocol (RRIP, IEEE P1282), Microsoft's
//! Joliet specification, and Linux' `fs/isofs` for what to do where disks and standards
//! differ. The image is not trusted: each offset is checked against the size of the
//! image before it is read, and each loop is bounded by what was read.
use core::slice;

use rustix::io::Errno;

use crate::base::error::Error;
use crate::base::memory::{self, Vector};
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
    /// Where its bytes are.
    pub source: S,
    /// Bytes of the image.
    size: u64,
    /// Bytes of a logical block.
    block: u16,
    names: NameSystem,
    /// The records of the root directory, all of them.
    directory: &'static [u8],
}

/// A root directory, and the block size of its volume.
#[derive(Clone, Copy)]
struct Tree {
    /// Bytes of a logical block.
    block: u16,
    /// The bytes of the directory.
    root: Extent,
}

/// Consecutive bytes of the image.
#[derive(Clone, Copy)]
struct Extent {
    /// Bytes from the start of the image.
    start: u64,
    /// In bytes.
    length: u32,
}

/// A file of an image or another source. All of it lies within the source.
pub struct FileSections {
    /// Its sections in order (ECMA-119, 6.5.1).
    sections: &'static [Extent],
    /// Bytes of all of them.
    length: usize,
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
            // The primary descriptor has these.
            block: 0,
            names: NameSystem::Plain,
            directory: &[],
        };
        let mut primary = None;
        let mut joliet = None;
        let mut sector = FIRST_DESCRIPTOR;
        loop {
            match descriptor.kind() {
                Descriptor::PRIMARY if primary.is_none() => {
                    let tree = iso.tree_of(descriptor)?;
                    iso.read_root(tree)?;
                    primary = Some(tree);
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
        if primary.is_none() {
            return Err(Error::new(c"the image has no primary volume descriptor"));
        }
        if let Some(joliet) = joliet {
            iso.read_root(joliet)?;
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
        let mut sector = self.directory;
        let area = Record::split(&mut sector)?.map_or(&[][..], |record| record.system_use);
        Ok([0, 14].into_iter().find_map(|skip| {
            let [sp @ .., skip] = array::<7>(area, skip);
            (sp == *b"SP\x07\x01\xbe\xef").then_some(skip)
        }))
    }

    /// Reads the root directory, once for all files.
    fn read_root(&mut self, tree: Tree) -> Result<(), Error> {
        let directory = memory::bytes(tree.root.length as usize);
        read_exact(&self.source, directory, tree.root.start)?;
        self.block = tree.block;
        self.directory = directory;
        Ok(())
    }

    /// Looks for a file in the root directory: the exact name, else the first
    /// that differs only in case. `None`: there is none.
    pub fn find(&self, name: &[u8]) -> Result<Option<FileSections>, Error> {
        let mut records = Records::of(self.directory);
        let mut best = Match::No;
        let mut file = None;
        let mut continuations = CONTINUATIONS;
        while let Some(record) = records.next()? {
            if !record.is_file() {
                continue;
            }
            let matched = self.compare(&record, name, &mut continuations)?;
            if matched <= best {
                records.skip_sections(record)?;
                continue;
            }
            best = matched;
            file = Some(self.file(record, &mut records)?);
            if best == Match::Exact {
                break;
            }
        }
        Ok(file)
    }

    /// The file that begins with this record. The records of its other sections follow.
    fn file(
        &self,
        first: Record<'static>,
        records: &mut Records<'static>,
    ) -> Result<FileSections, Error> {
        let mut sections = Vector::new();
        let mut length = 0usize;
        let mut record = first;
        loop {
            // File unit size and interleave gap size (ECMA-119, 6.4.3).
            if array(record.fixed, 26) != [0, 0] {
                return Err(Error::new(c"the file is interleaved"));
            }
            let extent = self.extent(self.block, record.fixed)?;
            length = length.saturating_add(extent.length as usize);
            if extent.length > 0 {
                sections.push(extent);
            }
            if !record.has_more_sections() {
                break;
            }
            record = records
                .next_section()?
                .ok_or(Error::new(c"the file's last section is missing"))?;
        }
        Ok(FileSections {
            sections: sections.finish(),
            length,
        })
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

    /// Compares with the `NM` entries of a system use area (RRIP, 4.1.4) and
    /// of the areas that continue it (SUSP, 5.1). `None`: no entry is there.
    fn compare_rock_ridge(
        &self,
        area: &[u8],
        name: &[u8],
        continuations: &mut u32,
    ) -> Result<Option<Match>, Error> {
        const CONTINUE: u8 = 1;
        /// Stands for `.` or `..`.
        const CURRENT_OR_PARENT: u8 = 2 | 4;
        let mut comparison = Comparison::with(name);
        let mut named = false;
        let mut buffer = [0; SECTOR];
        let mut area = area;
        loop {
            let mut next = None;
            while let Some((entry, rest)) = split_entry(area) {
                area = rest;
                match entry {
                    [b'N', b'M', _, _, flags, part @ ..] if flags & CURRENT_OR_PARENT == 0 => {
                        named = true;
                        comparison.take(part);
                        if flags & CONTINUE == 0 || comparison.matched == Match::No {
                            return Ok(Some(comparison.end()));
                        }
                    }
                    [b'C', b'E', ..] => {
                        next = Some((number(entry, 4), number(entry, 12), number(entry, 20)));
                    }
                    [b'S', b'T', ..] => break,
                    _ => {}
                }
            }
            let Some((block, offset, length)) = next else {
                return Ok(named.then(|| comparison.end()));
            };
            // This also ends a chain of areas that loops.
            *continuations = continuations
                .checked_sub(1)
                .ok_or(Error::new(c"the image has names without an end"))?;
            let place = u64::from(block) * u64::from(self.block) + u64::from(offset);
            let target = buffer.get_mut(..length as usize).ok_or(Error::new(
                c"a name of the image continues beyond its sector",
            ))?;
            read_exact(&self.source, target, place)?;
            area = target;
        }
    }
}

/// The records of a directory, in their order.
struct Records<'b> {
    /// The rest of the current sector, and the sectors behind it.
    sector: &'b [u8],
    rest: &'b [u8],
}

impl<'b> Records<'b> {
    fn of(directory: &'b [u8]) -> Self {
        Self {
            sector: &[],
            rest: directory,
        }
    }

    fn next(&mut self) -> Result<Option<Record<'b>>, Error> {
        loop {
            if let Some(record) = Record::split(&mut self.sector)? {
                return Ok(Some(record));
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let length = SECTOR.min(self.rest.len());
            (self.sector, self.rest) = self.rest.split_at_checked(length).unwrap_or_default();
        }
    }

    /// The next record of a file.
    fn next_section(&mut self) -> Result<Option<Record<'b>>, Error> {
        loop {
            match self.next()? {
                Some(record) if !record.is_file() => {}
                record => return Ok(record),
            }
        }
    }

    /// Skips the other sections of the file whose first record this is.
    fn skip_sections(&mut self, mut record: Record<'b>) -> Result<(), Error> {
        while record.has_more_sections() {
            match self.next_section()? {
                Some(next) => record = next,
                None => break,
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

    /// Takes the first record of what is left of a sector. `None`: the sector
    /// holds no more (6.8.1.1).
    fn split(sector: &mut &'b [u8]) -> Result<Option<Self>, Error> {
        let Some(length @ 1..) = sector.first().copied() else {
            return Ok(None);
        };
        let (record, rest) = sector.split_at_checked(length.into()).ok_or(BAD_RECORD)?;
        *sector = rest;
        let (fixed, rest) = record.split_first_chunk().ok_or(BAD_RECORD)?;
        let [flags, .., length] = array::<8>(fixed, 25);
        let (name, rest) = rest.split_at_checked(length.into()).ok_or(BAD_RECORD)?;
        // A name of even length is padded (9.1.12).
        let padding = usize::from(length % 2 == 0);
        Ok(Some(Self {
            fixed,
            flags,
            name,
            system_use: rest.get(padding..).unwrap_or_default(),
        }))
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

impl FileSections {
    /// A whole source as one file.
    pub fn whole(source: &impl ReadAt) -> Result<Self, Error> {
        let size = source.size()?;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let mut sections = Vector::new();
        sections.push(Extent {
            start: 0,
            length: length as u32,
        });
        Ok(Self {
            sections: sections.finish(),
            length,
        })
    }

    /// The bytes of the file, if it is not larger than [`LARGEST`].
    pub fn read<'b>(&self, source: &impl ReadAt) -> Result<&'b mut [u8], Error> {
        if self.length > LARGEST {
            return Err(TOO_LARGE);
        }
        let bytes = memory::bytes(self.length);
        let mut rest = &mut *bytes;
        for section in self.sections {
            let Some((place, after)) = rest.split_at_mut_checked(section.length as usize) else {
                break;
            };
            read_exact(source, place, section.start)?;
            rest = after;
        }
        Ok(bytes)
    }
}
