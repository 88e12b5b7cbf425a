//! What the root's sshd_config(5) says in general, outside of Match blocks:
//! enough to warn of keys that sshd will not look at.
use crate::memory::Table;
use crate::root::users::User;
use crate::root::{Root, concat};
use crate::text::Reason;
use ufmt::uwrite;

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
}

impl<'a> Config<'a> {
    /// Reads `/etc/ssh/sshd_config`, or the one that openSUSE keeps in
    /// `/usr/etc` for images without. What cannot be read is left out: sshd
    /// itself will say so.
    pub fn read(root: &Root<'a>) -> Self {
        let mut config = Self {
            values: [None; KEYWORDS.len()],
            host_keys: root.arena().table(),
        };
        let main: [&[u8]; 2] = [b"/etc/ssh/sshd_config", b"/usr/etc/ssh/sshd_config"];
        if let Some(found) = main.iter().find_map(|path| root.read(path).ok()) {
            let _ = config.text(root, found.content, 0);
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

    /// Whether sshd looks for keys of a user in `wanted`, an absolute path.
    pub fn looks_at(&self, root: &Root<'a>, user: &User, wanted: &[u8]) -> bool {
        let [.., patterns] = self.values;
        let patterns = patterns.unwrap_or(b".ssh/authorized_keys .ssh/authorized_keys2");
        words(patterns).any(|pattern| expand(root, pattern, user).is_ok_and(|path| path == wanted))
    }

    fn text(&mut self, root: &Root<'a>, text: &'a [u8], depth: u32) -> Result<(), Reason> {
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            let end = line
                .iter()
                .position(|byte| matches!(byte, b' ' | b'\t' | b'='));
            let Some((keyword, value)) = end.and_then(|end| line.split_at_checked(end)) else {
                continue;
            };
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
                    self.host_keys.push(path)?;
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

    /// A pattern of glob(7), whose last part may have `*` and `?`; what is
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
        let path = concat(arena, &[base, pattern])?;
        let cut = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (folder, name) = path.split_at_checked(cut + 1).unwrap_or_default();
        for entry in root.list(folder)? {
            // glob(3) leaves hidden files out.
            if !entry.starts_with(b".")
                && matches(name, entry)
                && let Ok(found) = root.read(concat(arena, &[folder, entry])?)
            {
                self.text(root, found.content, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Without regard to the case of letters.
fn same(text: &[u8], word: &[u8]) -> bool {
    let lower = u8::to_ascii_lowercase;
    text.len() == word.len() && text.iter().map(lower).eq(word.iter().map(lower))
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
    value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .take_while(|word| !word.starts_with(b"#"))
        .map(|word| {
            let word = word.strip_prefix(b"\"").unwrap_or(word);
            word.strip_suffix(b"\"").unwrap_or(word)
        })
}

/// Whether `name` fits a pattern with `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on when what follows the last star does not fit.
    let mut again = None;
    loop {
        match (pattern, name) {
            ([b'*', rest @ ..], _) => {
                again = Some((rest, name));
                pattern = rest;
            }
            ([b'?', p @ ..], [_, n @ ..]) => (pattern, name) = (p, n),
            ([a, p @ ..], [b, n @ ..]) if a == b => (pattern, name) = (p, n),
            ([], []) => return true,
            _ => match again {
                Some((rest, [_, n @ ..])) => {
                    again = Some((rest, n));
                    (pattern, name) = (rest, n);
                }
                _ => return false,
            },
        }
    }
}

/// A pattern of AuthorizedKeysFile with its tokens `%h %u %U %%` replaced; a
/// relative one is below the home.
fn expand<'a>(root: &Root<'a>, pattern: &[u8], user: &User) -> Result<&'a [u8], Reason> {
    let mut path = root.arena().table();
    if !(pattern.starts_with(b"/") || pattern.starts_with(b"%h")) {
        path.extend(user.folder())?;
        path.push(b'/')?;
    }
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match bytes.next() {
                Some(b'h') => path.extend(user.folder())?,
                Some(b'u') => path.extend(user.name)?,
                Some(b'U') => uwrite!(path, "{}", user.uid)?,
                _ => path.push(b'%')?,
            },
            byte => path.push(*byte)?,
        }
    }
    Ok(path.finish())
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
        let looks = |path: &[u8]| config.looks_at(&fixture.root(&arena), &AL, path);
        assert!(looks(b"/h/al/.ssh/a") && looks(b"/h/al/.ssh/b"));
        assert!(!looks(b"/h/al/.ssh/authorized_keys"));
    }

    const AL: User = User {
        name: b"al",
        uid: 7,
        gid: 8,
        home: b"/h/al/",
        shell: b"",
    };

    #[test]
    fn without_a_file_the_defaults_hold() {
        let fixture = Fixture::new();
        let arena = Arena::new();
        let config = Config::read(&fixture.root(&arena));
        let looks = |path: &[u8]| config.looks_at(&fixture.root(&arena), &AL, path);
        assert!(looks(b"/h/al/.ssh/authorized_keys"));
        assert!(looks(b"/h/al/.ssh/authorized_keys2"));
        assert!(!looks(b"/h/al/.ssh/authorized_keys3"));
        assert!(!config.permits_root(b"no") && !config.takes_no_key() && !config.is_lax());
    }

    #[test]
    fn tokens() {
        let fixture = Fixture::new();
        let arena = Arena::new();
        for (pattern, path) in [
            ("/etc/keys/%u", "/etc/keys/al"),
            ("/etc/keys/%U%%", "/etc/keys/7%"),
            ("%h/.ssh/x", "/h/al/.ssh/x"),
            ("x", "/h/al/x"),
            ("none", "/h/al/none"),
        ] {
            let root = fixture.root(&arena);
            let expanded = expand(&root, pattern.as_bytes(), &AL).unwrap();
            assert_eq!(expanded, path.as_bytes());
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("*", ""),
            ("a*b*c", "aXbYbZc"),
            ("?x", "ax"),
        ] {
            assert!(
                matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
        for (pattern, name) in [("*.conf", "a.conf~"), ("", "a"), ("a*b", "ac"), ("?", "")] {
            assert!(
                !matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
    }
}
