//! Configuration files of the root's own tools, unparsed or nearly so.
use rustix::io::Errno;

use super::glob::{fnmatch, glob};
use super::{FileContent, PathError, ResolvedPath, Root, at};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{as_str, base_name, lines, words};

/// A file, or the path where it would be.
#[derive(Clone, Copy)]
pub struct ConfigFile {
    /// Its path, links followed.
    pub path: ResolvedPath,
    /// `None`: the file is missing.
    pub content: Option<&'static FileContent>,
}

impl ConfigFile {
    /// Reads the file that `path` leads to. A file below /proc, /sys or /dev is not read:
    /// the booted system mounts over it.
    pub fn read(root: &Root, path: &[u8]) -> Result<&'static Self, Error> {
        let (path, content) = match root.read_without_links(path) {
            Some(found) => found,
            None => {
                let path = root.resolve(path)?;
                if path.is_hidden() {
                    return Ok(Self::missing(path));
                }
                (path, root.read_resolved(path))
            }
        };
        match content {
            Ok(content) => Ok(memory::place(Self {
                path,
                content: Some(content),
            })),
            Err(error) if error == Errno::NOENT => Ok(Self::missing(path)),
            Err(error) => Err(error),
        }
    }

    fn missing(path: ResolvedPath) -> &'static Self {
        memory::place(Self {
            path,
            content: None,
        })
    }

    /// Like [`Self::read`], but anything other than a regular file counts as missing.
    fn read_regular(root: &Root, path: &[u8]) -> Result<&'static Self, Error> {
        match Self::read(root, path) {
            Err(error) if error.errno().is_none() => Ok(Self::missing(root.resolve(path)?)),
            file => file,
        }
    }
}

/// The files of ifupdown (interfaces(5)). Files that sourced files source are not read.
#[derive(Clone, Copy)]
pub struct Interfaces {
    /// `/etc/network/interfaces`
    pub main: &'static ConfigFile,
    /// The files that it sources.
    pub sourced: &'static [&'static ConfigFile],
    /// A path for another file, in a directory below /run that it sources.
    pub drop_in: Option<ResolvedPath>,
}

impl Interfaces {
    /// Reads the files. A file named `onecontext` in a sourced directory is ours and left
    /// out.
    pub fn read(root: &Root) -> Result<&'static Self, PathError> {
        const PATH: &[u8] = b"/etc/network/interfaces";
        let main = at(PATH, ConfigFile::read(root, PATH))?;
        let mut sourced = Vector::new();
        let mut drop_in = None;
        let text = main.content.ok_or((PATH, Errno::NOENT.into()))?.content;
        for line in text.split(|byte| *byte == b'\n') {
            let mut words = words(line);
            let word = words.next().unwrap_or_default();
            if !matches!(as_str(word), "source" | "source-directory") {
                continue;
            }
            for pattern in words {
                // A relative path is relative to the directory of interfaces.
                let path = match pattern.first() {
                    Some(b'/') => pattern,
                    _ => memory::concat(&[b"/etc/network/", pattern]),
                };
                let path = match word {
                    b"source" => path,
                    _ => memory::concat(&[path, b"/*"]),
                };
                let (directory, name) = base_name(path);
                let ours = memory::concat(&[directory, b"/onecontext"]);
                let ours = at(ours, root.resolve(ours))?;
                for path in at(path, glob(root, path))? {
                    let file = at(path, ConfigFile::read_regular(root, path))?;
                    if file.path != ours {
                        sourced.push(file);
                    }
                }
                if ours.in_run() && fnmatch(name, b"onecontext") {
                    drop_in = Some(ours);
                }
            }
        }
        Ok(memory::place(Self {
            main,
            sourced: sourced.finish(),
            drop_in,
        }))
    }
}

/// `/etc/hosts` (hosts(5)), and whether nss-myhostname answers too.
#[derive(Clone, Copy)]
pub struct Hosts {
    /// The file.
    pub file: &'static ConfigFile,
    /// Whether the C library asks nss-myhostname(8) (nsswitch.conf(5)), which knows the
    /// machine's own name.
    pub by_myhostname: bool,
}

impl Hosts {
    /// Reads the file and nsswitch.conf.
    pub fn read(root: &Root) -> Result<Self, PathError> {
        const SWITCH: &[u8] = b"/etc/nsswitch.conf";
        const PATH: &[u8] = b"/etc/hosts";
        let switch = at(SWITCH, ConfigFile::read(root, SWITCH))?;
        let text = switch.content.map_or(&b""[..], |file| file.content);
        let asks_it = |line: &[u8]| {
            let sources = line.trim_ascii_start().strip_prefix(b"hosts:");
            sources.is_some_and(|sources| words(sources).any(|word| word == b"myhostname"))
        };
        Ok(Self {
            file: at(PATH, ConfigFile::read(root, PATH))?,
            by_myhostname: lines(text).any(asks_it),
        })
    }
}

/// `/etc/resolv.conf` (resolv.conf(5)), and whether systemd-resolved owns it.
#[derive(Clone, Copy)]
pub struct ResolvConf {
    /// The file.
    pub file: &'static ConfigFile,
    /// Whether systemd-resolved makes it and will be started.
    pub is_of_resolved: bool,
}

impl ResolvConf {
    /// Reads the file.
    pub fn read(root: &Root) -> Result<Self, Error> {
        let file = ConfigFile::read(root, b"/etc/resolv.conf")?;
        let is_of_resolved =
            file.path.is_below(b"/run/systemd/resolve") && is_resolved_enabled(root)?;
        Ok(Self {
            file,
            is_of_resolved,
        })
    }
}

fn is_resolved_enabled(root: &Root) -> Result<bool, Error> {
    use super::systemd::units::{Unit, find, is_init, will_be_enabled};
    const NAME: &[u8] = b"systemd-resolved.service";
    match find(root, NAME)? {
        Unit::Present { text, .. } if is_init(root)? => {
            Ok(will_be_enabled(root, NAME, text)?.is_some())
        }
        _ => Ok(false),
    }
}

/// What starts cloud-init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudInit {
    /// Not installed.
    Missing,
    /// A systemd unit.
    Unit,
    /// A runlevel script.
    Script,
}

impl CloudInit {
    /// Looks for the units and scripts of all its versions.
    pub fn find(root: &Root) -> Result<Self, Error> {
        use super::systemd::units::{Unit, find, is_init};
        let is_there = match is_init(root)? {
            true => matches!(
                find(root, b"cloud-init-local.service")?,
                Unit::Present { .. }
            ),
            false => super::initd::enabled(root, b"cloud-init-local")?.is_some(),
        };
        Ok(match (is_there, is_init(root)?) {
            (false, _) => Self::Missing,
            (true, true) => Self::Unit,
            (true, false) => Self::Script,
        })
    }
}
