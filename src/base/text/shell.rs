//! Text for a shell (POSIX, XCU 2).
use crate::base::memory::Vector;

/// Appends a line that calls a command or a function with these arguments.
pub fn command(text: &mut Vector<u8>, name: &[u8], arguments: &[&[u8]]) {
    text.extend(name);
    for argument in arguments {
        text.push(b' ');
        quote(text, argument);
    }
    text.push(b'\n');
}

/// Appends one word in quotes (2.2.2). It must not have a NUL.
pub fn quote(text: &mut Vector<u8>, word: &[u8]) {
    text.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => text.extend(b"'\\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
}
