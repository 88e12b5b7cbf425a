//! What the root's sshd_config(5) says in general, outside of Match blocks:
//! enough to warn of keys that sshd will not look at.
use crate::memory::Table;
use crate::root::Root;
use crate::text::Reason;

/// Files included in files, at most (SERVCONF_MAX_DEPTH, openssh:servconf.h).
const DEEPEST: u32 = 16;

/// The values that matter; the first one counts, as in sshd.
pub struct Config<'a> {
    /// `PermitRootLogin`; without one, `prohibit-password`.
    pub permit_root_login: Option<&'a [u8]>,
    /// `PubkeyAuthentication`; without one, `yes`.
    pub pubkey_authentication: Option<&'a [u8]>,
    /// `StrictModes`; without one, `yes`.
    pub strict_modes: Option<&'a [u8]>,
    /// `AuthorizedKeysFile`: patterns separated by blanks; without one,
    /// `.ssh/authorized_keys .ssh/authorized_keys2`.
    pub authorized_keys_file: Option<&'a [u8]>,
    /// Every `HostKey`.
    pub host_keys: Table<'a, &'a [u8]>,
}

impl<'a> Config<'a> {
    /// Reads `/etc/ssh/sshd_config`, or the one that openSUSE keeps in
    /// `/usr/etc` for images without. What cannot be read is left out: sshd
    /// itself will say so.
    pub fn read(root: &Root<'a>) -> Self {
        let mut config = Self {
            permit_root_login: None,
            pubkey_authentication: None,
            strict_modes: None,
            authorized_keys_file: None,
            host_keys: root.arena().table(),
        };
        let main = [
            b"/etc/ssh/sshd_config".as_slice(),
            b"/usr/etc/ssh/sshd_config",
        ];
        if let Some(found) = main.into_iter().find_map(|path| root.read(path).ok()) {
            let _ = config.text(root, found.content, 0);
        }
        config
    }

    /// Whether sshd looks for keys of a user in `wanted`, an absolute path.
    pub fn looks_at(&self, wanted: &[u8], user: &[u8], home: &[u8], uid: &[u8]) -> bool {
        let patterns = self
            .authorized_keys_file
            .unwrap_or(b".ssh/authorized_keys .ssh/authorized_keys2");
        words(patterns).any(|pattern| expands_to(pattern, wanted, user, home, uid))
    }

    fn text(&mut self, root: &Root<'a>, text: &'a [u8], depth: u32) -> Result<(), Reason> {
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let end = line
                .iter()
                .position(|byte| byte.is_ascii_whitespace() || *byte == b'=');
            let (keyword, value) = line
                .split_at_checked(end.unwrap_or(line.len()))
                .unwrap_or((line, b""));
            let value = value.trim_ascii_start();
            let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii_start();
            let first = words(value).next();
            let is = |name: &[u8]| keyword.eq_ignore_ascii_case(name);
            if is(b"Match") {
                // To the end of this file everything has conditions.
                return Ok(());
            } else if is(b"Include") {
                for pattern in words(value) {
                    self.include(root, pattern, depth)?;
                }
            } else if is(b"HostKey") {
                if let Some(path) = first {
                    self.host_keys.push(path)?;
                }
            } else if is(b"PermitRootLogin") {
                self.permit_root_login = self.permit_root_login.or(first);
            } else if is(b"PubkeyAuthentication") {
                self.pubkey_authentication = self.pubkey_authentication.or(first);
            } else if is(b"StrictModes") {
                self.strict_modes = self.strict_modes.or(first);
            } else if is(b"AuthorizedKeysFile") {
                self.authorized_keys_file = self.authorized_keys_file.or(Some(value));
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
        let mut path = arena.table();
        if !pattern.starts_with(b"/") {
            path.extend(b"/etc/ssh/")?;
        }
        path.extend(pattern)?;
        let cut = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (folder, name) = path.split_at_checked(cut + 1).unwrap_or((b"", b""));
        for entry in root.list(folder)? {
            // glob(3) leaves hidden files out.
            if !entry.starts_with(b".") && matches(name, entry) {
                let mut file = arena.table();
                file.extend(folder)?;
                file.extend(entry)?;
                if let Ok(found) = root.read(&file) {
                    self.text(root, found.content, depth + 1)?;
                }
            }
        }
        Ok(())
    }
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

/// Whether a pattern of AuthorizedKeysFile, with its tokens `%h %u %U %%`,
/// gives `wanted`; a relative one is below the home.
fn expands_to(pattern: &[u8], wanted: &[u8], user: &[u8], home: &[u8], uid: &[u8]) -> bool {
    let mut left = wanted;
    let mut take = |text: &[u8]| match left.strip_prefix(text) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let relative = !(pattern.starts_with(b"/") || pattern.starts_with(b"%h"));
    if relative && !(take(home.strip_suffix(b"/").unwrap_or(home)) && take(b"/")) {
        return false;
    }
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => match bytes.next() {
                Some(b'h') => take(home),
                Some(b'u') => take(user),
                Some(b'U') => take(uid),
                Some(b'%') => take(b"%"),
                _ => false,
            },
            byte => take(core::slice::from_ref(byte)),
        };
        if !fits {
            return false;
        }
    }
    left.is_empty()
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
        assert_eq!(config.permit_root_login, Some(b"no".as_slice()));
        assert_eq!(config.strict_modes, Some(b"no".as_slice()));
        assert_eq!(config.pubkey_authentication, None);
        assert_eq!(*config.host_keys, [b"/a".as_slice(), b"/b"]);
        let looks = |path: &str| config.looks_at(path.as_bytes(), b"al", b"/home/al", b"7");
        assert!(looks("/home/al/.ssh/a") && looks("/home/al/.ssh/b"));
        assert!(!looks("/home/al/.ssh/authorized_keys"));
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let fixture = Fixture::new();
        let arena = Arena::new();
        let config = Config::read(&fixture.root(&arena));
        assert!(config.looks_at(b"/root/.ssh/authorized_keys", b"root", b"/root", b"0"));
        assert!(config.looks_at(b"/root/.ssh/authorized_keys2", b"root", b"/root", b"0"));
        assert!(!config.looks_at(b"/root/.ssh/authorized_keys3", b"root", b"/root", b"0"));
    }

    #[test]
    fn tokens() {
        let fits = |pattern: &str, wanted: &str| {
            expands_to(pattern.as_bytes(), wanted.as_bytes(), b"al", b"/h/al", b"7")
        };
        assert!(fits("/etc/keys/%u", "/etc/keys/al"));
        assert!(fits("/etc/keys/%U%%", "/etc/keys/7%"));
        assert!(fits("%h/.ssh/x", "/h/al/.ssh/x"));
        assert!(fits("x", "/h/al/x"));
        assert!(!fits("none", "/h/al/.ssh/x"));
        assert!(!fits("%h/.ssh/x%", "/h/al/.ssh/x"));
        assert!(!fits("/etc/keys/%u", "/etc/keys/al2"));
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
