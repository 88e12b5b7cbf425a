//! The root's sshd_config(5), without Match blocks that have conditions: what a boot needs,
//! where sshd looks for keys. `check` reads all of it, in [`super::sshd_settings`].
use super::glob::glob;
use super::{FileContent, Root, if_there};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{lines, same, span, unquoted};
use rustix::io::Errno;

/// The limits on the number of files and their total size. sshd has no such limits.
const MOST_FILES: usize = 256;
const MOST_BYTES: u64 = 1 << 20;
const TOO_MUCH: Error = Error::new(
    c"more than 256 files or 1 MiB included, the rest is not looked at: keys may not work",
);
const ENDLESS: Error = Error::new(c"includes itself, so sshd does not start");

/// The values that are needed. The first value of a keyword counts, as in sshd.
#[derive(Clone, Copy)]
pub struct Config {
    authorized_keys_file: Option<&'static [u8]>,
    /// The paths of every `HostKey`.
    pub host_keys: &'static [&'static [u8]],
    /// The main file, and its path.
    pub main: Option<(&'static [u8], &'static FileContent)>,
    /// The first file that could not be read, and why.
    pub problem: Option<(&'static [u8], Error)>,
}

/// The state while the files are read.
struct ConfigReader<'r> {
    root: &'r Root,
    config: Config,
    /// The files, and whether each was read to its end. Each is read once: a second
    /// reading could not give a first value.
    files: Vector<(&'static [u8], bool)>,
    host_keys: Vector<&'static [u8]>,
    /// How many bytes may still be read.
    left: u64,
}

impl Config {
    /// Reads `/etc/ssh/sshd_config`, or the one in `/usr/etc`, which openSUSE uses if the
    /// first is missing.
    pub fn read(root: &Root) -> Self {
        let mut reader = ConfigReader {
            root,
            config: Self {
                authorized_keys_file: None,
                host_keys: &[],
                main: None,
                problem: None,
            },
            files: Vector::new(),
            host_keys: Vector::new(),
            left: MOST_BYTES,
        };
        let main: [&[u8]; 2] = [b"/etc/ssh/sshd_config", b"/usr/etc/ssh/sshd_config"];
        for path in main {
            if reader.file(path) {
                break;
            }
        }
        Self {
            host_keys: reader.host_keys.finish(),
            ..reader.config
        }
    }

    /// The patterns of `AuthorizedKeysFile`, without the word `none`.
    pub fn key_files(&self) -> impl Iterator<Item = &'static [u8]> {
        let patterns = self.authorized_keys_file;
        words(patterns.unwrap_or(b".ssh/authorized_keys .ssh/authorized_keys2"))
            .filter(|pattern| !same(pattern, b"none"))
    }

    /// Whether sshd reads keys from `.ssh/NAME` in a home. An equivalent path, such as
    /// `/home/%u/.ssh/NAME`, has the same end.
    pub fn looks_at(&self, name: &[u8]) -> bool {
        self.key_files()
            .filter_map(|pattern| pattern.strip_suffix(name))
            .any(|directory| directory.ends_with(b".ssh/"))
    }
}

impl ConfigReader<'_> {
    /// Stores a problem, if it is the first.
    fn problem(&mut self, path: &'static [u8], reason: Error) {
        self.config.problem.get_or_insert((path, reason));
    }

    /// Reads a file and the files that it includes. `false`: the file is missing.
    fn file(&mut self, path: &'static [u8]) -> bool {
        if let Some((_, ended)) = self.files.iter().find(|(other, _)| *other == path) {
            if !ended {
                // sshd exits at SERVCONF_MAX_DEPTH (openssh:servconf.c).
                self.problem(path, ENDLESS);
            }
            return true;
        }
        let number = self.files.len();
        if number >= MOST_FILES {
            self.problem(path, TOO_MUCH);
            return true;
        }
        self.files.push((path, false));
        let found = if_there(self.root.read_at_most(path, self.left));
        let is_there = found != Ok(None);
        match found {
            Ok(Some(found)) => {
                self.config.main.get_or_insert((path, found));
                self.left = self.left.saturating_sub(found.content.len() as u64);
                self.text(found.content);
            }
            Ok(None) => {}
            Err(error) if error == Errno::FBIG => self.problem(path, TOO_MUCH),
            Err(reason) => self.problem(path, reason),
        }
        if let Some((_, ended)) = self.files.get_mut(number) {
            *ended = true;
        }
        is_there
    }

    fn text(&mut self, text: &'static [u8]) {
        // A Match block ends at the next Match or at the end of this file. It does not
        // extend into the including file.
        let mut has_conditions = false;
        for line in lines(text) {
            let in_keyword = |byte| !matches!(byte, b' ' | b'\t' | b'=');
            let (keyword, value) = span(line.trim_ascii(), in_keyword);
            if value.is_empty() {
                continue;
            }
            let value = value.trim_ascii_start();
            let value = value.strip_prefix(b"=").unwrap_or(value);
            if same(keyword, b"Match") {
                has_conditions = !same(value, b"all");
            } else if has_conditions {
                continue;
            } else if same(keyword, b"Include") {
                for pattern in words(value) {
                    self.include(pattern);
                }
            } else if same(keyword, b"HostKey") {
                self.host_keys.extend(words(value).next().as_slice());
            } else if same(keyword, b"AuthorizedKeysFile") {
                self.config.authorized_keys_file.get_or_insert(value);
            }
        }
    }

    /// Reads included files. `pattern` may have a pattern of glob(7) in its last part. A
    /// relative path is below /etc/ssh.
    fn include(&mut self, pattern: &[u8]) {
        let base: &[u8] = if pattern.starts_with(b"/") {
            b""
        } else {
            b"/etc/ssh/"
        };
        let path: &[u8] = memory::concat(&[base, pattern]);
        match glob(self.root, path) {
            Ok(paths) => {
                for path in paths {
                    self.file(path);
                }
            }
            Err(reason) => self.problem(path, reason),
        }
    }
}

/// The arguments of a keyword: separated by blanks, perhaps in quotes. A `#` starts a
/// comment.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    unquoted(value).take_while(|word| !word.starts_with(b"#"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::Fixture;

    #[test]
    fn the_first_value_counts_also_over_includes() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/ssh/sshd_config",
            "# AuthorizedKeysFile .ssh/yes\nInclude /etc/ssh/sshd_config.d/*.conf sub\n\
             authorizedkeysfile = .ssh/c\nHostKey /a\nhostkey \"/b\" # two\n\
             Match User x\nHostKey /x\n",
        );
        fixture.file(
            "etc/ssh/sshd_config.d/20.conf",
            "AuthorizedKeysFile .ssh/yes\nMatch all\n",
        );
        fixture.file(
            "etc/ssh/sshd_config.d/10.conf",
            "AuthorizedKeysFile\t.ssh/a  %h/.ssh/b\r\n",
        );
        fixture.file(
            "etc/ssh/sshd_config.d/.a.conf",
            "AuthorizedKeysFile .ssh/yes\n",
        );
        fixture.file(
            "etc/ssh/sshd_config.d/00.dpkg-old",
            "AuthorizedKeysFile .ssh/yes\n",
        );
        fixture.file("etc/ssh/sub", "HostKey /lax\nInclude sub\n");
        let config = Config::read(&fixture.root());
        assert_eq!(*config.host_keys, [b"/lax".as_slice(), b"/a", b"/b"]);
        assert!(!config.looks_at(b"authorized_keys") && config.looks_at(b"a"));
        assert!(config.looks_at(b"b") && !config.looks_at(b"%h/.ssh/b"));
    }

    /// As sshd -T of 9.2 reads them.
    #[test]
    fn match_all_is_no_condition() {
        let fixture = Fixture::new();
        for before in [
            "Match all\n",
            "Match User x\nAuthorizedKeysFile .ssh/yes\nmatch ALL\n",
        ] {
            let text = format!("{before}AuthorizedKeysFile .ssh/no\n");
            fixture.file("etc/ssh/sshd_config", &text);
            let config = Config::read(&fixture.root());
            assert!(config.looks_at(b"no"), "{text}");
        }
    }

    /// As sshd -T of 9.2 reads them.
    #[test]
    fn values_may_be_quoted() {
        for value in ["'%h/.ssh/a'", "\"%h/.ssh/a\" # b", ".ssh/a"] {
            let fixture = Fixture::new();
            let text = format!("AuthorizedKeysFile {value}\n");
            fixture.file("etc/ssh/sshd_config", text);
            let config = Config::read(&fixture.root());
            assert!(config.looks_at(b"a") && !config.looks_at(b"b"), "{value}");
        }
    }

    /// What is wrong with it, and the values of `AuthorizedKeysFile` that fit.
    fn read(fixture: &Fixture) -> (Option<String>, Vec<&'static str>) {
        let config = Config::read(&fixture.root());
        let problem = config.problem.map(|(path, reason)| {
            let reason = crate::base::text::format(&reason);
            format!("{}: {}", path.escape_ascii(), reason.escape_ascii())
        });
        let words = ["yes", "no", "prohibit-password"];
        let permits = words
            .into_iter()
            .filter(|word| config.looks_at(word.as_bytes()));
        (problem, permits.collect())
    }

    #[test]
    fn files_that_include_each_other_are_read_once() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile .ssh/yes\n",
        );
        for name in ["1", "2", "3"] {
            let text = format!("Include /etc/ssh/sshd_config.d/*.conf\nHostKey /{name}\n");
            fixture.file(&format!("etc/ssh/sshd_config.d/{name}.conf"), text);
        }
        fixture.file(
            "etc/ssh/sshd_config.d/4.conf",
            "AuthorizedKeysFile .ssh/no\n",
        );
        let start = std::time::Instant::now();
        let config = Config::read(&fixture.root());
        assert!(start.elapsed() < std::time::Duration::from_secs(1));
        // In the order in which sshd comes to the ends of the files.
        assert_eq!(*config.host_keys, [b"/3".as_slice(), b"/2", b"/1"]);
        let (problem, permits) = read(&fixture);
        assert_eq!(permits, ["no"]);
        let endless = "/etc/ssh/sshd_config.d/1.conf: includes itself, so sshd does not start";
        assert_eq!(problem.as_deref(), Some(endless));
    }

    #[test]
    fn a_file_included_twice_counts_where_it_stands_first() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/ssh/a",
            "AuthorizedKeysFile .ssh/no\nHostKey /a\nMatch User x\n",
        );
        fixture.file(
            "etc/ssh/sshd_config",
            "Include a b missing missing none/*.conf /etc/ssh/?\nAuthorizedKeysFile .ssh/yes\nInclude a\n\
             HostKey /lax\nMatch User y\nInclude b\n",
        );
        assert_eq!(read(&fixture), (None, vec!["no"]));
        let config = Config::read(&fixture.root());
        // What Match says in one file is over at its end, and one that is
        // included below a Match is not looked at.
        assert_eq!(*config.host_keys, [b"/a".as_slice(), b"/lax"]);
        fixture.file(
            "etc/ssh/sshd_config",
            "AuthorizedKeysFile .ssh/yes\nInclude a\n",
        );
        assert_eq!(read(&fixture), (None, vec!["yes"]));
    }

    #[test]
    fn what_cannot_be_looked_at_is_a_problem() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/ssh/sshd_config",
            "Include a.d/*\nAuthorizedKeysFile .ssh/no\nInclude sshd_config\n",
        );
        let (problem, permits) = read(&fixture);
        assert_eq!(permits, ["no"]);
        assert_eq!(
            problem.as_deref(),
            Some("/etc/ssh/sshd_config: includes itself, so sshd does not start")
        );
        fixture.directory("etc/ssh/a.d/b");
        let (problem, permits) = read(&fixture);
        assert_eq!(permits, ["no"]);
        assert_eq!(
            problem.as_deref(),
            Some("/etc/ssh/a.d/b: not a regular file")
        );
        // A directory that cannot be looked up: a name is longer than it may be.
        fixture.link("etc/ssh/long", &"x".repeat(300));
        for pattern in ["long/*.conf", "long/a"] {
            fixture.file("etc/ssh/sshd_config", format!("Include {pattern}\n"));
            let wanted = format!("/etc/ssh/{pattern}: File name too long");
            assert_eq!(read(&fixture), (Some(wanted), vec![]));
        }
        // Links in circles, and ones that lead nowhere, are no files to sshd.
        fixture.link("etc/ssh/loop", "loop");
        fixture.link("etc/ssh/gone", "/nowhere");
        fixture.file("etc/ssh/sshd_config", "Include loop gone loop/*\n");
        assert_eq!(read(&fixture), (None, vec![]));
        // sshd would not start with this one.
        std::fs::remove_file(fixture.host("etc/ssh/sshd_config")).unwrap();
        fixture.directory("etc/ssh/sshd_config");
        fixture.file("usr/etc/ssh/sshd_config", "AuthorizedKeysFile .ssh/no\n");
        let wanted = "/etc/ssh/sshd_config: not a regular file".to_string();
        assert_eq!(read(&fixture), (Some(wanted), vec![]));
    }

    #[test]
    fn more_than_is_looked_at_is_said() {
        let main = "AuthorizedKeysFile .ssh/no\nInclude d/*\nHostKey /lax\n";
        let said = "more than 256 files or 1 MiB included, the rest is not looked at: \
                    keys may not work";
        for (files, text, culprit) in [
            (255, "#\n".to_string(), None),
            (256, "#\n".to_string(), Some("/etc/ssh/d/255")),
            (2, "#\n".repeat(1 << 18), Some("/etc/ssh/d/001")),
        ] {
            let fixture = Fixture::new();
            fixture.file("etc/ssh/sshd_config", main);
            for number in 0..files {
                fixture.file(&format!("etc/ssh/d/{number:03}"), &text);
            }
            let wanted = culprit.map(|path| format!("{path}: {said}"));
            assert_eq!(read(&fixture), (wanted, vec!["no"]));
            assert_eq!(*Config::read(&fixture.root()).host_keys, [b"/lax"]);
        }
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let fixture = Fixture::new();
        let config = Config::read(&fixture.root());
        assert!(config.looks_at(b"authorized_keys") && config.looks_at(b"authorized_keys2"));
        assert!(!config.looks_at(b"authorized_keys3"));
    }

    #[test]
    fn other_words_for_the_same_file() {
        let fixture = Fixture::new();
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
            let config = Config::read(&fixture.root());
            assert_eq!(config.looks_at(b"authorized_keys"), looks, "{value}");
        }
    }
}
