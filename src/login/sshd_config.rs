//! What the root's sshd_config(5) says in general, outside of Match blocks:
//! enough to warn of keys that sshd will not look at.
use crate::memory::Table;
use crate::root::{Found, Root};
use crate::text::{self, Reason, base_name, cut, lines, same, span};

/// Files included in files, at most (SERVCONF_MAX_DEPTH, openssh:servconf.h).
const DEEPEST: u32 = 16;

/// The keywords whose first value counts, as in sshd.
const KEYWORDS: [&[u8]; 4] = [
    b"PermitRootLogin",
    b"PubkeyAuthentication",
    b"StrictModes",
    b"AuthorizedKeysFile",
];

/// The values that matter.
pub struct Config<'a> {
    values: [Option<&'a [u8]>; KEYWORDS.len()],
    /// Every `HostKey`.
    pub host_keys: Table<'a, &'a [u8]>,
    /// The first file that is read, and its path.
    pub main: Option<(&'static [u8], Found<'a>)>,
}

impl<'a> Config<'a> {
    /// Reads `/etc/ssh/sshd_config`, or the one that openSUSE keeps in
    /// `/usr/etc` for images without. What cannot be read is left out: sshd
    /// itself will say so.
    pub fn read(root: &Root<'a>) -> Self {
        let mut config = Self {
            values: [None; KEYWORDS.len()],
            host_keys: root.arena().table(),
            main: None,
        };
        let main: [&[u8]; 2] = [b"/etc/ssh/sshd_config", b"/usr/etc/ssh/sshd_config"];
        for path in main {
            if let Ok(found) = root.read(path) {
                config.main = Some((path, found));
                let _ = config.text(root, found.content, 0);
                break;
            }
        }
        config
    }

    /// Whether `PermitRootLogin` is `word`; without one it is
    /// `prohibit-password`.
    pub fn permits_root(&self, word: &[u8]) -> bool {
        let [value, ..] = self.values;
        is(value, word)
    }

    /// Whether `PubkeyAuthentication` is `no`; without one it is `yes`.
    pub fn takes_no_key(&self) -> bool {
        let [_, value, ..] = self.values;
        is(value, b"no")
    }

    /// Whether `StrictModes` is `no`; without one it is `yes`.
    pub fn is_lax(&self) -> bool {
        let [_, _, value, _] = self.values;
        is(value, b"no")
    }

    /// The patterns of `AuthorizedKeysFile`; none where it is `none`.
    pub fn key_files(&self) -> impl Iterator<Item = &'a [u8]> {
        let [.., patterns] = self.values;
        words(patterns.unwrap_or(b".ssh/authorized_keys .ssh/authorized_keys2"))
            .filter(|pattern| !same(pattern, b"none"))
    }

    /// Whether `AuthorizedKeysFile` has this pattern.
    pub fn names(&self, pattern: &[u8]) -> bool {
        self.key_files().any(|other| other == pattern)
    }

    /// Whether sshd looks for keys in `.ssh/NAME` of a home. A path that says
    /// so in other words, such as `/home/%u/.ssh/NAME`, ends alike.
    pub fn looks_at(&self, name: &[u8]) -> bool {
        self.key_files()
            .filter_map(|pattern| pattern.strip_suffix(name))
            .any(|folder| folder.ends_with(b".ssh/"))
    }

    fn text(&mut self, root: &Root<'a>, text: &'a [u8], depth: u32) -> Result<(), Reason> {
        for line in lines(text) {
            let in_keyword = |byte| !matches!(byte, b' ' | b'\t' | b'=');
            let (keyword, value) = span(line.trim_ascii(), in_keyword);
            if value.is_empty() {
                continue;
            }
            let value = value.trim_ascii_start();
            let value = value.strip_prefix(b"=").unwrap_or(value);
            if same(keyword, b"Match") {
                // To the end of this file everything has conditions.
                return Ok(());
            }
            if same(keyword, b"Include") {
                for pattern in words(value) {
                    self.include(root, pattern, depth)?;
                }
            }
            if same(keyword, b"HostKey") {
                for path in words(value).take(1) {
                    self.host_keys.push(path);
                }
            }
            for (name, known) in KEYWORDS.iter().zip(&mut self.values) {
                if same(keyword, name) && known.is_none() {
                    *known = Some(value);
                }
            }
        }
        Ok(())
    }

    /// A file, or a pattern of glob(7) with one `*` in its last part; what is
    /// relative is below /etc/ssh.
    fn include(&mut self, root: &Root<'a>, pattern: &[u8], depth: u32) -> Result<(), Reason> {
        if depth >= DEEPEST {
            return Ok(());
        }
        let arena = root.arena();
        let base: &[u8] = if pattern.starts_with(b"/") {
            b""
        } else {
            b"/etc/ssh/"
        };
        let path = arena.concat(&[base, pattern]);
        let (folder, name) = base_name(path);
        let star = cut(name, b'*');
        let (start, end) = star.unwrap_or((name, b""));
        for entry in root.list(folder)? {
            let fits = match entry.strip_prefix(start) {
                // glob(3) leaves hidden files out.
                Some(rest) if star.is_some() => rest.ends_with(end) && !entry.starts_with(b"."),
                Some(rest) => rest.is_empty(),
                None => false,
            };
            if fits && let Ok(found) = root.read(arena.concat(&[folder, b"/", entry])) {
                self.text(root, found.content, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Whether the first word of a value is `word`.
fn is(value: Option<&[u8]>, word: &[u8]) -> bool {
    value
        .and_then(|value| words(value).next())
        .is_some_and(|first| same(first, word))
}

/// Arguments: separated by blanks, perhaps in double quotes; a `#` starts a
/// comment.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    text::words(value)
        .take_while(|word| !word.starts_with(b"#"))
        .map(|word| {
            let word = word.strip_prefix(b"\"").unwrap_or(word);
            word.strip_suffix(b"\"").unwrap_or(word)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Arena;
    use crate::root::testing::Fixture;

    #[test]
    fn the_first_value_counts_also_over_includes() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/ssh/sshd_config",
            "# PermitRootLogin yes\nInclude /etc/ssh/sshd_config.d/*.conf sub\n\
             permitrootlogin = prohibit-password\nHostKey /a\nhostkey \"/b\" # two\n\
             AuthorizedKeysFile\t.ssh/a  %h/.ssh/b\nMatch User x\nPubkeyAuthentication no\n",
        );
        fixture.file(
            "etc/ssh/sshd_config.d/20.conf",
            "PermitRootLogin yes\nMatch all\n",
        );
        fixture.file("etc/ssh/sshd_config.d/10.conf", "PermitRootLogin no\r\n");
        fixture.file("etc/ssh/sshd_config.d/.a.conf", "PermitRootLogin yes\n");
        fixture.file("etc/ssh/sshd_config.d/00.dpkg-old", "PermitRootLogin yes\n");
        fixture.file("etc/ssh/sub", "StrictModes no\nInclude sub\n");
        let arena = Arena::new();
        let config = Config::read(&fixture.root(&arena));
        assert!(config.permits_root(b"no") && config.is_lax());
        assert!(!config.takes_no_key());
        assert_eq!(*config.host_keys, [b"/a".as_slice(), b"/b"]);
        assert!(!config.looks_at(b"authorized_keys") && config.looks_at(b"a"));
        assert!(config.looks_at(b"b") && !config.looks_at(b"%h/.ssh/b"));
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let fixture = Fixture::new();
        let arena = Arena::new();
        let config = Config::read(&fixture.root(&arena));
        assert!(config.looks_at(b"authorized_keys") && config.looks_at(b"authorized_keys2"));
        assert!(!config.looks_at(b"authorized_keys3"));
        assert!(!config.permits_root(b"no") && !config.takes_no_key() && !config.is_lax());
    }

    #[test]
    fn other_words_for_the_same_file() {
        let fixture = Fixture::new();
        let arena = Arena::new();
        for (value, looks) in [
            ("%h/.ssh/authorized_keys", true),
            ("/home/%u/.ssh/authorized_keys", true),
            ("/etc/keys/%u \".ssh/authorized_keys\"", true),
            ("/etc/ssh/authorized_keys", false),
            ("none", false),
            ("none # .ssh/authorized_keys", false),
        ] {
            fixture.file(
                "etc/ssh/sshd_config",
                format!("AuthorizedKeysFile {value}\n"),
            );
            let config = Config::read(&fixture.root(&arena));
            assert_eq!(config.looks_at(b"authorized_keys"), looks, "{value}");
        }
    }
}
