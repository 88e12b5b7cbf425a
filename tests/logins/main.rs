//! What `check --root` says of logins, and what the sshd of Debian's releases does: in a
//! root of its own, in namespaces of its own.
#[path = "../support/random.rs"]
mod random;
#[path = "../support/release.rs"]
mod release;

mod cases;
mod real;
mod table;
