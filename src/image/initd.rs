//! Scripts of `/etc/init.d` that the root starts, by links in the directories of
//! sysvinit's runlevels (update-rc.d(8), chkconfig(8)) or OpenRC's (rc-update(8)).
//! systemd starts such a script too, if no unit has its name
//! (systemd-sysv-generator(8)).
use super::{Fact, Root};
use crate::base::memory;

/// The runlevels of a boot. `/etc/rc3.d` is a link to `/etc/rc.d/rc3.d` on RHEL.
const RUNLEVELS: [&[u8]; 8] = [
    b"/etc/rcS.d",
    b"/etc/rc2.d",
    b"/etc/rc3.d",
    b"/etc/rc4.d",
    b"/etc/rc5.d",
    b"/etc/runlevels/sysinit",
    b"/etc/runlevels/boot",
    b"/etc/runlevels/default",
];

/// The link by which a runlevel starts the script `name`, if that is there.
pub fn enabled(root: &Root, name: &[u8]) -> Fact<&'static [u8]> {
    if root.names(b"/etc/init.d")?.contains(&name)
        && root.exists(memory::concat(&[b"/etc/init.d/", name]))?
    {
        for runlevel in RUNLEVELS {
            for entry in root.list(runlevel)? {
                if started(entry) == name {
                    return Ok(Some(memory::concat(&[runlevel, b"/", entry])));
                }
            }
        }
    }
    Ok(None)
}

/// The script that a link starts: `S01ssh` in a runlevel of sysvinit (`K01ssh`
/// stops it), `ssh` in one of OpenRC.
fn started(entry: &[u8]) -> &[u8] {
    match entry {
        [b'S', b'0'..=b'9', b'0'..=b'9', name @ ..] => name,
        name => name,
    }
}
