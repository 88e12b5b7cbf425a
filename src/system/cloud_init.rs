//! cloud-init (cloudinit.readthedocs.io): an agent that configures the root's network
//! managers, and sets names and keys, from a data source of its own, which may be the
//! same disk. Its configuration here makes it leave alone what the plan sets; it still
//! does everything else.
//!
//! The environment variable `CLOUD_CFG` names a file that overrides its own
//! configuration and any user data (cloudinit/helpers.py, `ConfigMerger`).
//! `/run/cloud-init/cloud.cfg` cannot be used: ds-identify writes it anew at each boot.
use crate::base::error::Error;
use crate::base::memory;
use crate::changeset::{Changes, HEAD};
use crate::image::Fact;
use crate::image::cloud_init::CloudInit;
use crate::plan::{Link, Plan};

/// The file that `CLOUD_CFG` names.
const CONFIG: &[u8] = b"/run/onecontext/cloud-init.cfg";
/// A drop-in for all of its services, whichever a version has: its name is the common
/// prefix of theirs, which ends in `-` (systemd.unit(5), since systemd 239).
const DROP_IN: &[u8] = b"/run/systemd/system/cloud-.service.d/50-onecontext.conf";
const SERVICE: &[u8] = include_bytes!("cloud-init.conf");

/// Leaves the host name and the keys to the plan, and the network if managers get a configuration.
/// The files are always written to `/run`; cloud-init's generator decides at each boot
/// whether it starts.
pub fn render(
    plan: &Plan,
    network: bool,
    cloud_init: Fact<CloudInit>,
    changes: &mut Changes,
) -> Result<(), Error> {
    let network: &[u8] = match network && plan.links.iter().any(Link::is_managed) {
        true => b"network: {config: disabled}\n",
        false => b"",
    };
    let name: &[u8] = match plan.hostname {
        Some(_) => b"preserve_hostname: true\n",
        None => b"",
    };
    let config = memory::concat(&[HEAD.as_bytes(), network, name, keys(plan)]);
    if config.len() == HEAD.len() {
        return Ok(());
    }
    match cloud_init? {
        None => Ok(()),
        Some(CloudInit::Script) => Err(Error::new(
            c"only systemd can give it a configuration from /run: remove it",
        )),
        Some(CloudInit::Unit) => {
            changes.run_file(CONFIG, config)?;
            changes.run_file(DROP_IN, SERVICE)
        }
    }
}

/// Without `disable_root: false` cloud-init prefixes a key of root that its data source
/// has too with a command that says to log in as another user (cc_ssh.py). With it,
/// such a key would lose its options (ssh_util.py, `AuthKeyLineParser`), hence
/// `allow_public_ssh_keys: false`.
fn keys(plan: &Plan) -> &'static [u8] {
    let mut lines: &[u8] = b"";
    for key in plan.keys.iter().filter(|key| key.user == b"root") {
        // No option starts like a type of key: ssh-, sk-, ecdsa- (sshd(8)).
        if !matches!(key.line, [b's', b's' | b'k', ..] | [b'e', b'c', ..]) {
            return b"disable_root: false\nallow_public_ssh_keys: false\n";
        }
        lines = b"disable_root: false\n";
    }
    lines
}
