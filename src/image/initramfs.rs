//! What the initramfs is that this program runs in, before there is a root.
use super::Root;
use super::config::ConfigFile;
use super::sshd::{DROPBEAR, OPENSSH};
use crate::base::error::Error;

/// tinysshd(8) is the third server that people put into an initramfs.
const TINYSSH: [&[u8]; 2] = [b"/usr/sbin/tinysshd", b"/usr/bin/tinysshd"];

/// The facts.
#[derive(Clone, Copy)]
pub struct InitramfsFacts<'a> {
    /// Whether it has an SSH server, whoever put it there.
    pub ssh_server: Result<bool, Error>,
    /// It is one of initramfs-tools, whose programs look for the answers of
    /// klibc's ipconfig.
    pub is_of_initramfs_tools: Result<bool, Error>,
    /// `/etc/resolv.conf`
    pub resolv_conf: Result<&'a ConfigFile<'a>, Error>,
}

impl<'a> InitramfsFacts<'a> {
    /// Looks at it.
    pub fn read(root: &Root<'a>) -> Self {
        Self {
            ssh_server: has_ssh_server(root),
            is_of_initramfs_tools: root.exists(b"/conf/initramfs.conf"),
            resolv_conf: ConfigFile::read(root, b"/etc/resolv.conf"),
        }
    }
}

fn has_ssh_server(root: &Root) -> Result<bool, Error> {
    for paths in [&DROPBEAR[..], &OPENSSH, &TINYSSH] {
        if root.first(paths)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
