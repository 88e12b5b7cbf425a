//! What the root starts without systemd's units: scripts of `/etc/init.d`, by
//! links in the folders of sysvinit's runlevels (update-rc.d(8), chkconfig(8))
//! or OpenRC's (rc-update(8)). systemd starts such scripts, too, where no unit
//! has their name (systemd-sysv-generator(8)).
use super::Root;

/// Those that a boot passes. `/etc/rc3.d` is a link to `/etc/rc.d/rc3.d` on
/// RHEL.
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

/// Whether the script `name` is there and a runlevel starts it.
pub fn is_enabled(root: &Root, name: &[u8]) -> bool {
    root.exists(root.arena().concat(&[b"/etc/init.d/", name]))
        && RUNLEVELS.iter().any(|runlevel| {
            root.list(runlevel)
                .is_ok_and(|entries| entries.iter().any(|entry| started(entry) == name))
        })
}

/// The script that a link starts: `S01ssh` in a runlevel of sysvinit (`K01ssh`
/// stops it), `ssh` in one of OpenRC.
fn started(entry: &[u8]) -> &[u8] {
    match entry {
        [b'S', b'0'..=b'9', b'0'..=b'9', name @ ..] => name,
        name => name,
    }
}
