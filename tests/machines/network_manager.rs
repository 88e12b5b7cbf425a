//! NetworkManager.

use crate::reachability::watched;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login};

#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    let image = Image::With("network-manager");
    let mut watched = watched(image, "NetworkManager.service", |machine| machine);
    let login = &mut watched.login;
    assert_network_manager_uses_ours(login, &["ens3", "ens4", "ens5"]);
    let all = login.run("nmcli -t -f TYPE connection show | grep -c ethernet");
    assert_eq!(all, "3\n");
}

/// These NICs have our profiles, and nothing else is active.
pub fn assert_network_manager_uses_ours(login: &mut Login, nics: &[&str]) {
    let folder = "/run/NetworkManager/system-connections";
    let active = login.run(
        "nmcli -t -f TYPE,DEVICE,NAME,FILENAME connection show --active | \
         grep -v ^loopback | sort",
    );
    let ours = |(number, nic): (usize, &&str)| {
        let name = format!("onecontext-eth{number}");
        format!("802-3-ethernet:{nic}:{name}:{folder}/{name}.nmconnection\n")
    };
    assert_eq!(
        active,
        nics.iter().enumerate().map(ours).collect::<String>()
    );
}
