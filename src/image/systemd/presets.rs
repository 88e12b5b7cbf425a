//! The units that systemd enables by itself at the first boot of an image
//! (systemd.preset(5)).
use rustix::io::Errno;

use crate::base::error::Error;
use crate::base::text::{as_str, lines, words};
use crate::image::Root;
use crate::image::glob::fnmatch;

/// Whether the booted system will enable the unit `name` with this `text`. PID 1 does
/// it before it mounts anything, so not on a root that is mounted read-only (systemd:
/// src/core/manager.c, manager_preset_all).
pub fn will_enable(
    root: &Root,
    directories: &[&[u8]],
    name: &[u8],
    text: &[u8],
) -> Result<bool, Error> {
    // A unit without that section cannot be enabled.
    let can_be = || lines(text).any(|line| line.trim_ascii() == b"[Install]");
    Ok(is_first_boot(root)?
        && root.is_mounted_writable()
        && can_be()
        && is_preset(root, directories, name)?)
}

/// Whether this is a first boot (machine-id(5), "First Boot Semantics"). An empty file
/// means that it is not.
fn is_first_boot(root: &Root) -> Result<bool, Error> {
    match root.read(b"/etc/machine-id") {
        Ok(found) => Ok(found.content.trim_ascii() == b"uninitialized"),
        Err(error) if error == Errno::NOENT => Ok(true),
        Err(reason) => Err(reason),
    }
}

/// Whether the presets enable the unit: the first line that matches decides; without
/// one it is enabled.
fn is_preset(root: &Root, directories: &[&[u8]], name: &[u8]) -> Result<bool, Error> {
    for path in root.merged(directories, b"-preset", b".preset")? {
        let content = root
            .read_if_there(path)?
            .map_or(&b""[..], |found| found.content);
        for line in lines(content) {
            let mut words = words(line);
            let enables = match words.next().map(as_str) {
                Some("enable") => true,
                Some("disable" | "ignore") => false,
                _ => continue,
            };
            if words.next().is_some_and(|pattern| fnmatch(pattern, name)) {
                return Ok(enables);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::Fixture;

    const UNIT: &str = "[Service]\n\n[Install]\nWantedBy=multi-user.target\n";
    const SYSTEM: &str = "usr/lib/systemd/system-preset/90-systemd.preset";

    fn ask(fixture: &Fixture, name: &str, text: &str) -> bool {
        const DIRECTORIES: [&[u8]; 3] = [
            b"/etc/systemd/system",
            b"/usr/local/lib/systemd/system",
            b"/usr/lib/systemd/system",
        ];
        let (name, text) = (name.as_bytes(), text.as_bytes());
        will_enable(&fixture.root(), &DIRECTORIES, name, text).unwrap()
    }

    #[test]
    fn only_at_the_first_boot() {
        let fixture = Fixture::new();
        assert!(ask(&fixture, "a.service", UNIT));
        assert!(!ask(&fixture, "a.service", "[Service]\n"), "static");
        for (id, is_first) in [
            ("uninitialized\n", true),
            ("", false),
            ("0123456789abcdef0123456789abcdef\n", false),
        ] {
            fixture.file("etc/machine-id", id);
            assert_eq!(ask(&fixture, "a.service", UNIT), is_first, "{id}");
        }
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let fixture = Fixture::new();
        fixture.file(
            SYSTEM,
            "# disable networking.service\n\
             enable systemd-networkd.service\n\
             disable systemd-networkd*\n\
             enable   systemd-networkd-wait-online.service\n\
             ignore ssh?.service\n\
             disable serial@.service ttyS0\n",
        );
        for (name, wanted) in [
            ("networking.service", true),
            ("systemd-networkd.service", true),
            ("systemd-networkd-wait-online.service", false),
            ("ssh.service", true),
            ("sshd.service", false),
            ("serial@.service", false),
        ] {
            assert_eq!(ask(&fixture, name, UNIT), wanted, "{name}");
        }
    }

    #[test]
    fn files_of_all_folders_by_name() {
        let fixture = Fixture::new();
        fixture.file(SYSTEM, "enable *\n");
        fixture.file(
            "usr/local/lib/systemd/system-preset/99-default.preset",
            "disable *\n",
        );
        assert!(ask(&fixture, "a.service", UNIT));
        fixture.file("etc/systemd/system-preset/10-ours.preset", "disable a*\n");
        assert!(!ask(&fixture, "a.service", UNIT));
        assert!(ask(&fixture, "b.service", UNIT));
        // Of one name that of the strongest directory.
        fixture.file("etc/systemd/system-preset/90-systemd.preset", "");
        assert!(!ask(&fixture, "b.service", UNIT));
    }

    #[test]
    fn a_preset_that_is_switched_off_says_nothing() {
        let fixture = Fixture::new();
        fixture.file(SYSTEM, "disable *\n");
        assert!(!ask(&fixture, "a.service", UNIT));
        // Whether the root has a /dev/null yet or not.
        fixture.link("etc/systemd/system-preset/90-systemd.preset", "/dev/null");
        assert!(ask(&fixture, "a.service", UNIT));
        fixture.directory("dev/null");
        assert!(ask(&fixture, "a.service", UNIT));
    }
}
