//! Tests of the module. The tools that the servers use make the images.
mod images;
mod media;
mod search;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::base::context_files::Files;
use crate::base::error::Error;
use crate::base::log::{Console, Report};
use crate::base::memory;
use crate::base::text::to_string;

/// A temporary directory of one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "onecontext-disk-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// The files of an image, and how it is made.
struct Image<'t> {
    files: Vec<(String, Vec<u8>)>,
    flags: &'t [&'t str],
}

/// `-J -R -V CONTEXT`: OpenNebula 4.2 and later.
const TODAY: &[&str] = &["-J", "-R", "-V", "CONTEXT"];

impl<'t> Image<'t> {
    fn new(flags: &'t [&'t str]) -> Self {
        Self {
            files: Vec::new(),
            flags,
        }
    }

    fn file(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.push((name.into(), bytes.as_ref().to_vec()));
        self
    }

    /// The image, made by this tool.
    fn make(&self, tool: &[&str]) -> Vec<u8> {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path("root")).unwrap();
        for (name, bytes) in &self.files {
            scratch.write(&format!("root/{name}"), bytes);
        }
        let image = scratch.path("image.iso");
        let (program, first) = tool.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(first).args(self.flags).arg("-o").arg(&image);
        command.arg(scratch.path("root"));
        run(command);
        fs::read(image).unwrap()
    }

    /// Made by genisoimage.
    fn build(&self) -> Vec<u8> {
        self.make(GENISOIMAGE)
    }
}

const GENISOIMAGE: &[&str] = &["genisoimage", "-quiet"];
const XORRISO: &[&str] = &["xorriso", "-as", "mkisofs", "-quiet"];

/// The output of a command, which must be installed and succeed.
fn run(mut command: Command) -> Vec<u8> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run `make setup`"));
    assert!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Pseudorandom numbers, the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn silent() -> Report {
    Report::new(Console::Silent)
}

fn words(reason: Error) -> String {
    to_string(&reason)
}
