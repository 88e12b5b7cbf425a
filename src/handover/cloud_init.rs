//! cloud-init (cloudinit.readthedocs.io): an agent that renders files for the
//! root's managers, and sets names and keys, from a data source of its own, be
//! it the same disk. It is told to leave alone what the plan says, and goes on
//! with the rest.
//!
//! The door is the file that `CLOUD_CFG` names in its environment: stronger
//! than its own configuration and any user data (cloudinit/helpers.py,
//! `ConfigMerger`). `/run/cloud-init/cloud.cfg` is no
//! door: ds-identify writes it anew at each boot.
use super::HEAD;
use super::managers::links;
use crate::base::error::Error;
use crate::changeset::Changes;
use crate::image::systemd::units;
use crate::image::{Root, initd};
use crate::plan::Plan;

/// As people know it.
pub const NAME: &[u8] = b"cloud-init";

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
/// What starts it, in all its versions.
const UNIT: &[u8] = b"cloud-init-local.service";
const SCRIPT: &[u8] = b"cloud-init-local";

/// The name and the keys are the plan's, and the network if it is handed over.
/// Written in `/run`; whether cloud-init then starts, its generator says at each
/// boot.
pub fn decide<'a>(
    plan: &Plan,
    root: &Root<'a>,
    network: bool,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let network: &[u8] = match links(plan).next() {
        Some(_) if network => b"network: {config: disabled}\n",
        _ => b"",
    };
    let name: &[u8] = match plan.hostname {
        Some(_) => b"preserve_hostname: true\n",
        None => b"",
    };
    let config = root
        .arena()
        .concat(&[HEAD.as_bytes(), network, name, keys(plan)]);
    if config.len() == HEAD.len() {
        return Ok(());
    }
    if !units::is_init(root)? {
        return match initd::enabled(root, SCRIPT)? {
            Some(_) => Err(Error::new(
                &"only systemd can tell it what the plan says: remove it",
            )),
            None => Ok(()),
        };
    }
    if let units::Unit::FileContent { .. } = units::find(root, UNIT)? {
        changes.run_file(CONFIG, config)?;
        changes.run_file(DROP_IN, SERVICE)?;
    }
    Ok(())
}

/// Whether the root has it, and something that starts it.
pub fn is_there(root: &Root) -> Result<bool, Error> {
    if units::is_init(root)? {
        let unit = units::find(root, UNIT)?;
        return Ok(matches!(unit, units::Unit::FileContent { .. }));
    }
    Ok(initd::enabled(root, SCRIPT)?.is_some())
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
