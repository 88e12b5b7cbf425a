//! cloud-init (cloudinit.readthedocs.io): an agent that renders files for the
//! root's managers, and sets names and keys, from a data source of its own, be
//! it the same disk. It is configured to leave alone what the plan says, and goes
//! on with the rest.
//!
//! It reads the file that `CLOUD_CFG` names in its environment, which is stronger
//! than its own configuration and any user data (cloudinit/helpers.py,
//! `ConfigMerger`). `/run/cloud-init/cloud.cfg` does not serve: ds-identify
//! writes it anew at each boot.
use super::render::{HEAD, is_handed_over};
use crate::base::arena::Arena;
use crate::base::error::Error;
use crate::changeset::Changes;
use crate::image::config::CloudInit;
use crate::plan::Plan;

/// What it reads.
const CONFIG: &[u8] = b"/run/onecontext/cloud-init.cfg";
/// For all of its services, whichever a version has: a drop-in of a part of
/// their names that ends in `-` (systemd.unit(5), systemd 239).
const DROP_IN: &[u8] = b"/run/systemd/system/cloud-.service.d/50-onecontext.conf";
const SERVICE: &[u8] = b"\
# Made by onecontext from the context of this machine.
[Service]
Environment=CLOUD_CFG=/run/onecontext/cloud-init.cfg
";
/// The name and the keys are the plan's, and the network if it is handed over.
/// Written in `/run`; whether cloud-init then starts, its generator says at each
/// boot.
pub fn render<'a>(
    arena: &'a Arena,
    plan: &Plan,
    network: bool,
    cloud_init: Result<CloudInit, Error>,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let network: &[u8] = match network && plan.links.iter().any(is_handed_over) {
        true => b"network: {config: disabled}\n",
        false => b"",
    };
    let name: &[u8] = match plan.hostname {
        Some(_) => b"preserve_hostname: true\n",
        None => b"",
    };
    let config = arena.concat(&[HEAD.as_bytes(), network, name, keys(plan)]);
    if config.len() == HEAD.len() {
        return Ok(());
    }
    match cloud_init? {
        CloudInit::Missing => Ok(()),
        CloudInit::Script => Err(Error::new(
            &"only systemd can give it a configuration from /run: remove it",
        )),
        CloudInit::Unit => {
            changes.run_file(CONFIG, config)?;
            changes.run_file(DROP_IN, SERVICE)
        }
    }
}

/// Without the first line a key of root's that the data source has, too, gets
/// a command that says to log in as another user (cc_ssh.py). With it such a
/// key would lose its options (ssh_util.py, `AuthKeyLineParser`), hence the
/// second.
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
