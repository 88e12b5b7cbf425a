//! Real Debian machines whose roots have a network manager that would ask for
//! DHCP on every NIC, boot with a context disk: the manager takes over what
//! the kernel has, and nothing else ever stands there. A file for each
//! manager, and some for what concerns several.
//!
//! Each is `#[ignore]`d, and in one of the tiers of `tests/tiers`.

#[path = "../support/figures.rs"]
#[allow(dead_code, reason = "tests/bench.rs reads")]
mod figures;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "tests/boot uses the rest")]
mod support;

mod cloud_init;
mod connman;
mod cost;
mod dhcp;
mod dhcpcd;
mod driver;
mod early;
mod ifupdown;
mod netplan;
mod network_manager;
mod networkd;
mod none;
mod pairs;
mod parameters;
mod reachability;
mod shared_gateway;
mod sysvinit;
mod two_nics;

use support::tiers::{Program, assert_each_boot_has_one_tier};

#[test]
fn each_boot_has_one_tier() {
    assert_each_boot_has_one_tier(Program::Handover);
}
