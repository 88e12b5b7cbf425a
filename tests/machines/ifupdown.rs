//! ifupdown.

use crate::reachability::watched;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login};
use crate::two_nics::*;

/// As Debian's installer leaves it: both NICs are named, in two files.
#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    let image = Image::With("ifupdown");
    let mut watched = watched(image, "networking.service", |machine| machine);
    let login = &mut watched.login;
    assert_eq!(
        login.run("ifquery --state | sort"),
        "ens3=ens3\nens4=ens4\nens5=ens5\nlo=lo\n"
    );
    let second = "/etc/network/interfaces.d/second";
    assert_eq!(
        login.run(&format!("findmnt -n -o TARGET -T {second}")),
        format!("{second}\n")
    );
    // Down and up once more: ifupdown restores the state.
    login.run("ifdown ens5 && ifup ens5");
    watched.assert_state();
}

#[test]
#[ignore = "boots a machine"]
fn stanzas_of_debian13() {
    let (machine, key) = machine(Image::With("trixie-ifupdown"), &TWO_NICS);
    let mut running = machine.start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "networking.service");
    assert_looks_now_and_later(&mut login);
    assert_ifupdown(&mut login);
    assert_quiet(&mut login);
    // Down and up once more: ifupdown restores the state.
    login.run("ifdown ens4 && ifup ens4");
    assert_looks(&mut login);
    assert_eq!(
        login.run("findmnt -n -o TARGET -T /etc/network/interfaces.d/second"),
        "/etc/network/interfaces.d/second\n"
    );
    assert_eq!(resolv_conf(&mut login), RESOLV_CONF);
}

/// As in Debian's cloud images: no NIC is named, and a directory in /run is read.
#[test]
#[ignore = "boots a machine"]
fn folder_in_run() {
    let (machine, key) = machine(Image::With("ifupdown"), &TWO_NICS);
    let mut running = machine
        .edit("rm /etc/network/interfaces")
        .edit("rm /etc/network/interfaces.d/second")
        .write(
            "/etc/network/interfaces",
            "auto lo\niface lo inet loopback\n\
             source-directory /run/network/interfaces.d\n",
        )
        .start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "networking.service");
    assert_looks_now_and_later(&mut login);
    assert_ifupdown(&mut login);
    assert_eq!(
        login.run("ls /run/network/interfaces.d; findmnt -n -o TARGET -T /etc/network/interfaces"),
        "onecontext\n/\n"
    );
    assert_quiet(&mut login);
}

fn assert_ifupdown(login: &mut Login) {
    assert_eq!(
        login.run("ifquery --state | sort"),
        "ens3=ens3\nens4=ens4\nlo=lo\n"
    );
    let clients = login.run("pgrep -c dhclient || true");
    assert_eq!(clients, "0\n");
}
