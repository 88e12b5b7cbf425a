//! What `make bench` measures, kept for its table: `target/bench/figures`, one figure a
//! line, its fields separated by tabs.
use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/figures")
}

/// Whether `make bench` runs.
pub fn are_kept() -> bool {
    std::env::var_os("BENCH").is_some()
}

/// Keeps a figure: the subject, the kind of figure, the value.
pub fn keep(of: &str, figure: &str, value: impl Display) {
    if !are_kept() {
        return;
    }
    fs::create_dir_all(file().parent().unwrap()).unwrap();
    let mut kept = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file())
        .unwrap();
    writeln!(kept, "{of}\t{figure}\t{value}").unwrap();
}
