//! All settings of the root's sshd_config(5), those of Match blocks included, for `check`.
//! Nothing is decided here: who logs in, and from where, selects the blocks.
use super::{Root, if_there};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{lines, same, split_path};

/// The limits on the number of lines and the depth of includes. sshd gives up at its own
/// SERVCONF_MAX_DEPTH (openssh:servconf.c).
const MOST_LINES: usize = 100_000;
const DEEPEST: usize = 16;

/// A line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: &'static [u8],
    /// Its number, from 1.
    pub line: usize,
}

/// A Match block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Where it begins.
    pub place: Place,
    /// Its criteria: names and patterns in turn.
    pub criteria: &'static [&'static [u8]],
    /// The block that includes the file with this one.
    pub outer: Option<&'static Block>,
}

/// A line of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Where it is.
    pub place: Place,
    /// The keyword.
    pub keyword: &'static [u8],
    /// Its arguments, at least one.
    pub arguments: &'static [&'static [u8]],
    /// The block that it is in.
    pub block: Option<&'static Block>,
}

struct Reader<'r> {
    root: &'r Root,
    settings: Vector<Setting>,
    blocks: Vector<&'static Block>,
    problem: Option<(&'static [u8], Error)>,
}

/// All settings, in the order in which sshd reads them.
pub struct Settings {
    /// The lines.
    pub list: &'static [Setting],
    /// The Match blocks.
    pub blocks: &'static [&'static Block],
    /// The first file that could not be read, and why.
    pub problem: Option<(&'static [u8], Error)>,
}

impl Settings {
    /// Reads the file that sshd would read: openSUSE has a default in /usr/etc.
    pub fn read(root: &Root) -> Self {
        let mut reader = Reader {
            root,
            settings: Vector::new(),
            blocks: Vector::new(),
            problem: None,
        };
        let main: [&[u8]; 2] = [b"/etc/ssh/sshd_config", b"/usr/etc/ssh/sshd_config"];
        for path in main {
            if reader.file(path, None, 0) {
                break;
            }
        }
        Self {
            list: reader.settings.finish(),
            blocks: reader.blocks.finish(),
            problem: reader.problem,
        }
    }
}

impl Reader<'_> {
    /// Reads a file. `false`: it is missing.
    fn file(&mut self, path: &'static [u8], outer: Option<&'static Block>, depth: usize) -> bool {
        let found = match if_there(self.root.read(path)) {
            Ok(Some(found)) => found,
            Ok(None) => return false,
            Err(error) => {
                self.problem.get_or_insert((path, error));
                return true;
            }
        };
        // A block ends at the next Match and at the end of its file.
        let mut block = outer;
        for (number, line) in (1..).zip(lines(found.content)) {
            let place = Place {
                file: path,
                line: number,
            };
            let (keyword, rest) = keyword(line);
            if self.settings.len() > MOST_LINES || keyword.is_empty() {
                continue;
            }
            if same(keyword, b"Match") {
                let criteria = arguments(rest, true);
                block = Some(memory::place(Block {
                    place,
                    criteria,
                    outer,
                }));
                self.blocks.extend(block.as_slice());
                continue;
            }
            let arguments = arguments(rest, false);
            if same(keyword, b"Include") {
                for pattern in arguments.iter().filter(|_| depth < DEEPEST) {
                    self.include(pattern, block, depth + 1);
                }
            } else if !arguments.is_empty() {
                self.settings.push(Setting {
                    place,
                    keyword,
                    arguments,
                    block,
                });
            }
        }
        true
    }

    /// Reads included files: a relative path is below /etc/ssh, the files of a pattern are
    /// sorted (glob(3)).
    fn include(&mut self, pattern: &[u8], block: Option<&'static Block>, depth: usize) {
        let base: &[u8] = match pattern.starts_with(b"/") {
            true => b"",
            false => b"/etc/ssh/",
        };
        let path: &'static [u8] = memory::concat(&[base, pattern]);
        let (directory, name) = split_path(path);
        if !name.iter().any(|byte| b"*?[".contains(byte)) {
            self.file(path, block, depth);
            return;
        }
        match self.root.list(directory) {
            Ok(entries) => {
                for entry in entries.iter().filter(|entry| glob(name, entry)) {
                    // glob(3) leaves hidden files out.
                    if entry.starts_with(b".") == name.starts_with(b".") {
                        let path = memory::concat(&[directory, b"/", entry]);
                        self.file(path, block, depth);
                    }
                }
            }
            Err(error) => {
                self.problem.get_or_insert((path, error));
            }
        }
    }
}

/// The keyword of a line, empty for none, and what is behind it: blanks or one `=` end it.
fn keyword(line: &'static [u8]) -> (&'static [u8], &'static [u8]) {
    let line = line.trim_ascii();
    let end = line
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || *byte == b'=');
    let (keyword, rest) = line
        .split_at_checked(end.unwrap_or(line.len()))
        .unwrap_or_default();
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b"=").unwrap_or(rest);
    match keyword.starts_with(b"#") {
        true => (b"", b""),
        false => (keyword.strip_prefix(b"\"").unwrap_or(keyword), rest),
    }
}

/// The arguments, as openssh:misc.c `argv_split` has them. `equals`: `=` separates, too.
fn arguments(text: &[u8], equals: bool) -> &'static [&'static [u8]] {
    let mut all = Vector::<&'static [u8]>::new();
    let mut word = None::<Vector<u8>>;
    let mut quote = None;
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match (*byte, quote) {
            (b'\\', _) if matches!(rest.as_slice().first(), Some(b'"' | b'\'' | b'\\')) => {
                let escaped = rest.next();
                word.get_or_insert_default()
                    .extend(escaped.map_or(&[], core::slice::from_ref));
            }
            (byte, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(*byte);
                word.get_or_insert_default();
            }
            (b'#', None) if word.is_none() => break,
            (byte, None) if byte.is_ascii_whitespace() || equals && byte == b'=' => {
                all.extend(word.take().map(|word| &*word.finish()).as_slice());
            }
            (byte, _) => word.get_or_insert_default().push(byte),
        }
    }
    all.extend(word.map(|word| &*word.finish()).as_slice());
    all.finish()
}

/// Whether a name matches a pattern of glob(7) with `*`, `?` and brackets.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            glob(rest, name)
                || name
                    .split_first()
                    .is_some_and(|(_, tail)| glob(pattern, tail))
        }
        ([b'?', rest @ ..], [_, tail @ ..]) => glob(rest, tail),
        ([b'[', rest @ ..], [byte, tail @ ..]) => match bracket(rest, *byte) {
            Some((is_in, rest)) => is_in && glob(rest, tail),
            None => *byte == b'[' && glob(rest, tail),
        },
        ([one, rest @ ..], [other, tail @ ..]) => one == other && glob(rest, tail),
        _ => false,
    }
}

/// Whether a byte is in the set behind a `[`, and what is behind the `]`.
fn bracket(text: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, set) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // A `]` that comes first is a member.
    let end = 1 + set.get(1..)?.iter().position(|byte| *byte == b']')?;
    let (mut members, rest) = set.split_at_checked(end)?;
    let mut is_in = false;
    while let [first, tail @ ..] = members {
        members = match tail {
            [b'-', last, tail @ ..] => {
                is_in |= (*first..=*last).contains(&byte);
                tail
            }
            _ => {
                is_in |= *first == byte;
                tail
            }
        };
    }
    Some((is_in != negated, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::Fixture;

    #[test]
    fn lines_in_the_order_of_sshd() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/ssh/sshd_config",
            "# Port 1\n Port=22 # x\nInclude sshd_config.d/*.conf \"/etc/ssh/none\"\n\
             Match User=\"a b\",c Address 10.0.0.0/8\n\tInclude sub\nAllowUsers a \"b c\" d\n\
             Match all\nPort\nX11Forwarding = yes\n",
        );
        fixture.file(
            "etc/ssh/sshd_config.d/[9].conf",
            "A 1\nMatch Group x\nB 2\n",
        );
        fixture.file("etc/ssh/sshd_config.d/10.conf", "C 3\n");
        fixture.file("etc/ssh/sshd_config.d/.1.conf", "D 4\n");
        fixture.file("etc/ssh/sub", "E 5\nMatch User y\nF 6\n");
        let settings = Settings::read(&fixture.root());
        let shown: Vec<String> = settings
            .list
            .iter()
            .map(|one| {
                let mut text = format!("{}:", one.place.line);
                for word in [one.keyword].iter().chain(one.arguments) {
                    text += &format!(" {}", word.escape_ascii());
                }
                let mut block = one.block;
                while let Some(inner) = block {
                    text += " <";
                    for word in inner.criteria {
                        text += &format!(" {}", word.escape_ascii());
                    }
                    block = inner.outer;
                }
                text
            })
            .collect();
        assert_eq!(
            shown,
            [
                "2: Port 22",
                "1: C 3",
                "1: A 1",
                "3: B 2 < Group x",
                "1: E 5 < User a b,c Address 10.0.0.0/8",
                "3: F 6 < User y < User a b,c Address 10.0.0.0/8",
                "6: AllowUsers a b c d < User a b,c Address 10.0.0.0/8",
                "9: X11Forwarding yes < all",
            ]
        );
        assert_eq!(settings.blocks.len(), 4);
        assert!(settings.problem.is_none());
    }

    #[test]
    fn patterns_of_names() {
        for (pattern, name, wanted) in [
            ("[0-4]?*.conf", "10.conf", true),
            ("[!0-4]*", "10", false),
            ("[]a]*", "]", true),
            ("[a", "[a", true),
            ("*a*", "bab", true),
            ("*.conf", "a.conf~", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), name.as_bytes()),
                wanted,
                "{pattern}"
            );
        }
    }
}
