//! Context files on each kind of medium.
use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::disk::{Disk, LARGEST};

const TEXT: &[u8] = b"A=1\n";

fn open(path: &Path) -> Result<(), String> {
    Disk::open(&c(path)).map(|_| ()).map_err(words)
}

/// The content of a file, or the error. Asserts that `has` agrees.
fn read(path: &Path, name: &str) -> Result<Option<Vec<u8>>, String> {
    let disk = Disk::open(&c(path)).map_err(words)?;
    let text = disk
        .read(name.as_bytes())
        .map(|text| text.map(|text| text.to_vec()));
    assert_eq!(
        disk.has(name.as_bytes()),
        text.clone().map(|text| text.is_some())
    );
    text.map_err(words)
}

fn found(text: &[u8]) -> Result<Option<Vec<u8>>, String> {
    Ok(Some(text.to_vec()))
}

#[test]
fn an_image() {
    let image = Image::new(TODAY)
        .file("context.sh", TEXT)
        .file("init.sh", "")
        .build();
    let scratch = Scratch::new();
    let path = scratch.write("any name", &image);
    assert_eq!(read(&path, "context.sh"), found(TEXT));
    assert_eq!(read(&path, "init.sh"), found(b""));
    assert_eq!(read(&path, "configuration.sh"), Ok(None));
    let disk = Disk::open(&c(&path)).unwrap();
    assert_eq!(disk.source(), c(&path).to_bytes());
    assert_eq!(disk.called(b"context.sh"), b"context.sh");
    // The content can be changed, and stays valid when the disk is closed.
    let text = disk.read(b"context.sh").unwrap().unwrap();
    text[0] = b'B';
    let again = disk.read(b"context.sh").unwrap().unwrap();
    drop(disk);
    assert_eq!((&*text, &*again), (&b"B=1\n"[..], TEXT));

    fs::write(&path, &image[..16 * 2048 + 100]).unwrap();
    assert_eq!(
        open(&path),
        Err("neither a text nor a whole ISO 9660 image".into())
    );
}

#[test]
fn a_directory() {
    let scratch = Scratch::new();
    scratch.write("secret", "secret");
    scratch.write("context/context.sh", TEXT);
    scratch.write("context/init.sh/file", "");
    scratch.write("context/large", vec![b'x'; LARGEST + 1]);
    let path = scratch.path("context");
    std::os::unix::fs::symlink("context.sh", path.join("link")).unwrap();
    assert_eq!(read(&path, "context.sh"), found(TEXT));
    assert_eq!(read(&path, "link"), found(TEXT));
    let long = "n".repeat(255);
    for absent in [
        "",
        ".",
        "..",
        "../secret",
        "/etc/passwd",
        "init.sh",
        "absent",
        &long,
    ] {
        assert_eq!(read(&path, absent), Ok(None), "{absent}");
    }
    let disk = Disk::open(&c(&path)).unwrap();
    assert_eq!(
        disk.read(b"large").map_err(words),
        Err("larger than 16 MiB".into())
    );
}

/// A named device may be tried for as long as a boot waits for it.
#[test]
fn an_attempt_that_fails_takes_no_memory() {
    let scratch = Scratch::new();
    scratch.write("empty", "");
    scratch.write("zeros", [0; 65536]);
    scratch.write("directory/another", "");
    scratch.write("folder/context.sh/file", "");
    let names = ["absent", "empty/file", "zeros", "directory", "folder"];
    let mut paths: Vec<_> = names.map(|name| c(&scratch.path(name))).into();
    let image = Image::new(TODAY).file("context.sh", TEXT).build();
    for length in [20, 22, 24].map(|sectors| sectors * 2048) {
        let image = scratch.write(&format!("image{length}"), &image[..length]);
        paths.push(c(&image));
    }
    for path in paths {
        let taken = memory::mark();
        let found = Disk::open(&path).and_then(|disk| disk.has(b"context.sh"));
        assert_ne!(found, Ok(true), "{path:?}");
        // The path of a disk that was opened is kept.
        if found.is_err() {
            assert_eq!(memory::mark(), taken, "{path:?}");
        }
    }
}

/// The bytes that this thread has read so far, from any file.
fn bytes_read() -> usize {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn presence_is_found_without_reading_the_file() {
    const SCRIPTS: [&str; 3] = ["init.sh", "prolog.sh", "epilog.sh"];
    let scratch = Scratch::new();
    let mut image = Image::new(TODAY).file("context.sh", TEXT);
    scratch.write("context/context.sh", TEXT);
    // The last one is larger than the reader's limit.
    for (name, size) in SCRIPTS.into_iter().zip([12 << 20, 12 << 20, LARGEST + 1]) {
        image = image.file(name, vec![b'#'; size]);
        scratch.write(&format!("context/{name}"), vec![b'#'; size]);
    }
    let image = scratch.write("image", image.build());
    for path in [scratch.path("context"), image] {
        let disk = Disk::open(&c(&path)).unwrap();
        let before = bytes_read();
        for name in SCRIPTS {
            assert_eq!(disk.has(name.as_bytes()), Ok(true), "{name}");
        }
        assert_eq!(disk.has(b"absent"), Ok(false));
        let read = bytes_read() - before;
        assert!(read < 64 << 10, "{read} bytes of {}", path.display());
        let large = disk.read(b"epilog.sh").map_err(words);
        assert_eq!(large, Err("larger than 16 MiB".into()));
    }
}

#[test]
fn a_lone_file_may_have_any_name() {
    let scratch = Scratch::new();
    let path = scratch.write("saved.txt", TEXT);
    assert_eq!(read(&path, "context.sh"), found(TEXT));
    for absent in ["configuration.sh", "init.sh", "saved.txt"] {
        assert_eq!(read(&path, absent), Ok(None));
    }
    let disk = Disk::open(&c(&path)).unwrap();
    assert_eq!(disk.called(b"context.sh"), b"saved.txt");
    let disk = Disk::open(c"/proc/self/cmdline").unwrap();
    assert_eq!(disk.called(b"context.sh"), b"cmdline");
    let path = scratch.write("saved context.txt", TEXT);
    let disk = Disk::open(&c(&path)).unwrap();
    assert_eq!(disk.called(b"context.sh"), b"context.sh");
    let disk = scratch.write("empty", "");
    assert_eq!(read(&disk, "context.sh"), found(b""));
}

#[test]
fn what_cannot_be_a_medium() {
    let scratch = Scratch::new();
    assert_eq!(
        open(&scratch.path("absent")),
        Err("No such file or directory".into())
    );
    assert_eq!(
        open(Path::new("/dev/null")),
        Err("neither a file, a block device nor a directory".into())
    );
    // A FIFO without a writer does not block.
    let pipe = scratch.path("pipe");
    let mut command = Command::new("mkfifo");
    command.arg(&pipe);
    run(command);
    assert!(open(&pipe).is_err());
    assert_eq!(read(&scratch.0, "pipe"), Err("not a regular file".into()));
}
