//! ISO 9660, as far as a context disk needs it: the files of the root
//! directory, by their Rock Ridge, Joliet or plain names, without a mount.
//!
//! Sources: ECMA-119 (the sections named below), the System Use Sharing
//! Protocol (SUSP, IEEE P1281) and the Rock Ridge Interchange Protocol (RRIP,
//! IEEE P1282), Microsoft's Joliet specification, and Linux' `fs/isofs` for
//! what to do where disks and standards differ. Nothing that the image says
//! is believed: each place is checked against the size of the image before it
//! is read, and each loop is bounded by what was read.
use rustix::io::Errno;

use super::LARGEST;
use crate::memory::Arena;
use crate::text::Reason;

/// Bytes of a logical sector (ECMA-119, 6.1.2). No directory record crosses
/// one (6.8.1.1), also where the logical blocks are smaller.
const SECTOR: usize = 2048;
/// The first sector of the volume descriptor set (ECMA-119, 6.2.1, 6.7.1).
const FIRST_DESCRIPTOR: u64 = 16;
/// Where a set without terminator ends; isofs looks as far
/// (`fs/isofs/inode.c`, `isofs_fill_super`).
const LAST_DESCRIPTOR: u64 = 100;
/// How many continuation areas one search of the directory reads. They are
/// needed only for names that begin like the one looked for.
const CONTINUATIONS: u32 = 1 << 16;

/// File flags (ECMA-119, 9.1.6).
const DIRECTORY: u8 = 1 << 1;
const ASSOCIATED: u8 = 1 << 2;
const MULTI_EXTENT: u8 = 1 << 7;

const TRUNCATED: Reason = Reason::Found("the image is truncated: it ends before its own data");
const BAD_RECORD: Reason = Reason::Found("the root directory of the image is damaged");

/// Where an image is read from: a file or block device, or plain bytes in
/// tests.
pub trait ReadAt {
    /// Bytes that there are.
    fn size(&self) -> Result<u64, Errno>;

    /// Reads at `offset`, in bytes. Fewer bytes than asked for are no error;
    /// none are the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// Reads until the buffer is full or the end; the bytes read.
    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
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

fn read_exact(source: &impl ReadAt, buffer: &mut [u8], offset: u64) -> Result<(), Reason> {
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

/// What we need of a volume descriptor, primary (ECMA-119, 8.4) or
/// supplementary (8.5).
#[derive(Clone, Copy)]
pub struct Descriptor {
    /// ECMA-119, 8.1.1.
    kind: u8,
    /// The volume identifier, padded.
    label: [u8; 32],
    /// The escape sequences; they tell Joliet.
    escapes: [u8; 3],
    /// Bytes of a logical block.
    block: u16,
    /// The directory record of the root.
    root: [u8; 34],
}

impl Descriptor {
    const PRIMARY: u8 = 1;
    const SUPPLEMENTARY: u8 = 2;
    const TERMINATOR: u8 = 255;

    /// Reads sector 16; `None` if no volume descriptor is there.
    pub fn first(source: &impl ReadAt) -> Result<Option<Self>, Reason> {
        Self::at(source, FIRST_DESCRIPTOR)
    }

    fn at(source: &impl ReadAt, sector: u64) -> Result<Option<Self>, Reason> {
        let mut bytes = [0; SECTOR];
        let filled = source.fill_at(&mut bytes, sector * SECTOR as u64)?;
        Ok(
            (filled == SECTOR && array(&bytes, 1) == *b"CD001").then(|| Self {
                kind: u8::from_le_bytes(array(&bytes, 0)),
                label: array(&bytes, 40),
                escapes: array(&bytes, 88),
                block: u16::from_le_bytes(array(&bytes, 128)),
                root: array(&bytes, 156),
            }),
        )
    }

    /// The volume's name, without its padding.
    pub fn label(&self) -> &[u8] {
        self.label
            .iter()
            .rposition(|byte| !matches!(byte, b' ' | 0))
            .and_then(|last| self.label.get(..=last))
            .unwrap_or_default()
    }

    /// Joliet: UCS-2 of level 1, 2 or 3.
    fn is_joliet(&self) -> bool {
        self.kind == Self::SUPPLEMENTARY && matches!(self.escapes, [b'%', b'/', b'@' | b'C' | b'E'])
    }
}

/// Which names the records of the root directory carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// `NM` entries, behind so many bytes of each system use area.
    RockRidge(u8),
    /// UCS-2, big-endian.
    Joliet,
    /// `CONTEXT.SH;1`
    Plain,
}

/// Consecutive bytes of the image.
#[derive(Clone, Copy)]
struct Extent {
    /// Bytes from the start of the image.
    start: u64,
    /// In bytes.
    length: u32,
}

/// An image.
pub struct Iso<S> {
    source: S,
    /// Bytes of the image.
    size: u64,
    /// Bytes of a logical block.
    block: u16,
    /// The root directory.
    root: Extent,
    names: Names,
}

/// A file of the root directory. All of it lies within the image.
pub struct File<'a> {
    /// Its sections in order (ECMA-119, 6.5.1).
    sections: &'a [Extent],
    /// Bytes of all of them, at most [`LARGEST`].
    length: usize,
}

impl<S: ReadAt> Iso<S> {
    /// Opens the image whose sector 16 holds `first`.
    ///
    /// Rock Ridge names are preferred, as in isofs: they are the server's own,
    /// while Joliet shortens long ones.
    pub fn open(source: S, first: Descriptor) -> Result<Self, Reason> {
        let mut iso = Self {
            size: source.size()?,
            source,
            block: 0,
            root: Extent {
                start: 0,
                length: 0,
            },
            names: Names::Plain,
        };
        let mut primary = None;
        let mut joliet = None;
        let mut descriptor = first;
        for sector in FIRST_DESCRIPTOR + 1..LAST_DESCRIPTOR {
            if descriptor.kind == Descriptor::TERMINATOR {
                break;
            } else if descriptor.kind == Descriptor::PRIMARY && primary.is_none() {
                iso.enter(&descriptor)?;
                if let Some(skip) = iso.system_use()? {
                    iso.names = Names::RockRidge(skip);
                    return Ok(iso);
                }
                primary = Some(descriptor);
            } else if descriptor.is_joliet() && joliet.is_none() {
                joliet = Some(descriptor);
            }
            match Descriptor::at(&iso.source, sector)? {
                Some(next) => descriptor = next,
                None => break,
            }
        }
        if primary.is_none() {
            return Err(Reason::Found("the image has no primary volume descriptor"));
        }
        if let Some(joliet) = joliet {
            iso.enter(&joliet)?;
            iso.names = Names::Joliet;
        }
        Ok(iso)
    }

    /// Takes the descriptor's root directory.
    fn enter(&mut self, descriptor: &Descriptor) -> Result<(), Reason> {
        // Larger than a sector is allowed by ECMA-119, 6.2.2, but isofs and
        // all makers of images know only these.
        if !matches!(descriptor.block, 512 | 1024 | 2048) {
            return Err(Reason::Found(
                "the image's logical blocks are not of 512, 1024 or 2048 bytes",
            ));
        }
        self.block = descriptor.block;
        self.root = self.extent(&descriptor.root)?;
        if self.root.length as usize > LARGEST {
            return Err(Reason::Found(
                "the root directory of the image is larger than 16 MiB",
            ));
        }
        Ok(())
    }

    /// Where the data of a directory record lies (ECMA-119, 9.1.2 to 9.1.4):
    /// behind its extended attributes, which count in logical blocks.
    fn extent(&self, record: &[u8]) -> Result<Extent, Reason> {
        let [attributes] = array(record, 1);
        let first = u64::from(number(record, 2)) + u64::from(attributes);
        let extent = Extent {
            start: first * u64::from(self.block),
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
    fn system_use(&self) -> Result<Option<u8>, Reason> {
        let mut sector = [0; SECTOR];
        let sector = self.directory_sector(&mut sector, 0)?;
        let area = split_record(sector)?.map_or(&[][..], |(record, _)| record.system_use);
        Ok([0, 14].into_iter().find_map(|skip| {
            let entry = area.get(skip..)?;
            (array(entry, 0) == *b"SP\x07\x01\xbe\xef")
                .then(|| entry.get(6).copied())
                .flatten()
        }))
    }

    /// The bytes of the root directory from `offset` to the sector's end.
    fn directory_sector<'b>(
        &self,
        buffer: &'b mut [u8; SECTOR],
        offset: u32,
    ) -> Result<&'b [u8], Reason> {
        let rest = self.root.length.saturating_sub(offset) as usize;
        let sector = buffer.get_mut(..rest.min(SECTOR)).unwrap_or_default();
        let place = self.root.start.saturating_add(u64::from(offset));
        read_exact(&self.source, sector, place)?;
        Ok(sector)
    }

    /// Looks for a file in the root directory: the exact name, else the first
    /// that differs only in case. `None`: there is none.
    pub fn find<'a>(&self, arena: &'a Arena, name: &[u8]) -> Result<Option<File<'a>>, Reason> {
        let mut sections = arena.table();
        let mut length = 0u64;
        let mut best = Match::No;
        // While in the middle of a file of several sections.
        let mut current = None;
        let mut continuations = CONTINUATIONS;
        for offset in (0..self.root.length).step_by(SECTOR) {
            let mut sector = [0; SECTOR];
            let mut rest = self.directory_sector(&mut sector, offset)?;
            while let Some((record, after)) = split_record(rest)? {
                rest = after;
                if record.flags & (DIRECTORY | ASSOCIATED) != 0 {
                    continue;
                }
                let matched = match current {
                    Some(matched) => matched,
                    None => {
                        let matched = self.compare(&record, name, &mut continuations)?;
                        if matched > best {
                            best = matched;
                            sections.clear();
                            length = 0;
                            matched
                        } else {
                            Match::No
                        }
                    }
                };
                let last = record.flags & MULTI_EXTENT == 0;
                current = (!last).then_some(matched);
                if matched == Match::No {
                    continue;
                }
                // File unit size and interleave gap size (ECMA-119, 6.4.3).
                if array(record.bytes, 26) != [0, 0] {
                    return Err(Reason::Found("the file is interleaved"));
                }
                let extent = self.extent(record.bytes)?;
                length += u64::from(extent.length);
                if length > LARGEST as u64 {
                    return Err(super::TOO_LARGE);
                }
                if extent.length > 0 {
                    sections.push(extent)?;
                }
                if last && matched == Match::Exact {
                    return Ok(Some(File {
                        sections: sections.finish(),
                        length: length as usize,
                    }));
                }
            }
        }
        if current.is_some_and(|matched| matched != Match::No) {
            return Err(Reason::Found("the file's last section is missing"));
        }
        Ok((best != Match::No).then(|| File {
            sections: sections.finish(),
            length: length as usize,
        }))
    }

    /// The whole file.
    pub fn read<'a>(&self, arena: &'a Arena, file: &File<'_>) -> Result<&'a mut [u8], Reason> {
        let bytes = arena.bytes(file.length)?;
        let mut rest = &mut *bytes;
        for section in file.sections {
            let Some((place, after)) = rest.split_at_mut_checked(section.length as usize) else {
                break;
            };
            read_exact(&self.source, place, section.start)?;
            rest = after;
        }
        Ok(bytes)
    }

    fn compare(
        &self,
        record: &Record<'_>,
        name: &[u8],
        continuations: &mut u32,
    ) -> Result<Match, Reason> {
        Ok(match self.names {
            Names::RockRidge(skip) => {
                let area = record.system_use.get(skip.into()..).unwrap_or_default();
                match self.compare_rock_ridge(area, name, continuations)? {
                    Some(matched) => matched,
                    None => compare_plain(record.name, name),
                }
            }
            Names::Joliet => compare_joliet(record.name, name),
            Names::Plain => compare_plain(record.name, name),
        })
    }

    /// Compares with the `NM` entries of a system use area (RRIP, 4.1.4) and
    /// of the areas that continue it (SUSP, 5.1). `None`: no entry is there.
    fn compare_rock_ridge(
        &self,
        area: &[u8],
        name: &[u8],
        continuations: &mut u32,
    ) -> Result<Option<Match>, Reason> {
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
            // Also what ends a chain that leads back to itself.
            *continuations = continuations
                .checked_sub(1)
                .ok_or("the image has names without an end")?;
            let place = u64::from(block) * u64::from(self.block) + u64::from(offset);
            let target = buffer
                .get_mut(..length as usize)
                .ok_or("a name of the image continues beyond its sector")?;
            read_exact(&self.source, target, place)?;
            area = target;
        }
    }
}

/// A directory record (ECMA-119, 9.1).
struct Record<'b> {
    /// All of it.
    bytes: &'b [u8],
    flags: u8,
    name: &'b [u8],
    /// What SUSP puts there.
    system_use: &'b [u8],
}

/// The first record of what is left of a sector, and the rest. `None`: the
/// sector holds no more (6.8.1.1).
fn split_record(sector: &[u8]) -> Result<Option<(Record<'_>, &[u8])>, Reason> {
    let Some(length @ 1..) = sector.first().copied() else {
        return Ok(None);
    };
    let (bytes, rest) = sector.split_at_checked(length.into()).ok_or(BAD_RECORD)?;
    let (fixed, variable) = bytes.split_at_checked(33).ok_or(BAD_RECORD)?;
    let [flags] = array(fixed, 25);
    let [name_length] = array(fixed, 32);
    let (name, after) = variable
        .split_at_checked(name_length.into())
        .ok_or(BAD_RECORD)?;
    // A name of even length is padded (9.1.12).
    let padding = usize::from(name_length % 2 == 0);
    let record = Record {
        bytes,
        flags,
        name,
        system_use: after.get(padding..).unwrap_or_default(),
    };
    Ok(Some((record, rest)))
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
    /// But for the case of ASCII letters.
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
                } else if head.eq_ignore_ascii_case(part) {
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

/// `CONTEXT.SH;1` (ECMA-119, 7.5.1): without version and without the dot that
/// a name without extension has.
fn compare_plain(record: &[u8], name: &[u8]) -> Match {
    let end = record.iter().position(|byte| *byte == b';');
    let record = end.and_then(|end| record.get(..end)).unwrap_or(record);
    let mut comparison = Comparison::with(name);
    comparison.take(record.strip_suffix(b".").unwrap_or(record));
    comparison.end()
}

/// UCS-2; version and dot as in `isofs`' `get_joliet_filename`.
fn compare_joliet(record: &[u8], name: &[u8]) -> Match {
    let record = record.strip_suffix(b"\0;\x001").unwrap_or(record);
    let record = record.strip_suffix(b"\0.").unwrap_or(record);
    let units = record
        .chunks(2)
        .map(|unit| u16::from_be_bytes(array(unit, 0)));
    let mut comparison = Comparison::with(name);
    for character in char::decode_utf16(units) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        comparison.take(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    comparison.end()
}
