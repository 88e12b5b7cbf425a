//! The same with an SSH server in the initramfs, so the network was up before there was
//! a root, and all NICs were down again in between. Each manager reaches the same
//! addresses and routes, and none is there twice.

use crate::early::SAID;
use crate::support::image::Image;
use crate::support::machine::Inside;
use crate::support::network::Network;
use crate::two_nics::*;

/// The first NIC is static. The second is leased twice: by the early stage, and by the
/// manager or its substitute.
fn ends_as_without(image: &'static str) {
    let mut network = Network::new(&[1, 2]);
    network.serve(&["--dhcp-range=10.18.2.50,10.18.2.99,600"]);
    let variables = first_nic_and(&[
        ("ETH1_IP6_METHOD", "disable"),
        ("ETH1_MAC", MAC2),
        ("ETH1_METHOD", "dhcp"),
    ]);
    let (machine, key) = machine(Image::With(image), &variables);
    let mut running = machine.in_network(&network).start();
    let mut login = running.login("root", 1, &key);

    assert!(running.console().contains(SAID), "no early stage");
    login.booted();
    assert_no_failed_unit(&mut login);
    for pause in ["true", LATER] {
        login.run(pause);
        let (of_ens4, others): (Vec<_>, Vec<_>) = addresses(&mut login)
            .into_iter()
            .partition(|line| line.starts_with("ens4 10."));
        assert_eq!(of_ens4.len(), 1, "{of_ens4:?}");
        let static_ones = LOOKS[0].iter().filter(|line| !line.starts_with("ens4"));
        assert_eq!(others, static_ones.copied().collect::<Vec<_>>());
        let (of_ens4, others): (Vec<_>, Vec<_>) = routes(&mut login, 4)
            .into_iter()
            .partition(|line| line.contains("dev ens4"));
        // With ifupdown there is none: its client gives its route no metric, so the
        // first route is that one.
        let defaults = of_ens4.iter().filter(|line| line.starts_with("default"));
        assert!(defaults.count() <= 1, "{of_ens4:?}");
        let static_ones = LOOKS[1].iter().filter(|line| !line.contains("dev ens4"));
        assert_eq!(others, static_ones.copied().collect::<Vec<_>>());
    }
    assert_quiet(&mut login);
    assert_eq!(login.run("ls -d /run/net-* 2>/dev/null || true"), "");
}

boots! {
    networkd = ends_as_without("early-networkd");
    network_manager = ends_as_without("early-network-manager");
    ifupdown = ends_as_without("early-ifupdown");
}
