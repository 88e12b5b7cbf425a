//! The state of the machine. What this file reads, any user may read, the key files apart.
use core::ffi::CStr;

use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::proc;
use crate::base::text::{
    Text, as_str, c_str, lines, number, position, split, split_once, split_path, words,
};
use crate::image::Root;
use crate::image::key_file::LARGEST;
use crate::image::passwd::Users;
use crate::kernel::present::NetworkState;
use crate::login::{KEYS_IN_RUN, merge};
use crate::plan::stored::StoredPlan;

/// The configuration of the resolver.
pub const RESOLV_CONF: &[u8] = b"/etc/resolv.conf";

/// The state.
pub struct MachineState {
    /// The kernel's network.
    pub network: Result<NetworkState, Error>,
    /// The host name.
    pub hostname: &'static [u8],
    /// The TCP ports on which something listens; `None`: unknown.
    listeners: Option<Vector<Listener>>,
}

impl MachineState {
    /// Reads it.
    pub fn read() -> Self {
        Self {
            network: NetworkState::read(),
            hostname: memory::copy(rustix::system::uname().nodename().to_bytes()),
            listeners: listeners(),
        }
    }

    /// A machine with this network, for tests.
    #[cfg(test)]
    pub fn of(network: NetworkState, hostname: &'static [u8]) -> Self {
        Self {
            network: Ok(network),
            hostname,
            listeners: None,
        }
    }

    /// Whether something listens on one of these TCP ports for other machines; `None`:
    /// unknown.
    pub fn listens(&self, ports: &[u32]) -> Option<bool> {
        let is_it = |one: &Listener| ports.contains(&one.port) && !one.is_loopback;
        Some(self.listeners.as_ref()?.iter().any(is_it))
    }

    /// Whether OpenSSH's server runs, which may listen elsewhere than its configuration
    /// says; `None`: unknown. Its processes for sessions do not count.
    pub fn sshd_runs(&self) -> Option<bool> {
        // Without other users' processes (proc(5), hidepid) nothing is known.
        text(&[b"/proc/1/cmdline"])?;
        let processes = Root::open(c"/proc", None).ok()?;
        let names = processes.names(b"/").ok()?;
        let is_server = |name: &&[u8]| {
            let line = number(name).and_then(|_| text(&[b"/proc/", name, b"/cmdline"]));
            line.is_some_and(is_sshd)
        };
        Some(names.iter().any(is_server))
    }

    /// Whether the parameter that takes IPv6 off a device is set.
    pub fn has_no_ipv6(&self, device: &[u8]) -> bool {
        let parts = [b"/proc/sys/net/ipv6/conf/", device, b"/disable_ipv6"];
        text(&parts).is_some_and(|text| text.trim_ascii() == b"1")
    }

    /// The network manager that manages a device.
    pub fn manager(&self, device: &[u8]) -> Option<&'static str> {
        let network = self.network.as_ref().ok()?;
        let mut index = Text::new();
        uwrite!(index, "{}", network.device(device)?.index);
        // systemd, src/network/networkd-link.c, `link_save`.
        let networkd = text(&[b"/run/systemd/netif/links/", &index]).unwrap_or_default();
        let is_unmanaged = |line| line == b"ADMIN_STATE=unmanaged";
        if !networkd.is_empty() && !lines(networkd).any(is_unmanaged) {
            return Some("systemd-networkd");
        }
        // NetworkManager, src/core/nm-config.c, `nm_config_device_state_write`.
        let state = text(&[b"/run/NetworkManager/devices/", &index]).unwrap_or_default();
        if lines(state).any(|line| line == b"managed=true") {
            return Some("NetworkManager");
        }
        // ifupdown, main.c, `update_state`.
        let state = text(&[b"/run/network/ifstate"]).unwrap_or_default();
        let mut names = lines(state).filter_map(|line| split(line, |byte| byte == b'=').next());
        names.any(|name| name == device).then_some("ifupdown")
    }
}

/// The text of a file; `None` if it cannot be read.
fn text(path: &[&[u8]]) -> Option<&'static [u8]> {
    proc::read(c_str(path).ok()?).ok()
}

/// Whether a command line is that of OpenSSH's server. Since 8.2 it calls itself
/// `sshd: PATH OPTIONS [listener] …` (openssh:sshd.c), and before that it does not change
/// the line; a process for a session is `sshd: root@notty`.
fn is_sshd(line: &[u8]) -> bool {
    let program = split(line, |byte| byte == 0).next().unwrap_or_default();
    split_path(program).1 == b"sshd"
        || line.starts_with(b"sshd: ") && position(line, b"[listener]").is_some()
}

/// A socket that listens.
#[derive(Clone, Copy)]
struct Listener {
    port: u32,
    /// Only this machine reaches it.
    is_loopback: bool,
}

/// The sockets of /proc/net/tcp and tcp6 in the state LISTEN, which is 0A (proc(5)).
fn listeners() -> Option<Vector<Listener>> {
    const TABLES: [&CStr; 2] = [c"/proc/net/tcp", c"/proc/net/tcp6"];
    let mut listeners = Vector::new();
    let mut is_known = false;
    for table in TABLES {
        // Without IPv6 there is no tcp6.
        let Ok(text) = proc::read(table) else {
            continue;
        };
        is_known = true;
        for line in lines(text) {
            let mut fields = words(line);
            let local = fields.nth(1).unwrap_or_default();
            if fields.nth(1) == Some(b"0A") {
                listeners.extend(listener(local).as_slice());
            }
        }
    }
    is_known.then_some(listeners)
}

/// Such as `0100007F:0016`: the words of the address are in the byte order of the machine,
/// here with its lowest byte last, and the port is not.
fn listener(local: &[u8]) -> Option<Listener> {
    let (address, port) = split_once(local, b':')?;
    // ::1, and 127.0.0.0/8, alone or mapped (::ffff:127.0.0.1).
    let is_loopback = match address.len() {
        8 => address.ends_with(b"7F"),
        _ => match address.strip_prefix(b"0000000000000000FFFF0000") {
            Some(mapped) => mapped.ends_with(b"7F"),
            None => address == b"00000000000000000000000001000000",
        },
    };
    Some(Listener {
        port: u32::from_str_radix(as_str(port), 16).ok()?,
        is_loopback,
    })
}

/// The keys of a user of the plan.
#[derive(Clone, Copy)]
pub struct KeysState {
    /// Its name.
    pub name: &'static [u8],
    /// How many keys the plan has for it.
    pub keys: usize,
    /// Why it cannot log in with them; `Err`: why that is unknown.
    pub problem: Option<Result<&'static [u8], &'static [u8]>>,
}

/// Looks at each user of the plan, as the running system has it. Only root can.
pub fn users(plan: &StoredPlan) -> Vector<KeysState> {
    let root = Root::open(c"/", Some(c"/run"));
    let mut states = Vector::new();
    for name in plan.users() {
        let problem = match &root {
            Ok(root) => problem(root, name, plan.keys_of(name)),
            Err(_) => Some(Err(&b"the root directory cannot be opened"[..])),
        };
        states.push(KeysState {
            name,
            keys: plan.keys_of(name).len(),
            problem,
        });
    }
    states
}

type Problem = Option<Result<&'static [u8], &'static [u8]>>;

fn problem(root: &Root, name: &[u8], keys: &[&[u8]]) -> Problem {
    let Ok(users) = Users::read(root) else {
        return Some(Err(b"/etc/passwd cannot be read"));
    };
    let Some(user) = users.find(name) else {
        return Some(Ok(b"there is no such user"));
    };
    if !user.has_shell() {
        let parts = [b"its shell lets nobody in: ", user.shell.bytes()];
        return Some(Ok(memory::concat(&parts)));
    }
    let home = memory::concat(&[&user.home, b"/.ssh/authorized_keys"]);
    let in_run = memory::concat(&[KEYS_IN_RUN, name]);
    let mut reason = &b""[..];
    for path in [home, in_run] {
        match root.read_at_most(path, LARGEST) {
            Ok(file) if merge(file.content, keys).content == file.content => return None,
            Ok(file) => {
                let has = |key: &&[u8]| position(file.content, key).is_some();
                reason = match keys.iter().all(has) {
                    true => memory::concat(&[b"they are not where they were put in ", path]),
                    false => memory::concat(&[b"they are not in ", path, hidden(path)]),
                };
            }
            Err(_) if reason.is_empty() => {
                let parts = [b"there is no ", path, hidden(path)];
                reason = memory::concat(&parts);
            }
            Err(_) => {}
        }
    }
    Some(Ok(reason))
}

/// The mount that hides what was written at a path before it, as words behind it.
fn hidden(path: &'static [u8]) -> &'static [u8] {
    let mounts = proc::read(c"/proc/self/mountinfo").unwrap_or_default();
    let mut longest = &b"/"[..];
    for line in lines(mounts) {
        // proc(5): the fifth field is the mount point.
        let point = words(line).nth(4).unwrap_or_default();
        let rest = path.strip_prefix(point);
        let is_above = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        if is_above && point.len() >= longest.len() {
            longest = point;
        }
    }
    match longest {
        b"/" => b"",
        point => memory::concat(&[b"; a file system is mounted at ", point]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_reached_from_outside() {
        for (local, is_loopback) in [
            ("00000000:0016", false),
            ("0100007F:0016", true),
            ("0101120A:0016", false),
            ("00000000000000000000000000000000:0016", false),
            ("00000000000000000000000001000000:0016", true),
            ("0000000000000000FFFF00000100007F:0016", true),
            ("0000000000000000FFFF00000101120A:0016", false),
        ] {
            let found = listener(local.as_bytes()).unwrap();
            assert_eq!(
                (found.port, found.is_loopback),
                (22, is_loopback),
                "{local}"
            );
        }
        assert!(listener(b"local_address").is_none());
    }

    #[test]
    fn the_server_and_its_sessions() {
        for (line, wanted) in [
            (
                "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
                true,
            ),
            ("/usr/sbin/sshd\0-D\0", true),
            ("sshd\0", true),
            ("sshd: root@notty", false),
            ("sshd: root [priv]", false),
            ("/usr/bin/vi\0/etc/ssh/sshd\0", false),
            ("", false),
        ] {
            assert_eq!(is_sshd(line.as_bytes()), wanted, "{line}");
        }
    }
}
