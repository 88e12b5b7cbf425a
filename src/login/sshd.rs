//! The root's SSH server: whether it starts at boot, and whether it has host
//! keys. What is missing is given for this boot through /run/systemd/system.
use super::sshd_config::Config;
use crate::base::error::Error;
use crate::base::text::position;
use crate::changeset::{Access, Action, Change, Changes, File, Replaced, RootAccess};
use crate::image::Root;
use crate::image::systemd::units::{self, Unit};

/// What is known of the SSH server of a root.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Which one is installed.
    pub server: Option<Server>,
    /// Whether systemd is the root's init.
    pub systemd: bool,
    /// Whether it starts at boot.
    pub start: Start<'a>,
    /// What proves the machine's identity.
    pub host_keys: HostKeys<'a>,
    /// What OpenSSH is told.
    pub config: Config<'a>,
}

impl Facts<'_> {
    /// Whether OpenSSH's server is installed.
    pub fn is_openssh(&self) -> bool {
        self.server == Some(Server::OpenSsh)
    }
}

/// The program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// OpenSSH's sshd.
    OpenSsh,
    /// Dropbear.
    Dropbear,
}

/// Whether the server starts at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// It does.
    Enabled,
    /// It does not, but this unit would start it.
    Disabled {
        /// `ssh.service`.
        name: &'a [u8],
        /// The unit file as systemd sees it.
        path: &'a [u8],
    },
    /// Somebody switched this off on purpose: a masked unit, or Debian's
    /// `sshd_not_to_be_run`.
    Off(&'a [u8]),
    /// Nothing that would start it.
    NoUnit,
}

/// The server's own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeys<'a> {
    /// In the root.
    Present,
    /// Made by the server's own unit or program when it starts.
    Made,
    /// Missing, and this program of the root makes them.
    Missing(&'a [u8]),
    /// Missing, and nothing in the root makes them.
    Impossible,
}

const OPENSSH: [&[u8]; 4] = [
    b"/usr/sbin/sshd",
    b"/usr/bin/sshd",
    b"/usr/local/sbin/sshd",
    b"/sbin/sshd",
];
const DROPBEAR: [&[u8]; 3] = [
    b"/usr/sbin/dropbear",
    b"/usr/bin/dropbear",
    b"/sbin/dropbear",
];

/// Debian says ssh, all others sshd. The one that starts the server for good
/// comes before the one that waits for the first connection.
const OPENSSH_UNITS: [&[u8]; 4] = [
    b"ssh.service",
    b"sshd.service",
    b"ssh.socket",
    b"sshd.socket",
];
const DROPBEAR_UNITS: [&[u8]; 2] = [b"dropbear.service", b"dropbear.socket"];
/// Units that run sshd, also once for each connection.
const OPENSSH_SERVICES: [&[u8]; 4] = [
    b"ssh.service",
    b"sshd.service",
    b"ssh@.service",
    b"sshd@.service",
];
/// What does so without systemd; those of RHEL 6 and Alpine make host keys.
const OPENSSH_SCRIPTS: [&[u8]; 2] = [b"/etc/init.d/ssh", b"/etc/init.d/sshd"];

/// What sshd tries without a HostKey line (sshd_config(5)).
const HOST_KEYS: [&[u8]; 3] = [
    b"/etc/ssh/ssh_host_ed25519_key",
    b"/etc/ssh/ssh_host_ecdsa_key",
    b"/etc/ssh/ssh_host_rsa_key",
];
const KEYGENS: [&[u8]; 2] = [b"/usr/bin/ssh-keygen", b"/usr/local/bin/ssh-keygen"];

/// How the units of distributions name what makes host keys: Fedora
/// `Wants=sshd-keygen.target`, Arch `Wants=sshdgenkeys.service`, openSUSE
/// `ExecStartPre=/usr/sbin/sshd-gen-keys-start`, others `ssh-keygen -A`.
const MAKERS: [&[u8]; 3] = [b"keygen", b"genkeys", b"gen-keys"];

/// Looks at a root, and writes nothing.
pub fn inspect<'a>(root: &Root<'a>) -> Result<&'a Facts<'a>, Error> {
    let server = if root.first(&OPENSSH)?.is_some() {
        Some(Server::OpenSsh)
    } else {
        root.first(&DROPBEAR)?.map(|_| Server::Dropbear)
    };
    let systemd = units::is_init(root)?;
    let names: &[&[u8]] = match server {
        Some(Server::Dropbear) => &DROPBEAR_UNITS,
        _ => &OPENSSH_UNITS,
    };
    let config = Config::read(root);
    Ok(root.arena().place(Facts {
        server,
        systemd,
        start: if systemd {
            start(root, names)?
        } else {
            // Other inits take nothing from /run: there is nothing to do.
            Start::Enabled
        },
        host_keys: match server {
            Some(Server::OpenSsh) => host_keys(root, &config)?,
            // It makes them itself, or its package has.
            _ => HostKeys::Made,
        },
        config,
    }))
}

fn start<'a>(root: &Root<'a>, names: &[&'static [u8]]) -> Result<Start<'a>, Error> {
    const NOT_TO_BE_RUN: &[u8] = b"/etc/ssh/sshd_not_to_be_run";
    if root.exists(NOT_TO_BE_RUN)? {
        return Ok(Start::Off(NOT_TO_BE_RUN));
    }
    let mut candidate = None;
    let mut masked = None;
    for name in names {
        match units::find(root, name)? {
            Unit::Present { path, .. } => {
                if units::enabled(root, name)?.is_some() {
                    return Ok(Start::Enabled);
                }
                candidate = candidate.or(Some(Start::Disabled { name, path }));
            }
            Unit::Masked => masked = masked.or(Some(Start::Off(name))),
            Unit::Missing => {}
        }
    }
    // A mask says more than a unit that nobody enabled.
    Ok(masked.or(candidate).unwrap_or(Start::NoUnit))
}

fn host_keys<'a>(root: &Root<'a>, config: &Config) -> Result<HostKeys<'a>, Error> {
    if root
        .first(config.host_keys)?
        .or(root.first(&HOST_KEYS)?)
        .is_some()
    {
        return Ok(HostKeys::Present);
    }
    for name in OPENSSH_SERVICES {
        if let Unit::Present { text, .. } = units::find(root, name)?
            && mentions_a_maker(text)
        {
            return Ok(HostKeys::Made);
        }
    }
    for script in OPENSSH_SCRIPTS {
        if root
            .read_if_there(script)?
            .is_some_and(|found| mentions_a_maker(found.content))
        {
            return Ok(HostKeys::Made);
        }
    }
    let keygen = root.first(&KEYGENS)?;
    Ok(keygen.map_or(HostKeys::Impossible, HostKeys::Missing))
}

fn mentions_a_maker(unit: &[u8]) -> bool {
    MAKERS.iter().any(|maker| position(unit, maker).is_some())
}

/// What the root needs so that its SSH server runs after this boot, and what
/// stands in the way. `keys_in_run`: keys are where sshd does not look by
/// itself.
pub fn decide<'a>(
    root: &Root<'a>,
    facts: &Facts<'a>,
    access: RootAccess,
    keys_in_run: bool,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    const STEP: &str = "SSH server";
    if facts.server.is_none() {
        changes.problem(
            STEP,
            b"sshd",
            &"not installed in this image, so nobody can log in: install openssh-server",
        );
        return Ok(());
    }
    match facts.start {
        Start::Enabled => {}
        Start::Disabled { name, path } => {
            let wants = b"/run/systemd/system/multi-user.target.wants/";
            let entry = root.arena().concat(&[wants, name]);
            let done = b"SSH server: ";
            let what = b" is not enabled in this image: enabled for this boot";
            changes.run_symlink(entry, path, root.arena().concat(&[done, name, what]))?;
        }
        Start::Off(what) => changes.problem(
            STEP,
            what,
            &"the image switches it off on purpose: left off, so nobody can log in",
        ),
        Start::NoUnit => changes.problem(
            STEP,
            b"sshd",
            &"installed, but no unit starts it: add ssh.service or sshd.service to the image",
        ),
    }
    let makes_host_keys = matches!(facts.host_keys, HostKeys::Missing(_) | HostKeys::Made);
    if keys_in_run || access == RootAccess::ReadOnly && facts.is_openssh() && makes_host_keys {
        copy_config(root, facts, changes)?;
    }
    match facts.host_keys {
        HostKeys::Present | HostKeys::Made => {}
        HostKeys::Missing(keygen) if facts.systemd => {
            make_host_keys(root, keygen, changes)?;
            changes.note(&[b"SSH host keys: none in this image: made before the server starts"]);
        }
        HostKeys::Missing(_) => changes.problem(
            "SSH host keys",
            b"/etc/ssh",
            &"none, and this image's init takes nothing from /run: have it run ssh-keygen -A at boot",
        ),
        HostKeys::Impossible => changes.problem(
            "SSH host keys",
            b"/etc/ssh",
            &"none, and no ssh-keygen to make them: install openssh-client in the image",
        ),
    }
    Ok(())
}

/// A copy of /etc/ssh in /run, mounted over it: there host keys can be made,
/// and its configuration names the keys in /run besides those of the homes.
fn copy_config<'a>(
    root: &Root<'a>,
    facts: &Facts<'a>,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    const MAIN: &[u8] = b"sshd_config";
    let arena = root.arena();
    let config = &facts.config;
    if config.names(super::KEY_FILE_IN_RUN) {
        return Ok(());
    }
    let resolved = root.resolve(b"/etc/ssh")?;
    // The first value counts, and a Match ends with the file that it is in
    // (sshd_config(5)).
    let mut text = arena.vector();
    text.extend(b"# Made by onecontext: the root is read-only, and keys are in /run as well.\n");
    text.extend(b"AuthorizedKeysFile");
    for pattern in config.key_files() {
        text.push(b' ');
        text.extend(pattern);
    }
    text.push(b' ');
    text.extend(super::KEY_FILE_IN_RUN);
    text.push(b'\n');
    let mut access = Access::PUBLIC;
    match &config.main {
        Some((b"/etc/ssh/sshd_config", own)) => {
            access = Access::of(own);
            text.extend(own.content);
        }
        Some((path, _)) => {
            text.extend(b"Include ");
            text.extend(path);
            text.push(b'\n');
        }
        None => {}
    }
    let file = File {
        access,
        ..File::public(text.finish())
    };
    changes.push(Change {
        path: resolved,
        action: Action::BindCopyOver(Replaced { name: MAIN, file }),
        done: b"",
    });
    Ok(())
}

/// A unit of its own: Debian's ssh.service tests the server's configuration in
/// ExecStartPre=, which fails without host keys, and lines of a drop-in run
/// after it. It starts once /etc can be written.
fn make_host_keys<'a>(
    root: &Root<'a>,
    keygen: &[u8],
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    const UNIT: &[u8] = b"/run/systemd/system/onecontext-hostkeys.service";
    // Sockets start before basic.target, hence no default dependencies.
    // cloud-init removes all host keys at a first boot and makes others
    // (cc_ssh.py); the second name is that of 24.3 and newer.
    const HEAD: &[u8] = b"\
# Made by onecontext: this image has no SSH host keys.
[Unit]
Description=Make the SSH host keys that this image lacks
DefaultDependencies=no
After=systemd-remount-fs.service local-fs.target
After=cloud-init.service cloud-init-network.service
Before=ssh.service sshd.service ssh.socket sshd.socket
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=";
    const DROP_IN: &[u8] = b"\
# Made by onecontext: this image has no SSH host keys.
[Unit]
Wants=onecontext-hostkeys.service
After=onecontext-hostkeys.service
";
    let arena = root.arena();
    changes.run_file(UNIT, arena.concat(&[HEAD, keygen, b" -A\n"]))?;
    for name in OPENSSH_SERVICES {
        if let Unit::Present { .. } = units::find(root, name)? {
            let path = [b"/run/systemd/system/", name, b".d/50-onecontext.conf"];
            changes.run_file(arena.concat(&path), DROP_IN)?;
        }
    }
    Ok(())
}
