//! The files for each manager, and what happens to the root's own files.
use crate::base::memory;

use super::*;
use crate::base::text::Mac;
use crate::changeset::Policy;
use crate::image::testing::{EMPTY, Fixture, decided, in_own_mounts};
use crate::plan::bound::BoundLink;
use crate::plan::{Half, Link, LinkName, Method, Plan, Route};
use crate::system::testing::*;

const NETWORKD: &str = "systemd-networkd.service";
const NETWORK_MANAGER: &str = "NetworkManager.service";

#[test]
fn networkd() {
    let fixture = root_with(NETWORKD);
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    let folder = "/run/systemd/network/00-onecontext-";
    let file = |name| format!("{folder}{name}.network");
    assert_eq!(fixture.stat(&file("eth0")).0, 0o644);
    assert_eq!(
        fixture.text(&file("eth0")),
        "# Made by onecontext from the context of this machine.\n\
         [Match]\nMACAddress=02:00:0a:12:01:01\nType=ether\nKind=!*\n\n\
         [Link]\nMTUBytes=1450\n\n\
         [Network]\nKeepConfiguration=static\nDHCP=no\nIPv6AcceptRA=no\n\
         Address=10.18.1.1/24\nAddress=10.18.1.7/24\nAddress=2001:db8:1::a/64\n\
         DNS=10.18.1.253\nDNS=2001:db8::53\nDomains=example.org\n\n\
         [Route]\nDestination=0.0.0.0/0\nGateway=10.18.1.254\nMetric=100\n\n\
         [Route]\nDestination=10.98.0.0/16\nGateway=172.16.0.1\nGatewayOnLink=yes\n\n\
         [Route]\nDestination=169.254.16.9/32\nScope=link\n\n\
         [Route]\nDestination=::/0\nGateway=2001:db8:1::ff\n"
    );
    assert_eq!(
        fixture.text(&file("eth1")),
        "# Made by onecontext from the context of this machine.\n\
         [Match]\nMACAddress=02:00:0a:12:02:01\nType=ether\nKind=!*\n\n\
         [Link]\n\n\
         [Network]\nKeepConfiguration=static\nDHCP=ipv4\nIPv6AcceptRA=yes\n\n\
         [DHCPv4]\nRouteMetric=50\n\n\
         [IPv6AcceptRA]\nRouteMetric=2049\n"
    );
    assert_eq!(
        fixture.text(&file("eth2")),
        "# Made by onecontext from the context of this machine.\n\
         [Match]\nName=ens5\n\n\
         [Link]\nRequiredForOnline=no\n\n\
         [Network]\nKeepConfiguration=static\nDHCP=no\n\n\
         [IPv6AcceptRA]\nRouteMetric=2050\n"
    );
    assert!(!fixture.has(&file("eth3")), "skipped");
}

/// networkd 257 would wait forever for a gateway of such a network.
#[test]
fn networkd_with_a_network_of_two_links() {
    let default = route("0.0.0.0/0", "10.18.1.254", false, 0);
    let routes = [
        route("::/0", "2001:db8::1", false, 1024),
        route("2001:db8:9::/48", "fe80::1", false, 1024),
    ];
    let half = |addresses: &[&str], routes: &[Route]| Half {
        method: None,
        addresses: memory::list(
            &addresses
                .iter()
                .map(|text| prefix(text))
                .collect::<Vec<_>>(),
        ),
        routes: memory::list(routes),
    };
    for (second, expected) in [("2001:db8::b/64", true), ("2001:db8:0:1::b/64", false)] {
        // A second address of this link in the same network is no conflict.
        let first = ["2001:db8::a/64", "2001:db8::c/64"];
        let links = [
            Link {
                ipv4: half(&["10.18.1.1/24"], &[default]),
                ipv6: half(&first, &routes),
                ..LINK
            },
            Link {
                name: LinkName::Eth(1),
                mac: Some(Mac([2, 0, 0x0a, 0x12, 2, 1])),
                ipv4: half(&["10.18.1.2/24"], &[]),
                ipv6: half(&[second], &routes[..1]),
                ..LINK
            },
        ];
        let plan = Plan {
            links: memory::list(&links),
            ..EMPTY
        };
        let fixture = root_with(NETWORKD);
        configure(&fixture, &plan);
        for name in ["eth0", "eth1"] {
            let path = format!("/run/systemd/network/00-onecontext-{name}.network");
            let text = fixture.text(&path);
            let on_link = text.matches("GatewayOnLink=yes\n").count();
            assert_eq!(on_link, usize::from(expected), "{text}");
            let global = text.contains("Gateway=2001:db8::1\nGatewayOnLink=yes\n");
            assert_eq!(global, expected, "{text}");
        }
    }
}

#[test]
fn network_manager() {
    let fixture = root_with(NETWORK_MANAGER);
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    let folder = "/run/NetworkManager/system-connections/onecontext-";
    let file = |name| format!("{folder}{name}.nmconnection");
    assert_eq!(fixture.stat(&file("eth0")).0, 0o600);
    assert_eq!(
        fixture.text(&file("eth0")),
        "# Made by onecontext from the context of this machine.\n\
         [connection]\nid=onecontext-eth0\nuuid=6f6e6563-6f6e-8465-b874-02000a120101\n\
         type=ethernet\nautoconnect-priority=999\n\n\
         [ethernet]\nmac-address=02:00:0a:12:01:01\nmtu=1450\n\n\
         [ipv4]\nmethod=manual\nroute-metric=0\n\
         address1=10.18.1.1/24\naddress2=10.18.1.7/24\n\
         route1=0.0.0.0/0,10.18.1.254,100\n\
         route2=10.98.0.0/16,172.16.0.1,0\nroute2_options=onlink=true\n\
         route3=169.254.16.9/32,0.0.0.0,0\n\
         dns=9.9.9.9;10.18.1.253;\ndns-search=example.net;example.org;\n\n\
         [ipv6]\naddr-gen-mode=eui64\nmethod=manual\nroute-metric=256\n\
         address1=2001:db8:1::a/64\nroute1=::/0,2001:db8:1::ff,1024\n\
         dns=2001:db8::53;\n\n\
         [user]\norg.freedesktop.NetworkManager.origin=onecontext\n"
    );
    let second = fixture.text(&file("eth1"));
    let methods = "[ipv4]\nmethod=auto\nroute-metric=50\n\n[ipv6]\naddr-gen-mode=eui64\nmethod=auto\n\
        route-metric=2049\n\n";
    assert!(second.contains(methods), "{second}");
    let third = fixture.text(&file("eth2"));
    let methods = "[ipv4]\nmethod=disabled\n\n[ipv6]\naddr-gen-mode=eui64\nmethod=ignore\n\n";
    assert!(third.contains(methods), "{third}");
    let by_name = "uuid=6f6e6563-6f6e-8465-b874-000000000002\ntype=ethernet\n\
        autoconnect-priority=999\ninterface-name=ens5\n\n[ethernet]\n";
    assert!(third.contains(by_name), "{third}");
    assert!(!fixture.has(&file("eth3")), "skipped");
    assert_eq!(
        fixture.text("/run/NetworkManager/devices/2"),
        "# Made by onecontext from the context of this machine.\n\
         [device]\nmanaged=true\nconnection-uuid=6f6e6563-6f6e-8465-b874-02000a120101\n"
    );
    assert_eq!(
        fixture.text("/run/NetworkManager/conf.d/zz-onecontext.conf"),
        "# Made by onecontext from the context of this machine.\n\
         [connectivity]\nenabled=false\n\
         [keyfile]\nunmanaged-devices+=interface-name:=-;except:interface-name:=ens3;\
         except:interface-name:=ens4;except:interface-name:=ens5;\n"
    );
    // It makes resolv.conf itself.
    assert!(!fixture.has("etc/resolv.conf"));
}

/// The state of a device says that it is set up already.
#[test]
fn network_manager_has_no_state_of_a_device_that_is_not_set_up() {
    with_plan(|plan| {
        let fixture = root_with(NETWORK_MANAGER);
        let applied = bound(plan);
        for is_applied in [false, true] {
            let bound = BoundPlan {
                is_applied,
                ..applied
            };
            configure_bound(&fixture, &bound);
            assert_eq!(fixture.has("/run/NetworkManager/devices/2"), is_applied);
        }
    });
}

const MARKED: &str = "# Generated by NetworkManager\nnameserver 192.0.2.1\n";

/// NetworkManager 1.42 leaves a regular file as it is with `dns=none`,
/// `rc-manager=unmanaged` or unmanaged devices. Else it replaces the file and marks it.
#[test]
fn network_manager_may_leave_resolv_conf_alone() {
    let fixture = root_with(NETWORK_MANAGER);
    fixture.file("etc/resolv.conf", MARKED);
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    assert_eq!(fixture.text("etc/resolv.conf"), MARKED);
    fixture.file("etc/resolv.conf", "nameserver 192.0.2.1\n");
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    let text = fixture.text("etc/resolv.conf");
    assert!(text.contains("nameserver 9.9.9.9\n"), "{text}");
    std::fs::remove_file(fixture.host("etc/resolv.conf")).unwrap();
    fixture.link("etc/resolv.conf", "/run/NetworkManager/resolv.conf");
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    assert!(!fixture.has("/run/NetworkManager/resolv.conf"));
}

/// The same where it is mounted over.
#[test]
#[ignore = "needs root: make test-fast"]
fn network_manager_may_leave_resolv_conf_alone_on_a_sealed_root() {
    let fixture = root_with(NETWORK_MANAGER);
    for (old, is_bound) in [(MARKED, false), ("nameserver 192.0.2.1\n", true)] {
        fixture.file("etc/resolv.conf", old);
        in_own_mounts(|| {
            with_plan(|plan| {
                fixture.apply(Policy::ReadOnly, |root, writer, report| {
                    writer.apply(
                        &decided(|changes| decide(&bound(plan), root, true, changes)),
                        report,
                    );
                });
            });
            let text = fixture.text("etc/resolv.conf");
            assert_eq!(text.contains("nameserver 9.9.9.9\n"), is_bound, "{text}");
        });
        assert_eq!(fixture.text("etc/resolv.conf"), old);
    }
}

/// A profile that names no NIC would apply to all of them.
#[test]
fn network_manager_has_no_profile_for_an_unknown_nic() {
    let fixture = root_with(NETWORK_MANAGER);
    let link = Link { mac: None, ..LINK };
    let plan = Plan {
        links: memory::list(&[link]),
        ..EMPTY
    };
    let said = configure_bound(
        &fixture,
        &BoundPlan::unbound(memory::place(plan), DhcpClient::Alone),
    );
    assert_eq!(
        said,
        [
            "NetworkManager is enabled by \
             /etc/systemd/system/multi-user.target.wants/NetworkManager.service",
            "NetworkManager: no profile for ETH0: it has no MAC and no device, or is a port",
        ]
    );
    assert!(!fixture.has("/run/NetworkManager"));
}

const STANZAS: &str = "# Made by onecontext from the context of this machine.\n\n\
    auto ens3\n\
    iface ens3 inet6 manual\n\
    \tpre-up cd /proc/sys/net/ipv6/conf/ens3 && echo 0 >disable_ipv6 || :\n\
    \tpre-up cd /proc/sys/net/ipv6/conf/ens3 && echo 0 >accept_ra || :\n\
    \tpre-up cd /proc/sys/net/ipv6/conf/ens3 && echo 0 >autoconf || :\n\
    \tup ip address replace 2001:db8:1::a/64 dev ens3\n\
    \tup ip -6 route replace ::/0 dev ens3 metric 1024 proto static via 2001:db8:1::ff\n\
    iface ens3 inet manual\n\
    \tup ip link set dev ens3 mtu 1450\n\
    \tup ip address replace 10.18.1.1/24 dev ens3\n\
    \tup ip address replace 10.18.1.7/24 dev ens3\n\
    \tup ip -4 route replace 0.0.0.0/0 dev ens3 metric 100 proto static via 10.18.1.254\n\
    \tup ip -4 route replace 10.98.0.0/16 dev ens3 metric 0 proto static via 172.16.0.1 onlink\n\
    \tup ip -4 route replace 169.254.16.9/32 dev ens3 metric 0 proto static\n\n\
    auto ens4\n\
    iface ens4 inet6 auto\n\
    iface ens4 inet dhcp\n\tmetric 50\n\n\
    auto ens5\n\
    iface ens5 inet manual\n";

#[test]
fn ifupdown_with_a_folder_in_run() {
    let fixture = root_with(IFUPDOWN);
    let interfaces =
        "auto lo\niface lo inet loopback\nsource-directory /run/network/interfaces.d\n";
    fixture.file("etc/network/interfaces", interfaces);
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    assert_eq!(
        fixture.text("/run/network/interfaces.d/onecontext"),
        STANZAS
    );
    assert_eq!(fixture.text("etc/network/interfaces"), interfaces);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn ifupdown_with_stanzas_of_the_root() {
    let fixture = root_with(IFUPDOWN);
    let interfaces = "source interfaces.d/*\n\
        # the first\n\
        auto lo ens3\n\
        iface lo inet loopback\n\
        allow-hotplug ens3\n\
        iface ens3 inet static\n    address 10.0.0.1/24\n    # a note\n    up echo \\\n  auto\n\n\
        iface ens3:1 inet dhcp\n\
        iface ens30 inet dhcp\n    metric 5";
    fixture.file("etc/network/interfaces", interfaces);
    let second = "auto ens4\niface ens4 inet dhcp\nauto ens7\niface ens7 inet dhcp\n";
    fixture.file("etc/network/interfaces.d/second", second);
    fixture.file("etc/network/interfaces.d/third", "auto ens9\n");
    in_own_mounts(|| {
        with_plan(|plan| {
            let said = configure(&fixture, plan);
            assert_eq!(
                said.iter()
                    .filter(|line| line.starts_with("mounted"))
                    .collect::<Vec<_>>(),
                [
                    "mounted over /etc/network/interfaces.d/second",
                    "mounted over /etc/network/interfaces"
                ]
            );
        });
        assert_eq!(
            fixture.text("etc/network/interfaces"),
            format!(
                "source interfaces.d/*\n# the first\nauto lo\niface lo inet loopback\n    \
                 # a note\n\niface ens30 inet dhcp\n    metric 5\n{STANZAS}"
            )
        );
        assert_eq!(
            fixture.text("etc/network/interfaces.d/second"),
            "auto ens7\niface ens7 inet dhcp\n"
        );
    });
    assert_eq!(fixture.text("etc/network/interfaces"), interfaces);
    assert_eq!(fixture.text("etc/network/interfaces.d/second"), second);
}

/// What ifquery of 0.8.41 makes of these files before and after.
#[test]
#[ignore = "needs root: make test-fast"]
fn ifupdown_with_continued_lines_and_patterns() {
    let fixture = root_with(IFUPDOWN);
    let interfaces = "source interfaces.d/*.cfg\n\
        # no line goes on after a comment \\\n\
        iface ens3 inet static\n    address 10.0.0.1/24\n\
        auto ens3 \\\n  ens7\n\
        iface ens7 inet dhcp\n    up echo \\\n  iface ens3\n";
    fixture.file("etc/network/interfaces", interfaces);
    fixture.file("etc/network/interfaces.d/a.cfg", "iface ens4 inet dhcp\n");
    fixture.file("etc/network/interfaces.d/a.old", "iface ens4 inet dhcp\n");
    in_own_mounts(|| {
        with_plan(|plan| {
            configure(&fixture, plan);
        });
        assert_eq!(
            fixture.text("etc/network/interfaces"),
            format!(
                "source interfaces.d/*.cfg\n# no line goes on after a comment \\\n\
                 auto ens7\niface ens7 inet dhcp\n    up echo \\\n  iface ens3\n{STANZAS}"
            )
        );
        assert_eq!(fixture.text("etc/network/interfaces.d/a.cfg"), "");
        assert_eq!(
            fixture.text("etc/network/interfaces.d/a.old"),
            "iface ens4 inet dhcp\n"
        );
    });
}

/// Alpine: OpenRC below busybox, ifupdown-ng, interfaces as its installer writes it.
#[test]
#[ignore = "needs root: make test-fast"]
fn ifupdown_ng() {
    let fixture = Fixture::new();
    fixture.link("sbin/init", "/bin/busybox");
    fixture.file("bin/busybox", "");
    fixture.file("sbin/ifupdown", "");
    fixture.file("etc/init.d/networking", "#!/sbin/openrc-run\n");
    fixture.link("etc/runlevels/boot/networking", "/etc/init.d/networking");
    let interfaces = "auto lo\niface lo inet loopback\n\n\
        auto ens3\niface ens3 inet dhcp\n\n\
        auto ens7\niface ens7\n\tuse dhcp\n";
    fixture.file("etc/network/interfaces", interfaces);
    in_own_mounts(|| {
        with_plan(|plan| {
            configure(&fixture, plan);
        });
        assert_eq!(
            fixture.text("etc/network/interfaces"),
            format!(
                "auto lo\niface lo inet loopback\n\n\n\
                 auto ens7\niface ens7\n\tuse dhcp\n{STANZAS}"
            )
        );
    });
    assert_eq!(fixture.text("etc/network/interfaces"), interfaces);
}

#[test]
fn ifupdown_does_not_know_a_device_that_was_not_found() {
    let fixture = root_with(IFUPDOWN);
    fixture.file("etc/network/interfaces", "auto lo\n");
    let links = [Link {
        ipv4: by(Method::Dhcp),
        ..LINK
    }];
    let plan = Plan {
        links: memory::list(&links),
        ..EMPTY
    };
    assert_eq!(
        configure_bound(
            &fixture,
            &BoundPlan::unbound(memory::place(plan), DhcpClient::Alone)
        ),
        [
            "ifupdown is enabled by \
             /etc/systemd/system/multi-user.target.wants/networking.service",
            "ifupdown goes by names, and no device was found for ETH0"
        ]
    );
}

#[test]
fn netplan_enables_networkd() {
    const UNIT: &str = "usr/lib/systemd/system/systemd-networkd.service";
    const GENERATOR: &str = "usr/lib/systemd/system-generators/netplan";
    let is_told = |files: &[(&str, &str)]| {
        let fixture = Fixture::new();
        fixture.link("sbin/init", "/lib/systemd/systemd");
        fixture.file(UNIT, "[Service]\n");
        fixture.file(GENERATOR, "");
        for (path, text) in files {
            fixture.file(path, text);
        }
        with_plan(|plan| {
            configure(&fixture, plan);
        });
        fixture.has("/run/systemd/network")
    };
    // As cloud images have it, and as people write it.
    const CLOUD: &str = "network:\n  version: 2\n  ethernets:\n    ens3:\n      dhcp4: true\n";
    const NETWORKD: &str = "network:\n  renderer: \"networkd\"  # not NetworkManager\n";
    const MANAGER: &str = "network:\n  # renderer: networkd\n  renderer: NetworkManager\n";
    const FIRST: &str = "etc/netplan/01-netcfg.yaml";
    const SECOND: &str = "lib/netplan/02.yaml";
    assert!(!is_told(&[]), "nothing to do");
    assert!(!is_told(&[("etc/netplan/old.yaml.save", CLOUD)]));
    assert!(is_told(&[(FIRST, CLOUD)]));
    assert!(is_told(&[(FIRST, NETWORKD)]));
    assert!(!is_told(&[(FIRST, MANAGER)]));
    assert!(!is_told(&[(FIRST, MANAGER), (SECOND, CLOUD)]));
    assert!(is_told(&[(FIRST, MANAGER), (SECOND, NETWORKD)]));
    // A file hides those of the same name in directories of lower priority.
    assert!(!is_told(&[
        (FIRST, MANAGER),
        ("lib/netplan/01-netcfg.yaml", NETWORKD)
    ]));
    // Without its generator, and with the generator switched off.
    let fixture = Fixture::new();
    fixture.link("sbin/init", "/lib/systemd/systemd");
    fixture.file(UNIT, "[Service]\n");
    fixture.file(FIRST, CLOUD);
    with_plan(|plan| {
        configure(&fixture, plan);
        assert!(!fixture.has("/run/systemd/network"));
        fixture.file(GENERATOR, "");
        fixture.link("etc/systemd/system-generators/netplan", "/dev/null");
        configure(&fixture, plan);
        assert!(!fixture.has("/run/systemd/network"));
    });
}

#[test]
#[ignore = "needs root: make test-fast"]
fn several_at_once_get_each_its_own() {
    const UNITS: &str = "usr/lib/systemd/system";
    let fixture = root_with(IFUPDOWN);
    fixture.file(
        "etc/network/interfaces",
        "source /run/network/interfaces.d/*\n",
    );
    // Enabled by a preset, by netplan, by the link of a runlevel.
    let installed = "[Service]\n\n[Install]\nWantedBy=multi-user.target\n";
    fixture.file(&format!("{UNITS}/{NETWORK_MANAGER}"), installed);
    fixture.file(&format!("{UNITS}/{NETWORKD}"), "[Service]\n");
    fixture.file("usr/lib/systemd/system-generators/netplan", "");
    fixture.file("etc/netplan/01-netcfg.yaml", "network: {}\n");
    fixture.file("etc/init.d/dhcpcd", "");
    fixture.link("etc/rc5.d/S03dhcpcd", "../init.d/dhcpcd");
    fixture.file("etc/dhcpcd.conf", "");
    in_own_mounts(|| {
        with_plan(|plan| {
            let said = fixture.apply(Policy::Auto, |root, writer, report| {
                writer.apply(
                    &decided(|changes| decide(&bound(plan), root, true, changes)),
                    report,
                );
            });
            let said: Vec<_> = said
                .iter()
                .filter(|line| line.contains("enabled"))
                .collect();
            assert_eq!(
                said,
                [
                    "systemd-networkd is enabled by /etc/netplan/01-netcfg.yaml",
                    "NetworkManager is enabled by systemd's presets, at the first boot",
                    "ifupdown is enabled by \
                 /etc/systemd/system/multi-user.target.wants/networking.service",
                    "dhcpcd is enabled by /etc/rc5.d/S03dhcpcd",
                ]
            );
        })
    });
    for path in [
        "/run/systemd/network/00-onecontext-eth0.network",
        "/run/NetworkManager/system-connections/onecontext-eth0.nmconnection",
        "/run/network/interfaces.d/onecontext",
        "/run/onecontext/copies/etc/dhcpcd.conf",
    ] {
        assert!(fixture.has(path), "{path}");
    }
}

#[test]
fn only_what_is_enabled_is_told() {
    with_plan(|plan| {
        // Not enabled, masked, not installed, another init.
        let not_wanted = root_with(NETWORKD);
        std::fs::remove_file(
            not_wanted.host("etc/systemd/system/multi-user.target.wants/systemd-networkd.service"),
        )
        .unwrap();
        let masked = root_with(NETWORKD);
        masked.link("etc/systemd/system/systemd-networkd.service", "/dev/null");
        let gone = root_with(NETWORKD);
        std::fs::remove_file(gone.host("usr/lib/systemd/system/systemd-networkd.service")).unwrap();
        let other_init = root_with(NETWORKD);
        std::fs::remove_file(other_init.host("sbin/init")).unwrap();
        other_init.link("sbin/init", "busybox");
        for fixture in [not_wanted, masked, gone, other_init] {
            configure(&fixture, plan);
            assert!(!fixture.has("/run/systemd/network"));
        }
        // Without configuration of the network, a root that enables networkd gets no file.
        let fixture = root_with(NETWORKD);
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(
                &decided(|changes| decide(&bound(plan), root, false, changes)),
                report,
            );
        });
        assert!(said.is_empty(), "{said:?}");
    });
}

#[test]
fn scripts_are_enabled_by_links_of_runlevels() {
    let stanzas = |fixture: &Fixture| {
        let interfaces = "source-directory /run/network/interfaces.d\n";
        fixture.file("etc/network/interfaces", interfaces);
        with_plan(|plan| {
            configure(fixture, plan);
        });
        fixture.has("/run/network/interfaces.d/onecontext")
    };
    // sysvinit, OpenRC.
    for link in [
        "etc/rcS.d/S10networking",
        "etc/rc2.d/S01networking",
        "etc/runlevels/boot/networking",
    ] {
        let fixture = root_with_script(link, "networking");
        assert!(stanzas(&fixture), "{link}");
        assert_eq!(
            fixture.text("/run/network/interfaces.d/onecontext"),
            STANZAS
        );
    }
    for link in ["etc/rc2.d/K01networking", "etc/rc0.d/S10networking"] {
        assert!(!stanzas(&root_with_script(link, "networking")), "{link}");
    }
    // The script is missing.
    let fixture = root_with_script("etc/rcS.d/S10networking", "networking");
    std::fs::remove_file(fixture.host("etc/init.d/networking")).unwrap();
    assert!(!stanzas(&fixture));
    // systemd starts a script that has no unit.
    let with_systemd = |unit: Option<&str>| {
        let fixture = root_with_script("etc/rc2.d/S10networking", "networking");
        std::fs::remove_file(fixture.host("sbin/init")).unwrap();
        fixture.link("sbin/init", "/lib/systemd/systemd");
        if let Some(target) = unit {
            fixture.link("etc/systemd/system/networking.service", target);
        }
        fixture
    };
    assert!(stanzas(&with_systemd(None)));
    assert!(!stanzas(&with_systemd(Some("/dev/null"))));
    // A unit replaces the script, and this one is not enabled.
    let fixture = with_systemd(Some("/etc/mine"));
    fixture.file("etc/mine", "[Service]\n");
    assert!(!stanzas(&fixture));
}

#[test]
#[ignore = "needs root: make test-fast"]
fn dhcpcd_is_denied_what_is_set_up() {
    let fixture = root_with("dhcpcd.service");
    fixture.file("etc/dhcpcd.conf", "duid\ninterface ens9\nipv4only");
    assert_eq!(
        configure(&fixture, &EMPTY),
        ["dhcpcd is enabled by /etc/systemd/system/multi-user.target.wants/dhcpcd.service"]
    );
    in_own_mounts(|| {
        with_plan(|plan| {
            let said = configure(&fixture, plan);
            assert!(said.contains(&"mounted over /etc/dhcpcd.conf".into()));
            assert!(said.iter().all(|line| !line.starts_with('!')), "{said:?}");
        });
        assert_eq!(
            fixture.text("etc/dhcpcd.conf"),
            "# Made by onecontext from the context of this machine.\n\
             denyinterfaces ens3 ens5\nnohook resolv.conf\n\n\
             duid\ninterface ens9\nipv4only\n\
             # Made by onecontext from the context of this machine.\n\
             interface ens4\nmetric 50\n"
        );
    });
    assert_eq!(
        fixture.text("etc/dhcpcd.conf"),
        "duid\ninterface ens9\nipv4only"
    );
}

#[test]
fn what_dhcpcd_cannot_do_is_said() {
    let fixture = root_with_script("etc/rc2.d/S01dhcpcd", "dhcpcd");
    let links = [
        Link {
            ipv4: by(Method::Dhcp),
            ipv6: by(Method::Static),
            ..LINK
        },
        Link {
            name: LinkName::Eth(1),
            ipv4: by(Method::Static),
            ..LINK
        },
    ];
    let plan = Plan {
        links: memory::list(&links),
        ..EMPTY
    };
    let [first, second] = *bound(&plan).links else {
        panic!("two links");
    };
    let lost = BoundLink {
        device: None,
        ..second
    };
    let bound = BoundPlan {
        plan: memory::place(plan),
        dhcp: DhcpClient::Alone,
        links: memory::list(&[first, lost]),
        is_applied: true,
    };
    assert_eq!(
        configure_bound(&fixture, &bound),
        [
            "dhcpcd is enabled by /etc/rc2.d/S01dhcpcd",
            "!DHCP in one family alone: ETH0: dhcpcd does it in both or in none: \
             use another network manager",
            "dhcpcd goes by names, and no device was found for ETH1",
            "!hand over: dhcpcd: its file cannot be read, so it asks for DHCP on every NIC: \
             add that file to the image, or remove this network manager",
        ]
    );
}

/// RHEL 7 and 8: `network` is a script that systemd finds by its links.
fn with_network_scripts() -> Fixture {
    let fixture = root_with_script("etc/rc.d/rc3.d/S10network", "network");
    std::fs::remove_file(fixture.host("sbin/init")).unwrap();
    fixture.link("sbin/init", "../lib/systemd/systemd");
    fixture.link("etc/rc3.d", "rc.d/rc3.d");
    fixture
}

/// SLES and Leap 15, where network.service is an alias.
fn with_wicked() -> Fixture {
    let fixture = root_with("wicked.service");
    fixture.link(
        "etc/systemd/system/network.service",
        "/usr/lib/systemd/system/wicked.service",
    );
    fixture
}

#[test]
fn a_manager_that_is_not_supported_is_named() {
    const WHY: &str = "not supported: the kernel's configuration stands until it starts, and \
        its own files win if they configure the NIC: use another network manager";
    const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";
    let connman = || root_with_script("etc/rc2.d/S01connman", "connman");
    for (fixture, name, by) in [
        (
            with_network_scripts(),
            "network-scripts",
            "/etc/rc3.d/S10network",
        ),
        (with_wicked(), "wicked", &format!("{WANTS}/wicked.service")),
        (connman(), "ConnMan", "/etc/rc2.d/S01connman"),
    ] {
        fixture.file("etc/sysconfig/network-scripts/ifcfg-ens3", "");
        fixture.file("etc/sysconfig/network/ifcfg-ens3", "");
        fixture.file("etc/connman/main.conf", "");
        let is_enabled = format!("{name} is enabled by {by}");
        assert_eq!(configure(&fixture, &EMPTY), [is_enabled.as_str()]);
        with_plan(|plan| {
            let said = configure(&fixture, plan);
            let expected = [
                "wrote /etc/resolv.conf",
                &is_enabled,
                &format!("!hand over: {name}: {WHY}"),
            ];
            assert_eq!(said, expected);
        });
    }
    // A supported one beside it gets its files.
    let fixture = root_with(NETWORKD);
    fixture.file("etc/init.d/connman", "");
    fixture.link("etc/rc2.d/S01connman", "../init.d/connman");
    with_plan(|plan| {
        let said = configure(&fixture, plan);
        assert!(
            said.contains(&format!("!hand over: ConnMan: {WHY}")),
            "{said:?}"
        );
        assert!(fixture.has("/run/systemd/network/00-onecontext-eth0.network"));
    });
}

#[test]
fn resolved_gets_from_networkd_what_belongs_to_links() {
    let fixture = root_with(NETWORKD);
    fixture.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
    let unit = "/usr/lib/systemd/system/systemd-resolved.service";
    fixture.file(unit, "[Service]\n");
    fixture.link(
        "etc/systemd/system/sysinit.target.wants/systemd-resolved.service",
        unit,
    );
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    assert_eq!(
        fixture.text("/run/systemd/resolved.conf.d/50-onecontext.conf"),
        "# Made by onecontext from the context of this machine.\n\
         [Resolve]\nDNS=9.9.9.9\nDomains=example.net\n"
    );
}

#[test]
fn a_preset_of_the_first_boot_enables() {
    let fixture = Fixture::new();
    fixture.link("sbin/init", "/lib/systemd/systemd");
    let text = "[Service]\n\n[Install]\nWantedBy=multi-user.target\n";
    fixture.file(&format!("usr/lib/systemd/system/{NETWORKD}"), text);
    fixture.file("etc/machine-id", "");
    with_plan(|plan| {
        configure(&fixture, plan);
        assert!(!fixture.has("/run/systemd/network"), "no first boot");
        fixture.file("etc/machine-id", "uninitialized\n");
        configure(&fixture, plan);
        assert!(fixture.has("/run/systemd/network"));
    });
}

/// A file above the size limit for reading.
fn huge(fixture: &Fixture, path: &str) {
    fixture.file(path, "");
    let file = std::fs::File::options()
        .write(true)
        .open(fixture.host(path));
    file.unwrap().set_len(65 << 20).unwrap();
}

#[test]
fn managers_that_nothing_is_known_of_are_said() {
    const TOO_LONG: &str = "File name too long";
    let fixture = root_with(NETWORKD);
    fixture.link("usr/local/lib/systemd/system", &"x".repeat(300));
    with_plan(|plan| {
        let said = configure(&fixture, plan);
        let long = said.iter().filter(|line| line.contains(TOO_LONG));
        let expected = [
            format!("!hand over: cloud-init: {TOO_LONG}"),
            // NetworkManager may make this file itself.
            format!("!hand over: /etc/resolv.conf: {TOO_LONG}"),
            format!("!find out: which network managers the image enables: {TOO_LONG}"),
        ];
        assert!(long.eq(&expected), "{said:?}");
    });
    let fixture = root_with(NETWORKD);
    fixture.link("etc/systemd/system/networking.service", &"x".repeat(300));
    with_plan(|plan| {
        let said = configure(&fixture, plan);
        let line = format!("!find out whether the image enables: ifupdown: {TOO_LONG}");
        assert!(said.contains(&line), "{said:?}");
        let file = "wrote /run/systemd/network/00-onecontext-eth0.network";
        assert!(said.contains(&file.into()), "{said:?}");
    });
}

#[test]
fn what_of_a_managers_files_cannot_be_read_is_a_problem() {
    let fixture = root_with(IFUPDOWN);
    fixture.file(
        "etc/network/interfaces",
        "source /etc/network/more\nsource /etc/network/none\nsource-directory /etc/network/d\n",
    );
    fixture.directory("etc/network/d/folder");
    huge(&fixture, "etc/network/more");
    with_plan(|plan| {
        let said = configure(&fixture, plan);
        assert!(
            said.contains(&"!hand over: /etc/network/more: File too large".into()),
            "{said:?}"
        );
    });
    std::fs::remove_file(fixture.host("etc/network/interfaces")).unwrap();
    with_plan(|plan| {
        let said = configure(&fixture, plan);
        let problem = "!hand over: /etc/network/interfaces: No such file or directory";
        assert!(said.contains(&problem.into()), "{said:?}");
    });

    let fixture = root_with("dhcpcd.service");
    huge(&fixture, "etc/dhcpcd.conf");
    with_plan(|plan| {
        let said = configure(&fixture, plan);
        assert!(
            said.contains(&"!hand over: dhcpcd: File too large".into()),
            "{said:?}"
        );
    });
}

/// The first of these that networkd takes is ours, whatever the image has.
#[test]
fn networkd_takes_our_file_first() {
    for (names, prefix) in [
        (&["10-lan.network", "80-vm.network"][..], "00-"),
        (&["00-onecontext.link", ".00.network"], "00-"),
        (&["00-lan.network"], "!"),
        (&["0-lan.network"], "!"),
        (&["-lan.network"], "!"),
        // A link to /dev/null of that very name would hide ours.
        (&["00-onecontext-eth0.network"], "!"),
        (&["!lan.network"], "\x01"),
        (&[" lan.network"], "\x01"),
    ] {
        for folder in ["etc", "usr/local/lib", "usr/lib"] {
            let fixture = root_with(NETWORKD);
            for name in names {
                fixture.file(
                    &format!("{folder}/systemd/network/{name}"),
                    "[Match]\nName=*\n",
                );
            }
            with_plan(|plan| {
                configure(&fixture, plan);
            });
            let ours = std::fs::read_dir(fixture.host("/run/systemd/network")).unwrap();
            for entry in ours {
                let ours = entry.unwrap().file_name().into_string().unwrap();
                assert!(ours.starts_with(&format!("{prefix}onecontext-")), "{ours}");
                let later = |name: &&str| {
                    name.starts_with('.') || !name.ends_with("work") || **name > *ours
                };
                assert!(names.iter().all(later), "{names:?} {ours}");
            }
        }
    }
}

/// Routes by DHCP come after those of the context, and a NIC other than that of
/// GATEWAY_IFACE gets no default route.
#[test]
fn routes_by_dhcp_in_every_managers_file() {
    let links = [
        Link {
            ipv4: by(Method::Dhcp),
            mtu: Some(1400),
            ..LINK
        },
        Link {
            name: LinkName::Eth(1),
            mac: Some(Mac([2, 0, 0x0a, 0x12, 2, 1])),
            ipv4: by(Method::Dhcp),
            ipv6: by(Method::Auto),
            no_default_route: true,
            ..LINK
        },
    ];
    let plan = Plan {
        links: memory::list(&links),
        ..EMPTY
    };
    let fixture = root_with(NETWORKD);
    configure(&fixture, &plan);
    let file = |name| {
        fixture.text(&format!(
            "/run/systemd/network/00-onecontext-{name}.network"
        ))
    };
    assert!(
        file("eth0").contains("\n[DHCPv4]\nRouteMetric=1024\n\n"),
        "{}",
        file("eth0")
    );
    let both = "\n[DHCPv4]\nRouteMetric=1025\nUseGateway=no\n\n\
        [IPv6AcceptRA]\nRouteMetric=2049\nUseGateway=no\n";
    assert!(file("eth1").ends_with(both), "{}", file("eth1"));
    let fixture = root_with(NETWORK_MANAGER);
    configure(&fixture, &plan);
    let file = |name| {
        fixture.text(&format!(
            "/run/NetworkManager/system-connections/onecontext-{name}.nmconnection"
        ))
    };
    assert!(file("eth0").contains("[ipv4]\nmethod=auto\nroute-metric=1024\n\n"));
    assert!(file("eth1").contains("method=auto\nroute-metric=1025\nnever-default=true\n"));
    assert!(file("eth1").contains("method=auto\nroute-metric=2049\nnever-default=true\n"));
    let fixture = root_with(IFUPDOWN);
    fixture.file(
        "etc/network/interfaces",
        "source /run/network/interfaces.d/*\n",
    );
    configure(&fixture, &plan);
    let stanzas = fixture.text("/run/network/interfaces.d/onecontext");
    for part in [
        "iface ens3 inet dhcp\n\tmetric 1024\n\tup ip link set dev ens3 mtu 1400\n",
        "iface ens4 inet dhcp\n\tmetric 1025\n\tup ip -4 route del default dev ens4 || :\n",
    ] {
        assert!(stanzas.contains(part), "{stanzas}");
    }
}

/// NetworkManager is told to manage the NICs only if nobody else does.
#[test]
fn network_manager_is_told_to_manage_if_it_is_alone() {
    for is_alone in [true, false] {
        let fixture = root_with(NETWORK_MANAGER);
        if !is_alone {
            let unit = "/usr/lib/systemd/system/systemd-networkd.service";
            fixture.file(unit, "[Service]\n");
            let wants = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
            fixture.link(wants, unit);
        }
        with_plan(|plan| {
            configure(&fixture, plan);
        });
        let state = fixture.text("/run/NetworkManager/devices/3");
        assert_eq!(state.contains("managed=true\n"), is_alone, "{state}");
        assert!(state.contains("\nconnection-uuid=6f6e6563-"), "{state}");
        let settings = fixture.text("/run/NetworkManager/conf.d/zz-onecontext.conf");
        let except = "unmanaged-devices+=interface-name:=-;except:interface-name:=ens3;";
        assert_eq!(settings.contains(except), is_alone, "{settings}");
    }
}

/// The copy of interfaces, and what is said of it.
fn without_ours(interfaces: &str) -> (String, Vec<String>) {
    let fixture = root_with(IFUPDOWN);
    fixture.file("etc/network/interfaces", interfaces);
    let plan = Plan {
        links: memory::list(&[LINK]),
        ..EMPTY
    };
    let bound = bound(&plan);
    let root = fixture.image();
    let changes = decided(|changes| decide(&bound, &root, true, changes));
    let copy = changes
        .list()
        .into_iter()
        .find_map(|change| match change.what {
            crate::changeset::What::File(file)
                if change.path.path() == b"/etc/network/interfaces" =>
            {
                Some(String::from_utf8(file.content.to_vec()).unwrap())
            }
            _ => None,
        });
    let copy = copy.unwrap();
    let (theirs, _) = copy.split_once("# Made by onecontext").unwrap();
    let said = changes
        .remarks(true)
        .map(|(_, line)| String::from_utf8(line.to_vec()).unwrap());
    let said = said.filter(|line| line.contains("left out")).collect();
    (theirs.into(), said)
}

/// A bridge or bond does not get our NIC as its port, nor does what is on top of it.
#[test]
fn ifupdown_releases_our_nic() {
    let said = |name: &str| {
        format!("ifupdown: left out {name}, which would take a NIC of the context as its port")
    };
    for (bridge, names) in [
        (
            "auto br0\niface br0 inet static\n\taddress 10.0.0.2/24\n\tbridge_ports ens3\n",
            &["br0"][..],
        ),
        (
            "auto br0\niface br0 inet dhcp\n  bridge-ports ens9 ens3\n",
            &["br0"],
        ),
        ("iface br0 inet dhcp\n  bridge_ports all\n", &["br0"]),
        ("iface br0 inet dhcp\n  bridge_ports regex en.*\n", &["br0"]),
        (
            "iface br0 inet manual\n  bridge-ports bond0\niface bond0 inet manual\n  bond-slaves ens3 ens4\n",
            &["bond0", "br0"],
        ),
        (
            "iface ens3 inet manual\n  bond-master bond0\niface bond0 inet dhcp\n  bond-slaves none\n",
            &["bond0"],
        ),
        (
            "iface vmbr0 inet static\n  ovs_type OVSBridge\n  ovs_ports ens3\n",
            &["vmbr0"],
        ),
    ] {
        let (copy, lines) = without_ours(&format!("auto lo\niface lo inet loopback\n{bridge}"));
        assert_eq!(copy, "auto lo\niface lo inet loopback\n", "{bridge}");
        let expected: Vec<_> = names.iter().map(|name| said(name)).collect();
        assert_eq!(lines, expected, "{bridge}");
    }
    // Bridges without this NIC, and patterns for others.
    let others = "auto lo br0 /wl*=home /ens4=lan\niface br0 inet dhcp\n  bridge_ports ens30\n\
        iface br1 inet dhcp\n  bridge_ports none\n";
    assert_eq!(without_ours(others), (others.into(), vec![]));
}

#[test]
fn ifupdown_does_not_bring_up_our_nic_by_a_pattern() {
    for (line, rest) in [
        ("auto /en*=wired", ""),
        ("allow-hotplug /*/1=wired", ""),
        ("auto /mac/02:00:*=wired", ""),
        ("auto /en[s]*=wired", ""),
        ("auto lo /en*", "auto lo\n"),
        ("mapping en*\n  script /bin/x", ""),
    ] {
        let (copy, _) = without_ours(&format!("{line}\niface wired inet dhcp\n"));
        assert_eq!(copy, format!("{rest}iface wired inet dhcp\n"), "{line}");
    }
}

/// ifupdown2 does not know `source-directory`.
#[test]
fn ifupdown2_gets_its_stanzas_in_interfaces() {
    for (ifup, in_run) in [
        ("/usr/share/ifupdown2/ifupdown2", false),
        ("/usr/bin/ifup", true),
    ] {
        let fixture = root_with(IFUPDOWN);
        fixture.link("sbin/ifup", ifup);
        fixture.file(
            "etc/network/interfaces",
            "source-directory /run/network/interfaces.d\n",
        );
        with_plan(|plan| {
            let bound = bound(plan);
            let root = fixture.image();
            let changes = decided(|changes| decide(&bound, &root, true, changes));
            let paths = changes.list().into_iter().map(|change| change.path.path());
            let ours = b"/run/network/interfaces.d/onecontext";
            assert_eq!(paths.into_iter().any(|path| path == ours), in_run, "{ifup}");
        });
    }
}

/// A client for one NIC, and networkd that only its socket starts.
#[test]
fn instances_and_sockets_are_seen() {
    for unit in ["dhcpcd@ens3", "dhclient@ens3", "ifup@ens3", "netctl@ens3"] {
        let fixture = root_with("ssh.service");
        let link = format!("/etc/systemd/system/multi-user.target.wants/{unit}.service");
        fixture.link(&link, "/usr/lib/systemd/system/x@.service");
        with_plan(|plan| {
            let said = configure(&fixture, plan);
            let start = format!("!hand over: {link}: not supported: ");
            assert!(said.iter().any(|line| line.starts_with(&start)), "{said:?}");
        });
    }
    let fixture = root_with("ssh.service");
    fixture.file(
        "usr/lib/systemd/system/systemd-networkd.service",
        "[Service]\n",
    );
    let wants = "etc/systemd/system/sockets.target.wants/systemd-networkd.socket";
    fixture.link(wants, "/usr/lib/systemd/system/systemd-networkd.socket");
    with_plan(|plan| {
        configure(&fixture, plan);
    });
    assert!(fixture.has("/run/systemd/network/00-onecontext-eth0.network"));
}
