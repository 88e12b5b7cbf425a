//! No manager: what the kernel was given is all there is, but for systemd-networkd,
//! which is enabled for the NIC by DHCP alone.

use crate::reachability::{assert_pings_see_a_gap, watched};
use crate::support::image::Image;

#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    let mut watched = watched(Image::InitramfsTools, "ssh.service", false);
    assert_pings_see_a_gap(&mut watched);
}
