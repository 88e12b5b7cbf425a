//! The binary as it is shipped: the tests that run it run this one.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The release binary, built once a test run; `ONECONTEXT_BIN` names another.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("ONECONTEXT_BIN") {
        Some(path) => path.into(),
        None => build("target", &[]),
    })
}

/// Builds the release binary below `target`, with these variables set.
pub fn build(target: &str, variables: &[(&str, &str)]) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--bin",
            "onecontext",
            "--target-dir",
        ])
        .arg(top.join(target))
        .current_dir(top)
        .envs(variables.iter().copied())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the release build failed");
    top.join(target).join("release/onecontext")
}
