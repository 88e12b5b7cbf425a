//! The inputs that fuzzing found to be of interest, `fuzz/inputs`. Together they reach
//! every line that fuzzing has ever reached.

use crate::one_thread::Test;
use std::fs;
use std::path::Path;

/// Checks all inputs of one fuzz target.
fn check(target: &str, check: fn(&[u8])) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = top.join("tests/fuzz/inputs").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if std::panic::catch_unwind(|| check(&bytes)).is_err() {
            panic!("{}", path.display());
        }
        count += 1;
    }
    assert!(count > 30, "{count} inputs in {}", folder.display());
}

fn assignments() {
    check("assignments", crate::checks::assignments);
}

fn dhcp() {
    check("dhcp", crate::checks::dhcp);
}

fn iso9660() {
    check("iso9660", crate::checks::iso9660);
}

fn netlink() {
    check("netlink", crate::checks::netlink);
}

fn plan() {
    check("plan", crate::checks::plan);
}

/// The tests of this file, for `one_thread::run`.
pub const TESTS: &[Test] = &[
    ("replay::assignments", assignments),
    ("replay::dhcp", dhcp),
    ("replay::iso9660", iso9660),
    ("replay::netlink", netlink),
    ("replay::plan", plan),
];
