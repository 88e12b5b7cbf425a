//! The TCP ports on which the SSH server of a root listens: those of sshd_config(5), and
//! those of sockets that start it.
use super::sshd::{Sshd, Start};
use super::sshd_settings::Settings;
use super::systemd::units::{Systemd, Unit};
use super::{Fact, Root};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{format, lines, number, split, split_once};

/// The port of sshd where nothing else is said (sshd_config(5), Port).
const SSH: u32 = 22;
/// The sockets that start OpenSSH's server.
const SOCKETS: [&[u8]; 2] = [b"ssh.socket", b"sshd.socket"];
/// Where generators and systemctl(1) leave drop-ins, beside the directories of the image.
/// Ubuntu's sshd-socket-generator writes the ports of sshd_config there.
const IN_RUN: [&[u8]; 2] = [b"/run/systemd/system", b"/run/systemd/generator"];

/// The ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SshPorts {
    /// The ports, at least one.
    pub ports: &'static [u32],
    /// Why the server may listen on others, or not at all; empty if all of it is known.
    pub doubt: &'static [u8],
}

impl SshPorts {
    /// The port that servers have.
    pub const USUAL: Self = Self {
        ports: &[SSH],
        doubt: b"",
    };

    /// Reads them.
    pub fn read(root: &Root) -> Self {
        Self::find(root).unwrap_or_else(|error| Self {
            doubt: memory::concat(&[b"the SSH server is not known: ", format(&error)]),
            ..Self::USUAL
        })
    }

    fn find(root: &Root) -> Result<Self, Error> {
        let systemd = Systemd::find(root)?;
        let sshd = Sshd::read(root, systemd)?;
        let settings = Settings::read(root);
        let mut ports = Vector::new();
        let mut doubt = match (sshd.start, settings.problem) {
            _ if !sshd.is_openssh() => &b"there is no sshd of OpenSSH"[..],
            _ if root.program(b"dropbear")?.is_some() => b"dropbear is installed, too",
            (Start::Off(path), _) => memory::concat(&[b"sshd is switched off by ", path]),
            (_, Some((path, error))) => memory::concat(&[path, b": ", format(&error)]),
            _ => b"",
        };
        if !of_settings(&settings, &mut ports) {
            doubt = b"sshd_config has the name of a port";
        }
        if let Some(systemd) = systemd {
            for socket in SOCKETS {
                for port in streams(root, systemd, socket)?.unwrap_or_default() {
                    if !ports.contains(port) {
                        ports.push(*port);
                    }
                }
            }
        }
        if ports.is_empty() {
            ports.push(SSH);
        }
        Ok(Self {
            ports: ports.finish(),
            doubt,
        })
    }
}

/// Adds the ports of sshd_config(5). `false`: one of them is no number.
fn of_settings(settings: &Settings, ports: &mut Vector<u32>) -> bool {
    let mut are_numbers = true;
    let mut add = |word: &[u8]| match number(word) {
        Some(port) if !ports.contains(&port) => ports.push(port),
        Some(_) => {}
        None => are_numbers = false,
    };
    let addresses = settings.global(b"ListenAddress");
    // An address without a port has all of Port.
    let mut has_general = addresses.is_empty();
    for setting in addresses.iter() {
        match setting.arguments.first().map(|word| endpoint(word)) {
            Some((_, port)) if !port.is_empty() => add(port),
            _ => has_general = true,
        }
    }
    let general = settings.global(b"Port");
    if has_general {
        for setting in general.iter() {
            if let Some(word) = setting.arguments.first() {
                add(word);
            }
        }
        if general.is_empty() {
            add(b"22");
        }
    }
    are_numbers
}

/// The ports of a socket that is enabled (systemd.socket(5), ListenStream).
fn streams(root: &Root, systemd: Systemd, name: &[u8]) -> Fact<&'static [u32]> {
    let Unit::Present { text, .. } = systemd.unit(root, name)? else {
        return Ok(None);
    };
    if systemd.enabled(root, name)?.is_none() {
        return Ok(None);
    }
    let mut ports = Vector::new();
    let mut add = |text| {
        for line in lines(text) {
            match split_once(line, b'=').map(|(key, value)| (key.trim_ascii(), value.trim_ascii()))
            {
                // An empty one takes back those before.
                Some((b"ListenStream", b"")) => ports.truncate(0),
                Some((b"ListenStream", value)) => {
                    let last = split(value, |byte| byte == b':').last();
                    ports.extend(last.and_then(number).as_slice());
                }
                _ => {}
            }
        }
    };
    add(text);
    // Drop-ins count in the order of their names.
    let mut tops = Vector::<&[u8]>::new();
    tops.extend(&IN_RUN);
    tops.extend(systemd.directories());
    let below = memory::concat(&[b"/", name, b".d"]);
    for path in root.merged(&tops, below, b".conf")? {
        if let Some(found) = root.read_if_there(path)? {
            add(found.content);
        }
    }
    Ok(Some(ports.finish()))
}

/// The parts of `HOST`, `HOST:PORT` and `[HOST]:PORT`. The port may be empty.
pub fn endpoint(word: &[u8]) -> (&[u8], &[u8]) {
    if let Some(rest) = word.strip_prefix(b"[") {
        let (host, rest) = split_once(rest, b']').unwrap_or((rest, b""));
        return (host, rest.strip_prefix(b":").unwrap_or_default());
    }
    match split_once(word, b':') {
        Some((host, port)) if !port.contains(&b':') => (host, port),
        _ => (word, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::Fixture;

    /// The ports of a root with OpenSSH's sshd, systemd and these files.
    fn ports(files: &[(&str, &str)]) -> (Vec<u32>, String) {
        let fixture = Fixture::new();
        fixture.file("usr/sbin/sshd", "");
        fixture.file("usr/lib/systemd/systemd", "");
        for (path, text) in files {
            fixture.file(path, text);
        }
        let found = SshPorts::read(&fixture.root());
        let doubt = String::from_utf8_lossy(found.doubt).into_owned();
        (found.ports.to_vec(), doubt)
    }

    #[test]
    fn ports_of_the_configuration() {
        for (text, wanted) in [
            ("", &[22][..]),
            ("Port 2222\nport 2223\nPort 2222\n", &[2222, 2223]),
            ("Match User a\nPort 2222\n", &[22]),
            ("Match all\nPort 2222\n", &[2222]),
            ("ListenAddress 10.0.0.1:2200\nPort 2222\n", &[2200]),
            (
                "ListenAddress [::1]:2200\nListenAddress ::\nPort 2222\n",
                &[2200, 2222],
            ),
            ("ListenAddress [::]\nListenAddress a.b\n", &[22]),
        ] {
            let (found, doubt) = ports(&[("etc/ssh/sshd_config", text)]);
            assert_eq!((&*found, &*doubt), (wanted, ""), "{text}");
        }
    }

    #[test]
    fn ports_of_a_socket() {
        const UNIT: &str = "[Socket]\nListenStream=22\nAccept=no\n";
        let socket = ("usr/lib/systemd/system/ssh.socket", UNIT);
        let config = ("etc/ssh/sshd_config", "Port 2222\n");
        assert_eq!(ports(&[socket, config]).0, [2222]);
        let fixture = Fixture::new();
        fixture.file("usr/sbin/sshd", "");
        fixture.file("usr/lib/systemd/systemd", "");
        fixture.file(socket.0, socket.1);
        fixture.file(config.0, config.1);
        fixture.link(
            "etc/systemd/system/sockets.target.wants/ssh.socket",
            "/usr/lib/systemd/system/ssh.socket",
        );
        assert_eq!(SshPorts::read(&fixture.root()).ports, [2222, 22]);
        fixture.file(
            "etc/systemd/system/ssh.socket.d/a.conf",
            "[Socket]\nListenStream=\nListenStream = [::]:2200\nListenStream=/run/x\n",
        );
        assert_eq!(SshPorts::read(&fixture.root()).ports, [2222, 2200]);
    }

    #[test]
    fn what_leaves_a_doubt() {
        for (file, text, doubt) in [
            ("usr/sbin/dropbear", "", "dropbear is installed, too"),
            (
                "etc/ssh/sshd_config",
                "Port ssh\n",
                "sshd_config has the name of a port",
            ),
            (
                "etc/ssh/sshd_not_to_be_run",
                "",
                "sshd is switched off by /etc/ssh/sshd_not_to_be_run",
            ),
            (
                "etc/ssh/sshd_config/x",
                "",
                "/etc/ssh/sshd_config: not a regular file",
            ),
        ] {
            assert_eq!(ports(&[(file, text)]).1, doubt);
        }
        let nothing = SshPorts::read(&Fixture::new().root());
        assert_eq!(nothing.doubt, b"there is no sshd of OpenSSH");
    }
}
