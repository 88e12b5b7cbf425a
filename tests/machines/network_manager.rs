//! NetworkManager.

use crate::reachability::watched;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login};
use crate::two_nics::*;

#[test]
#[ignore = "boots a machine"]
fn alone() {
    alone_in("network-manager");
}

#[test]
#[ignore = "boots a machine"]
fn alone_on_debian13() {
    alone_in("trixie-network-manager");
}

fn alone_in(image: &'static str) {
    let (machine, key) = machine(Image::With(image), &TWO_NICS);
    let mut running = machine.start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "NetworkManager-wait-online.service");
    assert_looks_now_and_later(&mut login);
    assert_network_manager_uses_ours(&mut login);
    let all = login.run("nmcli -t -f TYPE connection show | grep -c ethernet");
    assert_eq!(all, "2\n");
    assert_eq!(resolv_conf(&mut login), RESOLV_CONF);
    assert_quiet(&mut login);
}

/// Both NICs have our profiles, and nothing else is active.
pub fn assert_network_manager_uses_ours(login: &mut Login) {
    let folder = "/run/NetworkManager/system-connections";
    let active = login.run(
        "nmcli -t -f TYPE,DEVICE,NAME,FILENAME connection show --active | \
         grep -v ^loopback | sort",
    );
    assert_eq!(
        active,
        format!(
            "802-3-ethernet:ens3:onecontext-eth0:{folder}/onecontext-eth0.nmconnection\n\
             802-3-ethernet:ens4:onecontext-eth1:{folder}/onecontext-eth1.nmconnection\n"
        )
    );
}

#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    watched(
        Image::With("network-manager"),
        "NetworkManager.service",
        true,
    );
}
