//! No manager: only the kernel's configuration counts, except that systemd-networkd is
//! enabled for the NIC by DHCP.

use crate::reachability::{assert_pings_see_a_gap, watched};
use crate::support::image::Image;

#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    let mut watched = watched(Image::InitramfsTools, "ssh.service", |machine| machine);
    assert_pings_see_a_gap(&mut watched);
}
