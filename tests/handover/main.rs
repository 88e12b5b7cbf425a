//! Real Debian machines with a network manager that would do DHCP on every NIC boot
//! with a context disk: the manager takes over the kernel's configuration, and no other
//! address or route ever appears. A file for each manager, and some for what concerns
//! several.
//!
//! Each is `#[ignore]`d, and in one of the tiers of `tests/tiers`.

#[path = "../support/figures.rs"]
#[allow(dead_code, reason = "tests/bench.rs reads")]
mod figures;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "tests/boot uses the rest")]
mod support;

mod cloud_init;
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
