//! For the tests of this module and of `managers`: a plan, roots, and what is decided.
use std::net::IpAddr;

use crate::base::memory::{self, Vector};
use crate::base::text::Mac;
use crate::changeset::{Changes, Policy};
use crate::image::Root;
use crate::image::testing::{EMPTY, Fixture, decided};
use crate::plan::bound::{BoundLink, BoundPlan, DhcpClient};
use crate::plan::device::named;
use crate::plan::{Half, Link, LinkName, Method, Plan, Prefix, Route};
use crate::{boot, managers, system};

/// The plan on a machine with the devices ens3 for ETH0, ens4 for ETH1 and so on, with
/// the indexes 2, 3 and so on.
pub fn bound(plan: &Plan) -> BoundPlan {
    let plan = memory::place(*plan);
    let mut links = Vector::new();
    for link in plan.links {
        let (LinkName::Eth(number) | LinkName::Pci(number)) = link.name;
        let device = format!("ens{}", number + 3);
        links.push(BoundLink {
            link,
            device: Some(named(&device, number + 2)),
            port: None,
            carrier: Some(named(&device, number + 2)),
            lease: None,
        });
    }
    let links = links.finish();
    BoundPlan {
        plan,
        links,
        dhcp: DhcpClient::Alone,
        is_applied: true,
    }
}

/// Reads the facts of a root and renders the files that they call for.
pub fn decide(bound: &BoundPlan, root: &Root, network: bool, changes: &mut Changes) {
    let facts = boot::read_facts(root, bound.plan, network);
    let bound = &BoundPlan {
        dhcp: managers::dhcp::client(bound.plan, facts.network),
        ..*bound
    };
    system::render(bound, &facts, changes);
    managers::render(bound, &facts, changes);
}

/// The unit of ifupdown.
pub const IFUPDOWN: &str = "networking.service";

/// A root with systemd that enables this unit.
pub fn root_with(unit: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.link("sbin/init", "/lib/systemd/systemd");
    let path = format!("/usr/lib/systemd/system/{unit}");
    fixture.file(&path, "[Service]\n");
    fixture.link(
        &format!("etc/systemd/system/multi-user.target.wants/{unit}"),
        &path,
    );
    fixture
}

/// Configures a root twice; the second time nothing changes.
pub fn configure(fixture: &Fixture, plan: &Plan) -> Vec<String> {
    configure_bound(fixture, &bound(plan))
}

pub fn configure_bound(fixture: &Fixture, bound: &BoundPlan) -> Vec<String> {
    let run = || {
        fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(
                &decided(|changes| decide(bound, root, true, changes)),
                report,
            );
        })
    };
    let said = run();
    let before = fixture.picture();
    run();
    assert_eq!(fixture.picture(), before, "the second run changes nothing");
    said
}

pub const LINK: Link = Link {
    mac: Some(Mac([2, 0, 0x0a, 0x12, 1, 1])),
    ..Link::new(LinkName::Eth(0))
};

/// A family with a method alone.
pub const fn by(method: Method) -> Half {
    Half {
        method: Some(method),
        ..Half::NONE
    }
}

pub fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix {
        address: address.parse().unwrap(),
        length: length.parse().unwrap(),
    }
}

pub fn route(to: &str, gateway: &str, onlink: bool, metric: u32) -> Route {
    Route {
        destination: prefix(to),
        gateway: gateway.parse().ok(),
        onlink,
        metric,
    }
}

/// Calls `test` with a plan that has everything: a full link, one by DHCP and router
/// advertisements, one without configuration.
pub fn with_plan(test: impl Fn(&Plan)) {
    let ipv4 = Half {
        addresses: memory::list(&["10.18.1.1/24", "10.18.1.7/24"].map(prefix)),
        routes: memory::list(&[
            route("0.0.0.0/0", "10.18.1.254", false, 100),
            route("10.98.0.0/16", "172.16.0.1", true, 0),
            route("169.254.16.9/32", "-", false, 0),
        ]),
        ..by(Method::Static)
    };
    let ipv6 = Half {
        addresses: memory::list(&[prefix("2001:db8:1::a/64")]),
        routes: memory::list(&[route("::/0", "2001:db8:1::ff", false, 1024)]),
        ..by(Method::Static)
    };
    let global: [IpAddr; 1] = ["9.9.9.9".parse().unwrap()];
    let own: [IpAddr; 2] = ["10.18.1.253", "2001:db8::53"].map(|ip| ip.parse().unwrap());
    let links = [
        Link {
            mtu: Some(1450),
            ipv4,
            ipv6,
            dns: memory::list(&own),
            search: &[b"example.org"],
            ..LINK
        },
        Link {
            name: LinkName::Eth(1),
            mac: Some(Mac([2, 0, 0x0a, 0x12, 2, 1])),
            metric: Some(50),
            ipv4: by(Method::Dhcp),
            ipv6: by(Method::Auto),
            ..LINK
        },
        Link {
            name: LinkName::Eth(2),
            mac: None,
            ..LINK
        },
        Link {
            name: LinkName::Eth(3),
            mac: Some(Mac([2, 0, 0x0a, 0x12, 4, 1])),
            ipv4: by(Method::Skip),
            ..LINK
        },
    ];
    test(&Plan {
        links: memory::list(&links),
        dns: memory::list(&global),
        search: &[b"example.net"],
        ..EMPTY
    });
}

/// A root with another init, which starts the script by this link.
pub fn root_with_script(link: &str, script: &str) -> Fixture {
    let fixture = Fixture::new();
    // systemd is installed, but is not init.
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.file("sbin/init", "");
    fixture.file(&format!("etc/init.d/{script}"), "#!/bin/sh\n");
    fixture.link(link, &format!("../init.d/{script}"));
    fixture
}
