//! The program when the kernel gives no memory.

use crate::release;
use std::process::Command;

#[test]
fn exhausted_memory_is_said_and_ends_the_program() {
    let folder = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
    let line = "# a line of a comment\n";
    let text = line.repeat((8 << 20) / line.len());
    std::fs::write(folder.join("context.sh"), text).unwrap();
    let plan = |limit: &str| {
        Command::new("sh")
            .args(["-c", "ulimit -v $1; exec \"$2\" plan \"$3\"", "sh", limit])
            .arg(release::binary())
            .arg(&folder)
            .output()
            .unwrap()
    };
    let (short, enough) = (plan("4096"), plan("65536"));
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(short.status.code(), Some(1));
    assert_eq!(short.stderr, b"onecontext: out of memory\n");
    assert!(short.stdout.is_empty());
    assert!(enough.status.success(), "{enough:?}");
}
