//! The users of a root, passwd(5).
use super::Root;
use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::text::{Str, lines, number, split};

/// One line of passwd(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: Str,
    /// The user ID.
    pub uid: u32,
    /// The ID of the primary group.
    pub gid: u32,
    /// The home directory, as the file has it.
    pub home: Str,
    /// The login shell; empty means /bin/sh.
    pub shell: Str,
}

/// All users, in the order of the file.
#[derive(Clone, Copy)]
pub struct Users(&'static [User]);

impl Users {
    /// Reads `/etc/passwd`. Where it is not there, the booted system makes it, as
    /// systemd-sysusers(8) does; root is a user all the same, and is so before that
    /// (nss-systemd(8)).
    pub fn read(root: &Root) -> Result<Self, Error> {
        const ROOT: &[u8] = b"root:x:0:0:root:/root:/bin/sh";
        let file = root.read_if_there(b"/etc/passwd")?;
        let mut users = Vector::new();
        for line in lines(file.map_or(ROOT, |file| file.content)) {
            if let Some(user) = user(line) {
                users.push(user);
            }
        }
        Ok(Self(users.finish()))
    }

    /// In the order of the file.
    pub fn iter(self) -> core::slice::Iter<'static, User> {
        self.0.iter()
    }

    /// The first with that name, as getpwnam(3).
    pub fn find(self, name: &[u8]) -> Option<&'static User> {
        self.iter().find(|user| user.name == name)
    }
}

impl User {
    /// Whether the shell allows a login.
    pub fn has_shell(&self) -> bool {
        is_login_shell(&self.shell)
    }
}

/// Whether a shell allows a login. `nologin`, `false` and the like do not; `sync`, `halt`
/// and `shutdown` run that program and exit.
pub fn is_login_shell(path: &[u8]) -> bool {
    const NONE: [&[u8]; 6] = [
        b"/nologin",
        b"/false",
        b"/true",
        b"/sync",
        b"/halt",
        b"/shutdown",
    ];
    !NONE.iter().any(|name| path.ends_with(name))
}

/// `name:password:uid:gid:comment:home:shell`. `None` for lines of NIS (`+`, `-`),
/// comments and malformed lines, a NUL in one included.
fn user(line: &[u8]) -> Option<User> {
    let mut fields = split(line, |byte| byte == b':');
    let name = fields.next()?;
    if name.is_empty() || matches!(name.first(), Some(b'+' | b'-' | b'#')) {
        return None;
    }
    let uid = number(fields.nth(1)?)?;
    let gid = number(fields.next()?)?;
    let home = fields.nth(1)?;
    let shell = fields.next().unwrap_or(b"").trim_ascii_end();
    Some(User {
        name: Str::copy(name).ok()?,
        uid,
        gid,
        home: Str::copy(home).ok()?,
        shell: Str::copy(shell).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn users_as_the_file_lists_them() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/passwd",
            "# a comment\nroot:x:0:0:root:/root:/bin/bash\n+::::::\nbroken:x:no:0::/:/bin/sh\n\
             alice:x:1000:100:A:/home/alice:/bin/sh\nalice:x:7:7::/elsewhere:/bin/sh\n\
             git:x:998:998::/srv/git:/usr/sbin/nologin\nlast:x:5:5::/last:",
        );
        let users = Users::read(&fixture.root()).unwrap();
        let names: Vec<_> = users.iter().map(|user| user.name.bytes()).collect();
        assert_eq!(
            names,
            [b"root".as_slice(), b"alice", b"alice", b"git", b"last",]
        );
        let alice = users.find(b"alice").unwrap();
        assert_eq!((alice.uid, alice.gid), (1000, 100));
        assert_eq!(alice.home, b"/home/alice");
        assert!(alice.has_shell() && users.find(b"last").unwrap().has_shell());
        assert!(!users.find(b"git").unwrap().has_shell());
        assert_eq!(users.find(b"broken"), None);
        assert_eq!(users.find(b""), None);
    }

    #[test]
    fn root_is_there_without_passwd() {
        let fixture = Fixture::new();
        let users = Users::read(&fixture.root()).unwrap();
        let root = users.find(b"root").unwrap();
        assert_eq!((root.uid, root.gid, users.iter().len()), (0, 0, 1));
        assert!(root.home == b"/root" && root.has_shell());
        // A directory is an error, not a missing file.
        fixture.file("etc/passwd/x", "");
        assert!(Users::read(&fixture.root()).is_err());
    }
}
