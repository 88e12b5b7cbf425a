//! The shipped binaries, for the tests that run one.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program with all commands; `ONECONTEXT_BIN` names another.
#[allow(dead_code)] // Not every test runs both.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named().unwrap_or_else(|| folder().join("onecontext")))
}

/// The program of the initramfs, which tests of `apply` run.
#[allow(dead_code)]
pub fn initramfs() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named().unwrap_or_else(|| folder().join("onecontext-initramfs")))
}

/// The program for this command: `plan` and the other dry runs need the one with all
/// commands.
#[allow(dead_code)]
pub fn program<'a>(mut arguments: impl Iterator<Item = &'a str>) -> &'static Path {
    match arguments.next() {
        Some("apply") if arguments.all(|argument| argument != "--dry-run") => initramfs(),
        _ => binary(),
    }
}

/// Whether a program has this text in its file, as all that it can say. A message is there
/// in pieces, between its operands.
#[allow(dead_code)]
pub fn has_text(program: &Path, text: &str) -> bool {
    let file = std::fs::read(program).unwrap();
    file.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Asserts that the program of the initramfs has not said this here. If it never says it,
/// since the message has other words now, this fails as well.
#[allow(dead_code)]
#[track_caller]
pub fn assert_unsaid(log: &str, text: &str) {
    assert!(has_text(initramfs(), text), "it never says {text:?}");
    assert!(!log.contains(text), "{log}");
}

fn named() -> Option<PathBuf> {
    std::env::var_os("ONECONTEXT_BIN").map(PathBuf::from)
}

/// The directory with the release binaries, which are built once in a test run;
/// `ONECONTEXT_BINARIES` names another directory.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os("ONECONTEXT_BINARIES") {
        Some(folder) => folder.into(),
        None => build("target", &[]),
    })
}

/// Builds the release binaries below `target`, with these variables set; returns their
/// directory.
pub fn build(target: &str, variables: &[(&str, &str)]) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--bins",
            "--target-dir",
        ])
        .arg(top.join(target))
        .current_dir(top)
        .envs(variables.iter().copied())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the release build failed");
    top.join(target).join("release")
}
