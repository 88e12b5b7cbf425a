//! The root's SSH server: that it starts, and has host keys. What is missing is added
//! for this boot in /run/systemd/system.
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::as_str;
use crate::changeset::{Access, Change, Changes, Done, File, Mount, Replaced, What};
use crate::image::sshd::{HostKeys, Service, Sshd, Start};

/// The directory of the key files of a root that is not written, named by user; and the
/// pattern by which sshd's configuration names them (sshd_config(5), TOKENS).
pub const KEYS_IN_RUN: &[u8] = b"/run/onecontext/keys/";
const KEY_FILE_IN_RUN: &[u8] = b"/run/onecontext/keys/%u";

const NO_HOST_KEYS: &[u8] = b"SSH host keys: none in this image: ";

/// Decides what the root needs so that its SSH server runs in the booted system, and
/// reports what prevents that. `systemd`: whether systemd is init.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn decide(facts: &Sshd, systemd: bool, changes: &mut Changes) -> Result<(), Error> {
    const STEP: &core::ffi::CStr = c"SSH server";
    if facts.server.is_none() {
        changes.problem(
            STEP,
            b"sshd",
            c"not installed in this image, so nobody can log in: install openssh-server",
        );
        return Ok(());
    }
    match facts.start {
        Start::Enabled => {}
        Start::Disabled { name, path } => {
            let wants = b"/run/systemd/system/multi-user.target.wants/";
            let entry = memory::concat(&[wants, name]);
            let done = b"SSH server: ";
            let what = b" is not enabled in this image: enabled for this boot";
            let done = Done::There(memory::concat(&[done, name, what]));
            changes.run_symlink(entry, path, done)?;
        }
        Start::Off(what) => changes.problem(
            STEP,
            what,
            c"the image switches it off on purpose: left off, so nobody can log in",
        ),
        Start::NoUnit => changes.problem(
            STEP,
            b"sshd",
            c"installed, but no unit starts it: add ssh.service or sshd.service to the image",
        ),
    }
    decide_host_keys(facts, systemd, changes)
}

/// Decides how the server gets host keys, if it has none.
fn decide_host_keys(facts: &Sshd, systemd: bool, changes: &mut Changes) -> Result<(), Error> {
    if facts.is_openssh() && matches!(facts.host_keys, HostKeys::Missing(_) | HostKeys::Made) {
        // They are made in /etc/ssh, or in a copy of it.
        changes.written_later(|_| {});
        changes.if_not_written(|changes| -> Result<(), Error> {
            changes.push(*copy_of_config(facts)?);
            changes.note(&[
                NO_HOST_KEYS,
                b"the root is not written, so new ones at each boot",
            ]);
            Ok(())
        })?;
    }
    match facts.host_keys {
        HostKeys::Present | HostKeys::Made => {}
        HostKeys::Missing(keygen) if systemd => {
            make_host_keys(keygen, facts.services, changes)?;
            changes.if_written(|changes| {
                changes.note(&[NO_HOST_KEYS, b"made before the server starts"]);
            });
        }
        HostKeys::Missing(_) => changes.problem(
            c"SSH host keys",
            b"/etc/ssh",
            c"none, and this image's init takes nothing from /run: have it run ssh-keygen -A at boot",
        ),
        HostKeys::Impossible => changes.problem(
            c"SSH host keys",
            b"/etc/ssh",
            c"none, and no ssh-keygen to make them: install openssh-client in the image",
        ),
    }
    Ok(())
}

/// A copy of /etc/ssh in /run, mounted over it. There host keys can be made, and its
/// configuration names the keys in /run besides those in the homes.
pub fn copy_of_config(facts: &Sshd) -> Result<&'static Change, Error> {
    const MAIN: &[u8] = b"sshd_config";
    let config = &facts.config;
    // The first value counts, and a Match block ends with its file (sshd_config(5)).
    let mut text = Vector::new();
    text.extend(b"# Made by onecontext: some keys are in /run.\n");
    text.extend(b"AuthorizedKeysFile ");
    text.extend(KEY_FILE_IN_RUN);
    for pattern in config.key_files() {
        text.push(b' ');
        text.extend(pattern);
    }
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
    let what = What::Directory(memory::place(Replaced { name: MAIN, file }));
    Ok(memory::place(Change {
        mount: Mount::Always,
        ..Change::new(facts.directory?, what)
    }))
}

/// Makes the host keys in a unit of its own: Debian's ssh.service tests the server's
/// configuration in ExecStartPre=, which fails without host keys, and lines of a
/// drop-in run after it. The unit starts once /etc can be written.
fn make_host_keys(keygen: &[u8], services: &[Service], changes: &mut Changes) -> Result<(), Error> {
    const UNIT: &[u8] = b"/run/systemd/system/onecontext-hostkeys.service";
    // Not before sockets: they start before basic.target, and cloud-init may start
    // after that, as on RHEL, which would be a cycle. The drop-in below makes the
    // services wait instead, those that serve a connection too. No default
    // dependencies, since a server may have none. Debian 13 also makes host keys at a
    // first boot (its sshd-keygen.service): not at the same time. cloud-init removes
    // all host keys at a first boot and makes others (cc_ssh.py), so this comes after
    // it; the second name is that of 24.3 and newer.
    const TEXT: &[u8] = include_bytes!("onecontext-hostkeys.service");
    // If the copy could not be mounted, the root is still not written. The image may
    // mount something of its own over /etc.
    const CONDITION: &[u8] =
        b"/run/systemd/system/onecontext-hostkeys.service.d/50-onecontext.conf";
    const NOT_IN_ROOT: &[u8] = include_bytes!("hostkeys-not-in-root.conf");
    const DROP_IN: &[u8] = include_bytes!("hostkeys.conf");
    let text = match as_str(keygen) {
        "/usr/bin/ssh-keygen" => TEXT,
        // The empty line removes the one of the text (systemd.service(5)).
        _ => memory::concat(&[TEXT, b"ExecStart=\nExecStart=", keygen, b" -A\n"]),
    };
    changes.run_file(UNIT, text)?;
    changes.if_not_written(|changes| changes.run_file(CONDITION, NOT_IN_ROOT))?;
    for service in services {
        let path = [
            b"/run/systemd/system/",
            service.name,
            b".d/50-onecontext.conf",
        ];
        changes.run_file(memory::concat(&path), DROP_IN)?;
    }
    Ok(())
}
