//! No manager: what the kernel was given is all there is.

use crate::reachability::{assert_pings_see_a_gap, watched};
use crate::support::image::Image;

#[test]
fn between_routers() {
    if let Some(mut watched) = watched(Image::InitramfsTools, "ssh.service", false) {
        assert_pings_see_a_gap(&mut watched);
    }
}
