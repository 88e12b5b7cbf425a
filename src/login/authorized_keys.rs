//! Our block in an authorized_keys file.
//!
//! The block holds exactly the keys of the context, also those that are outside of it
//! already: sshd accepts repetitions, and whoever removes a key in one place leaves the
//! other. What is outside stays byte for byte. Without keys there is no block.
use crate::base::memory::Vector;
use crate::base::set::Set;
use crate::base::text::{position, words};

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
    /// What is outside of the block.
    pub outside: &'static [u8],
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

/// `text` with `keys` in a block at its start: of several lines for one key sshd takes the
/// first (openssh:auth2-pubkeyfile.c). Other blocks go.
pub fn merge(text: &[u8], keys: &[&[u8]]) -> Merged {
    let mut out = Vector::new();
    if !keys.is_empty() {
        out.extend(BEGIN);
        out.extend(BEGIN_REST);
        for key in keys {
            out.extend(key);
            out.push(b'\n');
        }
        out.extend(END);
        out.push(b'\n');
    }
    let block = out.len();
    let mut broken = false;
    // After a begin marker whose end is not found yet: where the lines behind it start
    // in `out`.
    let mut open = None::<usize>;
    for line in lines(text) {
        if is_begin(line) {
            broken |= open.is_some();
            open = Some(out.len());
        } else if is_end(line) {
            match open.take() {
                Some(start) => out.truncate(start),
                None => broken = true,
            }
        } else {
            out.extend(line);
        }
    }
    broken |= open.is_some();
    let content = out.finish();
    Merged {
        content,
        outside: content.get(block..).unwrap_or_default(),
        broken,
    }
}

/// The options of each line of `text` that restricts one of `keys`, without their values,
/// which may be long.
pub fn restrictions(text: &[u8], keys: &[&'static [u8]]) -> impl Iterator<Item = Vector<u8>> {
    let is_blob = |word: &&[u8]| word.starts_with(b"AAAA");
    let mut blobs = Set::new();
    for blob in keys.iter().flat_map(|key| words(key).find(is_blob)) {
        blobs.insert(0, blob);
    }
    lines(text).filter_map(move |line| {
        let blob = words(line).find(|word| is_blob(word) && blobs.contains(0, word))?;
        let before = line.get(..position(line, blob)?)?.trim_ascii();
        let end = before.iter().rposition(u8::is_ascii_whitespace)?;
        let mut options = Vector::new();
        let mut is_quoted = false;
        for byte in before.get(..end)?.trim_ascii() {
            is_quoted ^= *byte == b'"';
            if !is_quoted && *byte != b'"' {
                options.push(*byte);
            }
        }
        (!options.starts_with(b"#")).then_some(options)
    })
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
    fn a_block_is_added_at_the_start() {
        for outside in ["", "x", "x\n", "x\n\n"] {
            assert_eq!(text(outside, &["a", "b"]), block("a\nb\n") + outside);
        }
    }

    #[test]
    fn a_block_wherever_it_stands_goes_to_the_start() {
        let old = format!("x\n{}y\r\nz", block("old\n"));
        assert_eq!(text(&old, &["a"]), block("a\n") + "x\ny\r\nz");
        assert_eq!(text(&old, &[]), "x\ny\r\nz");
        // Another version's words, and an editor that wrote CRLF.
        let old = "x\r\n# onecontext: begin of old\r\nold\r\n# onecontext: end\r\ny\r\n";
        assert_eq!(text(old, &["a"]), block("a\n") + "x\r\ny\r\n");
        // No newline after the last marker.
        let old = format!("{HEAD}old\n# onecontext: end");
        assert_eq!(text(&old, &["a"]), block("a\n"));
    }

    #[test]
    fn a_second_block_goes() {
        let old = format!("{}x\n{}", block("one\n"), block("two\n"));
        assert_eq!(text(&old, &["a"]), block("a\n") + "x\n");
    }

    #[test]
    fn lines_that_restrict_a_key_of_the_context() {
        let found = |text: &str, keys: &[&'static [u8]]| -> Vec<String> {
            let found = restrictions(text.as_bytes(), keys);
            found
                .map(|options| String::from_utf8(options.to_vec()).unwrap())
                .collect()
        };
        let keys: [&[u8]; 2] = [b"ssh-rsa AAAAB3 alice", b"from=\"h\" ssh-ed25519 AAAAC3"];
        // As cloud-init writes it for root.
        let text = "no-pty,command=\"echo \\\"AAAAB3 x\\\";exit 142\" ssh-rsa AAAAB3 a\n";
        assert_eq!(found(text, &keys), ["no-pty,command="]);
        assert_eq!(
            found(
                "  cert-authority\tssh-ed25519 \t AAAAC3\r\nrestrict ssh-rsa AAAAB3",
                &keys
            ),
            ["cert-authority", "restrict"]
        );
        // Without options, of another key, a comment, no key.
        let text = "ssh-rsa AAAAB3 b\n ssh-ed25519 AAAAC3\nrestrict ssh-rsa AAAAB4\n\
                    # restrict ssh-rsa AAAAB3\n#ssh-rsa AAAAB3\n\nAAAAB3\nx\n";
        assert_eq!(found(text, &keys), [""; 0]);
        assert_eq!(found("restrict ssh-rsa AAAAB3", &[]), [""; 0]);
    }

    #[test]
    fn a_broken_block_loses_nothing() {
        let keep = |old: String, new: String| {
            let (content, broken) = merged(old.as_bytes(), &["a"]);
            assert_eq!(String::from_utf8(content).unwrap(), new);
            assert!(broken);
        };
        keep(format!("x\n{HEAD}k\ny\n"), block("a\n") + "x\nk\ny\n");
        keep(format!("x\n{TAIL}y\n"), block("a\n") + "x\ny\n");
        keep(
            format!("x\n{HEAD}k\n{HEAD}old\n{TAIL}y\n"),
            block("a\n") + "x\nk\ny\n",
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
            assert_eq!(with, [block("a\n").as_bytes(), &outside].concat());
            assert_eq!(merged(&with, &[]).0, outside);
        }
    }

    #[test]
    fn marks() {
        assert!(is_marked(block("a\n").as_bytes()));
        assert!(!is_marked(b"ssh-rsa AAAA onecontext: begin\n"));
        assert!(!is_marked(b""));
    }
}
