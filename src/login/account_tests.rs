use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::base::memory;
use crate::boot;
use crate::changeset::Policy;
use crate::image::systemd::units::Systemd;
use crate::image::testing::{EMPTY, Fixture, decided, in_own_mounts};
use crate::plan::{Key, Login, Password, SudoRule};

const SCRIPT: &str = "/run/onecontext/users";
const PASSWORDS: &str = "/run/onecontext/passwords";
const RULE: &str = "/etc/sudoers.d/zz-onecontext";
/// Its name before.
const OLD_RULE: &str = "/etc/sudoers.d/onecontext";
const UNIT: &str = "/run/systemd/system/onecontext-users.service";

/// Debian with systemd, sudo and a user.
fn debian() -> Fixture {
    let fixture = Fixture::new();
    fixture.file(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n",
    );
    fixture.file("etc/shadow", "root:*:1::::::\nalice:$1$old:1::::::\n");
    fixture.file("etc/group", "root:x:0:\nstaff:x:50:\n");
    fixture.file("etc/sudoers", "@includedir /etc/sudoers.d\n");
    fixture.directory("etc/sudoers.d");
    for file in [
        "usr/lib/systemd/systemd",
        "usr/sbin/useradd",
        "usr/sbin/chpasswd",
        "usr/sbin/visudo",
        "usr/bin/sudo",
        "bin/bash",
        "bin/zsh",
        "usr/sbin/sshd",
        "etc/ssh/ssh_host_ed25519_key",
    ] {
        fixture.file(file, "");
    }
    for shell in ["bin/bash", "bin/zsh"] {
        make_executable(&fixture, shell);
    }
    fixture.link("sbin/init", "../usr/lib/systemd/systemd");
    fixture.file("usr/lib/systemd/system/ssh.service", "[Service]\n");
    fixture.link(
        "etc/systemd/system/multi-user.target.wants/ssh.service",
        "/usr/lib/systemd/system/ssh.service",
    );
    fixture
}

fn make_executable(fixture: &Fixture, path: &str) {
    fs::set_permissions(fixture.host(path), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The same with another init.
fn without_systemd(inittab: &str) -> Fixture {
    let fixture = debian();
    fs::remove_file(fixture.host("sbin/init")).unwrap();
    fs::remove_file(fixture.host("usr/lib/systemd/systemd")).unwrap();
    fixture.file("sbin/init", "");
    fixture.file("etc/inittab", inittab);
    fixture
}

fn run(fixture: &Fixture, policy: Policy, user: &str, keys: &[&str], login: Login) -> Vec<String> {
    let keys: Vec<_> = (keys.iter())
        .map(|line| Key {
            user: memory::copy(user.as_bytes()),
            line: memory::copy(line.as_bytes()),
        })
        .collect();
    let plan = Plan {
        user: (!user.is_empty()).then(|| &*memory::copy(user.as_bytes())),
        login,
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

fn auto(fixture: &Fixture, user: &str, keys: &[&str], login: Login) -> Vec<String> {
    run(fixture, Policy::Auto, user, keys, login)
}

const SUDO: Login = Login {
    sudo: SudoRule::Asked,
    ..Login::NONE
};

fn password(user: &'static str, password: Password) -> Login {
    Login {
        password: Some((user.as_bytes(), password)),
        ..Login::NONE
    }
}

/// The calls in the script, without its functions and the last call.
fn script(fixture: &Fixture) -> String {
    let text = fixture.text(SCRIPT);
    let calls = text.strip_prefix(include_str!("users.sh"));
    calls.unwrap().strip_suffix("finish\n").unwrap().to_string()
}

#[test]
fn a_user_that_the_root_lacks_is_made() {
    let fixture = debian();
    let login = Login {
        shell: Some(b"/bin/zsh"),
        sudo: SudoRule::Asked,
        password: Some((b"bob", Password::Plain(b"hunter2:x"))),
    };
    let before = fixture.picture();
    let root = |picture: &[String]| -> Vec<String> {
        let of_root = |line: &&String| line.contains("/root/") && !line.contains("/run/");
        picture.iter().filter(of_root).cloned().collect()
    };
    let lines = auto(&fixture, "bob", &["k"], login);
    for line in [
        "bob: made in the booted system, its shell is /bin/zsh",
        "bob: may use sudo, once visudo has checked the rule",
        "bob: its password becomes that of the context",
    ] {
        assert!(lines.contains(&line.to_string()), "{lines:?}");
    }
    assert!(lines.iter().all(|line| !line.starts_with('!')), "{lines:?}");
    assert!(!lines.concat().contains("hunter2"));
    assert_eq!(root(&fixture.picture()), root(&before));
    assert_eq!(
        script(&fixture),
        "make_user_by_useradd 'bob' '/home/bob' '/bin/zsh' '--user-group'\n\
         give_keys_by_tmpfiles\n\
         place_sudo_rule\n\
         set_password 'bob'\n"
    );
    assert_eq!(
        fixture.text("/run/onecontext/users.conf"),
        "d /home/bob/.ssh 0700 bob bob -\n\
         f+ /home/bob/.ssh/authorized_keys 0600 bob bob - \\x23\\x20onecontext\\x3a\\x20begin\
         \\x20\\x28keys\\x20of\\x20the\\x20context\\x2c\\x20made\\x20anew\\x20at\\x20each\\x20boot\
         \\x29\\x0ak\\x0a\\x23\\x20onecontext\\x3a\\x20end\\x0a\n"
    );
    assert_eq!(fixture.text(PASSWORDS), "bob:hunter2:x\n");
    assert_eq!(fixture.stat(PASSWORDS).0, 0o600);
    assert_eq!(
        fixture.text("/run/onecontext/sudoers"),
        "# Made by onecontext: USERNAME_SUDO of the context.\n\
         bob ALL=(ALL:ALL) NOPASSWD: ALL\n"
    );
    assert_eq!(fixture.stat("/run/onecontext/sudoers").0, 0o440);
    let unit = fixture.text(UNIT);
    assert!(
        unit.contains("\nBefore=ssh.service ") && !unit.contains("bob"),
        "{unit}"
    );
    let wants = "/run/systemd/system/sysinit.target.wants/onecontext-users.service";
    assert_eq!(
        fs::read_link(fixture.host(wants)).unwrap().to_str(),
        Some(UNIT)
    );
}

#[test]
fn a_group_of_that_name_is_taken_and_a_shell_that_is_there() {
    let fixture = debian();
    let login = Login {
        shell: Some(b"/bin/fish"),
        ..Login::NONE
    };
    let lines = auto(&fixture, "staff", &[], login);
    assert!(
        lines.contains(
            &"!shell: /bin/fish: no shell of this image that lets people in, the user gets another"
                .into()
        ),
        "{lines:?}"
    );
    let script = script(&fixture);
    assert!(
        script.ends_with("'/home/staff' '/bin/bash' '--gid' 'staff'\n"),
        "{script}"
    );
    assert!(!script.contains("tmpfiles"), "{script}");
}

/// What is there is no shell: the user gets another, and everything else.
#[test]
fn what_is_no_shell_is_not_taken_for_one() {
    let long = format!("/bin/{}", "x".repeat(300));
    const NO: &str = "no shell of this image that lets people in, the user gets another";
    for (wanted, reason) in [
        ("/bin", NO),
        ("/etc/passwd", NO),
        ("/dev/null", NO),
        ("/usr/sbin/nologin", NO),
        ("/bin/false", NO),
        (&long, "File name too long"),
        ("/bin/zsh", ""),
    ] {
        let fixture = debian();
        for path in ["usr/sbin/nologin", "bin/false"] {
            fixture.file(path, "");
            make_executable(&fixture, path);
        }
        let login = Login {
            shell: Some(memory::copy(wanted.as_bytes())),
            ..Login::NONE
        };
        let lines = auto(&fixture, "bob", &["k"], login);
        let said = lines.iter().find(|line| line.starts_with("!shell: "));
        let is_said = |line: &String| line.ends_with(&format!(": {reason}"));
        assert_eq!(
            said.is_some_and(is_said),
            !reason.is_empty(),
            "{wanted}: {said:?}"
        );
        let shell = if reason.is_empty() {
            wanted
        } else {
            "/bin/bash"
        };
        let script = script(&fixture);
        assert!(script.starts_with(&format!("make_user_by_useradd 'bob' '/home/bob' '{shell}'")));
        assert!(script.contains("tmpfiles"), "{script}");
    }
}

/// A directory is no program.
#[test]
fn a_directory_with_a_tool_s_name_is_no_tool() {
    let fixture = debian();
    for tool in ["useradd", "chpasswd"] {
        fs::remove_file(fixture.host(&format!("usr/sbin/{tool}"))).unwrap();
        fixture.directory(&format!("usr/sbin/{tool}"));
    }
    let lines = auto(&fixture, "bob", &["k"], Login::NONE);
    assert!(
        lines[0].contains("there is no useradd in this image"),
        "{lines:?}"
    );
    let lines = auto(
        &fixture,
        "alice",
        &[],
        password("alice", Password::Plain(b"p")),
    );
    assert!(lines[0].contains("no chpasswd in this image"), "{lines:?}");
}

/// With keys and without.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_home_that_is_not_free_makes_no_user() {
    type Prepare = fn(&Fixture);
    let cases: [(Prepare, &str); 4] = [
        (
            |fixture| fixture.link("home/bob", "/etc"),
            "its home belongs to another user",
        ),
        (
            |fixture| fixture.directory("home/bob"),
            "its home belongs to another user",
        ),
        (
            |fixture| {
                fixture.directory("home/bob");
                fixture.access("home/bob", 0o755, 1000, 1000);
            },
            "its home belongs to another user",
        ),
        (
            |fixture| fixture.file("home/bob", ""),
            "its home is not a directory",
        ),
    ];
    for (prepare, reason) in cases {
        for keys in [&["k"][..], &[]] {
            let fixture = debian();
            fixture.directory("home");
            prepare(&fixture);
            let before = fixture.picture();
            let lines = auto(
                &fixture,
                "bob",
                keys,
                password("bob", Password::Plain(b"p")),
            );
            assert!(
                lines[0].starts_with(&format!("!make user: bob: {reason}")),
                "{lines:?}"
            );
            assert!(!fixture.has(SCRIPT) && fixture.picture() == before);
        }
    }
}

/// `users.sh` was killed while it made a user, which passwd(5) has therefore.
#[test]
fn a_user_that_is_half_made_is_completed() {
    let fixture = debian();
    auto(&fixture, "alice", &[], Login::NONE);
    assert!(!fixture.has(SCRIPT));
    fixture.file("etc/.onecontext-user", "alice\n");
    auto(&fixture, "alice", &[], Login::NONE);
    assert!(
        script(&fixture).ends_with("complete_user\n"),
        "{}",
        script(&fixture)
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn where_the_home_is() {
    const CONF: &str = "/run/onecontext/users.conf";
    // The home has no owner among the users: the new user gets its number, and existing
    // files stay.
    let fixture = debian();
    fixture.file(
        "etc/default/useradd",
        "# a comment\nHOME=/srv/\nSKEL=/etc/new\n",
    );
    fixture.file("srv/bob/.ssh/authorized_keys", "own\n");
    for path in ["srv/bob", "srv/bob/.ssh", "srv/bob/.ssh/authorized_keys"] {
        fixture.access(path, 0o700, 1234, 1234);
    }
    auto(&fixture, "bob", &["k"], Login::NONE);
    assert!(script(&fixture).starts_with("make_user_by_useradd 'bob' '/srv/bob' "));
    assert!(script(&fixture).contains(" '--user-group' '--uid' '1234'\n"));
    assert!(fixture.text(CONF).ends_with("\\x0aown\\x0a\n"));
    // Files that useradd copies from the skeleton stay, too.
    let fixture = debian();
    fixture.file("etc/skel/.ssh/authorized_keys", "skeleton\n");
    auto(&fixture, "bob", &["k"], Login::NONE);
    assert!(fixture.text(CONF).ends_with("\\x0askeleton\\x0a\n"));
    // /home is mounted later.
    let fixture = debian();
    fixture.file("etc/fstab", "/dev/vdb /home ext4 defaults 0 0\n");
    auto(&fixture, "bob", &["k"], Login::NONE);
    assert!(
        fixture
            .text(CONF)
            .contains("\nf+ /home/bob/.ssh/authorized_keys2 ")
    );
    // The home belongs to another user and has a link in it.
    let fixture = debian();
    fixture.directory("home/bob");
    fixture.access("home/bob", 0o755, 1000, 1000);
    let lines = auto(&fixture, "bob", &["k"], SUDO);
    let problem = "!make user: bob: its home belongs to another user: give it one of its own in \
                   the image";
    assert_eq!(lines, [problem]);
    assert!(!fixture.has(SCRIPT));
    let fixture = debian();
    fixture.directory("home/bob");
    fixture.access("home/bob", 0o755, 1234, 1234);
    fixture.link("home/bob/.ssh", "/etc");
    let lines = auto(&fixture, "bob", &["k"], Login::NONE);
    assert!(
        lines[0].contains("a symbolic link below the home"),
        "{lines:?}"
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_is_so_already_is_left_alone() {
    let fixture = debian();
    let login = Login {
        password: Some((b"alice", Password::Crypted(b"$6$x$new"))),
        ..SUDO
    };
    auto(&fixture, "alice", &[], login);
    assert!(script(&fixture).ends_with("\nset_password_hash\n"));
    assert_eq!(fixture.text(PASSWORDS), "alice:$6$x$new\n");
    // What the script would write, after a reboot.
    fixture.file(RULE, fixture.text("/run/onecontext/sudoers"));
    fixture.access(RULE, 0o440, 0, 0);
    fixture.file("etc/shadow", "alice:$6$x$new:1::::::\n");
    fs::remove_dir_all(fixture.host("/run/onecontext")).unwrap();
    let before = fixture.picture();
    assert_eq!(
        auto(&fixture, "alice", &[], login),
        [
            "alice: may use sudo",
            "alice: its password is that of the context"
        ]
    );
    assert_eq!(fixture.picture(), before);
    // A mode that sudo does not accept is corrected.
    fixture.access(RULE, 0o644, 0, 0);
    auto(&fixture, "alice", &[], login);
    assert!(script(&fixture).contains("place_sudo_rule\n"));
}

#[test]
fn a_password_is_locked_once() {
    for (hash, is_done) in [
        ("$1$old", false),
        ("", false),
        ("*", true),
        ("!$1$old", true),
    ] {
        let fixture = debian();
        fixture.file("etc/shadow", format!("alice:{hash}:1::::::\n"));
        auto(&fixture, "", &[], password("alice", Password::Locked));
        assert_eq!(fixture.has(SCRIPT), !is_done, "{hash}");
        if !is_done {
            assert_eq!(fixture.text(PASSWORDS), "alice:*\n");
        }
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_rule_goes_with_its_context() {
    let fixture = debian();
    fixture.file(
        RULE,
        "# Made by onecontext: USERNAME_SUDO of the context.\nalice ALL=(ALL) ALL\n",
    );
    // Only reported if nothing may be written.
    let lines = run(&fixture, Policy::ReadOnly, "alice", &[], Login::NONE);
    assert_eq!(
        lines[0],
        format!(
            "!sudo: {RULE}: of an earlier context, and the root cannot be written: remove it in the image"
        )
    );
    assert!(fixture.has(RULE));
    assert_eq!(
        auto(&fixture, "", &[], Login::NONE),
        ["sudo: the rule of an earlier context is removed"]
    );
    assert!(!fixture.has(RULE));
    // Under the name that it had before it goes, too, also with the context's own rule.
    for login in [Login::NONE, SUDO] {
        fixture.file(
            OLD_RULE,
            "# Made by onecontext: USERNAME_SUDO of the context.\nx",
        );
        let lines = auto(&fixture, "alice", &[], login);
        assert!(lines.contains(&"sudo: the rule of an earlier context is removed".into()));
        assert!(!fixture.has(OLD_RULE));
    }
    fixture.file(OLD_RULE, "alice ALL=(ALL) ALL\n");
    auto(&fixture, "", &[], Login::NONE);
    assert!(fixture.has(OLD_RULE));
    // A rule that somebody else wrote is neither removed nor replaced.
    fixture.file(RULE, "alice ALL=(ALL) ALL\n");
    assert_eq!(auto(&fixture, "", &[], Login::NONE), [""; 0]);
    let lines = auto(&fixture, "alice", &[], SUDO);
    assert!(lines[0].contains("not of onecontext's making"), "{lines:?}");
    assert!(!fixture.has(SCRIPT));
}

#[test]
fn where_sudo_is_not_ready() {
    let fixture = debian();
    fs::remove_file(fixture.host("usr/bin/sudo")).unwrap();
    assert_eq!(
        auto(&fixture, "alice", &[], SUDO),
        ["alice: no sudo in this image"]
    );
    let fixture = debian();
    fs::remove_file(fixture.host("usr/sbin/visudo")).unwrap();
    assert!(auto(&fixture, "alice", &[], SUDO)[0].contains("no visudo"));
    let fixture = debian();
    fixture.file("etc/sudoers", "root ALL=(ALL) ALL\n");
    assert!(auto(&fixture, "alice", &[], SUDO)[0].contains("does not include"));
    // As visudo 1.9.13 reads it.
    for (line, is_included) in [
        ("# @includedir /etc/sudoers.d", false),
        ("@includedir\t/etc/sudoers.d", true),
        ("@includedir  sudoers.d # ours", true),
    ] {
        fixture.file("etc/sudoers", line);
        let said = auto(&fixture, "alice", &[], SUDO);
        let is_reported = said[0].contains("does not include");
        assert_ne!(is_reported, is_included, "{line}: {said:?}");
    }
    // The place in openSUSE.
    fs::remove_file(fixture.host("etc/sudoers")).unwrap();
    fixture.file("usr/etc/sudoers", "#includedir /etc/sudoers.d\n");
    auto(&fixture, "alice", &[], SUDO);
    assert!(fixture.has(SCRIPT));
    let fixture = debian();
    fs::remove_file(fixture.host("etc/sudoers")).unwrap();
    fixture.directory("etc/sudoers");
    assert_eq!(
        auto(&fixture, "alice", &[], SUDO),
        ["!read for the user's account: /etc/sudoers: not a regular file"]
    );
}

/// As words of sudoers(5) these names would mean everybody, or an alias.
#[test]
fn names_in_capitals_are_quoted_in_a_rule() {
    let fixture = debian();
    auto(&fixture, "ALL", &[], SUDO);
    let rule = fixture.text("/run/onecontext/sudoers");
    assert!(
        rule.ends_with("\n\"ALL\" ALL=(ALL:ALL) NOPASSWD: ALL\n"),
        "{rule}"
    );
}

/// Nobody asked for sudo: a root that cannot have it is no problem.
#[test]
fn a_rule_by_default_that_cannot_be_is_no_problem() {
    let fixture = debian();
    let by_default = Login {
        sudo: SudoRule::ByDefault,
        ..Login::NONE
    };
    let lines = run(&fixture, Policy::ReadOnly, "alice", &[], by_default);
    assert_eq!(
        lines,
        ["no sudo for user alice: the root cannot be written, or is not to be: do it in the image"]
    );
    let lines = auto(&fixture, "alice", &[], by_default);
    assert!(
        lines.contains(&"wrote /run/onecontext/sudoers".into()),
        "{lines:?}"
    );
}

#[test]
fn what_cannot_be_done_is_reported() {
    let all = |user| Login {
        password: Some((user, Password::Plain(b"hunter2"))),
        ..SUDO
    };
    const WHY: &str = "the root cannot be written, or is not to be: do it in the image";
    let fixture = debian();
    let lines = run(&fixture, Policy::ReadOnly, "bob", &[], all(b"bob"));
    assert_eq!(lines, [format!("!make user: bob: {WHY}")]);
    let lines = run(&fixture, Policy::ReadOnly, "alice", &[], all(b"alice"));
    assert_eq!(
        lines,
        [
            format!("!sudo for user: alice: {WHY}"),
            format!("!password of user: alice: {WHY}"),
        ]
    );
    assert!(!fixture.has(SCRIPT) && !fixture.has(PASSWORDS));
    let fixture = debian();
    for name in ["1bob", "a@b", "a$", &"x".repeat(33)] {
        let lines = auto(&fixture, name, &[], Login::NONE);
        assert!(lines[0].contains("takes no such name"), "{lines:?}");
    }
    fs::remove_file(fixture.host("usr/sbin/chpasswd")).unwrap();
    let lines = auto(&fixture, "", &[], password("alice", Password::Locked));
    assert_eq!(
        lines,
        ["!password of user: alice: no chpasswd in this image: add it"]
    );
    fs::remove_file(fixture.host("usr/sbin/useradd")).unwrap();
    fixture.file("usr/sbin/adduser", "#!/usr/bin/perl\n");
    let lines = auto(&fixture, "bob", &[], Login::NONE);
    assert!(lines[0].contains("no useradd"), "{lines:?}");
    assert!(!fixture.has(SCRIPT));
    for init in ["runit-init", "openrc-init"] {
        let fixture = without_systemd("l2:2:wait:/etc/init.d/rc 2\n");
        fs::remove_file(fixture.host("sbin/init")).unwrap();
        fixture.link("sbin/init", init);
        let lines = auto(&fixture, "", &[], password("alice", Password::Locked));
        assert!(lines[0].contains("takes nothing from /run"), "{lines:?}");
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn by_sysvinit() {
    in_own_mounts(|| {
        let fixture = without_systemd(
            "# a comment:2:wait:/x\nid:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n\
             l2:2:wait:/etc/init.d/rc 2\nl3:3:wait:/etc/init.d/rc 3",
        );
        let lines = auto(&fixture, "bob", &["k"], Login::NONE);
        assert!(lines.iter().all(|line| !line.starts_with('!')), "{lines:?}");
        assert_eq!(
            fixture.text("/etc/inittab"),
            "# a comment:2:wait:/x\nid:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n\
             oc:2345:wait:/bin/sh /run/onecontext/users\n\
             l2:2:wait:/etc/init.d/rc 2\nl3:3:wait:/etc/init.d/rc 3"
        );
        assert!(script(&fixture).ends_with("\ngive_keys_by_install 'bob' '/home/bob'\n"));
        assert_eq!(fixture.stat("/run/onecontext/users.keys").0, 0o600);
        assert!(!fixture.has(UNIT));
        nix::mount::umount(&fixture.host("/etc/inittab")).unwrap();
    });
}

/// Alpine.
#[test]
#[ignore = "needs root: make test-fast"]
fn by_busybox() {
    in_own_mounts(|| {
        let fixture =
            without_systemd("::sysinit:/sbin/openrc sysinit\n::wait:/sbin/openrc default\n");
        fs::remove_file(fixture.host("sbin/init")).unwrap();
        fs::remove_file(fixture.host("usr/sbin/useradd")).unwrap();
        fixture.file("bin/busybox", "");
        fixture.link("sbin/init", "/bin/busybox");
        fixture.link("usr/sbin/adduser", "/bin/busybox");
        auto(&fixture, "bob", &[], Login::NONE);
        assert_eq!(
            script(&fixture),
            "make_user_by_adduser 'bob' '/home/bob' '/bin/bash'\nset_password_hash\n"
        );
        // sshd without PAM takes what adduser leaves for a locked account.
        assert_eq!(fixture.text(PASSWORDS), "bob:*\n");
        assert!(
            fixture
                .text("/etc/inittab")
                .contains("\n::wait:/bin/sh /run/onecontext/users\n::wait:/sbin/openrc default\n")
        );
        nix::mount::umount(&fixture.host("/etc/inittab")).unwrap();
    });
}

/// A shell and this machine's own tools run the script; a second run changes nothing.
/// Meanwhile /etc, /home and /run are mounted over.
#[test]
#[ignore = "needs root: make test-fast"]
fn the_script_works_with_shadow_utils() {
    in_own_mounts(|| {
        let fixture = without_systemd("l2:2:wait:/etc/init.d/rc 2\n");
        auto(
            &fixture,
            "bob",
            &["k"],
            password("bob", Password::Plain(b" hunter2:x ")),
        );
        let top = fixture.top().display();
        let commands = format!(
            "set -e; cp -a /etc {top}/etc; mount --bind {top}/etc /etc; \
             mount -t tmpfs tmpfs /home; cp {PASSWORDS} {top}/passwords
             sh {SCRIPT}; test ! -e {PASSWORDS}
             cp -a /etc {top}/first; cp {top}/passwords {PASSWORDS}
             sh {SCRIPT}; test ! -e {PASSWORDS}
             diff -r --no-dereference /etc {top}/first; pwck -q -r >&2; grpck -r >&2
             printf '%s\\0' ' hunter2:x ' | unix_chkpwd bob nonull
             id -gn bob; stat -c '%a %U %G' /home/bob/.ssh /home/bob/.ssh/authorized_keys"
        );
        // /run is a bind mount of the fixture's.
        let commands = format!("mount --bind {top}/run /run; {commands}");
        let output = Command::new("sh").args(["-c", &commands]).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{out}{errors}");
        assert!(
            out.ends_with("bob\n700 bob bob\n600 bob bob\n"),
            "{out}{errors}"
        );
        assert!(!(out + errors).contains("hunter2"));
        nix::mount::umount(&fixture.host("/etc/inittab")).unwrap();
    });
}

/// systemd-tmpfiles removes the locks of passwd(5) that a killed useradd has left.
#[test]
fn users_are_made_once_stale_locks_are_gone() {
    let unit = include_str!("onecontext-users.service");
    let mut after = unit.lines().filter_map(|line| line.strip_prefix("After="));
    assert!(after.any(|units| {
        units
            .split(' ')
            .any(|one| one == "systemd-tmpfiles-setup.service")
    }));
}
