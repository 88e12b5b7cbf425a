//! The shipped binary with failures: of system calls, of drives, of the power; and killed.

#[path = "../support/guest.rs"]
#[allow(dead_code, reason = "tests/namespace uses more of it")]
mod guest;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/release.rs"]
mod release;
#[path = "../support/tree.rs"]
mod tree;

mod calls;
mod drives;
mod kills;
mod machine;
mod no_wait;
mod powercut;
