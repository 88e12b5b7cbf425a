//! A test program with one thread, for tests that call the library: its memory has no
//! lock (`src/base/memory.rs`).
//!
//! Cargo.toml says `harness = false` for such a program. Arguments are, as with the
//! standard harness, parts of names; options are for that harness and have no effect.

/// A name and the test.
pub type Test = (&'static str, fn());

/// Runs the tests whose names contain one of the arguments, and ends the program.
pub fn run(files: &[&[Test]]) {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    assert_eq!(threads, 1, "the library's memory has no lock");
    let parts: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    for (name, test) in files.iter().copied().flatten() {
        if parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str())) {
            // A panic ends the program, with its message and this line before it.
            print!("test {name} ... ");
            test();
            println!("ok");
        }
    }
}
