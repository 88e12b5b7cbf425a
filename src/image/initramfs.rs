//! Facts of the initramfs that this program runs in, for the early stage.
use super::account::password;
use super::config_file::ConfigFile;
use super::{PathError, Root, at};
use crate::base::error::Error;

/// The SSH servers that people put into an initramfs. The build hooks look for the same
/// ones.
const SERVERS: [&[u8]; 3] = [b"dropbear", b"sshd", b"tinysshd"];

/// The facts.
#[derive(Clone, Copy)]
pub struct InitramfsFacts {
    /// Whether it has an SSH server, whoever put it there.
    pub ssh_server: Result<bool, Error>,
    /// Whether its sshd refuses root since the password is locked; Dropbear does not look
    /// at that.
    pub locks_root: Result<bool, PathError>,
    /// Whether it is made by initramfs-tools, whose programs read the answers of
    /// klibc's ipconfig.
    pub is_of_initramfs_tools: Result<bool, Error>,
    /// `/etc/resolv.conf`
    pub resolv_conf: Result<&'static ConfigFile, Error>,
}

impl InitramfsFacts {
    /// Reads the facts.
    pub fn read(root: &Root) -> Self {
        Self {
            ssh_server: has_ssh_server(root),
            locks_root: locks_root(root),
            is_of_initramfs_tools: root.exists(b"/conf/initramfs.conf"),
            resolv_conf: ConfigFile::read(root, b"/etc/resolv.conf"),
        }
    }
}

fn has_ssh_server(root: &Root) -> Result<bool, Error> {
    for server in SERVERS {
        if root.program(server)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As sshd does without PAM, which no initramfs has (openssh:auth.c,
/// `LOCKED_PASSWD_PREFIX`).
fn locks_root(root: &Root) -> Result<bool, PathError> {
    let is_sshd = at(b"sshd", root.program(b"sshd"))?.is_some();
    let is_locked = |field: &[u8]| field.starts_with(b"!");
    Ok(is_sshd && password(root, b"root")?.is_some_and(is_locked))
}
