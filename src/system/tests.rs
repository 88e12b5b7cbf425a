use crate::base::memory;
use std::fs;
use std::net::IpAddr;

use super::testing::*;
use super::*;
use crate::changeset::{Label, Policy, What};
use crate::image::managers::Managers;
use crate::image::systemd::units::Systemd;
use crate::image::testing::{EMPTY, Fixture, decided, in_own_mounts};
use crate::plan::bound::BoundLink;
use crate::plan::{Half, Link, LinkName, Method, Plan};

const RESOLV_CONF: &str = "# Made by onecontext from the context of this machine.\n\
    nameserver 9.9.9.9\nnameserver 2001:db8::1\nsearch example.org b.example.org\n";

fn run(fixture: &Fixture, policy: Policy, plan: &Plan) -> Vec<String> {
    fixture.apply(policy, |root, writer, report| {
        writer.apply(
            &decided(|changes| decide(&bound(plan), root, true, changes)),
            report,
        );
    })
}

fn servers() -> [IpAddr; 2] {
    [[9, 9, 9, 9].into(), "2001:db8::1".parse().unwrap()]
}

const SEARCH: [&[u8]; 2] = [b"example.org", b"b.example.org"];

fn resolvers(fixture: &Fixture, policy: Policy) -> Vec<String> {
    let dns = servers();
    let plan = Plan {
        dns: memory::list(&dns),
        search: memory::list(&SEARCH),
        ..EMPTY
    };
    let said = run(fixture, policy, &plan);
    let before = fixture.picture();
    run(fixture, policy, &plan);
    assert_eq!(fixture.picture(), before, "the second run changes nothing");
    said
}

/// A hosts file that answers for the name.
const ANSWERED: &str = "10.0.0.1 web1.example.org\n";

fn named(fixture: &Fixture, policy: Policy) -> Vec<String> {
    let plan = Plan {
        hostname: Some(b"web1.example.org"),
        ..EMPTY
    };
    let said = run(fixture, policy, &plan);
    let before = fixture.picture();
    run(fixture, policy, &plan);
    assert_eq!(fixture.picture(), before, "the second run changes nothing");
    said
}

#[test]
fn an_empty_plan_touches_nothing() {
    let fixture = Fixture::new();
    fixture.file("etc/hostname", "old\n");
    fixture.file("etc/resolv.conf", "nameserver 1.1.1.1\n");
    let before = fixture.picture();
    assert!(run(&fixture, Policy::Auto, &EMPTY).is_empty());
    assert!(run(&fixture, Policy::ReadOnly, &EMPTY).is_empty());
    assert_eq!(fixture.picture(), before);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_hostname_that_differs_is_replaced() {
    let fixture = Fixture::new();
    fixture.file("etc/hosts", ANSWERED);
    fixture.file("etc/hostname", "# ours\nold\n");
    fixture.access("etc/hostname", 0o640, 3, 4);
    assert_eq!(named(&fixture, Policy::Auto), ["wrote /etc/hostname"]);
    assert_eq!(fixture.text("etc/hostname"), "web1.example.org\n");
    assert_eq!(fixture.stat("etc/hostname"), (0o640, 3, 4));

    let content = "# x\n web1.example.org \n";
    fixture.file("etc/hostname", content);
    assert!(named(&fixture, Policy::Auto).is_empty());
    assert_eq!(fixture.text("etc/hostname"), content);
}

/// Else NetworkManager takes the name of a lease, or of the address's PTR record.
#[test]
fn a_hostname_that_is_missing_is_made() {
    let fixture = Fixture::new();
    fixture.file("etc/hosts", ANSWERED);
    for content in [None, Some(""), Some("\n"), Some("# localhost\n")] {
        let _ = fs::remove_file(fixture.host("etc/hostname"));
        if let Some(content) = content {
            fixture.file("etc/hostname", content);
        }
        assert_eq!(named(&fixture, Policy::Auto), ["wrote /etc/hostname"]);
        assert_eq!(fixture.text("etc/hostname"), "web1.example.org\n");
        assert_eq!(fixture.stat("etc/hostname").0, 0o644);
    }
    // A link to nowhere leads to the file that is made.
    fs::remove_file(fixture.host("etc/hostname")).unwrap();
    fixture.link("etc/hostname", "../var/hostname");
    fixture.directory("var");
    assert_eq!(named(&fixture, Policy::Auto), ["wrote /var/hostname"]);
    // Where it cannot be made, the kernel's name stays.
    fs::remove_file(fixture.host("var/hostname")).unwrap();
    assert_eq!(
        named(&fixture, Policy::ReadOnly),
        [
            "/etc/hostname: it cannot be written, and there is no such file to mount over: \
          add an empty one to the image"
        ]
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_root_that_must_not_be_written_is_covered() {
    let fixture = Fixture::new();
    fixture.file("etc/hosts", ANSWERED);
    fixture.file("etc/hostname", "old\n");
    fixture.access("etc/hostname", 0o640, 3, 4);
    fixture.file("etc/resolv.conf", "nameserver 1.1.1.1\n");
    in_own_mounts(|| {
        assert_eq!(
            named(&fixture, Policy::ReadOnly),
            [
                "wrote /run/onecontext/copies/etc/hostname",
                "mounted over /etc/hostname"
            ]
        );
        assert_eq!(fixture.text("etc/hostname"), "web1.example.org\n");
        assert_eq!(fixture.stat("etc/hostname"), (0o640, 3, 4));
        resolvers(&fixture, Policy::ReadOnly);
        assert_eq!(fixture.text("etc/resolv.conf"), RESOLV_CONF);
    });
    assert_eq!(fixture.text("etc/hostname"), "old\n");
    assert_eq!(fixture.text("etc/resolv.conf"), "nameserver 1.1.1.1\n");
}

#[test]
fn resolv_conf_is_made_or_replaced() {
    for old in [None, Some("nameserver 1.1.1.1\n")] {
        let fixture = Fixture::new();
        fixture.directory("etc");
        if let Some(old) = old {
            fixture.file("etc/resolv.conf", old);
        }
        assert_eq!(
            resolvers(&fixture, Policy::Auto),
            ["wrote /etc/resolv.conf"]
        );
        assert_eq!(fixture.text("etc/resolv.conf"), RESOLV_CONF);
    }
}

/// The type that restorecon(8) wants for the file, not that of the directory.
#[test]
fn a_new_resolv_conf_gets_its_own_label() {
    let fixture = Fixture::new();
    fixture.directory("etc");
    let dns = servers();
    let plan = Plan {
        dns: memory::list(&dns),
        ..EMPTY
    };
    let root = fixture.root();
    let mut changes = Changes::new();
    decide(&bound(&plan), &root, true, &mut changes);
    let [change] = changes.list()[..] else {
        panic!("{}", changes.list().len());
    };
    let What::File(file) = change.what else {
        panic!("no file");
    };
    assert_eq!(file.access.label, Label::NetConf);
}

#[test]
fn a_link_below_run_is_answered_from_the_run_directory() {
    for (link, target) in [
        (
            "../run/systemd/resolve/stub-resolv.conf",
            "/run/systemd/resolve/stub-resolv.conf",
        ),
        (
            "/var/run/NetworkManager/resolv.conf",
            "/run/NetworkManager/resolv.conf",
        ),
        ("../../../run/./x/../resolv.conf", "/run/resolv.conf"),
    ] {
        for policy in [Policy::Auto, Policy::ReadOnly] {
            let fixture = Fixture::new();
            fixture.link("var/run", "/run");
            fixture.directory("root-of-run");
            fixture.link("etc/resolv.conf", link);
            assert_eq!(resolvers(&fixture, policy), [format!("wrote {target}")]);
            assert_eq!(fixture.text(target), RESOLV_CONF);
            // Nothing is made below the root's own run.
            assert!(!fixture.top().join("root/run").exists());
        }
    }
}

/// Its resolvconf.service generates the file again from the existing one (tried with
/// 1.91).
#[test]
fn resolvconf_gets_a_record() {
    let fixture = Fixture::new();
    fixture.link("etc/resolv.conf", "../run/resolvconf/resolv.conf");
    resolvers(&fixture, Policy::Auto);
    for name in ["resolv.conf", "interface/onecontext"] {
        assert_eq!(
            fixture.text(&format!("/run/resolvconf/{name}")),
            RESOLV_CONF
        );
    }
}

#[test]
fn resolved_gets_a_drop_in() {
    let fixture = Fixture::new();
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.link("sbin/init", "/lib/systemd/systemd");
    fixture.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
    fixture.file(
        "usr/lib/systemd/system/systemd-resolved.service",
        "[Service]\n",
    );
    fixture.link(
        "etc/systemd/system/sysinit.target.wants/systemd-resolved.service",
        "/usr/lib/systemd/system/systemd-resolved.service",
    );
    const DROP_IN: &str = "/run/systemd/resolved.conf.d/50-onecontext.conf";
    assert_eq!(
        resolvers(&fixture, Policy::Auto),
        [format!("wrote {DROP_IN}")]
    );
    assert_eq!(
        fixture.text(DROP_IN),
        "# Made by onecontext from the context of this machine.\n[Resolve]\nDNS=9.9.9.9\n\
         DNS=2001:db8::1\nDomains=example.org b.example.org\n"
    );
}

#[test]
fn links_elsewhere() {
    // A dangling link inside the root: its target is created.
    let fixture = Fixture::new();
    fixture.link("etc/resolv.conf", "resolv/conf");
    assert_eq!(
        resolvers(&fixture, Policy::Auto),
        ["wrote /etc/resolv/conf"]
    );
    assert_eq!(fixture.text("etc/resolv/conf"), RESOLV_CONF);
    // Targets that the kernel's file systems hide later, and links that never end.
    for (link, reason) in [
        (
            "/proc/net/pnp",
            "!hand over: /etc/resolv.conf: leads to a file system of the kernel",
        ),
        (
            "resolv.conf",
            "!hand over: /etc/resolv.conf: Too many levels of symbolic links",
        ),
    ] {
        let fixture = Fixture::new();
        fixture.link("etc/resolv.conf", link);
        assert_eq!(resolvers(&fixture, Policy::Auto), [reason]);
    }
}

#[test]
fn what_may_not_be_written_and_is_not_there_is_told() {
    let fixture = Fixture::new();
    fixture.directory("etc");
    assert_eq!(
        resolvers(&fixture, Policy::ReadOnly),
        [
            "!hand over: /etc/resolv.conf: it cannot be written, and there is no such file to mount over: \
          add an empty one to the image"
        ]
    );
}

#[test]
fn more_than_three_name_servers() {
    let fixture = Fixture::new();
    fixture.directory("etc");
    let dns: Vec<IpAddr> = (1..=4).map(|n| [10, 0, 0, n].into()).collect();
    let plan = Plan {
        dns: memory::list(&dns),
        ..EMPTY
    };
    assert_eq!(
        run(&fixture, Policy::Auto, &plan).last().unwrap(),
        "/etc/resolv.conf: most programs ask only the first 3 name servers"
    );
    assert!(
        fixture
            .text("etc/resolv.conf")
            .ends_with("nameserver 10.0.0.4\n")
    );
}

const OWN_NAME: &str = "127.0.1.1 web1.example.org web1 # onecontext\n";

#[test]
#[ignore = "needs root: make test-fast"]
fn the_own_name_has_one_line_in_hosts() {
    let fixture = Fixture::new();
    fixture.file("etc/hostname", "web1.example.org\n");
    for (before, after) in [
        ("", OWN_NAME.to_string()),
        (
            "127.0.0.1 localhost",
            format!("127.0.0.1 localhost\n{OWN_NAME}"),
        ),
        (
            "# 10.0.0.1 web1.example.org\n",
            format!("# 10.0.0.1 web1.example.org\n{OWN_NAME}"),
        ),
        ("10.0.0.1 web1\n", format!("10.0.0.1 web1\n{OWN_NAME}")),
        // The line of an earlier context, and lines behind it.
        (
            "127.0.1.1 old # onecontext\n::1 ip6-localhost\n",
            format!("::1 ip6-localhost\n{OWN_NAME}"),
        ),
    ] {
        fixture.file("etc/hosts", before);
        fixture.access("etc/hosts", 0o640, 3, 4);
        assert_eq!(
            named(&fixture, Policy::Auto),
            ["wrote /etc/hosts"],
            "{before}"
        );
        assert_eq!(fixture.text("etc/hosts"), after);
        assert_eq!(fixture.stat("etc/hosts"), (0o640, 3, 4));
    }
    fs::remove_file(fixture.host("etc/hosts")).unwrap();
    assert_eq!(named(&fixture, Policy::Auto), ["wrote /etc/hosts"]);
    assert_eq!(fixture.text("etc/hosts"), OWN_NAME);
}

/// Debian Reference, 5.1.1: clusters would listen on loopback else.
#[test]
fn the_own_name_has_the_static_address() {
    let line = |address| format!("{address} web1.example.org web1 # onecontext\n");
    let v4 = by(Method::Static);
    let one = |half: Half, address| Half {
        addresses: memory::list(&[prefix(address)]),
        ..half
    };
    let lease = Link {
        ipv4: by(Method::Dhcp),
        ..LINK
    };
    let v6 = Link {
        ipv6: one(v4, "2001:db8:1::a/64"),
        ..lease
    };
    let both = Link {
        name: LinkName::Eth(1),
        ipv4: one(v4, "192.0.2.10/24"),
        ..v6
    };
    for (links, address) in [
        (&[both][..], "192.0.2.10"),
        (&[v6], "2001:db8:1::a"),
        (&[lease, both], "192.0.2.10"),
        // No fixed address.
        (&[lease], "127.0.1.1"),
        (&[], "127.0.1.1"),
    ] {
        let plan = memory::place(Plan {
            hostname: Some(b"web1.example.org"),
            links: memory::list(links),
            ..EMPTY
        });
        for before in [line("127.0.1.1"), line("198.51.100.9"), String::new()] {
            let fixture = Fixture::new();
            fixture.file("etc/hosts", before);
            run(&fixture, Policy::Auto, plan);
            assert_eq!(fixture.text("etc/hosts"), line(address));
        }
        // A NIC that this machine lacks has no address.
        let mut missing = bound(plan);
        for link in links {
            let one = memory::place(BoundLink::unbound(memory::place(*link)));
            missing.links = std::slice::from_ref(one);
        }
        let fixture = Fixture::new();
        fixture.apply(Policy::Auto, |root, writer, report| {
            let changes = decided(|changes| decide(&missing, root, true, changes));
            writer.apply(&changes, report);
        });
        assert_eq!(fixture.text("etc/hosts"), line("127.0.1.1"));
    }
}

/// Other lines with our mark are somebody else's.
#[test]
fn only_a_line_of_our_form_is_ours() {
    let theirs = "10.0.0.9 backup  # onecontext\n# see onecontext # onecontext\n\
        10.0.0.8\tdb.example.org db # onecontext\n10.0.0.7 a b # onecontext\n\
        10.0.0.6 c.example.org c d # onecontext\n10.0.0.5 # onecontext\nx y # onecontext\n\
        10.0.0.4 e # made by onecontext\n";
    let fixture = Fixture::new();
    fixture.file("etc/hosts", format!("127.0.1.1 old # onecontext\n{theirs}"));
    named(&fixture, Policy::Auto);
    assert_eq!(fixture.text("etc/hosts"), format!("{theirs}{OWN_NAME}"));
}

#[test]
fn a_name_that_is_answered_has_no_line() {
    let fixture = Fixture::new();
    fixture.file("etc/hostname", "web1.example.org\n");
    for theirs in [
        "10.0.0.1 web1 WEB1.example.org # the machine\n",
        "10.0.0.1 web1.example.org#\n",
    ] {
        fixture.file("etc/hosts", format!("{OWN_NAME}{theirs}"));
        assert_eq!(named(&fixture, Policy::Auto), ["wrote /etc/hosts"]);
        assert_eq!(fixture.text("etc/hosts"), theirs);
    }
    // nss-myhostname answers.
    fixture.file("etc/nsswitch.conf", "hosts: files dns\n");
    fixture.file("etc/hosts", "");
    assert_eq!(named(&fixture, Policy::Auto), ["wrote /etc/hosts"]);
    fixture.file(
        "etc/nsswitch.conf",
        "passwd: files\nhosts:\tfiles myhostname [!UNAVAIL=return] dns\n",
    );
    assert_eq!(named(&fixture, Policy::Auto), ["wrote /etc/hosts"]);
    assert_eq!(fixture.text("etc/hosts"), "");
    assert!(named(&fixture, Policy::Auto).is_empty());
    // The report names the file that cannot be read, not the one to write.
    fs::remove_file(fixture.host("etc/nsswitch.conf")).unwrap();
    fixture.directory("etc/nsswitch.conf");
    assert_eq!(
        named(&fixture, Policy::Auto),
        ["!hand over: /etc/nsswitch.conf: not a regular file"]
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn hosts_of_a_root_that_is_not_written_is_bound_over() {
    let fixture = Fixture::new();
    fixture.file("etc/hostname", "web1.example.org\n");
    let said = named(&fixture, Policy::ReadOnly);
    assert_eq!(
        said,
        ["/etc/hosts: there is none, and it cannot be written: \
          programs ask DNS for the machine's own name"]
    );
    assert!(!fixture.has("etc/hosts"));
    fixture.file("etc/hosts", "127.0.0.1 localhost\n");
    in_own_mounts(|| {
        let said = run(
            &fixture,
            Policy::ReadOnly,
            &Plan {
                hostname: Some(b"web1.example.org"),
                ..EMPTY
            },
        );
        let copy = "wrote /run/onecontext/copies/etc/hosts";
        assert_eq!(said, [copy, "mounted over /etc/hosts"]);
        assert_eq!(
            fixture.text("etc/hosts"),
            format!("127.0.0.1 localhost\n{OWN_NAME}")
        );
    });
    assert_eq!(fixture.text("etc/hosts"), "127.0.0.1 localhost\n");
}

const CLOUD_INIT: &str = "cloud-init-local.service";
const TOLD: [&str; 2] = [
    "/run/onecontext/cloud-init.cfg",
    "/run/systemd/system/cloud-.service.d/50-onecontext.conf",
];

/// What cloud-init is told with this name and these keys, beside `with_plan`.
fn told(keys: &[(&str, &str)], hostname: Option<&'static [u8]>, network: bool) -> Option<String> {
    // A generator enables cloud-init, without a link.
    let fixture = root_with(IFUPDOWN);
    fixture.file(&format!("usr/lib/systemd/system/{CLOUD_INIT}"), "[Unit]\n");
    let keys = keys.iter().map(|(user, line)| crate::plan::Key {
        user: memory::copy(user.as_bytes()),
        line: memory::copy(line.as_bytes()),
    });
    let keys: Vec<_> = keys.collect();
    with_plan(|plan| {
        let plan = Plan {
            hostname,
            keys: memory::list(&keys),
            ..*plan
        };
        fixture.apply(Policy::ReadOnly, |root, writer, report| {
            writer.apply(
                &decided(|changes| decide(&bound(&plan), root, network, changes)),
                report,
            );
        });
    });
    assert_eq!(fixture.has(TOLD[0]), fixture.has(TOLD[1]));
    fixture.has(TOLD[0]).then(|| fixture.text(TOLD[0]))
}

#[test]
fn cloud_init_is_told_what_the_plan_says() {
    const HEAD: &str = "# Made by onecontext from the context of this machine.\n";
    const NETWORK: &str = "network: {config: disabled}\n";
    const ROOT: &str = "disable_root: false\n";
    const OPTIONS: &str = "allow_public_ssh_keys: false\n";
    let key = ("root", "ssh-ed25519 AAAA a");
    let told = |keys: &[_], hostname, network| {
        let text = told(keys, hostname, network)?;
        Some(text.strip_prefix(HEAD).unwrap().to_string())
    };
    assert_eq!(
        told(&[key], Some(b"web1"), true),
        Some(format!("{NETWORK}preserve_hostname: true\n{ROOT}"))
    );
    // Without the network, with nothing but the network, with nothing at all.
    assert_eq!(
        told(&[key], Some(b"web1"), false),
        Some(format!("preserve_hostname: true\n{ROOT}"))
    );
    assert_eq!(told(&[], None, true), Some(NETWORK.into()));
    assert_eq!(told(&[], None, false), None);
    // Keys of another user; keys with options, also behind one without.
    assert_eq!(told(&[("alice", key.1)], None, false), None);
    for line in [
        "ecdsa-sha2-nistp256 AAAA",
        "sk-ssh-ed25519@openssh.com AAAA",
    ] {
        assert_eq!(told(&[("root", line)], None, false), Some(ROOT.into()));
    }
    for line in [
        "from=\"10.0.0.0/8\" ssh-rsa AAAA",
        "expiry-time=\"2030\" ssh-rsa AAAA",
    ] {
        assert_eq!(
            told(&[("alice", key.1), key, ("root", line)], None, false),
            Some(format!("{ROOT}{OPTIONS}"))
        );
    }
}

#[test]
fn cloud_init_is_told_through_its_environment() {
    let fixture = root_with(CLOUD_INIT);
    with_plan(|plan| {
        configure(&fixture, plan);
        assert_eq!(
            fixture.text(TOLD[1]),
            format!(
                "# Made by onecontext from the context of this machine.\n\
                 [Service]\nEnvironment=CLOUD_CFG={}\n",
                TOLD[0]
            )
        );
        // It does no DHCP.
        let root = fixture.root();
        let managers = Managers::of(&root, Systemd::find(&root));
        assert!(managers.for_dhcp().is_none());
    });
    // If the context skips all NICs, cloud-init sets them up.
    let fixture = root_with(CLOUD_INIT);
    let links = [Link {
        ipv4: by(Method::Skip),
        ..LINK
    }];
    let plan = Plan {
        links: memory::list(&links),
        ..EMPTY
    };
    configure(&fixture, &plan);
    assert!(!fixture.has("/run/onecontext/cloud-init.cfg"));
}

#[test]
fn cloud_init_that_cannot_be_told_is_said() {
    let fixture = root_with_script("etc/rc2.d/S01cloud-init-local", "cloud-init-local");
    with_plan(|plan| {
        let said = configure(&fixture, plan);
        assert!(
            said.contains(
                &"!hand over: cloud-init: only systemd can give it a configuration from /run: remove it"
                    .into()
            )
        );
    });
    assert_eq!(configure(&fixture, &EMPTY), [""; 0]);
    let masked = root_with(CLOUD_INIT);
    masked.link(&format!("etc/systemd/system/{CLOUD_INIT}"), "/dev/null");
    with_plan(|plan| {
        configure(&masked, plan);
    });
    assert!(!masked.has("/run/systemd/system"));
}

/// Without name servers in the context those of the image stay.
#[test]
fn a_search_domain_alone_keeps_the_servers() {
    let plan = Plan {
        search: memory::list(&SEARCH),
        ..EMPTY
    };
    let fixture = Fixture::new();
    fixture.file(
        "etc/resolv.conf",
        "# image\nnameserver 192.0.2.1\ndomain old.example\nnameserver 192.0.2.2\n\
         search old.example\noptions rotate\nsortlist 192.0.2.0\n",
    );
    let kept = "# Made by onecontext from the context of this machine.\n\
        nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate\n\
        search example.org b.example.org\n";
    assert_eq!(
        run(&fixture, Policy::Auto, &plan),
        ["wrote /etc/resolv.conf"]
    );
    assert_eq!(fixture.text("etc/resolv.conf"), kept);
    assert!(run(&fixture, Policy::Auto, &plan).is_empty());
    // With servers they replace those of the image.
    resolvers(&fixture, Policy::Auto);
    assert_eq!(fixture.text("etc/resolv.conf"), RESOLV_CONF);
}
