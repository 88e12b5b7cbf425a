//! dhcpcd, which would do DHCP on every NIC.

use crate::reachability::watched;
use crate::support::image::Image;
use crate::support::machine::Inside;
use crate::two_nics::*;

#[test]
#[ignore = "boots a machine"]
fn alone() {
    let (machine, key) = machine(Image::With("dhcpcd"), &TWO_NICS);
    let mut running = machine.start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "dhcpcd.service");
    assert_looks_now_and_later(&mut login);
    assert_eq!(
        login.run("findmnt -n -o TARGET -T /etc/dhcpcd.conf"),
        "/etc/dhcpcd.conf\n"
    );
    assert_eq!(resolv_conf(&mut login), RESOLV_CONF);
    assert_quiet(&mut login);
}

#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    watched(Image::With("dhcpcd"), "dhcpcd.service", true);
}
