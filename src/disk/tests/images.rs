//! The ISO 9660 reader, on images in memory.
use std::process::Command;

use super::*;
use crate::disk::LARGEST;
use crate::disk::iso9660::{Descriptor, Iso, ReadAt};
use rustix::io::Errno;

const SECTOR: usize = 2048;
const TRUNCATED: &str = "the image is truncated: it ends before its own data";
const DAMAGED: &str = "the root directory of the image is damaged";

fn open<S: ReadAt>(image: S) -> Result<Iso<S>, Error> {
    let mut descriptor = Descriptor::empty();
    match descriptor.read_first(&image)? {
        true => Iso::open(image, &mut descriptor),
        false => Err(Error::new(c"no image")),
    }
}

/// Reads one file; `Ok(None)`: it does not exist.
fn read_from(image: &impl ReadAt, name: &str) -> Result<Option<Vec<u8>>, Error> {
    struct Borrowed<'s, S>(&'s S);
    impl<S: ReadAt> ReadAt for Borrowed<'_, S> {
        fn size(&self) -> Result<u64, Errno> {
            self.0.size()
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
            self.0.read_at(buffer, offset)
        }
    }
    // A search may be repeated: it takes no memory, whatever comes of it.
    let taken = memory::mark();
    let iso = open(Borrowed(image));
    if let Ok(iso) = &iso {
        let _ = iso.has(name.as_bytes());
    }
    assert_eq!(memory::mark(), taken);
    let content = iso?.read(name.as_bytes())?;
    Ok(content.map(|content| content.to_vec()))
}

fn read(image: &[u8], name: &str) -> Result<Option<Vec<u8>>, Error> {
    read_from(&image, name)
}

#[track_caller]
fn fails(image: &[u8], why: &str) {
    let result = read(image, "context.sh");
    assert_eq!(result.map_err(words), Err(why.to_owned()));
}

fn label(image: &[u8]) -> String {
    let mut descriptor = Descriptor::empty();
    assert_eq!(descriptor.read_first(&image), Ok(true));
    String::from_utf8(descriptor.label().to_vec()).unwrap()
}

const CONTEXT: &[u8] = b"ETH0_IP='10.0.0.1'\n";

/// Files as a context may have them, with sizes around each limit.
fn contents(flags: &'static [&'static str]) -> Image<'static> {
    let mut numbers = Numbers(9);
    let mut image = Image::new(flags)
        .file("context.sh", CONTEXT)
        .file("configuration.sh", "DEFAULT_GATEWAY=\"10.0.0.254\"")
        .file("init.sh", "")
        .file("token.txt", "x\n");
    for size in [1, 2047, 2048, 2049, 70_000] {
        let bytes: Vec<u8> = (0..size).map(|_| numbers.next() as u8).collect();
        image = image.file(&format!("f{size}.bin"), bytes);
    }
    image
}

#[test]
fn images_in_every_way_they_are_made() {
    let ways: [&[&str]; 8] = [
        TODAY,
        &["-J", "-R"],
        &["-R"],
        &["-J"],
        &["-r", "-V", "_STRATUSLAB"],
        &["-J", "-joliet-long", "-V", "context"],
        &["-iso-level", "3", "-R"],
        &["-iso-level", "4"],
    ];
    for tool in [GENISOIMAGE, XORRISO] {
        for flags in ways {
            let image = contents(flags);
            let bytes = image.make(tool);
            for (name, content) in &image.files {
                assert_eq!(
                    read(&bytes, name),
                    Ok(Some(content.clone())),
                    "{name}, {tool:?} {flags:?}"
                );
            }
            for absent in [
                "",
                ".",
                "context",
                "context.sh1",
                "context.shx",
                "ontext.sh",
            ] {
                assert_eq!(
                    read(&bytes, absent),
                    Ok(None),
                    "{absent}, {tool:?} {flags:?}"
                );
            }
            let default = if tool == XORRISO { "ISOIMAGE" } else { "CDROM" };
            let expected = flags.iter().skip_while(|flag| **flag != "-V").nth(1);
            assert_eq!(label(&bytes), *expected.unwrap_or(&default));
        }
    }
}

#[test]
fn plain_names() {
    for tool in [GENISOIMAGE, XORRISO] {
        for flags in [&["-iso-level", "1"][..], &["-iso-level", "2"], &["-d"], &[]] {
            let image = Image {
                flags,
                ..Image::new(&[])
                    .file("context.sh", CONTEXT)
                    .file("init.sh", "i")
                    .file("noext", "n")
            };
            let bytes = image.make(tool);
            assert!(bytes.windows(12).any(|name| name == b"CONTEXT.SH;1"));
            for (name, content) in &image.files {
                assert_eq!(read(&bytes, name), Ok(Some(content.clone())), "{flags:?}");
            }
            assert_eq!(read(&bytes, "context"), Ok(None));
        }
    }
}

/// What `isoinfo`, an independent reader, finds.
#[test]
fn another_reader_agrees() {
    for (flags, view) in [(&["-R"][..], "-R"), (&["-J"], "-J")] {
        let image = Image {
            flags,
            ..contents(&[])
        };
        let bytes = image.build();
        let scratch = Scratch::new();
        let file = scratch.write("image.iso", &bytes);
        let isoinfo = |arguments: &[&str]| {
            let mut command = Command::new("isoinfo");
            command.arg("-i").arg(&file).args(arguments);
            run(command)
        };
        let listing = isoinfo(&["-f", view]);
        let listing = String::from_utf8(listing).unwrap();
        assert_eq!(listing.lines().count(), image.files.len(), "{listing}");
        for path in listing.lines() {
            let name = path.trim_start_matches('/');
            let theirs = isoinfo(&[view, "-x", path]);
            assert_eq!(read(&bytes, name), Ok(Some(theirs)), "{path}");
        }
    }
}

/// A directory of many sectors, with names that need continuation areas. The wanted
/// file is the first, the last, or in between.
#[test]
fn large_directories_and_long_names() {
    // xorriso 1.5.4 fails on many names that need continuation areas.
    for (tool, seldom) in [(GENISOIMAGE, 1), (XORRISO, 25)] {
        for flags in [&["-R"][..], &["-J", "-R"]] {
            let mut image = Image {
                flags,
                ..Image::new(&[])
            };
            for number in 0..300 {
                let name = match number % (3 * seldom) {
                    0 => format!("{number}-{}", "n".repeat(240)),
                    // Each of these names begins with the wanted name.
                    1 => format!("context.sh{number}{}", "m".repeat(225)),
                    _ => format!("file{number}"),
                };
                image = image.file(&name, format!("content {number}"));
            }
            let image = image.file("context.sh", CONTEXT).file("zzz", "last");
            let bytes = image.make(tool);
            assert!(bytes.windows(4).any(|entry| entry == b"CE\x1c\x01"));
            for (name, content) in &image.files {
                assert_eq!(read(&bytes, name), Ok(Some(content.clone())), "{name}");
            }
        }
    }
}

#[test]
fn a_large_file_is_read_and_a_larger_one_refused() {
    let mut numbers = Numbers(4);
    let bytes: Vec<u8> = (0..LARGEST / 8)
        .flat_map(|_| numbers.next().to_le_bytes())
        .collect();
    let image = Image::new(TODAY).file("context.sh", &bytes).build();
    assert!(read(&image, "context.sh").unwrap().unwrap() == bytes);

    let larger = [&bytes[..], b"x"].concat();
    let image = Image::new(TODAY).file("context.sh", larger).build();
    fails(&image, "larger than 16 MiB");
}

#[test]
fn case_matters_only_where_nothing_matches_exactly() {
    let flags: &[&str] = &["-R"];
    let one = Image::new(flags).file("Context.SH", "1").file("x", "");
    let image = one.build();
    assert_eq!(read(&image, "context.sh"), Ok(Some(b"1".to_vec())));
    for (first, second) in [("CONTEXT.sh", "Context.sh"), ("context.SH", "context.sH")] {
        let image = Image::new(flags)
            .file(first, "other")
            .file("context.sh", CONTEXT)
            .file(second, "another");
        let image = image.build();
        assert_eq!(read(&image, "context.sh"), Ok(Some(CONTEXT.to_vec())));
    }
}

#[test]
fn folders_are_no_files() {
    for flags in [&["-R"][..], &["-J"], &[]] {
        let image = Image {
            flags,
            ..Image::new(&[])
                .file("context.sh/inner", "1")
                .file("folder/init.sh", "2")
        };
        let image = image.build();
        assert_eq!(read(&image, "context.sh"), Ok(None));
        assert_eq!(read(&image, "init.sh"), Ok(None));
    }
}

#[test]
fn cut_anywhere_it_is_whole_or_an_error() {
    for flags in [TODAY, &["-J"], &["-V", "CONTEXT"]] {
        let image = Image {
            flags,
            ..contents(&[])
        };
        let bytes = image.build();
        let text = Some(CONTEXT.to_vec());
        let mut whole = 0;
        for end in (0..bytes.len()).step_by(SECTOR / 2) {
            match read(&bytes[..end], "context.sh") {
                Ok(found) => {
                    whole += 1;
                    assert_eq!(found, text, "{end}");
                }
                Err(reason) => {
                    // A longer image does not lose a file that a shorter one has.
                    assert_eq!(whole, 0, "{end}");
                    let why = words(reason);
                    assert!(why == TRUNCATED || end < 17 * SECTOR, "{end}: {why}");
                }
            }
        }
        assert!(whole > 50);
    }
}

/// A drive that misbehaves from one read on, or in one read alone.
struct Faulty<'b> {
    image: &'b [u8],
    reads: std::cell::Cell<usize>,
    /// The number of the read, from 0.
    at: usize,
    fault: Fault<'b>,
}

#[derive(Clone, Copy)]
enum Fault<'b> {
    Once(Errno),
    /// Every read finds the end of the medium.
    Nothing,
    /// The medium is replaced from this read on.
    Replaced(&'b [u8]),
}

impl ReadAt for Faulty<'_> {
    fn size(&self) -> Result<u64, Errno> {
        Ok(self.image.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let number = self.reads.replace(self.reads.get() + 1);
        match self.fault {
            Fault::Once(errno) if number == self.at => Err(errno),
            Fault::Nothing if number == self.at => Ok(0),
            Fault::Replaced(by) if number >= self.at => by.read_at(buffer, offset),
            _ => self.image.read_at(buffer, offset),
        }
    }
}

/// The results of reading `image` with this fault in the first read, then in the
/// second, and so on. The last result is without a fault.
fn each_read<'b>(image: &'b [u8], fault: Fault<'b>) -> Vec<Result<Option<Vec<u8>>, String>> {
    let mut results = Vec::new();
    for at in 0.. {
        let drive = Faulty {
            image,
            reads: 0.into(),
            at,
            fault,
        };
        results.push(read_from(&drive, "context.sh").map_err(words));
        if drive.reads.get() <= at {
            break;
        }
    }
    // The descriptor, the directory, the file.
    assert!(results.len() > 3);
    results
}

#[test]
fn a_read_that_fails_is_an_error_wherever_it_is() {
    let text = Ok(Some(CONTEXT.to_vec()));
    for flags in [TODAY, &["-J"], &["-V", "CONTEXT"]] {
        let image = Image {
            flags,
            ..contents(&[])
        };
        let image = image.build();
        for errno in [Errno::IO, Errno::NXIO, Errno::NOMEDIUM] {
            let mut results = each_read(&image, Fault::Once(errno));
            assert_eq!(results.pop().unwrap(), text);
            for result in results {
                assert_eq!(result, Err(words(errno.into())));
            }
        }
        let mut results = each_read(&image, Fault::Nothing);
        assert_eq!(results.pop().unwrap(), text);
        assert_eq!(results.remove(0), Err("no image".into()));
        for (number, result) in results.into_iter().enumerate() {
            // The other descriptors of the set are not needed.
            let is_whole = result == text;
            assert!(is_whole || result == Err(TRUNCATED.into()), "{number}");
        }
    }
}

/// The content then is that of one medium or the other, but never longer than the
/// medium.
#[test]
fn a_medium_that_is_replaced_between_two_reads() {
    let image = contents(TODAY).build();
    let other = Image::new(TODAY).file("context.sh", vec![b'x'; 5000]);
    let other = other.build();
    for (image, by) in [(&image, &other), (&other, &image)] {
        for result in each_read(image, Fault::Replaced(by)) {
            let Ok(Some(text)) = result else {
                continue;
            };
            let is_of = |image: &[u8]| image.windows(text.len()).any(|bytes| bytes == text);
            assert!(is_of(image) || is_of(by), "{text:?}");
        }
        // The empty medium.
        let mut results = each_read(image, Fault::Replaced(&[]));
        results.pop().unwrap().unwrap();
        assert!(results.iter().any(Result::is_err));
        assert!(!results.contains(&Ok(None)));
    }
}

/// Stops a reader that would never end.
struct Counted<'b> {
    bytes: &'b [u8],
    reads: std::cell::Cell<u32>,
}

impl ReadAt for Counted<'_> {
    fn size(&self) -> Result<u64, Errno> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() < 1 << 17, "too many reads");
        self.bytes.read_at(buffer, offset)
    }
}

#[test]
fn nonsense_is_never_a_panic_or_a_loop() {
    let mut numbers = Numbers(2);
    for flags in [
        &["-no-pad", "-J", "-R"][..],
        &["-no-pad", "-J"],
        &["-no-pad", "-R"],
        &["-no-pad"],
    ] {
        let image = Image {
            flags,
            ..Image::new(&[])
                .file("context.sh", CONTEXT)
                .file("init.sh", "")
                .file(&"c".repeat(230), "long")
        };
        let bytes = image.build();
        // Zeros are frequent and matter little.
        let paths: Vec<usize> = (16 * SECTOR..bytes.len())
            .filter(|place| bytes[*place] != 0 || place % 7 == 0)
            .collect();
        for round in 0..2000 {
            let mut bytes = bytes.clone();
            for _ in 0..=round % 4 {
                let place = paths[numbers.below(paths.len())];
                let byte = &mut bytes[place];
                *byte = match round % 3 {
                    0 => *byte ^ 1 << numbers.below(8),
                    1 => [0, 0xff, 0x7f, 0x80][numbers.below(4)],
                    _ => numbers.next() as u8,
                };
            }
            if round % 10 == 0 {
                bytes.truncate(numbers.below(bytes.len()));
            }
            let counted = Counted {
                bytes: &bytes,
                reads: 0.into(),
            };
            let _ = read_from(&counted, "context.sh");
            let _ = read_from(&counted, "absent");
        }
    }
}

/// An image made by hand, for content that no tool writes.
struct Drawn {
    bytes: Vec<u8>,
    /// The size of a logical block in bytes.
    block: usize,
    /// How much of the root directory is written.
    directory: usize,
}

/// The sectors of the image.
const ROOT: usize = 20;
const DATA: usize = 30;

fn both(bytes: &mut [u8], value: usize) {
    let (little, big) = bytes.split_at_mut(bytes.len() / 2);
    little.copy_from_slice(&value.to_le_bytes()[..little.len()]);
    let value = value.to_be_bytes();
    big.copy_from_slice(&value[value.len() - big.len()..]);
}

impl Drawn {
    fn new(block: usize) -> Self {
        let mut image = Self {
            bytes: vec![0; 60 * SECTOR],
            block,
            directory: 0,
        };
        let sector = &mut image.bytes[16 * SECTOR..18 * SECTOR];
        sector[..7].copy_from_slice(b"\x01CD001\x01");
        sector[40..72].fill(b' ');
        sector[40..47].copy_from_slice(b"CONTEXT");
        both(&mut sector[128..132], block);
        sector[SECTOR..][..7].copy_from_slice(b"\xffCD001\x01");
        sector[156] = 34;
        both(&mut sector[158..166], ROOT * SECTOR / block);
        image.directory_length(2 * SECTOR);
        image
    }

    fn directory_length(&mut self, length: usize) {
        both(&mut self.bytes[16 * SECTOR + 166..][..8], length);
    }

    /// Adds a record whose data is at this byte.
    fn record(&mut self, name: &[u8], place: usize, length: usize) -> &mut [u8] {
        let size = (33 + name.len()).next_multiple_of(2);
        if self.directory % SECTOR + size > SECTOR {
            self.directory = self.directory.next_multiple_of(SECTOR);
        }
        let record = &mut self.bytes[ROOT * SECTOR + self.directory..][..size];
        self.directory += size;
        record[0] = size as u8;
        both(&mut record[2..10], place / self.block);
        both(&mut record[10..18], length);
        record[32] = name.len() as u8;
        record[33..33 + name.len()].copy_from_slice(name);
        record
    }

    /// The same with a system use area.
    fn rock_ridge(&mut self, name: &[u8], entries: &[u8]) {
        let length = self.record(name, DATA * SECTOR, 5).len();
        let end = ROOT * SECTOR + self.directory;
        self.bytes[end..end + entries.len()].copy_from_slice(entries);
        self.bytes[end - length] += entries.len() as u8;
        self.directory += entries.len();
    }

    /// A `.` record that says that SUSP is used.
    fn with_susp(mut self, skip: u8) -> Self {
        self.rock_ridge(b"\0", &[b'S', b'P', 7, 1, 0xbe, 0xef, skip]);
        // Only our reader accepts records of odd length.
        self
    }
}

const SECTIONS: u8 = 0x80;

#[test]
fn logical_blocks_of_each_size() {
    for block in [512, 1024, 2048] {
        let mut image = Drawn::new(block);
        image.bytes[DATA * SECTOR + block..][..3].copy_from_slice(b"abc");
        image.record(b"\0", ROOT * SECTOR, 2 * SECTOR);
        image.record(b"CONTEXT.SH;1", DATA * SECTOR + block, 3);
        assert_eq!(read(&image.bytes, "context.sh"), Ok(Some(b"abc".to_vec())));
    }
    for block in [0, 1, 256, 4096, 65535] {
        let mut image = Drawn::new(2048);
        both(&mut image.bytes[16 * SECTOR + 128..][..4], block);
        fails(
            &image.bytes,
            "the image's logical blocks are not of 512, 1024 or 2048 bytes",
        );
    }
}

#[test]
fn files_of_several_sections() {
    let mut image = Drawn::new(2048);
    for (sector, byte) in [(DATA, b'a'), (DATA + 5, b'b'), (DATA + 2, b'c')] {
        image.bytes[sector * SECTOR..][..SECTOR].fill(byte);
    }
    image.record(b"A.TXT;1", DATA * SECTOR, 1)[25] = SECTIONS;
    image.record(b"A.TXT;1", DATA * SECTOR, 1);
    image.record(b"CONTEXT.SH;1", DATA * SECTOR, 2048)[25] = SECTIONS;
    image.record(b"CONTEXT.SH;1", (DATA + 5) * SECTOR, 2048)[25] = SECTIONS;
    image.record(b"CONTEXT.SH;1", 0, 0)[25] = SECTIONS;
    image.record(b"CONTEXT.SH;1", (DATA + 2) * SECTOR, 7);
    image.record(b"Z.TXT;1", DATA * SECTOR, 1);
    let expected = [&[b'a'; 2048][..], &[b'b'; 2048], &[b'c'; 7]].concat();
    assert_eq!(read(&image.bytes, "context.sh"), Ok(Some(expected)));
    assert_eq!(read(&image.bytes, "a.txt"), Ok(Some(b"aa".to_vec())));
    assert_eq!(read(&image.bytes, "z.txt"), Ok(Some(b"a".to_vec())));

    let mut image = Drawn::new(2048);
    image.record(b"CONTEXT.SH;1", DATA * SECTOR, 2048)[25] = SECTIONS;
    fails(&image.bytes, "the file's last section is missing");

    // Many small false sizes do not add up to a large allocation.
    let mut image = Drawn::new(2048);
    image.bytes.resize(LARGEST, 0);
    image.record(b"CONTEXT.SH;1", 0, LARGEST)[25] = SECTIONS;
    image.record(b"CONTEXT.SH;1", 0, LARGEST);
    fails(&image.bytes, "larger than 16 MiB");
}

#[test]
fn directories_of_several_sectors() {
    let mut image = Drawn::new(2048);
    image.directory_length(6 * SECTOR);
    for number in 0..200 {
        let name = format!("FILE{number:03}.TXT;1");
        image.record(name.as_bytes(), DATA * SECTOR, 1);
    }
    image.bytes[DATA * SECTOR] = b'x';
    image.record(b"CONTEXT.SH;1", DATA * SECTOR, 1);
    assert!(image.directory > 4 * SECTOR);
    assert_eq!(read(&image.bytes, "context.sh"), Ok(Some(b"x".to_vec())));
    image.directory_length(4 * SECTOR);
    assert_eq!(read(&image.bytes, "context.sh"), Ok(None));
    // The length need not be a multiple of the sector size.
    image.directory_length(image.directory);
    assert_eq!(read(&image.bytes, "context.sh"), Ok(Some(b"x".to_vec())));
    image.directory_length(0);
    assert_eq!(read(&image.bytes, "context.sh"), Ok(None));
}

#[test]
fn places_beyond_the_end() {
    let mut image = Drawn::new(2048);
    let end = image.bytes.len();
    image.record(b"CONTEXT.SH;1", end - 3, 3);
    // The size is rounded down to a block; then it is one byte more than the image has.
    image.record(b"INIT.SH;1", end - SECTOR, SECTOR + 1);
    image.record(b"EMPTY;1", 0xffff_ffff * 2048, 0);
    assert_eq!(read(&image.bytes, "context.sh"), Ok(Some(vec![0; 3])));
    assert_eq!(read(&image.bytes, "empty"), Ok(Some(vec![])));
    assert_eq!(
        read(&image.bytes, "init.sh").map_err(words),
        Err(TRUNCATED.into())
    );

    let mut image = Drawn::new(2048);
    image.record(b"CONTEXT.SH;1", 0xffff_ffff * 2048, 0xffff_ffff)[1] = 0xff;
    fails(&image.bytes, TRUNCATED);

    let mut image = Drawn::new(2048);
    image.directory_length(100 * SECTOR);
    fails(&image.bytes, TRUNCATED);
    image.bytes.resize(LARGEST * 2, 0);
    image.directory_length(LARGEST + SECTOR);
    fails(
        &image.bytes,
        "the root directory of the image is larger than 16 MiB",
    );
}

#[test]
fn damaged_records() {
    // A record that is shorter than its fixed part, one that is longer than its sector,
    // and one that is shorter than its name.
    for (place, value) in [(0, 20), (0, 255), (32, 200)] {
        let mut image = Drawn::new(2048);
        for _ in 0..45 {
            image.record(b"SOMEFILE;1", DATA * SECTOR, 0);
        }
        image.record(b"CONTEXT.SH;1", DATA * SECTOR, 0)[place] = value;
        fails(&image.bytes, DAMAGED);
    }
}

#[test]
fn records_that_are_not_the_file() {
    let mut image = Drawn::new(2048);
    image.bytes[DATA * SECTOR] = b'x';
    image.record(b"CONTEXT.SH;1", 0, 100)[25] = 4;
    image.record(b"CONTEXT.SH;1", 0, 100)[25] = 2;
    // A hidden file behind an extended attribute record of one block.
    let record = image.record(b"CONTEXT.SH;1", (DATA - 1) * SECTOR, 1);
    record[25] = 1;
    record[1] = 1;
    assert_eq!(read(&image.bytes, "context.sh"), Ok(Some(b"x".to_vec())));

    let mut image = Drawn::new(2048);
    image.record(b"CONTEXT.SH;1", DATA * SECTOR, 1)[26] = 1;
    fails(&image.bytes, "the file is interleaved");
}

#[test]
fn byte_orders_that_disagree() {
    let mut image = Drawn::new(2048);
    image.bytes[DATA * SECTOR] = b'x';
    image.record(b"CONTEXT.SH;1", DATA * SECTOR, 1)[6..10].fill(0xff);
    assert_eq!(read(&image.bytes, "context.sh"), Ok(Some(b"x".to_vec())));
}

#[test]
fn descriptor_sets() {
    let mut image = Drawn::new(2048);
    image.record(b"CONTEXT.SH;1", DATA * SECTOR, 5);
    let expected = Ok(Some(vec![0; 5]));
    assert_eq!(read(&image.bytes, "context.sh"), expected);
    // Another descriptor before the primary one.
    let mut moved = image.bytes.clone();
    moved.copy_within(16 * SECTOR..18 * SECTOR, 17 * SECTOR);
    moved[16 * SECTOR] = 0;
    assert_eq!(read(&moved, "context.sh"), expected);
    // No terminator.
    let mut open_end = image.bytes.clone();
    open_end[17 * SECTOR..18 * SECTOR].fill(0);
    assert_eq!(read(&open_end, "context.sh"), expected);
    // No primary descriptor, and no terminator.
    let mut none = vec![0; 300 * SECTOR];
    for sector in none.chunks_mut(SECTOR) {
        sector[..7].copy_from_slice(b"\x03CD001\x01");
    }
    fails(&none, "the image has no primary volume descriptor");
    // An invalid Joliet tree does not prevent reading the primary one.
    let mut joliet = image.bytes.clone();
    joliet.copy_within(16 * SECTOR..17 * SECTOR, 17 * SECTOR);
    joliet[17 * SECTOR] = 2;
    joliet[17 * SECTOR + 88..][..3].copy_from_slice(b"%/E");
    joliet[17 * SECTOR + 158..][..4].fill(0xff);
    assert_eq!(read(&joliet, "context.sh"), expected);
}

fn name(flags: u8, part: &[u8]) -> Vec<u8> {
    [&[b'N', b'M', part.len() as u8 + 5, 1, flags], part].concat()
}

fn continuation(sector: usize, offset: usize, length: usize) -> Vec<u8> {
    let mut entry = b"CE\x1c\x01".to_vec();
    for value in [sector, offset, length] {
        let mut field = [0; 8];
        both(&mut field, value);
        entry.extend(field);
    }
    entry
}

#[test]
fn rock_ridge_names() {
    let found = Ok(Some(vec![0; 5]));
    for (entries, expected) in [
        (name(0, b"context.sh"), true),
        (
            [name(1, b"con"), name(1, b""), name(0, b"text.sh")].concat(),
            true,
        ),
        // The last part is missing.
        (name(1, b"context.sh"), true),
        (name(0, b"context.s"), false),
        (name(0, b"context.sh2"), false),
        ([name(1, b"context"), name(0, b"x.sh")].concat(), false),
        ([name(2, b""), name(0, b"context.sh")].concat(), true),
        // An entry behind the end of the area, and one that does not fit into it.
        (
            [b"ST\x04\x01".to_vec(), name(0, b"context.sh")].concat(),
            false,
        ),
        (b"NM\xff\x01\0context.sh".to_vec(), false),
        (b"NM\x03\x01\0context.sh".to_vec(), false),
        (vec![b'N'], false),
    ] {
        let mut image = Drawn::new(2048).with_susp(0);
        image.rock_ridge(b"OTHER.;1", &entries);
        let expected = if expected { found.clone() } else { Ok(None) };
        assert_eq!(read(&image.bytes, "context.sh"), expected, "{entries:?}");
    }
    // Without a Rock Ridge name the ISO 9660 name counts.
    let mut image = Drawn::new(2048).with_susp(0);
    image.rock_ridge(b"CONTEXT.SH;1", b"PX\x04\x01");
    assert_eq!(read(&image.bytes, "context.sh"), found);
    // The number of bytes to skip in each area.
    let mut image = Drawn::new(2048).with_susp(3);
    image.rock_ridge(
        b"OTHER.;1",
        &[b"xyz".to_vec(), name(0, b"context.sh")].concat(),
    );
    assert_eq!(read(&image.bytes, "context.sh"), found);
    // SP behind the attributes of CD-ROM XA.
    let mut image = Drawn::new(2048);
    image.rock_ridge(b"\0", &[&[0; 14], &b"SP\x07\x01\xbe\xef\x0e"[..]].concat());
    image.rock_ridge(b"OTHER.;1", &[vec![0; 14], name(0, b"context.sh")].concat());
    assert_eq!(read(&image.bytes, "context.sh"), found);
}

#[test]
fn rock_ridge_names_that_continue_elsewhere() {
    let found = Ok(Some(vec![0; 5]));
    let area = 40 * SECTOR;
    let draw = |entries: &[Vec<u8>], place: usize, areas: &[Vec<u8>]| {
        let mut image = Drawn::new(2048).with_susp(0);
        image.rock_ridge(b"OTHER.;1", &entries.concat());
        let areas = areas.concat();
        image.bytes[area + place..][..areas.len()].copy_from_slice(&areas);
        image
    };
    // All of the area, the rest of it, and two areas.
    let image = draw(&[continuation(40, 9, 15)], 9, &[name(0, b"context.sh")]);
    assert_eq!(read(&image.bytes, "context.sh"), found);
    let image = draw(
        &[name(1, b"cont"), continuation(40, 0, 11)],
        0,
        &[name(0, b"ext.sh")],
    );
    assert_eq!(read(&image.bytes, "context.sh"), found);
    let image = draw(
        &[continuation(40, 0, 37), name(1, b"cont")],
        0,
        &[name(1, b"ex"), continuation(40, 100, 9)],
    );
    let mut bytes = image.bytes;
    bytes[area + 100..][..9].copy_from_slice(&name(0, b"t.sh"));
    assert_eq!(read(&bytes, "context.sh"), found);

    // A continuation area that leads to itself.
    let image = draw(&[continuation(40, 0, 28)], 0, &[continuation(40, 0, 28)]);
    fails(&image.bytes, "the image has names without an end");
    // One beyond the image, and one beyond the sector.
    for (sector, offset, length, why) in [
        (60, 0, 28, TRUNCATED),
        (0xffff_ffff, 0xffff_ffff, 28, TRUNCATED),
        (
            40,
            0,
            2049,
            "a name of the image continues beyond its sector",
        ),
        (
            40,
            0,
            0xffff_ffff,
            "a name of the image continues beyond its sector",
        ),
    ] {
        let image = draw(&[continuation(sector, offset, length)], 0, &[]);
        fails(&image.bytes, why);
    }
    // If the start of a name differs already, its other area is not read.
    let image = draw(&[name(1, b"x"), continuation(60, 0, 28)], 0, &[]);
    assert_eq!(read(&image.bytes, "context.sh"), Ok(None));
}

#[test]
fn joliet_names() {
    for (record, expected) in [
        ("context.sh", true),
        ("context.sh;1", true),
        ("context.sh.", true),
        ("CONTEXT.SH", true),
        ("context.sh;2", false),
        ("context.shé", false),
        ("ćontext.sh", false),
    ] {
        let mut image = Drawn::new(2048);
        image
            .bytes
            .copy_within(16 * SECTOR..18 * SECTOR, 17 * SECTOR);
        image.bytes[17 * SECTOR] = 2;
        image.bytes[17 * SECTOR + 88..][..3].copy_from_slice(b"%/@");
        let units: Vec<u8> = record.encode_utf16().flat_map(u16::to_be_bytes).collect();
        image.record(&units, DATA * SECTOR, 5);
        let expected = Ok(expected.then(|| vec![0; 5]));
        assert_eq!(read(&image.bytes, "context.sh"), expected, "{record}");
    }
}

#[test]
fn labels() {
    for (written, expected) in [
        (&b"CONTEXT                         "[..], "CONTEXT"),
        (b"CONTEXT\0\0 \0", "CONTEXT"),
        (b"  A B  ", "  A B"),
        (b"                                ", ""),
        (
            b"0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef",
        ),
    ] {
        let mut image = Drawn::new(2048);
        image.bytes[16 * SECTOR + 40..][..32].fill(0);
        image.bytes[16 * SECTOR + 40..][..written.len()].copy_from_slice(written);
        assert_eq!(label(&image.bytes), expected);
    }
}

#[test]
fn what_is_no_image() {
    for bytes in [
        &[][..],
        b"ETH0_IP='10.0.0.1'\n",
        &[0; 17 * SECTOR],
        &Drawn::new(2048).bytes[..17 * SECTOR - 1],
    ] {
        assert_eq!(open(bytes).err().map(words), Some("no image".into()));
    }
}

/// Reads a file with all steps that [`crate::disk::Disk`] takes.
#[test]
fn reads_are_few() {
    let image = contents(TODAY).build();
    let counted = Counted {
        bytes: &image,
        reads: 0.into(),
    };
    assert_eq!(
        read_from(&counted, "context.sh"),
        Ok(Some(CONTEXT.to_vec()))
    );
    // The descriptor, the directory, the file.
    assert_eq!(counted.reads.get(), 3);
}
