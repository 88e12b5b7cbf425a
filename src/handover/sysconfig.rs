//! What network-scripts and wicked share. Both read nothing in `/run`, so they get
//! files in a directory of the root, for each link with a device. Both add what a NIC
//! lacks and leave what is there.
use super::render::{HEAD, device, fill, links, replace};
use crate::base::memory::{self, Vector};
use crate::base::text::{Ip, Text, format};
use crate::changeset::{Changes, Label, RootAccess};
use crate::image::config::ConfigDirectory;
use crate::plan::bound::BoundPlan;
use crate::plan::{Link, Prefix};

/// The directory with the files of a manager.
pub struct SysconfigDirectory<'p> {
    /// Its name in messages.
    pub manager: &'static [u8],
    /// The directory's path, with a slash at its end.
    pub path: &'static [u8],
    /// The files that are there.
    pub directory: &'p ConfigDirectory,
    /// Whether it can be written.
    pub access: RootAccess,
}

impl SysconfigDirectory<'_> {
    /// Calls `write` for each link that has a device.
    pub fn each_link(
        &self,
        bound: &BoundPlan,
        changes: &mut Changes,
        write: fn(&mut LinkFiles, &Link),
    ) {
        let has_name_servers = bound.plan.has_name_servers();
        for bound_link in links(bound) {
            if let Some(device) = device(bound_link, self.manager, changes) {
                let mut files = LinkFiles {
                    device,
                    has_name_servers,
                    text: Vector::new(),
                    sysconfig: self,
                    changes,
                };
                write(&mut files, bound_link.link);
            }
        }
    }
}

/// The files of one link, made one after the other.
pub struct LinkFiles<'p> {
    /// Memory for texts.
    /// The link's device.
    pub device: &'p [u8],
    /// Whether this program writes resolv.conf, since the context names servers.
    pub has_name_servers: bool,
    /// The text of the current file so far.
    pub text: Text,
    sysconfig: &'p SysconfigDirectory<'p>,
    changes: &'p mut Changes,
}

impl LinkFiles<'_> {
    /// The MTU, if the context has one.
    pub fn mtu(&mut self, link: &Link) {
        if let Some(mtu) = link.mtu {
            fill!(&mut self.text, "MTU=@\n", format(&mtu));
        }
    }

    /// Adds the addresses for which `kind` is true, each with its prefix length, whose
    /// variable is `length_name`.
    pub fn addresses(&mut self, link: &Link, kind: fn(&Prefix) -> bool, length_name: &[u8]) {
        let addresses = link.addresses.iter().filter(|prefix| kind(prefix));
        for (prefix, count) in addresses.zip(0u32..) {
            // The first one has no number.
            let number = match count {
                0 => b"",
                count => format(&count),
            };
            let address = format(&Ip(prefix.address));
            let length = format(&u32::from(prefix.length));
            fill!(
                &mut self.text,
                "IPADDR@=@\n@@=@\n",
                number,
                address,
                length_name,
                number,
                length
            );
        }
    }

    /// Ends the current file. Its name is `prefix` and the device. An empty file is
    /// only written if it replaces another.
    pub fn end(&mut self, prefix: &[u8]) {
        let sysconfig = self.sysconfig;
        let name = memory::concat(&[prefix, self.device]);
        let text = memory::concat(&[HEAD.as_bytes(), &self.text]);
        let file = sysconfig.directory.file(name);
        let rendered = file.and_then(|file| match file.content {
            None if self.text.is_empty() => Ok(()),
            _ => replace(file, text, Label::Neighbour, sysconfig.access, self.changes),
        });
        if let Err(error) = rendered {
            let path = memory::concat(&[sysconfig.path, name]);
            self.changes.problem(c"hand over", path, error);
        }
        self.text.clear();
    }
}
