//! What is shipped: the files, their size and cost, the packages, the hooks, the documents.

#[path = "../support/figures.rs"]
#[allow(dead_code, reason = "the others write")]
mod figures;
#[path = "../support/guest.rs"]
#[allow(dead_code, reason = "tests/namespace uses more of it")]
mod guest;
#[path = "../support/release.rs"]
mod release;

mod bench;
mod docs;
mod elf;
mod hooks;
mod memory;
mod packages;
mod scale;
