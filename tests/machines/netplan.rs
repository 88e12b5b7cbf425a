//! netplan, which makes files for systemd-networkd or NetworkManager, with DHCP on
//! every NIC.

use crate::network_manager::assert_network_manager_uses_ours;
use crate::networkd::{self, assert_networkd_uses};
use crate::reachability::watched;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login};
use crate::two_nics::*;

#[test]
#[ignore = "boots a machine"]
fn networkd_between_routers() {
    let image = Image::With("netplan-networkd");
    let mut watched = watched(image, networkd::UNIT, |machine| machine);
    let login = &mut watched.login;
    // netplan alone starts networkd here, and has a file of its own.
    assert_eq!(
        login.run("systemctl is-enabled systemd-networkd; true"),
        "enabled-runtime\n"
    );
    assert_eq!(
        login.run("ls /run/systemd/network"),
        "00-onecontext-eth0.network\n00-onecontext-eth1.network\n\
         00-onecontext-eth2.network\n10-netplan-all-en.network\n"
    );
    for (nic, file) in [("ens3", "eth0"), ("ens4", "eth1"), ("ens5", "eth2")] {
        assert_networkd_uses(login, nic, file);
    }
    // Later, too.
    apply_again(login);
    watched.assert_state();
    let folder = "/run/systemd/network";
    assert_eq!(
        would_write(&mut watched.login, &format!("{folder}/00-*")),
        ["eth0", "eth1", "eth2"]
            .map(|name| format!("file {folder}/00-onecontext-{name}.network 0644\n"))
            .concat()
    );
}

#[test]
#[ignore = "boots a machine"]
fn network_manager() {
    let (machine, key) = machine(Image::With("netplan-network-manager"), &TWO_NICS);
    let mut running = machine.start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "NetworkManager-wait-online.service");
    assert_looks_now_and_later(&mut login);
    assert_network_manager_uses_ours(&mut login, &["ens3", "ens4"]);
    // netplan's file is there, for NICs without a better one.
    assert_eq!(
        login.run("nmcli -t -f NAME,DEVICE connection show | grep netplan"),
        "netplan-all-en:\n"
    );
    assert_eq!(resolv_conf(&mut login), RESOLV_CONF);
    assert_quiet(&mut login);
    // NetworkManager forgets which profile a NIC has, and makes one from the existing
    // state, which stays.
    apply_again(&mut login);
    assert_comes(|| addresses(&mut login), LOOKS[0]);
    assert_comes(|| routes(&mut login, 4), LOOKS[1]);
    assert_comes(|| routes(&mut login, 6), LOOKS[2]);
    assert_looks_now_and_later(&mut login);
    let folder = "/run/NetworkManager/system-connections";
    assert_eq!(
        would_write(&mut login, &format!("{folder}/onecontext-*")),
        format!(
            "file {folder}/onecontext-eth0.nmconnection 0600\n\
             file {folder}/onecontext-eth1.nmconnection 0600\n"
        )
    );
}

/// Runs `netplan apply` as an administrator does. It returns before the manager has
/// finished, so this waits for the manager.
fn apply_again(login: &mut Login) {
    login.run("systemd-run --quiet --unit=again -p RemainAfterExit=yes netplan apply");
    let state = "systemctl show -P SubState again";
    // A command has a time limit; this may take longer. While systemd reads its units
    // again, it does not answer.
    let ended = format!("case $({state}) in exited | failed) ;; *) false ;; esac");
    login.wait(&format!("until {ended}; do sleep 1; done"));
    assert_eq!(login.run(state), "exited\n");
    login.run("sleep 10");
}

/// What `plan` says it would write if these files did not exist.
fn would_write(login: &mut Login, files: &str) -> String {
    login.run(&format!(
        "rm {files}; onecontext plan /dev/sr0 --root / | grep '^file .*onecontext-eth'"
    ))
}
