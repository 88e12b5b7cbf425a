use std::fs;

use super::*;
use crate::base::memory;
use crate::boot;
use crate::changeset::Policy;
use crate::image::key_file::LARGEST;
use crate::image::systemd::units::Systemd;
use crate::image::testing::{Attribute, EMPTY, Fixture, decided, in_own_mounts, seal};
use crate::plan::Key;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
    daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n\
    alice:x:1000:100:Alice:/home/alice:/bin/bash\n\
    bob:x:1001:101:Bob:/home/bob:/bin/sh\n";
const ROOT_KEYS: &str = "/root/.ssh/authorized_keys";
const ALICE_KEYS: &str = "/home/alice/.ssh/authorized_keys";
const TMPFILES: &str = "/run/tmpfiles.d/50-onecontext.conf";

/// Debian with an SSH server that starts at boot and has host keys.
fn debian() -> Fixture {
    let fixture = Fixture::new();
    fixture.file("etc/passwd", PASSWD);
    for home in ["root", "home/alice", "home/bob"] {
        fixture.directory(home);
    }
    if nix::unistd::geteuid().is_root() {
        fixture.access("root", 0o700, 0, 0);
        fixture.access("home/alice", 0o755, 1000, 100);
        fixture.access("home/bob", 0o755, 1001, 101);
    }
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.link("sbin/init", "../usr/lib/systemd/systemd");
    fixture.file("usr/sbin/sshd", "");
    fixture.file("usr/bin/ssh-keygen", "");
    fixture.file("etc/ssh/ssh_host_ed25519_key", "secret");
    fixture.file(
        "usr/lib/systemd/system/ssh.service",
        "[Service]\nExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/sbin/sshd -D\n",
    );
    fixture.link(
        "etc/systemd/system/multi-user.target.wants/ssh.service",
        "/usr/lib/systemd/system/ssh.service",
    );
    fixture
}

fn run(fixture: &Fixture, policy: Policy, keys: &[(&str, &str)]) -> Vec<String> {
    let keys: Vec<_> = keys
        .iter()
        .map(|(user, line)| Key {
            user: memory::copy(user.as_bytes()),
            line: memory::copy(line.as_bytes()),
        })
        .collect();
    let plan = Plan {
        keys: memory::list(&keys),
        ..EMPTY
    };
    fixture.apply(policy, |root, writer, report| {
        writer.apply(
            &decided(|changes| {
                let facts = boot::read_login_facts(root, &plan, Systemd::find(root), b"");
                decide(&plan, facts, changes)
            }),
            report,
        );
    })
}

fn auto(fixture: &Fixture, keys: &[(&str, &str)]) -> Vec<String> {
    run(fixture, Policy::Auto, keys)
}

fn block(keys: &str) -> String {
    format!(
        "# onecontext: begin (keys of the context, made anew at each boot)\n\
         {keys}# onecontext: end\n"
    )
}

/// A second run changes nothing.
fn assert_idempotent(fixture: &Fixture, policy: Policy, keys: &[(&str, &str)]) {
    let before = fixture.picture();
    run(fixture, policy, keys);
    assert_eq!(fixture.picture(), before);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn keys_of_root_and_of_a_user() {
    let fixture = debian();
    let keys = [("root", "k1"), ("alice", "k2"), ("root", "k3")];
    assert_eq!(
        auto(&fixture, &keys),
        [
            "root: 2 keys in /root/.ssh/authorized_keys",
            "alice: 1 key in /home/alice/.ssh/authorized_keys",
        ]
    );
    assert_eq!(fixture.text(ROOT_KEYS), block("k1\nk3\n"));
    assert_eq!(fixture.text(ALICE_KEYS), block("k2\n"));
    assert_eq!(fixture.stat("/root/.ssh"), (0o700, 0, 0));
    assert_eq!(fixture.stat(ROOT_KEYS), (0o600, 0, 0));
    assert_eq!(fixture.stat("/home/alice/.ssh"), (0o700, 1000, 100));
    assert_eq!(fixture.stat(ALICE_KEYS), (0o600, 1000, 100));
    assert!(!fixture.has("/home/bob/.ssh"));
    assert_eq!(fs::read_dir(fixture.host("/root/.ssh")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(fixture.top().join("run")).unwrap().count(), 0);
    assert_idempotent(&fixture, Policy::Auto, &keys);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_the_image_brings_stays() {
    let fixture = debian();
    fixture.file(ALICE_KEYS, b"image\r\n\0\xff last");
    fixture.access("/home/alice/.ssh", 0o755, 1000, 100);
    fixture.access(ALICE_KEYS, 0o644, 1000, 100);
    auto(&fixture, &[("alice", "k")]);
    assert_eq!(
        fs::read(fixture.host(ALICE_KEYS)).unwrap(),
        [block("k\n").as_bytes(), b"image\r\n\0\xff last"].concat()
    );
    assert_eq!(fixture.stat("/home/alice/.ssh"), (0o700, 1000, 100));
    assert_eq!(fixture.stat(ALICE_KEYS), (0o600, 1000, 100));
    assert_idempotent(&fixture, Policy::Auto, &[("alice", "k")]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn wrong_modes_alone_are_mended() {
    let fixture = debian();
    auto(&fixture, &[("alice", "k")]);
    fixture.access("/home/alice/.ssh", 0o777, 1000, 100);
    auto(&fixture, &[("alice", "k")]);
    assert_eq!(fixture.stat("/home/alice/.ssh"), (0o700, 1000, 100));
    fixture.access(ALICE_KEYS, 0o666, 1000, 100);
    auto(&fixture, &[("alice", "k")]);
    assert_eq!(fixture.stat(ALICE_KEYS), (0o600, 1000, 100));
}

#[test]
#[ignore = "needs root: make test-fast"]
fn keys_of_an_earlier_context_go() {
    let fixture = debian();
    fixture.file(ROOT_KEYS, "image\n");
    auto(&fixture, &[("root", "k1"), ("alice", "k2"), ("bob", "k3")]);
    assert_eq!(
        auto(&fixture, &[("bob", "k4")]),
        [
            "bob: 1 key in /home/bob/.ssh/authorized_keys",
            "root: 0 keys in /root/.ssh/authorized_keys",
            "alice: 0 keys in /home/alice/.ssh/authorized_keys",
        ]
    );
    assert_eq!(fixture.text(ROOT_KEYS), "image\n");
    assert_eq!(fixture.text(ALICE_KEYS), "");
    assert_eq!(
        auto(&fixture, &[]),
        ["bob: 0 keys in /home/bob/.ssh/authorized_keys"]
    );
    assert_idempotent(&fixture, Policy::Auto, &[]);
    assert!(auto(&fixture, &[]).is_empty());
}

#[test]
fn without_keys_nothing_is_made() {
    let fixture = debian();
    let before = fixture.picture();
    assert!(auto(&fixture, &[]).is_empty());
    assert_eq!(fixture.picture(), before);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_missing_user_costs_no_other() {
    let fixture = debian();
    let lines = auto(
        &fixture,
        &[("carol\x1b", "k1"), ("root", "k2"), ("daemon", "k3")],
    );
    assert_eq!(lines[0], "root: 1 key in /root/.ssh/authorized_keys",);
    assert!(lines.contains(
        &"!keys for user: carol\\x1b: no such user in /etc/passwd: make it in the image".into()
    ));
    assert_eq!(fixture.text(ROOT_KEYS), block("k2\n"));
}

#[test]
#[ignore = "needs root: make test-fast"]
fn two_names_for_one_home() {
    let fixture = debian();
    fixture.file(
        "etc/passwd",
        format!("{PASSWD}toor:x:0:0::/root/:/bin/sh\n"),
    );
    auto(&fixture, &[("root", "k1")]);
    assert_eq!(fixture.text(ROOT_KEYS), block("k1\n"));
    let said = auto(&fixture, &[("toor", "k2"), ("root", "k1")]);
    assert_eq!(fixture.text(ROOT_KEYS), block("k2\n"));
    assert!(said.contains(
        &"!keys for user: root: its home is that of another user of this context".into()
    ));
}

#[test]
#[ignore = "needs root: make test-fast"]
fn no_link_below_a_home_is_followed() {
    const REASON: &str =
        "!keys for user: alice: a symbolic link below the home, which is not followed";
    for (link, target) in [
        ("/home/alice/.ssh", "/etc"),
        ("/home/alice/.ssh", "../../etc"),
        ("/home/alice/.ssh", "other"),
        (ALICE_KEYS, "/etc/shadow"),
        (ALICE_KEYS, "/etc/missing"),
        (ALICE_KEYS, "/run/keys"),
    ] {
        let fixture = debian();
        fixture.file("etc/shadow", "secret");
        fixture.file("etc/authorized_keys", "secret");
        fixture.directory("home/alice/other");
        fixture.link(link, target);
        let before = fixture.picture();
        assert_eq!(
            auto(&fixture, &[("alice", "k")]),
            [REASON],
            "{link} -> {target}"
        );
        assert_eq!(fixture.picture(), before);
        // Nor are the keys removed through such a link.
        fixture.file("etc/authorized_keys", block("k\n"));
        auto(&fixture, &[]);
        assert_eq!(fixture.text("etc/authorized_keys"), block("k\n"));
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn no_hard_link_is_trusted() {
    let fixture = debian();
    fixture.file("etc/shadow", "secret");
    fixture.access("etc/shadow", 0o600, 0, 0);
    fixture.directory("home/alice/.ssh");
    fs::hard_link(fixture.host("etc/shadow"), fixture.host(ALICE_KEYS)).unwrap();
    for policy in [Policy::Auto, Policy::ReadOnly] {
        assert_eq!(
            run(&fixture, policy, &[("alice", "k")]),
            ["!keys for user: alice: authorized_keys has other names, hard links: not trusted"]
        );
    }
    assert_eq!(fixture.stat(ALICE_KEYS), (0o600, 0, 0));
    assert_eq!(fixture.text("etc/shadow"), "secret");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn root_s_own_links_stay_inside_the_root() {
    let fixture = debian();
    fixture.link("/root/.ssh", "/../../../etc/keys");
    fixture.directory("etc/keys");
    assert_eq!(
        auto(&fixture, &[("root", "k")]),
        ["root: 1 key in /etc/keys/authorized_keys"]
    );
    assert_eq!(fixture.text("etc/keys/authorized_keys"), block("k\n"));
    assert_eq!(fixture.stat("etc/keys").0, 0o755);
    assert_idempotent(&fixture, Policy::Auto, &[("root", "k")]);

    let fixture = debian();
    fs::remove_dir(fixture.host("root")).unwrap();
    fixture.link("root", "var/roothome");
    fixture.directory("var/roothome");
    auto(&fixture, &[("root", "k")]);
    assert_eq!(
        fixture.text("var/roothome/.ssh/authorized_keys"),
        block("k\n")
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_is_no_file_is_left_alone() {
    let fixture = debian();
    fixture.directory(ALICE_KEYS);
    assert_eq!(
        auto(&fixture, &[("alice", "k")]),
        ["!keys for user: alice: not a regular file"]
    );
    let fixture = debian();
    fixture.directory("home/alice/.ssh");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&fixture.host(ALICE_KEYS), mode).unwrap();
    assert_eq!(
        auto(&fixture, &[("alice", "k")]),
        ["!keys for user: alice: not a regular file"]
    );
    let fixture = debian();
    fixture.file("home/alice/.ssh", "");
    assert_eq!(
        auto(&fixture, &[("alice", "k")]),
        ["!keys for user: alice: Not a directory"]
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn broken_markers_are_told() {
    let fixture = debian();
    fixture.file(ROOT_KEYS, "a\n# onecontext: begin\nb\n");
    let lines = auto(&fixture, &[("root", "k")]);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("!onecontext's block in: /root"))
    );
    assert_eq!(fixture.text(ROOT_KEYS), block("k\n") + "a\nb\n");
}

/// The root below the mounts is as it was, and the booted system is not to change it.
fn assert_root_is(before: &[String], fixture: &Fixture) {
    let root = fixture.top().join("root").display().to_string();
    let in_root = |line: &&String| line.starts_with(&root);
    let (before, after) = (before.iter(), fixture.picture());
    assert!(before.filter(in_root).eq(after.iter().filter(in_root)));
    assert!(!fixture.has(TMPFILES));
}

/// Alice has keys of her own, bob's home is mounted later, and there are no host keys.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_root_that_must_not_be_written_is_like_one_that_cannot_be() {
    for systemd in [true, false] {
        let fixture = debian();
        if !systemd {
            fs::remove_file(fixture.host("/sbin/init")).unwrap();
            fixture.file("sbin/init", "");
        }
        fixture.file("etc/fstab", "LABEL=bob /home/bob ext4 defaults 0 2\n");
        fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
        fixture.file(ALICE_KEYS, "image\n");
        fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
        fixture.access(ALICE_KEYS, 0o600, 1000, 100);
        let before = fixture.picture();
        let keys = [("root", "k1"), ("alice", "k2"), ("bob", "k3")];
        let mut must_not = Vec::new();
        in_own_mounts(|| {
            must_not = run(&fixture, Policy::ReadOnly, &keys);
            for line in [
                "root: 1 key in /run/onecontext/keys/root",
                "alice: 1 key in /home/alice/.ssh/authorized_keys",
                "bob: 1 key in /run/onecontext/keys/bob",
                "mounted over /etc/ssh",
            ] {
                assert!(must_not.contains(&line.into()), "{line}: {must_not:?}");
            }
            assert_eq!(fixture.text(ALICE_KEYS), block("k2\n") + "image\n");
            assert_eq!(fixture.stat(ALICE_KEYS), (0o600, 1000, 100));
            assert_eq!(fixture.text("/run/onecontext/keys/bob"), block("k3\n"));
            let config = fixture.text("/etc/ssh/sshd_config");
            assert!(
                config.contains("\nAuthorizedKeysFile /run/onecontext/keys/%u "),
                "{config}"
            );
            // Host keys are made in the copy, or nowhere.
            let unit = "/run/systemd/system/onecontext-hostkeys.service";
            assert_eq!(fixture.has(unit), systemd);
            if systemd {
                let condition = fixture.text(&format!("{unit}.d/50-onecontext.conf"));
                assert!(condition.contains("=|/etc/ssh\n"), "{condition}");
                let note = "SSH host keys: none in this image: the root is not written, so new \
                            ones at each boot";
                assert!(must_not.contains(&note.into()), "{must_not:?}");
            }
            assert_idempotent(&fixture, Policy::ReadOnly, &keys);
        });
        assert_root_is(&before, &fixture);
        fs::remove_dir_all(fixture.top().join("run")).unwrap();
        fs::create_dir(fixture.top().join("run")).unwrap();
        in_own_mounts(|| {
            seal(&fixture);
            let cannot = auto(&fixture, &keys);
            let remount = |line: &&String| line.starts_with("remount read-write: ");
            assert_eq!(cannot.iter().filter(remount).count(), 1, "{cannot:?}");
            assert!(
                cannot.iter().filter(|line| !remount(line)).eq(&must_not),
                "{cannot:?} {must_not:?}"
            );
        });
        assert_root_is(&before, &fixture);
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn on_a_sealed_root_keys_are_mounted_over_or_in_run() {
    const MAIN: &str = "/etc/ssh/sshd_config";
    let fixture = debian();
    fixture.file(ALICE_KEYS, "image\n");
    fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
    fixture.access(ALICE_KEYS, 0o600, 1000, 100);
    fixture.file(MAIN, "Include /etc/ssh/sshd_config.d/*.conf\nUseDNS no\n");
    fixture.access(MAIN, 0o640, 0, 0);
    fixture.file(
        "etc/ssh/sshd_config.d/a.conf",
        "AuthorizedKeysFile .ssh/a\n",
    );
    fixture.link("etc/ssh/moduli", "../moduli");
    fixture.access("etc/ssh/ssh_host_ed25519_key", 0o600, 0, 0);
    in_own_mounts(|| {
        seal(&fixture);
        let keys = [("root", "k1"), ("alice", "k2"), ("bob", "k3")];
        let said = auto(&fixture, &keys);
        assert!(said[0].starts_with("remount read-write: "), "{said:?}");
        assert!(said.iter().all(|line| !line.starts_with('!')), "{said:?}");
        for line in [
            "alice: 1 key in /run/onecontext/keys/alice",
            "root: 1 key in /run/onecontext/keys/root",
            "bob: 1 key in /run/onecontext/keys/bob",
            "mounted over /etc/ssh",
        ] {
            assert!(said.contains(&line.into()), "{line}: {said:?}");
        }
        // The server does not look there.
        assert_eq!(fixture.text(ALICE_KEYS), "image\n");
        // Owners and modes that sshd accepts (sshd(8), StrictModes), also of the
        // directories.
        assert_eq!(fixture.text("/run/onecontext/keys/bob"), block("k3\n"));
        assert_eq!(fixture.stat("/run/onecontext/keys/bob"), (0o600, 1001, 101));
        assert_eq!(fixture.stat("/run/onecontext/keys"), (0o755, 0, 0));
        assert!(!fixture.has(TMPFILES));

        assert_eq!(
            fixture.text(MAIN),
            "# Made by onecontext: some keys are in /run.\n\
             AuthorizedKeysFile /run/onecontext/keys/%u .ssh/a\n\
             Include /etc/ssh/sshd_config.d/*.conf\nUseDNS no\n"
        );
        assert_eq!(fixture.stat(MAIN), (0o640, 0, 0));
        assert_eq!(fixture.text("etc/ssh/ssh_host_ed25519_key"), "secret");
        assert_eq!(fixture.stat("etc/ssh/ssh_host_ed25519_key"), (0o600, 0, 0));
        assert_eq!(
            fs::read_link(fixture.host("etc/ssh/moduli"))
                .unwrap()
                .to_str(),
            Some("../moduli")
        );
        // The copy is writable, as ssh-keygen(1) needs it.
        fixture.file("etc/ssh/new", "");
        fs::remove_file(fixture.host("etc/ssh/new")).unwrap();
        assert_idempotent(&fixture, Policy::Auto, &keys);
    });
    assert!(fixture.text(MAIN).starts_with("Include"));
}

#[test]
#[ignore = "needs root: make test-fast"]
fn host_keys_of_a_sealed_root_are_made_in_a_copy() {
    let fixture = debian();
    fixture.file(ROOT_KEYS, "");
    fixture.access(ROOT_KEYS, 0o600, 0, 0);
    fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
    // openSUSE has its configuration elsewhere.
    fixture.file("usr/etc/ssh/sshd_config", "UseDNS no\n");
    in_own_mounts(|| {
        seal(&fixture);
        let keys = [("root", "k")];
        let said = auto(&fixture, &keys);
        assert!(said.iter().all(|line| !line.starts_with('!')), "{said:?}");
        assert_eq!(fixture.text(ROOT_KEYS), block("k\n"));
        assert_eq!(
            fixture.text("/etc/ssh/sshd_config"),
            "# Made by onecontext: some keys are in /run.\n\
             AuthorizedKeysFile /run/onecontext/keys/%u .ssh/authorized_keys \
             .ssh/authorized_keys2\nInclude /usr/etc/ssh/sshd_config\n"
        );
        assert!(fixture.has("/run/systemd/system/onecontext-hostkeys.service"));
        let condition =
            fixture.text("/run/systemd/system/onecontext-hostkeys.service.d/50-onecontext.conf");
        assert!(condition.contains("\nConditionPathIsMountPoint=|/etc/ssh\n"));
        assert_idempotent(&fixture, Policy::Auto, &keys);
    });
}

/// A file that cannot be written is mounted over, or its keys are in /run; other users'
/// files are still written.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_file_that_refuses_is_served_from_run() {
    let fixture = debian();
    fixture.file("etc/ssh/sshd_config", "PermitRootLogin yes\n");
    fixture.file(ALICE_KEYS, "alice's own\n");
    fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
    fixture.access(ALICE_KEYS, 0o600, 1000, 100);
    fixture.directory("/home/bob/.ssh");
    fixture.access("/home/bob/.ssh", 0o700, 1001, 101);
    let attributes =
        [ALICE_KEYS, "/home/bob/.ssh"].map(|path| Attribute::set(fixture.host(path), 'i'));
    in_own_mounts(|| {
        let said = auto(&fixture, &[("root", "r"), ("alice", "a"), ("bob", "b")]);
        assert_eq!(
            said,
            [
                "root: 1 key in /root/.ssh/authorized_keys",
                "!write: /home/alice/.ssh/authorized_keys: Operation not permitted",
                "wrote /run/onecontext/copies/home/alice/.ssh/authorized_keys",
                "alice: 1 key in /home/alice/.ssh/authorized_keys",
                "!write: /home/bob/.ssh/authorized_keys: Operation not permitted",
                "bob: 1 key in /run/onecontext/keys/bob",
                "wrote /run/onecontext/copies/etc/ssh/ssh_host_ed25519_key",
                "wrote /run/onecontext/copies/etc/ssh/sshd_config",
                "mounted over /etc/ssh",
            ]
        );
        assert_eq!(fixture.text(ALICE_KEYS), block("a\n") + "alice's own\n");
        assert_eq!(fixture.stat(ALICE_KEYS), (0o600, 1000, 100));
        assert_eq!(fixture.text("/run/onecontext/keys/bob"), block("b\n"));
        let config = fixture.text("etc/ssh/sshd_config");
        assert!(
            config.contains("\nAuthorizedKeysFile /run/onecontext/keys/%u "),
            "{config}"
        );
    });
    assert_eq!(fixture.text(ALICE_KEYS), "alice's own\n");
    assert_eq!(fixture.text(ROOT_KEYS), block("r\n"));
    drop(attributes);
}

/// A user's broken home does not affect other users: alice's directory acts like a
/// read-only subvolume of btrfs, bob's is full.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_home_that_refuses_costs_its_user_alone() {
    let fixture = debian();
    let old = block("old\n");
    in_own_mounts(|| {
        for (user, uid, option) in [("alice", 1000, "ro"), ("bob", 1001, "nr_inodes=2")] {
            let directory = format!("/home/{user}/.ssh");
            let keys = format!("{directory}/authorized_keys");
            fixture.directory(&directory);
            let flags = nix::mount::MsFlags::empty();
            let host = fixture.host(&directory);
            let none = None::<&str>;
            let options = (option != "ro").then_some(option);
            nix::mount::mount(Some("tmpfs"), &host, Some("tmpfs"), flags, options).unwrap();
            fixture.access(&directory, 0o700, uid, uid);
            fixture.file(&keys, &old);
            fixture.access(&keys, 0o600, uid, uid);
            if option == "ro" {
                let flags = nix::mount::MsFlags::MS_REMOUNT | nix::mount::MsFlags::MS_RDONLY;
                nix::mount::mount(none, &host, none, flags, none).unwrap();
            }
        }
        let said = auto(&fixture, &[("alice", "a"), ("bob", "b"), ("root", "r")]);
        assert_eq!(
            said,
            [
                "!write: /home/alice/.ssh/authorized_keys: Read-only file system",
                "wrote /run/onecontext/copies/home/alice/.ssh/authorized_keys",
                "alice: 1 key in /home/alice/.ssh/authorized_keys",
                "!write: /home/bob/.ssh/authorized_keys: No space left on device",
                "wrote /run/onecontext/copies/home/bob/.ssh/authorized_keys",
                "bob: 1 key in /home/bob/.ssh/authorized_keys",
                "root: 1 key in /root/.ssh/authorized_keys",
            ]
        );
        assert_eq!(fixture.text(ALICE_KEYS), block("a\n"));
    });
    assert_eq!(fixture.text(ROOT_KEYS), block("r\n"));
}

/// With another context, files that are mounted over others are replaced.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_file_that_refuses_is_served_anew() {
    let fixture = debian();
    fixture.file(ALICE_KEYS, "");
    fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
    fixture.access(ALICE_KEYS, 0o600, 1000, 100);
    let _immutable = Attribute::set(fixture.host(ALICE_KEYS), 'i');
    in_own_mounts(|| {
        for (keys, block) in [
            (&[("alice", "a")][..], block("a\n")),
            (&[("alice", "b")], block("b\n")),
            (&[], String::new()),
        ] {
            auto(&fixture, keys);
            assert_eq!(fixture.text(ALICE_KEYS), block);
            let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
            let place = fixture.host(ALICE_KEYS);
            let place = place.to_str().unwrap();
            // The file has a block only if there are keys.
            let count = mounts.lines().filter(|line| line.contains(place)).count();
            assert_eq!(count, usize::from(!keys.is_empty()));
        }
    });
}

/// sshd looks at more than the content.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_file_that_refuses_is_served_with_its_mode() {
    let fixture = debian();
    fixture.file(ALICE_KEYS, block("a\n"));
    fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
    fixture.access(ALICE_KEYS, 0o666, 1000, 100);
    let _immutable = Attribute::set(fixture.host(ALICE_KEYS), 'i');
    in_own_mounts(|| {
        let said = auto(&fixture, &[("alice", "a")]);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(fixture.stat(ALICE_KEYS), (0o600, 1000, 100));
    });
}

/// The root is full: everything is served from /run, and reported.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_full_root_is_served_from_run() {
    let fixture = debian();
    fixture.file("etc/ssh/sshd_config", "");
    fs::remove_dir(fixture.host("/home/bob")).unwrap();
    in_own_mounts(|| {
        let root = fixture.top().join("root");
        let full = fixture.top().join("full");
        fs::create_dir(&full).unwrap();
        let none = None::<&str>;
        let tmpfs = nix::mount::MsFlags::empty();
        nix::mount::mount(
            Some("tmpfs"),
            &full,
            Some("tmpfs"),
            tmpfs,
            Some("size=256k"),
        )
        .unwrap();
        let copy = std::process::Command::new("cp")
            .arg("-a")
            .arg(root.join("."))
            .arg(&full)
            .status()
            .unwrap();
        assert!(copy.success());
        nix::mount::mount(Some(&full), &root, none, nix::mount::MsFlags::MS_BIND, none).unwrap();
        // This takes all the space that is left.
        let _ = fs::write(root.join("filler"), vec![0; 1 << 20]);
        let said = auto(&fixture, &[("bob", "b"), ("root", "r"), ("alice", "a")]);
        assert_eq!(
            said,
            [
                "bob: 1 key in /home/bob/.ssh/authorized_keys, by systemd-tmpfiles",
                "!write: /root/.ssh/authorized_keys: No space left on device",
                "bob: 1 key in /run/onecontext/keys/bob",
                "wrote /run/onecontext/copies/etc/ssh/ssh_host_ed25519_key",
                "wrote /run/onecontext/copies/etc/ssh/sshd_config",
                "mounted over /etc/ssh",
                "root: 1 key in /run/onecontext/keys/root",
                "alice: 1 key in /run/onecontext/keys/alice",
            ]
        );
        // What was left to systemd-tmpfiles would need the space, too.
        assert!(!fixture.has(TMPFILES));
        assert!(!fixture.has(ROOT_KEYS) && !fixture.has(ALICE_KEYS));
    });
}

/// A file that would take the memory of later steps is neither read nor made.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_huge_file_costs_its_user_alone() {
    let fixture = debian();
    let huge = "# x\n".repeat(LARGEST as usize / 4);
    for (size, begin) in [
        (huge.len() + 1, "!keys for user: alice: more than 8 MiB"),
        // The block would be too much.
        (huge.len(), "!keys for user: alice: more than 8 MiB"),
        (huge.len() - 1000, "alice: 1 key in"),
    ] {
        fixture.file(ALICE_KEYS, &format!("{huge}\n")[..size]);
        fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
        fixture.access(ALICE_KEYS, 0o600, 1000, 100);
        let said = auto(&fixture, &[("alice", "a"), ("bob", "b")]);
        assert!(said.iter().any(|line| line.starts_with(begin)), "{said:?}");
        let bob = "bob: 1 key in /home/bob/.ssh/authorized_keys".to_string();
        assert!(said.contains(&bob), "{said:?}");
    }
}

/// Keys of an earlier context that stay are reported.
#[test]
#[ignore = "needs root: make test-fast"]
fn keys_in_a_huge_file_are_not_kept_silently() {
    let fixture = debian();
    let content = block("old\n") + &"#\n".repeat(LARGEST as usize / 2);
    fixture.file(ALICE_KEYS, &content);
    fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
    fixture.access(ALICE_KEYS, 0o600, 1000, 100);
    let said = auto(&fixture, &[("root", "r")]);
    let problem = "!remove keys of user: alice: more than 8 MiB: remove keys from it";
    assert!(said.contains(&problem.to_string()), "{said:?}");
}

/// The keys are in /run, also if a context has none for a home in the root itself.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_sealed_root_with_a_home_of_its_own() {
    let fixture = debian();
    fixture.file("etc/fstab", "LABEL=home /home ext4 defaults 0 2\n");
    fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
    in_own_mounts(|| {
        seal(&fixture);
        let keys = [("alice", "k")];
        let said = auto(&fixture, &keys);
        assert!(said.iter().all(|line| !line.starts_with('!')), "{said:?}");
        assert!(!fixture.has(TMPFILES));
        assert_eq!(fixture.text("/run/onecontext/keys/alice"), block("k\n"));
        assert!(fixture.has("/run/systemd/system/onecontext-hostkeys.service"));
        // The directory where ssh-keygen(1) will put them is writable.
        assert!(said.contains(&"mounted over /etc/ssh".into()), "{said:?}");
        fixture.file("etc/ssh/ssh_host_ed25519_key", "");
        fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
        assert_idempotent(&fixture, Policy::Auto, &keys);
    });
    assert!(!fixture.has("/etc/ssh/sshd_config"));
}

/// The home is there, but its `.ssh` leads to where something is mounted later.
#[test]
#[ignore = "needs root: make test-fast"]
fn keys_behind_a_link_to_a_later_mount_are_left_to_systemd_tmpfiles() {
    let fixture = debian();
    fixture.link("root/.ssh", "/data/ssh");
    fixture.directory("data");
    fixture.file("etc/systemd/system/data.mount", "[Mount]\nWhat=/dev/vdb\n");
    assert_eq!(
        auto(&fixture, &[("root", "k")]),
        [
            "root: 1 key in /data/ssh/authorized_keys, by systemd-tmpfiles",
            "wrote /run/tmpfiles.d/50-onecontext.conf"
        ]
    );
    assert!(!fixture.has("data/ssh"));
    let lines = fixture.text(TMPFILES);
    assert!(
        lines.contains("/data/ssh/authorized_keys2 0600 0 0 - "),
        "{lines}"
    );
}

/// Nothing in /run would be read, and systemd-tmpfiles must not write for us.
#[test]
#[ignore = "needs root: make test-fast"]
fn keys_for_a_home_that_is_mounted_later_are_named_without_openssh() {
    let fixture = debian();
    fixture.file("etc/fstab", "LABEL=home /home ext4 defaults 0 2\n");
    fs::rename(
        fixture.host("usr/sbin/sshd"),
        fixture.host("usr/sbin/dropbear"),
    )
    .unwrap();
    let before = fixture.picture();
    let said = run(&fixture, Policy::ReadOnly, &[("alice", "k")]);
    let alice_s = "!keys for user: alice: its home is mounted later, this root is not written, \
                   and only OpenSSH's server finds keys elsewhere: install openssh-server in the \
                   image";
    assert!(said.contains(&alice_s.into()), "{said:?}");
    assert_root_is(&before, &fixture);
}

/// What is mounted there can be written, although the root cannot.
#[test]
#[ignore = "needs root: make test-fast"]
fn dropbear_on_a_sealed_root_with_a_later_home_has_keys_by_systemd_tmpfiles() {
    let fixture = debian();
    fixture.file("etc/systemd/system/home.mount", "[Mount]\nWhat=/dev/vdb\n");
    fs::rename(
        fixture.host("usr/sbin/sshd"),
        fixture.host("usr/sbin/dropbear"),
    )
    .unwrap();
    in_own_mounts(|| {
        seal(&fixture);
        let said = auto(&fixture, &[("alice", "k")]);
        let done = "alice: 1 key in /home/alice/.ssh/authorized_keys, by systemd-tmpfiles";
        assert!(said.contains(&done.into()), "{said:?}");
        let lines = fixture.text(TMPFILES);
        assert!(
            lines.contains("f /home/alice/.ssh/authorized_keys 0600 1000 100 - "),
            "{lines}"
        );
    });
}

#[test]
#[ignore = "needs root: make test-fast"]
fn dropbear_on_a_sealed_root_needs_a_file_to_mount_over() {
    let fixture = debian();
    fs::rename(
        fixture.host("usr/sbin/sshd"),
        fixture.host("usr/sbin/dropbear"),
    )
    .unwrap();
    in_own_mounts(|| {
        seal(&fixture);
        let said = auto(&fixture, &[("root", "k")]);
        let root_s = "!keys for user: root: it cannot be written, and there is no authorized_keys";
        assert!(said.iter().any(|line| line.starts_with(root_s)), "{said:?}");
    });
}

/// All kinds of files that do not belong to the user, and the report for each. None of
/// them is changed, and no content of them becomes readable for others.
#[test]
#[ignore = "needs root: make test-fast"]
fn ownership_is_neither_taken_nor_given() {
    type Prepare = fn(&Fixture);
    const PRIVATE: &str = "its authorized_keys belongs to root, and sshd would not take it: \
                           chown it to the user in the image";
    const LINK: &str = "a symbolic link leads there, in or to a directory that is not only \
                        root's to write: not followed";
    const SHARED: &str = "its home belongs to another user: give it one of its own in the image";
    let cases: [(&str, Prepare, &str); 11] = [
        (
            "alice",
            // A private file of root's, moved there by alice.
            |fixture| {
                fixture.file(ALICE_KEYS, "secret");
                fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
                fixture.access(ALICE_KEYS, 0o600, 0, 0);
            },
            PRIVATE,
        ),
        (
            "alice",
            // sshd accepts no file that its group can write.
            |fixture| {
                fixture.file(ALICE_KEYS, "secret");
                fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
                fixture.access(ALICE_KEYS, 0o664, 0, 0);
            },
            PRIVATE,
        ),
        (
            "alice",
            |fixture| {
                fixture.file(ALICE_KEYS, "secret");
                fixture.access("/home/alice/.ssh", 0o700, 1000, 100);
                fixture.access(ALICE_KEYS, 0o644, 1001, 101);
            },
            "its authorized_keys belongs to another user: chown it to the user in the image",
        ),
        (
            "alice",
            // A private directory of root's, renamed by alice.
            |fixture| {
                fixture.file(ALICE_KEYS, "secret");
                fixture.access("/home/alice/.ssh", 0o700, 0, 0);
            },
            "its .ssh belongs to root, and the user cannot use it: chown it to the user in the \
             image",
        ),
        (
            "alice",
            |fixture| {
                fixture.directory("/home/alice/.ssh");
                fixture.access("/home/alice/.ssh", 0o755, 1001, 101);
            },
            "its .ssh belongs to another user: chown it to the user in the image",
        ),
        ("operator", |_| {}, SHARED),
        (
            "alice",
            |fixture| fixture.access("/home/alice", 0o755, 1001, 101),
            SHARED,
        ),
        (
            "root",
            |fixture| fixture.access("/root", 0o755, 1000, 100),
            SHARED,
        ),
        (
            "guest",
            // Its home is in a directory where alice can make a link.
            |fixture| fixture.link("/home/alice/guest", "/root"),
            LINK,
        ),
        (
            "guest",
            |fixture| {
                fixture.link("/home/alice/guest", "../bob");
                fixture.access("/home/bob", 0o755, 1002, 102);
            },
            LINK,
        ),
        (
            "visitor",
            |fixture| {
                fixture.directory("tmp");
                fixture.access("tmp", 0o1777, 0, 0);
                fixture.link("/tmp/visitor", "/root");
            },
            LINK,
        ),
    ];
    for (user, prepare, reason) in cases {
        let fixture = debian();
        fixture.file(
            "etc/passwd",
            format!(
                "{PASSWD}operator:x:11:0::/root:/sbin/nologin\n\
                 guest:x:1002:102::/home/alice/guest:/bin/sh\n\
                 visitor:x:1003:103::/tmp/visitor:/bin/sh\n"
            ),
        );
        fixture.file("/root/.ssh/id_rsa", "secret");
        fixture.access("/root/.ssh/id_rsa", 0o600, 0, 0);
        prepare(&fixture);
        let before = fixture.picture();
        for policy in [Policy::Auto, Policy::ReadOnly] {
            let said = run(&fixture, policy, &[(user, "k")]);
            let wanted = format!("!keys for user: {user}: {reason}");
            assert!(said.contains(&wanted), "{wanted}: {said:?}");
            assert_eq!(fixture.picture(), before, "{wanted}");
        }
    }
}

/// Files of root's that sshd accepts are used, and still belong to root.
#[test]
#[ignore = "needs root: make test-fast"]
fn what_root_left_in_a_home_stays_root_s() {
    for (mode, gid) in [(0o644, 0), (0o640, 100)] {
        let fixture = debian();
        fixture.file(ALICE_KEYS, "image\n");
        fixture.access("/home/alice/.ssh", 0o755, 0, 0);
        fixture.access(ALICE_KEYS, mode, 0, gid);
        let said = auto(&fixture, &[("alice", "k")]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(fixture.text(ALICE_KEYS), block("k\n") + "image\n");
        assert_eq!(fixture.stat("/home/alice/.ssh"), (0o755, 0, 0));
        assert_eq!(fixture.stat(ALICE_KEYS), (mode, 0, gid));
        assert_idempotent(&fixture, Policy::Auto, &[("alice", "k")]);
        // The keys are removed again.
        auto(&fixture, &[]);
        assert_eq!(fixture.text(ALICE_KEYS), "image\n");
    }
}

/// sshd takes the first line for a key.
#[test]
fn a_line_of_the_image_that_restricts_a_key_is_below_ours_and_said() {
    let fixture = debian();
    let restricted = "no-pty,command=\"echo 'Please login'\" ssh-rsa AAAAB3 x\n";
    fixture.file(ROOT_KEYS, restricted);
    let said = auto(&fixture, &[("root", "ssh-rsa AAAAB3 me")]);
    assert_eq!(
        fixture.text(ROOT_KEYS),
        block("ssh-rsa AAAAB3 me\n") + restricted
    );
    let what = "/root/.ssh/authorized_keys: no longer restricts a key that the context has, \
                too: no-pty,command=";
    assert!(said.contains(&what.to_string()), "{said:?}");
    // A block of an earlier version, which stood last.
    fixture.file(ROOT_KEYS, restricted.to_owned() + &block("old\n"));
    auto(&fixture, &[("root", "ssh-rsa AAAAB3 me")]);
    assert_eq!(
        fixture.text(ROOT_KEYS),
        block("ssh-rsa AAAAB3 me\n") + restricted
    );
    // Another key is restricted: nothing is said.
    let said = auto(&fixture, &[("root", "ssh-rsa AAAAB4 me")]);
    assert_eq!(said, ["root: 1 key in /root/.ssh/authorized_keys"]);
}

#[test]
fn root_is_there_before_passwd_is_made() {
    // As with systemd.volatile=yes: systemd makes both /etc and /root.
    let fixture = debian();
    fs::remove_file(fixture.host("etc/passwd")).unwrap();
    fs::remove_dir_all(fixture.host("root")).unwrap();
    let said = auto(&fixture, &[("root", "k")]);
    assert_eq!(
        said[0],
        "root: 1 key in /root/.ssh/authorized_keys, by systemd-tmpfiles"
    );
    let lines = fixture.text("/run/tmpfiles.d/50-onecontext.conf");
    assert!(
        lines.contains("\nf+ /root/.ssh/authorized_keys 0600 0 0 - "),
        "{lines}"
    );
    // Its home may be there.
    fixture.directory("root");
    auto(&fixture, &[("root", "k")]);
    assert_eq!(fixture.text(ROOT_KEYS), block("k\n"));
    // Another user is still unknown.
    let said = auto(&fixture, &[("alice", "k")]);
    assert!(
        said.iter()
            .any(|line| line.starts_with("!keys for user: alice: no such user"))
    );
}

/// Whoever is killed leaves no directory of root's in a home.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_directory_is_made_under_another_name() {
    const LEFT: &str = "/home/alice/..ssh.onecontext";
    for obstruct in [
        |fixture: &Fixture| fixture.directory(LEFT),
        |fixture: &Fixture| fixture.link(LEFT, "/etc"),
        |fixture: &Fixture| fixture.file(&format!("{LEFT}/full"), ""),
    ] {
        let fixture = debian();
        obstruct(&fixture);
        let is_full = fixture.has(&format!("{LEFT}/full"));
        auto(&fixture, &[("alice", "k")]);
        assert_eq!(fixture.text(ALICE_KEYS), block("k\n"));
        assert_eq!(fixture.stat("/home/alice/.ssh"), (0o700, 1000, 100));
        // What is not empty is not ours.
        assert_eq!(fixture.has(LEFT), is_full);
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_home_that_its_user_cannot_enter() {
    for (mode, is_good) in [(0o755, true), (0o711, true), (0o750, true), (0o700, false)] {
        let fixture = debian();
        fixture.access("/home/alice", mode, 0, 0);
        let said = auto(&fixture, &[("alice", "k")]);
        assert_eq!(fixture.has(ALICE_KEYS), is_good, "{mode:o}");
        let what = "!keys for user: alice: its home belongs to root, and the user cannot enter it";
        assert_eq!(said[0].starts_with(what), !is_good, "{said:?}");
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_stands_at_the_temporary_name_blocks_no_revocation() {
    const TEMPORARY: &str = "/home/alice/.ssh/.authorized_keys.onecontext";
    type Obstruct = fn(&Fixture);
    let obstacles: [Obstruct; 5] = [
        |fixture| fixture.file(TEMPORARY, "half"),
        |fixture| fixture.link(TEMPORARY, "/etc/passwd"),
        |fixture| fixture.directory(TEMPORARY),
        |fixture| fixture.file(&format!("{TEMPORARY}/full"), ""),
        |fixture| {
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            nix::unistd::mkfifo(&fixture.host(TEMPORARY), mode).unwrap();
        },
    ];
    for (position, obstruct) in obstacles.into_iter().enumerate() {
        let fixture = debian();
        auto(&fixture, &[("alice", "k1")]);
        obstruct(&fixture);
        assert_eq!(
            auto(&fixture, &[]),
            ["alice: 0 keys in /home/alice/.ssh/authorized_keys"]
        );
        assert_eq!(fixture.text(ALICE_KEYS), "", "{position}");
        assert_eq!(fixture.text("/etc/passwd"), PASSWD);
        let left = fs::read_dir(fixture.host("/home/alice/.ssh"))
            .unwrap()
            .count();
        // A directory that is not empty is not removed.
        assert_eq!(left, if position == 3 { 2 } else { 1 }, "{position}");
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_a_killed_write_left_goes_though_nothing_is_to_be_written() {
    let keys = [("root", "k1"), ("alice", "k2")];
    for now in [&keys[..], &keys[..1], &[]] {
        let fixture = debian();
        auto(&fixture, &keys);
        auto(&fixture, now);
        for home in ["root", "home/alice", "home/bob"] {
            fixture.file(&format!("{home}/.ssh/.authorized_keys.onecontext"), "half");
        }
        auto(&fixture, now);
        for home in ["root", "home/alice", "home/bob"] {
            assert!(!fixture.has(&format!("{home}/.ssh/.authorized_keys.onecontext")));
        }
        assert_idempotent(&fixture, Policy::Auto, now);
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_home_that_is_mounted_later_loses_nothing() {
    let fixture = debian();
    fixture.file("etc/fstab", "# none\n/dev/vdb\t/home  ext4 defaults 0 2\n");
    auto(&fixture, &[("alice", "k")]);
    assert!(!fixture.has("/home/alice/.ssh"));
    let lines = fixture.text(TMPFILES);
    assert!(
        lines.contains("f+ /home/alice/.ssh/authorized_keys2 0600 1000 100 - "),
        "{lines}"
    );

    fixture.file(
        "etc/ssh/sshd_config",
        "AuthorizedKeysFile .ssh/authorized_keys\n",
    );
    let said = auto(&fixture, &[("alice", "k")]);
    assert!(
        said.iter()
            .any(|line| line.starts_with("!keys for user: alice: its home"))
    );
    let lines = fixture.text(TMPFILES);
    assert!(
        lines.contains("f /home/alice/.ssh/authorized_keys 0600 1000 100 - "),
        "{lines}"
    );

    // A home that does not exist yet.
    let fixture = debian();
    fs::remove_dir(fixture.host("/home/bob")).unwrap();
    let keys = [("bob", "k 100% \\ \"x\"")];
    let said = auto(&fixture, &keys);
    assert_eq!(
        said,
        [
            "bob: 1 key in /home/bob/.ssh/authorized_keys, by systemd-tmpfiles",
            "wrote /run/tmpfiles.d/50-onecontext.conf",
        ]
    );
    assert!(!fixture.has("/home/bob"));
    assert_eq!(fixture.stat(TMPFILES), (0o600, 0, 0));
    assert!(
        fixture
            .text(TMPFILES)
            .starts_with("# Made by onecontext.\nd /home/bob - 1001 101 -\nd /home/bob/.ssh 0700")
    );
    assert_idempotent(&fixture, Policy::Auto, &keys);
    // systemd itself reads the lines as intended.
    let status = std::process::Command::new("systemd-tmpfiles")
        .arg("--create")
        .arg(format!("--root={}", fixture.top().join("root").display()))
        .arg(fixture.host(TMPFILES))
        .status();
    assert!(status.expect("systemd-tmpfiles").success());
    let file = "/home/bob/.ssh/authorized_keys";
    assert_eq!(fixture.text(file), block("k 100% \\ \"x\"\n"));
    assert_eq!(fixture.stat(file), (0o600, 1001, 101));
    assert_eq!(fixture.stat("/home/bob/.ssh"), (0o700, 1001, 101));
    fs::remove_dir_all(fixture.host("/home/bob")).unwrap();
    fs::remove_file(fixture.host("/sbin/init")).unwrap();
    fixture.file("sbin/init", "");
    let said = auto(&fixture, &[("bob", "k")]);
    assert!(
        said.iter()
            .any(|line| line.starts_with("!keys for user: bob: ")),
        "{said:?}"
    );
}

#[test]
fn sshd_that_is_not_enabled_is_enabled_for_this_boot() {
    let fixture = debian();
    fs::remove_file(fixture.host("etc/systemd/system/multi-user.target.wants/ssh.service"))
        .unwrap();
    const LINK: &str = "/run/systemd/system/multi-user.target.wants/ssh.service";
    let said = auto(&fixture, &[("root", "k")]);
    assert!(
        said.contains(
            &"SSH server: ssh.service is not enabled in this image: enabled for this boot".into()
        ),
        "{said:?}"
    );
    assert_eq!(
        fs::read_link(fixture.host(LINK)).unwrap().to_str(),
        Some("/usr/lib/systemd/system/ssh.service")
    );
    assert_idempotent(&fixture, Policy::Auto, &[("root", "k")]);

    // A socket counts as well.
    fs::remove_file(fixture.host(LINK)).unwrap();
    fixture.file("usr/lib/systemd/system/ssh.socket", "[Socket]\n");
    fixture.link(
        "etc/systemd/system/sockets.target.wants/ssh.socket",
        "/usr/lib/systemd/system/ssh.socket",
    );
    auto(&fixture, &[("root", "k")]);
    assert!(!fixture.has(LINK));
}

#[test]
fn sshd_that_is_off_on_purpose_stays_off() {
    let fixture = debian();
    fs::remove_file(fixture.host("etc/systemd/system/multi-user.target.wants/ssh.service"))
        .unwrap();
    fixture.link("etc/systemd/system/ssh.service", "/dev/null");
    let said = auto(&fixture, &[("root", "k")]);
    assert!(
        said.iter()
            .any(|line| line.starts_with("!SSH server: ssh.service: the image"))
    );
    assert!(!fixture.has("/run/systemd"));
}

#[test]
fn no_ssh_server_is_told() {
    let fixture = debian();
    fs::remove_file(fixture.host("usr/sbin/sshd")).unwrap();
    let said = auto(&fixture, &[("root", "k")]);
    assert!(
        said.iter()
            .any(|line| line.starts_with("!SSH server: sshd: not installed"))
    );
}

#[test]
fn host_keys_are_made_where_nothing_else_makes_them() {
    const UNIT: &str = "/run/systemd/system/onecontext-hostkeys.service";
    let fixture = debian();
    fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
    auto(&fixture, &[("root", "k")]);
    assert!(
        fixture
            .text(UNIT)
            .ends_with("\nExecStart=/usr/bin/ssh-keygen -A\n")
    );
    assert_eq!(fixture.text(UNIT).matches("ExecStart").count(), 1);
    // Debian 13's unit, which does the same at a first boot, comes later.
    let before = " sshd-keygen.service\nConflicts=";
    assert!(fixture.text(UNIT).contains(before));
    let drop_in = fixture.text("/run/systemd/system/ssh.service.d/50-onecontext.conf");
    assert!(drop_in.contains("\nAfter=onecontext-hostkeys.service\n"));
    assert_idempotent(&fixture, Policy::Auto, &[("root", "k")]);

    // OpenSSH that somebody has built.
    let fixture = debian();
    fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
    fs::remove_file(fixture.host("usr/bin/ssh-keygen")).unwrap();
    fixture.file("usr/local/bin/ssh-keygen", "");
    auto(&fixture, &[("root", "k")]);
    assert!(
        fixture
            .text(UNIT)
            .ends_with("\nExecStart=\nExecStart=/usr/local/bin/ssh-keygen -A\n")
    );

    // Fedora's and Arch's units do it themselves.
    for maker in ["Wants=sshd-keygen.target", "Wants=sshdgenkeys.service"] {
        let fixture = debian();
        fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
        fixture.file(
            "usr/lib/systemd/system/ssh.service",
            format!("[Unit]\n{maker}\n"),
        );
        auto(&fixture, &[("root", "k")]);
        assert!(!fixture.has(UNIT));
    }

    let fixture = debian();
    fs::remove_file(fixture.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
    fs::remove_file(fixture.host("usr/bin/ssh-keygen")).unwrap();
    let said = auto(&fixture, &[("root", "k")]);
    assert!(
        said.iter()
            .any(|line| line.starts_with("!SSH host keys: /etc/ssh: none, and no"))
    );
}
