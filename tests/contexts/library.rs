//! Tests that call the library, one after the other in one thread: its memory has no lock.

#[path = "../fuzz/checks.rs"]
mod checks;
mod json;
#[path = "../support/one_thread.rs"]
mod one_thread;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/release.rs"]
mod release;
#[path = "../fuzz/replay.rs"]
mod replay;
mod shell;
#[path = "../release/wire.rs"]
mod wire;

fn main() {
    one_thread::run(&[replay::TESTS, wire::TESTS, shell::TESTS, json::TESTS]);
}
