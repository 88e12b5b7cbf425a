//! Our block in an authorized_keys file.
//!
//! The block holds exactly the keys of the context, also those that are outside of it
//! already: sshd accepts repetitions, and whoever removes a key in one place leaves the
//! other. What is outside stays byte for byte. Without keys there is no block.
use crate::base::memory::Vector;

/// The block's first line. Only its start counts; the rest is for people.
const BEGIN: &[u8] = b"# onecontext: begin";
const BEGIN_REST: &[u8] = b" (keys of the context, made anew at each boot)\n";
/// The block's last line.
const END: &[u8] = b"# onecontext: end";

/// The new content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// All of it.
    pub content: &'static [u8],
    /// A marker had no counterpart. It is removed, and all lines that could belong to
    /// it stay: they may be the owner's.
    pub broken: bool,
}

/// The lines, each with its newline. core's `split_inclusive` is not used: it can
/// panic.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.map_or(rest.len(), |end| end + 1);
        let (line, tail) = rest.split_at_checked(end)?;
        rest = tail;
        (!line.is_empty()).then_some(line)
    })
}

fn is_begin(line: &[u8]) -> bool {
    line.starts_with(BEGIN)
}

fn is_end(line: &[u8]) -> bool {
    line.trim_ascii_end() == END
}

/// Whether the file has a block, or a part of one.
pub fn is_marked(text: &[u8]) -> bool {
    lines(text).any(|line| is_begin(line) || is_end(line))
}

/// `text` with `keys` in the block. A block is replaced in its place, a second one is
/// removed; if there is none, it is added at the end. Without keys all are removed.
pub fn merge(text: &[u8], keys: &[&[u8]]) -> Merged {
    let mut block = Vector::new();
    block.extend(BEGIN);
    block.extend(BEGIN_REST);
    for key in keys {
        block.extend(key);
        block.push(b'\n');
    }
    block.extend(END);
    block.push(b'\n');

    let mut out = Vector::new();
    let (mut placed, mut broken) = (keys.is_empty(), false);
    // After a begin marker whose end is not found yet: where the lines behind it start
    // in `out`.
    let mut open = None::<usize>;
    for line in lines(text) {
        if is_begin(line) {
            broken |= open.is_some();
            open = Some(out.len());
        } else if is_end(line) {
            match open.take() {
                Some(start) => {
                    out.truncate(start);
                    if !placed {
                        out.extend(&block);
                        placed = true;
                    }
                }
                None => broken = true,
            }
        } else {
            out.extend(line);
        }
    }
    broken |= open.is_some();
    if !placed {
        if out.last().is_some_and(|byte| *byte != b'\n') {
            out.push(b'\n');
        }
        out.extend(&block);
    }
    Merged {
        content: out.finish(),
        broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# onecontext: begin (keys of the context, made anew at each boot)\n";
    const TAIL: &str = "# onecontext: end\n";

    fn block(keys: &str) -> String {
        format!("{HEAD}{keys}{TAIL}")
    }

    /// The merged file, twice merged the same, and whether it was broken.
    fn merged(text: &[u8], keys: &[&str]) -> (Vec<u8>, bool) {
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
        let once = merge(text, &keys);
        let twice = merge(once.content, &keys);
        assert_eq!(twice.content, once.content);
        assert!(!twice.broken);
        (once.content.to_vec(), once.broken)
    }

    fn text(text: &str, keys: &[&str]) -> String {
        let (content, broken) = merged(text.as_bytes(), keys);
        assert!(!broken);
        String::from_utf8(content).unwrap()
    }

    #[test]
    fn a_block_is_added_at_the_end() {
        assert_eq!(text("", &["a"]), block("a\n"));
        assert_eq!(text("x\n", &["a", "b"]), format!("x\n{}", block("a\nb\n")));
        assert_eq!(text("x", &["a"]), format!("x\n{}", block("a\n")));
        assert_eq!(text("x\n\n", &["a"]), format!("x\n\n{}", block("a\n")));
    }

    #[test]
    fn a_block_is_replaced_in_place() {
        let old = format!("x\n{}y\r\nz", block("old\n"));
        assert_eq!(text(&old, &["a"]), format!("x\n{}y\r\nz", block("a\n")));
        assert_eq!(text(&old, &[]), "x\ny\r\nz");
        // Another version's words, and an editor that wrote CRLF.
        let old = "x\r\n# onecontext: begin of old\r\nold\r\n# onecontext: end\r\ny\r\n";
        assert_eq!(text(old, &["a"]), format!("x\r\n{}y\r\n", block("a\n")));
        // No newline after the last marker.
        let old = format!("{HEAD}old\n# onecontext: end");
        assert_eq!(text(&old, &["a"]), block("a\n"));
    }

    #[test]
    fn a_second_block_goes() {
        let old = format!("{}x\n{}", block("one\n"), block("two\n"));
        assert_eq!(text(&old, &["a"]), format!("{}x\n", block("a\n")));
    }

    #[test]
    fn a_broken_block_loses_nothing() {
        let keep = |old: String, new: String| {
            let (content, broken) = merged(old.as_bytes(), &["a"]);
            assert_eq!(String::from_utf8(content).unwrap(), new);
            assert!(broken);
        };
        keep(
            format!("x\n{HEAD}k\ny\n"),
            format!("x\nk\ny\n{}", block("a\n")),
        );
        keep(format!("x\n{TAIL}y\n"), format!("x\ny\n{}", block("a\n")));
        keep(
            format!("x\n{HEAD}k\n{HEAD}old\n{TAIL}y\n"),
            format!("x\nk\n{}y\n", block("a\n")),
        );
        keep(
            format!("{HEAD}old\n{TAIL}y\n{TAIL}z"),
            format!("{}y\nz", block("a\n")),
        );
        keep(HEAD.into(), block("a\n"));
    }

    #[test]
    fn any_bytes_outside_stay() {
        for round in 0..300u64 {
            let mut seed = round;
            let outside: Vec<u8> = (0..round % 97)
                .map(|_| {
                    seed = seed
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    // Many newlines, NULs and bytes that are no UTF-8.
                    [b'\n', b'\r', 0, 0xff, b'#', (seed >> 40) as u8][(seed >> 33) as usize % 6]
                })
                .collect();
            let (with, _) = merged(&outside, &["a"]);
            assert!(with.starts_with(&outside));
            let (without, _) = merged(&with, &[]);
            assert_eq!(without, with[..with.len() - block("a\n").len()]);
        }
    }

    #[test]
    fn marks() {
        assert!(is_marked(block("a\n").as_bytes()));
        assert!(!is_marked(b"ssh-rsa AAAA onecontext: begin\n"));
        assert!(!is_marked(b""));
    }
}
