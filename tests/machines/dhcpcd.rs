//! dhcpcd, which would do DHCP on every NIC.

use crate::reachability::watched;
use crate::support::image::Image;
use crate::support::machine::Inside;

#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    let image = Image::With("dhcpcd");
    let mut watched = watched(image, "dhcpcd.service", |machine| machine);
    let target = watched
        .login
        .run("findmnt -n -o TARGET -T /etc/dhcpcd.conf");
    assert_eq!(target, "/etc/dhcpcd.conf\n");
}
