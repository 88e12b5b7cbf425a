//! What other programs have left, or will do: on the links of a namespace, with the root
//! of a small machine.
use crate::KEY;
use crate::guest::*;

use std::fs;

const MAC: &str = "02:00:0a:12:01:01";

/// A NIC that another program of the initramfs has set up: by DHCP, with a default route
/// and one more route, in both families.
fn configured(line: &str) -> Guest {
    let guest = Guest::new();
    guest.kernel_line(line);
    guest.nic("ens3", MAC);
    ip("link set ens3 up");
    for command in [
        "address add 198.51.100.77/24 dev ens3 valid_lft 3600 preferred_lft 3600",
        "route add default via 198.51.100.1 dev ens3 proto dhcp metric 100",
        "route add 203.0.113.0/24 via 198.51.100.2 dev ens3 proto dhcp src 198.51.100.77",
        "address add 2001:db8:9::77/64 dev ens3 nodad",
        "route add default via 2001:db8:9::1 dev ens3 metric 512",
    ] {
        ip(command);
    }
    guest
}

/// The global addresses, and the routes that no address brings.
fn state() -> (Vec<String>, Vec<String>) {
    let mut all = vec![];
    for family in ["-4", "-6"] {
        for route in json(&format!("{family} route show table main"))
            .as_array()
            .unwrap()
        {
            let text = |name: &str| route[name].as_str().unwrap_or("-").to_owned();
            if text("protocol") != "kernel" {
                all.push(format!("{} via {}", text("dst"), text("gateway")));
            }
        }
    }
    (addresses("ens3"), all)
}

const BOTH: &str = "ETH0_IP='192.0.2.10'\nETH0_GATEWAY='192.0.2.1'\n\
    ETH0_IP6='2001:db8:1::a'\nETH0_IP6_GATEWAY='fe80::1'\n";

fn context(lines: &str) -> String {
    format!("ETH0_MAC='{MAC}'\n{lines}SSH_PUBLIC_KEY='{KEY}'\n")
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| text.to_string()).collect()
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_the_initramfs_left_on_a_nic_is_removed() {
    let mut guest = configured("ip=dhcp root=/dev/vda1");
    let (status, log) = guest.apply(&context(BOTH));
    assert_eq!(status, 0, "{log}");
    let expected = (
        texts(&["192.0.2.10/24", "2001:db8:1::a/64"]),
        texts(&["default via 192.0.2.1", "default via fe80::1"]),
    );
    assert_eq!(state(), expected, "{log}");
    for what in [
        "198.51.100.77/24",
        "0.0.0.0/0",
        "203.0.113.0/24",
        "2001:db8:9::77/64",
        "::/0",
    ] {
        let line = format!("ETH0 (ens3): {what} is not in the context, ");
        let line = log.lines().find(|one| one.contains(&line));
        assert!(
            line.is_some_and(|line| line.ends_with(": removed")),
            "{what}: {log}"
        );
    }
    // The next run finds only what is the context's.
    let (status, log) = guest.apply(&context(BOTH));
    assert_eq!((status, state()), (0, expected), "{log}");
    assert!(!log.contains("is not in the context"), "{log}");
}

/// What the context does not have in full may be somebody else's to keep.
#[test]
#[ignore = "needs root: make test-fast"]
fn what_the_context_leaves_open_stays() {
    for (lines, gone) in [
        ("ETH0_METHOD='skip'\nETH0_IP6_METHOD='skip'\n", &[][..]),
        (
            "ETH0_IP='192.0.2.10'\nETH0_IP6_METHOD='auto'\n",
            &["198.51.100.77/24"],
        ),
        ("ETH0_IP='192.0.2.10'\n", &["198.51.100.77/24"]),
        // Of a NIC with the name alone nothing is known.
        ("", &[]),
    ] {
        let mut guest = configured("ip=dhcp");
        let (_, log) = guest.apply(&context(lines));
        for left in ["198.51.100.77/24", "2001:db8:9::77/64"] {
            let stays = state().0.contains(&left.to_owned());
            assert_eq!(stays, !gone.contains(&left), "{lines}: {left}: {log}");
        }
    }
    // Another NIC is not the context's at all.
    let mut guest = configured("ip=dhcp");
    guest.nic("ens4", "02:00:0a:12:01:02");
    let other = context(BOTH).replace(MAC, "02:00:0a:12:01:02");
    let before = state();
    guest.apply(&other);
    assert_eq!(state().0, before.0);
}

/// Else the machine loses its root.
#[test]
#[ignore = "needs root: make test-fast"]
fn nothing_is_removed_where_the_root_is_on_the_network() {
    for line in [
        "root=/dev/nfs nfsroot=198.51.100.9:/srv ip=dhcp",
        "root=nfs4:198.51.100.9:/srv",
        "boot=nfs",
        "netroot=iscsi:198.51.100.9::::iqn.2024-01.org.example:root root=LABEL=root ip=ibft",
        "root=nbd:198.51.100.9:root",
        "root=/dev/nbd0p1 nbdroot=198.51.100.9,root",
        "root=fcoe:ens3:nodcb",
    ] {
        let mut guest = configured(line);
        let before = state();
        let (status, log) = guest.apply(&context(BOTH));
        assert_eq!(status, 0, "{line}: {log}");
        let now = state();
        for (before, now, added) in [
            (&before.0, &now.0, ["192.0.2.10/24", "2001:db8:1::a/64"]),
            (
                &before.1,
                &now.1,
                ["default via 192.0.2.1", "default via fe80::1"],
            ),
        ] {
            assert!(
                before.iter().all(|one| now.contains(one)),
                "{line}: {now:?}"
            );
            for one in added {
                assert!(now.contains(&one.to_owned()), "{line}: {one}: {now:?}");
            }
        }
        let said = "ETH0 (ens3): 198.51.100.77/24 is not in the context, another program of the \
            initramfs has set it: kept, since the root is on the network";
        assert!(log.contains(said), "{line}: {log}");
    }
}

/// A session with a target is a directory of sysfs.
#[test]
#[ignore = "needs root: make test-fast"]
fn nothing_is_removed_beside_an_iscsi_session() {
    for sessions in [0, 1] {
        let mut guest = configured("root=LABEL=root ip=dhcp");
        // The links of this network namespace, beside sessions that are there.
        let class = guest.top.join("class");
        for session in 0..sessions {
            fs::create_dir_all(class.join(format!("iscsi_session/session{}", session + 7)))
                .unwrap();
        }
        fs::create_dir_all(class.join("iscsi_session")).unwrap();
        fs::create_dir_all(class.join("net")).unwrap();
        bind(&class, "/sys/class");
        let (_, log) = guest.apply(&context(BOTH));
        let stays = state().0.contains(&"198.51.100.77/24".to_owned());
        assert_eq!(stays, sessions == 1, "{log}");
    }
}
