//! The whole files of network-scripts and wicked.
use super::managers_tests::{LINK, hand_over, root_with, with_plan};
use super::render::HEAD;
use super::tests::{bound, decide};
use super::*;
use crate::base::memory::{self, Vector};
use crate::changeset::Policy;
use crate::image::testing::{EMPTY, Fixture, in_own_mounts, is_root};
use crate::plan::{Ipv4Method, Ipv6Method, Link, Plan};

const SCRIPTS: &str = "etc/sysconfig/network-scripts";

/// RHEL 7 and 8: `network` is a script that systemd finds by its links.
fn rhel() -> Fixture {
    let fixture = Fixture::new();
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.link("sbin/init", "../lib/systemd/systemd");
    fixture.file("etc/rc.d/init.d/network", "#! /bin/bash\n");
    fixture.link("etc/init.d", "rc.d/init.d");
    fixture.link("etc/rc.d/rc3.d/S10network", "../init.d/network");
    fixture.link("etc/rc3.d", "rc.d/rc3.d");
    fixture.file("etc/sysconfig/network", "NETWORKING=yes\n");
    fixture.file(&format!("{SCRIPTS}/ifcfg-lo"), "DEVICE=lo\nONBOOT=yes\n");
    fixture
}

/// SLES and Leap 15.
fn suse() -> Fixture {
    let fixture = root_with("wicked.service");
    fixture.link(
        "etc/systemd/system/network.service",
        "/usr/lib/systemd/system/wicked.service",
    );
    fixture.file("etc/sysconfig/network/config", "");
    fixture
}

/// The files of a directory, each as `-- NAME` and its text.
fn files(fixture: &Fixture, folder: &str) -> String {
    let mut names: Vec<_> = std::fs::read_dir(fixture.host(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
        .iter()
        .map(|name| format!("-- {name}\n{}", fixture.text(&format!("{folder}/{name}"))))
        .collect()
}

/// What `plan --root` says of the files below `/etc/sysconfig`.
fn described(fixture: &Fixture, plan: &Plan) -> String {
    let mut changes = Changes::new();
    let root = fixture.root();
    decide(
        &bound(plan),
        &root,
        true,
        RootAccess::Writable,
        &mut changes,
    );
    let changes = changes.pending(&root);
    let mut text = Vector::new();
    changes.write(&mut text);
    let text = String::from_utf8(text.to_vec()).unwrap();
    let ours = text.lines().filter(|line| line.contains("/sysconfig/"));
    ours.map(|line| format!("{line}\n")).collect()
}

#[test]
fn network_scripts() {
    let fixture = rhel();
    with_plan(|plan| {
        assert_eq!(
            described(&fixture, plan),
            "file /etc/sysconfig/network-scripts/ifcfg-ens3 0644\n\
             file /etc/sysconfig/network-scripts/route-ens3 0644\n\
             file /etc/sysconfig/network-scripts/route6-ens3 0644\n\
             file /etc/sysconfig/network-scripts/ifcfg-ens4 0644\n\
             file /etc/sysconfig/network-scripts/ifcfg-ens5 0644\n"
        );
        hand_over(&fixture, plan);
    });
    assert_eq!(
        files(&fixture, SCRIPTS),
        "-- ifcfg-ens3\n\
         # Made by onecontext from the context of this machine.\n\
         DEVICE=ens3\nTYPE=Ethernet\nONBOOT=yes\nNM_CONTROLLED=no\nNOZEROCONF=yes\n\
         HWADDR=02:00:0a:12:01:01\nBOOTPROTO=none\nDEFROUTE=no\nPEERDNS=no\nMTU=1450\n\
         IPADDR=10.18.1.1\nPREFIX=24\nIPADDR1=10.18.1.7\nPREFIX1=24\n\
         IPV6ADDR_SECONDARIES=\"2001:db8:1::a/64\"\nIPV6INIT=yes\nIPV6_AUTOCONF=no\n\
         -- ifcfg-ens4\n\
         # Made by onecontext from the context of this machine.\n\
         DEVICE=ens4\nTYPE=Ethernet\nONBOOT=yes\nNM_CONTROLLED=no\nNOZEROCONF=yes\n\
         HWADDR=02:00:0a:12:02:01\nBOOTPROTO=dhcp\nPERSISTENT_DHCLIENT=yes\nMETRIC=50\n\
         PEERDNS=no\n\
         IPV6INIT=yes\nIPV6_AUTOCONF=yes\n\
         -- ifcfg-ens5\n\
         # Made by onecontext from the context of this machine.\n\
         DEVICE=ens5\nTYPE=Ethernet\nONBOOT=yes\nNM_CONTROLLED=no\nNOZEROCONF=yes\n\
         BOOTPROTO=none\nDEFROUTE=no\nPEERDNS=no\n\
         -- ifcfg-lo\nDEVICE=lo\nONBOOT=yes\n\
         -- route-ens3\n\
         # Made by onecontext from the context of this machine.\n\
         0.0.0.0/0 dev ens3 metric 100 proto static via 10.18.1.254\n\
         10.98.0.0/16 dev ens3 metric 0 proto static via 172.16.0.1 onlink\n\
         169.254.16.9/32 dev ens3 metric 0 proto static\n\
         -- route6-ens3\n\
         # Made by onecontext from the context of this machine.\n\
         ::/0 dev ens3 metric 1024 proto static via 2001:db8:1::ff\n"
    );
}

#[test]
fn wicked() {
    let fixture = suse();
    with_plan(|plan| {
        assert_eq!(
            described(&fixture, plan),
            "file /etc/sysconfig/network/ifcfg-ens3 0644\n\
             file /etc/sysconfig/network/ifsysctl-ens3 0644\n\
             file /etc/sysconfig/network/ifroute-ens3 0644\n\
             file /etc/sysconfig/network/ifcfg-ens4 0644\n\
             file /etc/sysconfig/network/ifsysctl-ens4 0644\n\
             file /etc/sysconfig/network/ifcfg-ens5 0644\n"
        );
        hand_over(&fixture, plan);
    });
    assert_eq!(
        files(&fixture, "etc/sysconfig/network"),
        "-- config\n\
         -- ifcfg-ens3\n\
         # Made by onecontext from the context of this machine.\n\
         STARTMODE=auto\nBOOTPROTO=static\n\
         DHCLIENT_UPDATE=default,-dns\nDHCLIENT6_UPDATE=default,-dns\nMTU=1450\n\
         IPADDR=10.18.1.1\nPREFIXLEN=24\nIPADDR1=10.18.1.7\nPREFIXLEN1=24\n\
         IPADDR2=2001:db8:1::a\nPREFIXLEN2=64\n\
         -- ifcfg-ens4\n\
         # Made by onecontext from the context of this machine.\n\
         STARTMODE=auto\nBOOTPROTO=dhcp4\n\
         DHCLIENT_UPDATE=default,-dns\nDHCLIENT6_UPDATE=default,-dns\n\
         DHCLIENT_ROUTE_PRIORITY=50\n\
         -- ifcfg-ens5\n\
         # Made by onecontext from the context of this machine.\n\
         STARTMODE=auto\nBOOTPROTO=static\n\
         DHCLIENT_UPDATE=default,-dns\nDHCLIENT6_UPDATE=default,-dns\n\
         -- ifroute-ens3\n\
         # Made by onecontext from the context of this machine.\n\
         0.0.0.0/0 - - ens3 metric 100 proto static nexthop via 10.18.1.254\n\
         10.98.0.0/16 - - ens3 metric 0 proto static nexthop via 172.16.0.1 onlink\n\
         169.254.16.9/32 - - ens3 metric 0 proto static\n\
         ::/0 - - ens3 metric 1024 proto static nexthop via 2001:db8:1::ff\n\
         -- ifsysctl-ens3\n\
         # Made by onecontext from the context of this machine.\n\
         net/ipv6/conf/ens3/disable_ipv6 = 0\n\
         net/ipv6/conf/ens3/accept_ra = 0\nnet/ipv6/conf/ens3/autoconf = 0\n\
         -- ifsysctl-ens4\n\
         # Made by onecontext from the context of this machine.\n\
         net/ipv6/conf/ens4/disable_ipv6 = 0\n\
         net/ipv6/conf/ens4/accept_ra = 1\nnet/ipv6/conf/ens4/autoconf = 1\n"
    );
    // Here network.service is an alias of wicked.
    assert!(!fixture.has(SCRIPTS));
}

#[test]
fn every_way_of_getting_addresses() {
    const DHCP: Option<Ipv4Method> = Some(Ipv4Method::Dhcp);
    let cases = [
        (
            None,
            Some(Ipv6Method::Disable),
            "BOOTPROTO=none\nDEFROUTE=no\nIPV6INIT=no\n",
            "BOOTPROTO=static\n",
            "net/ipv6/conf/ens3/disable_ipv6 = 1\n",
        ),
        (
            None,
            Some(Ipv6Method::Dhcp),
            "BOOTPROTO=none\nDEFROUTE=no\nDHCPV6C=yes\nIPV6INIT=yes\nIPV6_AUTOCONF=yes\n",
            "BOOTPROTO=dhcp6\n",
            "net/ipv6/conf/ens3/accept_ra = 1\nnet/ipv6/conf/ens3/autoconf = 1\n",
        ),
        (
            DHCP,
            Some(Ipv6Method::Dhcp),
            "BOOTPROTO=dhcp\nPERSISTENT_DHCLIENT=yes\nDHCPV6C=yes\n\
             IPV6INIT=yes\nIPV6_AUTOCONF=yes\n",
            "BOOTPROTO=dhcp\n",
            "net/ipv6/conf/ens3/accept_ra = 1\nnet/ipv6/conf/ens3/autoconf = 1\n",
        ),
    ];
    for (ipv4, ipv6, scripts, wicked, parameters) in cases {
        let links = [Link { ipv4, ipv6, ..LINK }];
        let plan = Plan {
            links: memory::list(&links),
            ..EMPTY
        };
        let ends_with = |fixture: Fixture, file: &str, end: &str| {
            hand_over(&fixture, &plan);
            let text = fixture.text(file);
            assert!(text.ends_with(end), "{file}: {text}");
        };
        ends_with(rhel(), &format!("{SCRIPTS}/ifcfg-ens3"), scripts);
        ends_with(suse(), "etc/sysconfig/network/ifcfg-ens3", wicked);
        ends_with(suse(), "etc/sysconfig/network/ifsysctl-ens3", parameters);
    }
}

#[test]
fn files_of_the_root_for_our_nics_go() {
    if !is_root("files_of_the_root_for_our_nics_go") {
        return;
    }
    const OFF: &str = "# Made by onecontext: another file is for this device.\nONBOOT=no\n";
    let fixture = rhel();
    let file = |name: &str| format!("{SCRIPTS}/{name}");
    let others = [
        ("ifcfg-home", "NAME=home\nHWADDR=\"02:00:0A:12:01:01\"\n"),
        ("ifcfg-work", " DEVICE='ens4'\nBOOTPROTO=dhcp\n"),
    ];
    // Only below its own name: there is no second file for this MAC.
    fixture.file(&file("ifcfg-ens4"), "HWADDR=02:00:0a:12:01:01\n");
    fixture.access(&file("ifcfg-ens4"), 0o600, 0, 0);
    fixture.file(&file("route-ens4"), "10.0.0.0/8 via 10.1.1.1\n");
    for (name, text) in others {
        fixture.file(&file(name), text);
    }
    let kept = [
        ("ifcfg-vlan7", "DEVICE=vlan7\nPHYSDEV=ens3\n"),
        ("ifcfg-ens9", "DEVICE=ens9\n# DEVICE=ens3\n"),
        // This one is skipped, so nothing is written for it.
        ("ifcfg-ens6", "DEVICE=ens6\nHWADDR=02:00:0a:12:04:01\n"),
        ("save-home", "HWADDR=02:00:0a:12:01:01\n"),
    ];
    for (name, text) in kept {
        fixture.file(&file(name), text);
    }
    in_own_mounts(|| {
        with_plan(|plan| {
            hand_over(&fixture, plan);
        });
        for (name, _) in others {
            assert_eq!(fixture.text(&file(name)), OFF, "{name}");
        }
    });
    // It is hidden for this boot, not lost.
    for (name, text) in others.into_iter().chain(kept) {
        assert_eq!(fixture.text(&file(name)), text, "{name}");
    }
    assert_eq!(fixture.text(&file("route-ens4")), HEAD);
    assert!(!fixture.has(&file("route6-ens4")));
    assert!(
        fixture
            .text(&file("ifcfg-ens4"))
            .contains("HWADDR=02:00:0a:12:02:01")
    );
    assert_eq!(fixture.stat(&file("ifcfg-ens4")).0, 0o600);
}

#[test]
fn a_root_that_is_not_written() {
    if !is_root("a_root_that_is_not_written") {
        return;
    }
    let fixture = suse();
    fixture.file("etc/sysconfig/network/ifcfg-ens3", "BOOTPROTO='dhcp'\n");
    let links = [Link {
        ipv4: Some(Ipv4Method::Static),
        ipv6: Some(Ipv6Method::Static),
        ..LINK
    }];
    let plan = Plan {
        links: memory::list(&links),
        ..EMPTY
    };
    in_own_mounts(|| {
        let said = fixture.apply(Policy::ReadOnly, |root, writer, report| {
            writer.apply(report, |access, changes| {
                decide(&bound(&plan), root, true, access, changes)
            });
        });
        assert_eq!(
            said,
            [
                "wrote /run/onecontext/copies/etc/sysconfig/network/ifcfg-ens3",
                "mounted over /etc/sysconfig/network/ifcfg-ens3",
                "wicked is enabled by /etc/systemd/system/multi-user.target.wants/wicked.service",
                "!hand over: /etc/sysconfig/network/ifsysctl-ens3: it cannot be written, and \
                 there is no such file to mount over: add an empty one to the image",
            ]
        );
        let text = fixture.text("etc/sysconfig/network/ifcfg-ens3");
        assert!(text.starts_with(HEAD), "{text}");
    });
    assert_eq!(
        fixture.text("etc/sysconfig/network/ifcfg-ens3"),
        "BOOTPROTO='dhcp'\n"
    );
}
