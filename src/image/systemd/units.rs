//! The root's systemd: the units that it has installed, enabled or masked
//! (systemd.unit(5)).
use rustix::io::Errno;

use super::presets;
use crate::base::error::Error;
use crate::base::memory;
use crate::image::{Fact, Root, if_there};

/// The state of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Not there.
    Missing,
    /// Switched off on purpose: linked to /dev/null, or empty.
    Masked,
    /// There, at this path, with this text.
    Present {
        /// The path of the file as systemd sees it.
        path: &'static [u8],
        /// The unit's text.
        text: &'static [u8],
    },
}

/// The directories of units in an image, highest precedence first (systemd.unit(5)). What
/// is in /run is of one boot.
const DIRECTORIES: [&[u8]; 4] = [
    b"/etc/systemd/system",
    b"/usr/local/lib/systemd/system",
    b"/usr/lib/systemd/system",
    b"/lib/systemd/system",
];

/// The systemd that is the init of a root.
#[derive(Clone, Copy)]
pub struct Systemd {
    /// `/lib` is a link to `/usr/lib`, as it is today. It was a directory of its own
    /// before Debian 12.
    is_merged: bool,
}

impl Systemd {
    /// Reads the facts of a root; `None`: its init is another.
    pub fn find(root: &Root) -> Fact<Self> {
        let is_init = match root.read_link(b"/sbin/init")? {
            Some(target) => target.ends_with(b"/systemd"),
            // Another init may be there as a program, beside systemd. Without any
            // /sbin/init an installed systemd counts.
            None => !root.is_entry(b"/sbin/init")? && root.exists(b"/usr/lib/systemd/systemd")?,
        };
        if !is_init {
            return Ok(None);
        }
        Ok(Some(Self {
            is_merged: root.resolve(b"/lib")?.path() == b"/usr/lib",
        }))
    }

    /// The directories of units that the root has, highest precedence first.
    pub fn directories(self) -> &'static [&'static [u8]] {
        let [merged @ .., _] = &DIRECTORIES;
        if self.is_merged { merged } else { &DIRECTORIES }
    }

    /// Looks a unit up.
    pub fn unit(self, root: &Root, name: &[u8]) -> Result<Unit, Error> {
        for directory in self.directories() {
            if !root.names(directory)?.contains(&name) {
                continue;
            }
            let path = memory::concat(&[directory, b"/", name]);
            let text = match root.read_resolved(root.at(path)?) {
                Ok(found) => found.content,
                Err(error) if error.is(&[Errno::NOENT, Errno::NOTDIR]) => continue,
                // The path has a link, as its last component or before.
                Err(_) if root.is_off(path)? => return Ok(Unit::Masked),
                // To systemd a dangling link is no unit.
                Err(_) => match if_there(root.read(path))? {
                    Some(found) => found.content,
                    None => continue,
                },
            };
            return Ok(match text {
                b"" => Unit::Masked,
                text => Unit::Present { path, text },
            });
        }
        Ok(Unit::Missing)
    }

    /// Whether a generator of this name runs at each boot
    /// (systemd.generator(7)); a link to /dev/null switches it off.
    pub fn has_generator(self, root: &Root, name: &[u8]) -> Result<bool, Error> {
        for directory in self.directories() {
            let path = memory::concat(&[directory, b"-generators/", name]);
            if root.is_entry(path)? {
                return Ok(!root.is_off(path)?);
            }
        }
        Ok(false)
    }

    /// What will make the booted system start `name`, a unit with this text: a link, or a
    /// preset at the first boot.
    pub fn will_be_enabled(self, root: &Root, name: &[u8], text: &[u8]) -> Fact<&'static [u8]> {
        if let Some(link) = self.enabled(root, name)? {
            return Ok(Some(link));
        }
        let will = presets::will_enable(root, self.directories(), name, text)?;
        Ok(will.then_some(b"systemd's presets, at the first boot"))
    }

    /// The link by which one of the usual targets wants `name`. Links of other targets are
    /// not found; the unit is then enabled twice, which does no harm. First-boot presets
    /// may enable more later; they never remove a link in /run.
    pub fn enabled(self, root: &Root, name: &[u8]) -> Fact<&'static [u8]> {
        self.wanted(root, &|entry| entry == name)
    }

    /// The first link by which one of the usual targets wants a unit with such a name.
    pub fn wanted(self, root: &Root, is_it: &dyn Fn(&[u8]) -> bool) -> Fact<&'static [u8]> {
        const TARGETS: [&[u8]; 4] = [
            b"multi-user.target.wants",
            b"sockets.target.wants",
            b"sysinit.target.wants",
            b"graphical.target.wants",
        ];
        for directory in self.directories() {
            for wants in TARGETS {
                if !root.names(directory)?.contains(&wants) {
                    continue;
                }
                let wants = memory::concat(&[directory, b"/", wants]);
                for name in root.names(wants)?.iter().filter(|name| is_it(name)) {
                    let entry = memory::concat(&[wants, b"/", name]);
                    if (root.read_link(entry)?).is_some_and(|text| text != b"/dev/null") {
                        return Ok(Some(entry));
                    }
                }
            }
        }
        Ok(None)
    }
}
