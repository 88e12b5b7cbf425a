//! The choice of the DHCP client, and the files for it.
use crate::base::memory::{self, Vector};
use std::net::IpAddr;

use super::*;
use crate::base::description::{Describe, Lines};
use crate::base::text::Mac;
use crate::boot;
use crate::changeset::Policy;
use crate::image::testing::{EMPTY, Fixture, decided};
use crate::plan::bound::{BoundLink, DhcpClient, Lease};
use crate::plan::device::named;
use crate::plan::{Half, Link, LinkName, Method, Plan, Prefix};
use crate::system::testing::{LINK, by, decide, root_with};

const UNIT: &str = "usr/lib/systemd/system/systemd-networkd.service";
const PROGRAM: &str = "usr/lib/systemd/systemd-networkd";

const BY_DHCP: Link = Link {
    ipv4: by(Method::Dhcp),
    ipv6: by(Method::Dhcp),
    ..LINK
};

/// A root that has networkd but does not enable it.
fn root() -> Fixture {
    let fixture = Fixture::new();
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.link("sbin/init", "/lib/systemd/systemd");
    fixture.file(UNIT, "[Service]\n\n[Install]\nWantedBy=multi-user.target\n");
    fixture.file(PROGRAM, "");
    fixture.file("etc/machine-id", "");
    fixture
}

/// The client, and the lines of the text form.
fn client(fixture: &Fixture, links: &[Link]) -> (DhcpClient, String) {
    let root = fixture.root();
    let plan = memory::place(Plan {
        links: memory::list(links),
        ..EMPTY
    });
    let facts = boot::read_facts(&root, plan, true);
    let dhcp = dhcp::client(plan, facts.network);
    let mut changes = Changes::new();
    dhcp::name_programs(&BoundPlan::unbound(plan, dhcp), &mut changes);
    let mut text = Vector::new();
    changes.place(&root).describe(&mut Lines(&mut text));
    let text = String::from_utf8(text.to_vec()).unwrap();
    (dhcp, text)
}

/// Configures a root for a plan that was not applied, or was applied and got these leases.
fn configure(
    fixture: &Fixture,
    plan: &Plan,
    leases: Option<&[Option<&'static Lease>]>,
) -> Vec<String> {
    let mut links = Vector::new();
    for (position, link) in plan.links.iter().enumerate() {
        links.push(BoundLink {
            link,
            device: Some(named("ens3", 2)),
            port: None,
            carrier: leases.map(|_| named("ens3", 2)),
            lease: leases.and_then(|leases| leases[position]),
        });
    }
    let links = links.finish();
    let plan = memory::place(*plan);
    let dhcp = DhcpClient::Alone;
    let bound = BoundPlan {
        plan,
        links,
        dhcp,
        is_applied: leases.is_some(),
    };
    fixture.apply(Policy::Auto, |root, writer, report| {
        writer.apply(
            &decided(|changes| decide(&bound, root, true, changes)),
            report,
        );
    })
}

#[test]
fn who_asks_and_who_renews() {
    use DhcpClient::*;
    let static_link = Link {
        ipv4: by(Method::Static),
        ..LINK
    };
    // networkd does not set up a VLAN's addresses.
    let vlan = Link {
        name: LinkName::Pci(1),
        vlan: Some(7),
        ..BY_DHCP
    };
    let fixture = root();
    let unit = b"/usr/lib/systemd/system/systemd-networkd.service";
    let kept = "dhcp ETH0 ipv4 ask onecontext renew systemd-networkd\n\
        dhcp ETH0 ipv6 ask systemd-networkd renew systemd-networkd\n";
    let alone = |name: &str| format!("dhcp {name} ipv4 ask onecontext\ndhcp {name} ipv6\n");
    assert_eq!(client(&fixture, &[BY_DHCP]), (Networkd(unit), kept.into()));
    assert_eq!(client(&fixture, &[static_link]), (Alone, String::new()));
    assert_eq!(client(&fixture, &[vlan]), (Alone, alone("PCI1")));
    let (who, text) = client(&fixture, &[BY_DHCP, vlan]);
    assert_eq!(
        (who, text),
        (Networkd(unit), kept.to_string() + &alone("PCI1"))
    );

    let by_manager = "dhcp ETH0 ipv4 ask NetworkManager renew NetworkManager\n\
        dhcp ETH0 ipv6 ask NetworkManager renew NetworkManager\n";
    let manager = root_with("NetworkManager.service");
    manager.file(UNIT, "[Service]\n");
    manager.file(PROGRAM, "");
    assert_eq!(
        client(&manager, &[BY_DHCP]),
        (Manager(c"NetworkManager".into()), by_manager.into())
    );

    for change in [
        // The package with its program is missing, it is switched off, or another init
        // does not start it.
        |fixture: &Fixture| std::fs::remove_file(fixture.host(PROGRAM)).unwrap(),
        |fixture: &Fixture| {
            fixture.link("etc/systemd/system/systemd-networkd.service", "/dev/null");
        },
        |fixture: &Fixture| {
            std::fs::remove_file(fixture.host("sbin/init")).unwrap();
            fixture.file("sbin/init", "");
        },
    ] {
        let fixture = root();
        change(&fixture);
        assert_eq!(client(&fixture, &[BY_DHCP]), (Alone, alone("ETH0")));
    }
}

/// A manager that is not supported may leave the NIC alone, or use DHCP on it, so a
/// second one is not started beside it.
#[test]
fn beside_a_manager_that_is_not_supported_this_program_asks() {
    let fixture = root();
    fixture.file("etc/init.d/connman", "");
    fixture.link("etc/rc2.d/S01connman", "../init.d/connman");
    let alone = "dhcp ETH0 ipv4 ask onecontext\ndhcp ETH0 ipv6\n";
    let expected = (DhcpClient::Alone, alone.to_string());
    assert_eq!(client(&fixture, &[BY_DHCP]), expected);
    // Beside a supported one it does not matter.
    let fixture = root_with("dhcpcd.service");
    fixture.file("usr/lib/systemd/system/connman.service", "[Service]\n");
    fixture.link(
        "etc/systemd/system/multi-user.target.wants/connman.service",
        "/usr/lib/systemd/system/connman.service",
    );
    let by_manager = "dhcp ETH0 ipv4 ask dhcpcd renew dhcpcd\n\
        dhcp ETH0 ipv6 ask dhcpcd renew dhcpcd\n";
    let expected = (
        DhcpClient::Manager(c"dhcpcd".into()),
        by_manager.to_string(),
    );
    assert_eq!(client(&fixture, &[BY_DHCP]), expected);
}

#[test]
fn networkd_gets_the_links_by_dhcp_and_no_others() {
    let address: Prefix = Prefix {
        address: "10.18.2.1".parse().unwrap(),
        length: 24,
    };
    let links = [
        BY_DHCP,
        Link {
            name: LinkName::Eth(1),
            mac: Some(Mac([2, 0, 0x0a, 0x12, 2, 1])),
            ipv4: Half {
                addresses: memory::list(&[address]),
                ..by(Method::Static)
            },
            ..LINK
        },
        Link {
            name: LinkName::Eth(2),
            mac: Some(Mac([2, 0, 0x0a, 0x12, 3, 1])),
            metric: Some(75),
            ipv4: by(Method::Dhcp),
            ..LINK
        },
    ];
    let plan = Plan {
        links: memory::list(&links),
        ..EMPTY
    };
    let fixture = root();
    let said = configure(&fixture, &plan, Some(&[None; 3]));
    let enabled = "systemd-networkd is not enabled in this image: enabled for this boot";
    assert!(said.contains(&enabled.into()), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with('!')), "{said:?}");
    let wants = "run/systemd/system/multi-user.target.wants/systemd-networkd.service";
    let target = std::fs::read_link(fixture.host(wants)).unwrap();
    assert_eq!(target.to_str(), Some(&*format!("/{UNIT}")));
    let file = |name| {
        fixture.text(&format!(
            "/run/systemd/network/00-onecontext-{name}.network"
        ))
    };
    assert_eq!(
        file("eth0"),
        "# Made by onecontext from the context of this machine.\n\
         [Match]\nMACAddress=02:00:0a:12:01:01\nType=ether\nKind=!*\n\n\
         [Link]\n\n\
         [Network]\nKeepConfiguration=yes\nDHCP=yes\nIPv6AcceptRA=yes\n\n\
         [DHCPv4]\nRouteMetric=1024\nClientIdentifier=mac\nUseDomains=yes\n\n\
         [IPv6AcceptRA]\nRouteMetric=2048\nDHCPv6Client=always\n"
    );
    let third = file("eth2");
    assert!(
        third.contains("\n[DHCPv4]\nRouteMetric=75\nClientIdentifier=mac\n"),
        "{third}"
    );
    assert_eq!(
        file("unmanaged"),
        "# Made by onecontext from the context of this machine.\n\
         [Match]\nName=*\n\n[Link]\nUnmanaged=yes\n"
    );
    assert!(!fixture.has("/run/systemd/network/00-onecontext-eth1.network"));
    let before = fixture.picture();
    configure(&fixture, &plan, Some(&[None; 3]));
    assert_eq!(fixture.picture(), before, "the second run changes nothing");
}

#[test]
fn what_nobody_does_is_told() {
    let plan = Plan {
        links: &[BY_DHCP],
        ..EMPTY
    };
    let fixture = root();
    fixture.link("etc/systemd/system/systemd-networkd.service", "/dev/null");
    let remedy =
        "the image switches systemd-networkd off on purpose: enable another network manager";
    assert_eq!(
        configure(&fixture, &plan, None),
        [
            format!("!DHCPv6 is not done: ETH0: {remedy}"),
            format!("!nobody renews the lease of: ETH0: {remedy}"),
        ]
    );
    // If the plan was applied, that step has reported it with its result.
    assert_eq!(configure(&fixture, &plan, Some(&[None])), [""; 0]);
    assert!(!fixture.has("/run/systemd"));
}

#[test]
fn names_of_leases_come_after_those_of_the_context() {
    let dns = ["9.9.9.9", "10.18.1.53"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let [first, second] = dns;
    let link = Link {
        dns: memory::list(&[second]),
        search: &[b"a.example.org"],
        ..BY_DHCP
    };
    let leased = ["10.18.1.53", "10.18.1.254"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let lease: &Lease = memory::place(Lease {
        address: Prefix::host([10, 18, 1, 50].into()),
        server: [10, 18, 1, 254].into(),
        seconds: 60,
        metric: 1024,
        routes: &[],
        dns: memory::list(&leased),
        search: &[b"example.org", b"a.example.org"],
        mtu: None,
    });
    let links = [
        link,
        Link {
            name: LinkName::Eth(1),
            ..link
        },
    ];
    let plan = Plan {
        links: memory::list(&links[..1]),
        dns: memory::list(&[first]),
        ..EMPTY
    };
    let head = "# Made by onecontext from the context of this machine.\n";
    let fixture = Fixture::new();
    configure(&fixture, &plan, Some(&[Some(lease)]));
    assert_eq!(
        fixture.text("etc/resolv.conf"),
        format!(
            "{head}nameserver 9.9.9.9\nnameserver 10.18.1.53\nnameserver 10.18.1.254\n\
             search a.example.org example.org\n"
        )
    );

    // A lease alone is enough; an entry that two leases have is written once.
    let fixture = Fixture::new();
    let bare = [BY_DHCP; 2];
    let plan = Plan {
        links: memory::list(&bare),
        ..EMPTY
    };
    configure(&fixture, &plan, Some(&[Some(lease); 2]));
    assert_eq!(
        fixture.text("etc/resolv.conf"),
        format!(
            "{head}nameserver 10.18.1.53\nnameserver 10.18.1.254\n\
             search example.org a.example.org\n"
        )
    );

    // resolved gets the servers of the lease from networkd, or else from us.
    let drop_in = "/run/systemd/resolved.conf.d/50-onecontext.conf";
    for (has_networkd, expected) in [
        (true, None),
        (
            false,
            Some("[Resolve]\nDNS=10.18.1.53\nDNS=10.18.1.254\nDomains=example.org a.example.org\n"),
        ),
    ] {
        let fixture = root();
        fixture.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        let resolved = "/usr/lib/systemd/system/systemd-resolved.service";
        fixture.file(resolved, "[Service]\n");
        fixture.link(
            "etc/systemd/system/sysinit.target.wants/systemd-resolved.service",
            resolved,
        );
        if !has_networkd {
            std::fs::remove_file(fixture.host(PROGRAM)).unwrap();
        }
        configure(&fixture, &plan, Some(&[Some(lease); 2]));
        let expected = expected.map(|lines| format!("{head}{lines}"));
        let found = fixture.has(drop_in).then(|| fixture.text(drop_in));
        assert_eq!(found, expected);
    }
}
