use std::fs;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::later_mounts::LaterMounts;
use super::systemd::units::{Systemd, Unit};
use super::testing::Fixture;
use super::*;
use crate::base::error::Error;
use crate::base::text::c_str;
use crate::changeset::Changes;

const TOO_LONG: Errno = Errno::NAMETOOLONG;

fn resolve(fixture: &Fixture, path: &str) -> Result<String, Error> {
    let root = fixture.root();
    let fast = root.resolve(path.as_bytes());
    // Kernels before 5.6 behave the same.
    root.openat2.set(false);
    assert_eq!(root.resolve(path.as_bytes()), fast);
    if let Ok(resolved) = fast {
        let slow = root.stat(resolved).map(|stat| stat.st_ino);
        root.openat2.set(true);
        assert_eq!(root.stat(resolved).map(|stat| stat.st_ino), slow);
    }
    fast.map(|resolved| String::from_utf8(resolved.path().to_vec()).unwrap())
}

#[test]
fn paths_stay_inside_the_root() {
    let fixture = Fixture::new();
    fixture.file("etc/plain", "");
    fixture.link("etc/up", "../../../../../../etc/plain");
    fixture.link("etc/absolute", "/etc/plain");
    fixture.link("abs", "/etc");
    fixture.link("etc/gone", "missing/more");
    fixture.link("etc/twice", "up");
    for (path, resolved) in [
        ("/", "/"),
        ("", "/"),
        ("/..", "/"),
        ("/../../etc/./plain", "/etc/plain"),
        ("//etc//plain//", "/etc/plain"),
        ("/etc/up", "/etc/plain"),
        ("/etc/absolute", "/etc/plain"),
        ("/etc/twice", "/etc/plain"),
        ("/abs/../abs/plain", "/etc/plain"),
        ("/abs/none/../plain", "/etc/plain"),
        ("/etc/gone", "/etc/missing/more"),
        ("/no/such/path", "/no/such/path"),
    ] {
        assert_eq!(resolve(&fixture, path).as_deref(), Ok(resolved), "{path}");
    }
    assert_eq!(
        resolve(&fixture, "/etc/plain/x"),
        Err(Error::from(Errno::NOTDIR))
    );
    fixture.link("a", "b");
    fixture.link("b", "a");
    assert_eq!(resolve(&fixture, "/a/x"), Err(Error::from(Errno::LOOP)));
}

#[test]
fn what_leads_below_run_is_in_the_run_directory() {
    let fixture = Fixture::new();
    // After switch_root what the root itself has there is hidden.
    fs::create_dir_all(fixture.top().join("root/run")).unwrap();
    fs::write(fixture.top().join("root/run/file"), "hidden").unwrap();
    fixture.file("run/file", "seen");
    fixture.link("var/run", "/run");
    fixture.link("relative", "var/run/../run/file");
    fixture.link("run/back", "/etc");
    fixture.file("etc/name", "root");
    let root = fixture.root();
    for path in ["/run/file", "/var/run/file", "/relative"] {
        assert_eq!(resolve(&fixture, path).as_deref(), Ok("/run/file"));
        assert_eq!(root.read(path.as_bytes()).unwrap().content, b"seen");
    }
    assert_eq!(
        resolve(&fixture, "/run/back/name").as_deref(),
        Ok("/etc/name")
    );
    assert_eq!(resolve(&fixture, "/run/..").as_deref(), Ok("/"));
    assert_eq!(resolve(&fixture, "/runner").as_deref(), Ok("/runner"));
    assert!(!root.resolve(b"/runner").unwrap().in_run());
    assert!(root.resolve(b"/run").unwrap().in_run());
    assert!(root.resolve(b"/proc/x").unwrap().is_hidden());
}

#[test]
fn a_spot_follows_no_link() {
    let fixture = Fixture::new();
    fixture.file("etc/plain", "");
    fixture.link("link", "etc");
    let root = fixture.root();
    for openat2 in [true, false] {
        root.openat2.set(openat2);
        for path in [c"/link", c"/link/plain"] {
            assert_eq!(
                root.stat(root.at(path.to_bytes()).unwrap()).err(),
                Some(Errno::LOOP),
                "{path:?}"
            );
        }
        assert!(root.stat(root.at(b"/etc/plain").unwrap()).is_ok());
        assert_eq!(
            root.stat(root.at(b"/etc/none").unwrap()).err(),
            Some(Errno::NOENT)
        );
    }
}

#[test]
fn lists_are_sorted() {
    let fixture = Fixture::new();
    for name in ["b", "a", "c", ".x", "aa"] {
        fixture.file(&format!("etc/{name}"), "");
    }
    let root = fixture.root();
    assert_eq!(
        root.list(b"/etc").unwrap(),
        [b".x".as_slice(), b"a", b"aa", b"b", b"c"]
    );
    assert!(root.list(b"/none").unwrap().is_empty());
    assert!(root.list(b"/etc/a").unwrap().is_empty());
}

/// A link with a name longer than 255 bytes, which no system call can follow.
fn long_link(fixture: &Fixture, path: &str) {
    fixture.link(path, &"x".repeat(300));
}

#[test]
fn what_is_not_there_and_what_cannot_be_found_out() {
    let fixture = Fixture::new();
    fixture.file("etc/plain", "x");
    fixture.link("etc/gone", "/nowhere/at/all");
    fixture.link("etc/loop", "loop");
    fixture.link("etc/null", "/dev/null");
    long_link(&fixture, "etc/long");
    let root = fixture.root();
    for openat2 in [true, false] {
        root.openat2.set(openat2);
        for path in [
            "none", "none/x", "plain/x", "gone", "gone/x", "loop", "loop/x",
        ] {
            let path = format!("/etc/{path}");
            let path = path.as_bytes();
            assert_eq!(root.exists(path), Ok(false), "{}", path.escape_ascii());
            assert_eq!(root.read_if_there(path), Ok(None));
            assert_eq!(root.list(path), Ok(&[][..]));
            assert_eq!(
                root.is_entry(path),
                Ok(path.ends_with(b"gone") || path.ends_with(b"loop"))
            );
        }
        assert_eq!(root.exists(b"/etc/plain"), Ok(true));
        assert_eq!(root.read_link(b"/etc/plain"), Ok(None));
        assert_eq!(
            root.read_link(b"/etc/gone"),
            Ok(Some(&b"/nowhere/at/all"[..]))
        );
        assert_eq!(root.read_if_there(b"/etc/null"), Ok(None));
        for path in [b"/etc/long".as_slice(), b"/etc/long/x"] {
            assert_eq!(root.exists(path), Err(TOO_LONG.into()));
            assert_eq!(root.read_if_there(path), Err(TOO_LONG.into()));
            assert_eq!(root.list(path), Err(TOO_LONG.into()));
        }
        assert_eq!(root.read_link(b"/etc/long/x"), Err(TOO_LONG.into()));
        assert_eq!(root.is_entry(b"/etc/long/x"), Err(TOO_LONG.into()));
        assert_eq!(
            root.first(&[b"/etc/none", b"/etc/plain"]),
            Ok(Some(&b"/etc/plain"[..]))
        );
        assert_eq!(
            root.first(&[b"/etc/long", b"/etc/plain"]),
            Err(TOO_LONG.into())
        );
        assert_eq!(
            root.read_if_there(b"/etc"),
            Err(Error::new(c"not a regular file"))
        );
    }
    assert_eq!(root.read_at_most(b"/etc/plain", 1).unwrap().content, b"x");
    assert_eq!(
        root.read_at_most(b"/etc/plain", 0),
        Err(Error::from(Errno::FBIG))
    );
}

#[test]
fn a_root_without_a_run_directory_has_nothing_there() {
    let fixture = Fixture::new();
    fixture.file("run/there", "x");
    fixture.file("etc/name", "x");
    fs::create_dir_all(fixture.top().join("root/run")).unwrap();
    fs::write(fixture.top().join("root/run/there"), "hidden").unwrap();
    fixture.link("etc/link", "/run/there");
    let path = c_str(&[fixture.top().join("root").as_os_str().as_bytes()]).unwrap();
    let root = Root::open(path, None).unwrap();
    for openat2 in [true, false] {
        root.openat2.set(openat2);
        for path in [b"/run/there".as_slice(), b"/run/x/y", b"/etc/link"] {
            assert_eq!(root.exists(path), Ok(false));
            assert_eq!(root.read(path).err(), Some(Error::from(Errno::NOENT)));
        }
        assert_eq!(root.list(b"/run"), Ok(&[][..]));
        assert_eq!(root.resolve(b"/etc/link").unwrap().path(), b"/run/there");
        assert_eq!(
            root.resolve(b"/run/../etc/name").unwrap().path(),
            b"/etc/name"
        );
    }
    let mut changes = Changes::new();
    changes.run_file(b"/run/there", b"x").unwrap();
    assert_eq!(changes.place(&root).steps.len(), 1);
}

#[test]
fn units_are_there_or_not_or_that_is_not_known() {
    let fixture = Fixture::new();
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.link("sbin/init", "/lib/systemd/systemd");
    fixture.link("etc/systemd/system/gone.service", "/nowhere");
    fixture.link("etc/systemd/system/loop.service", "loop.service");
    fixture.link("etc/systemd/system/off.service", "/dev/null");
    fixture.file("usr/lib/systemd/system/loop.service", "[Service]\n");
    long_link(&fixture, "etc/systemd/system/long.service");
    long_link(&fixture, "etc/systemd/system/sockets.target.wants");
    long_link(&fixture, "etc/systemd/system-generators");
    let ask = |name: &str| {
        let root = fixture.root();
        let systemd = Systemd::find(&root).unwrap().unwrap();
        systemd.unit(&root, name.as_bytes()).map(|unit| match unit {
            Unit::Missing => "missing",
            Unit::Masked => "masked",
            Unit::Present { .. } => "found",
        })
    };
    assert_eq!(ask("gone.service"), Ok("missing"));
    assert_eq!(ask("loop.service"), Ok("found"));
    assert_eq!(ask("off.service"), Ok("masked"));
    assert_eq!(ask("long.service"), Err(TOO_LONG.into()));
    let root = fixture.root();
    let systemd = Systemd::find(&root).unwrap().unwrap();
    assert_eq!(systemd.enabled(&root, b"a.socket"), Err(TOO_LONG.into()));
    assert_eq!(
        systemd.has_generator(&root, b"netplan"),
        Err(TOO_LONG.into())
    );
    fs::rename(fixture.host("sbin"), fixture.host("bin")).unwrap();
    long_link(&fixture, "sbin");
    assert_eq!(Systemd::find(&fixture.root()).err(), Some(TOO_LONG.into()));
}

#[test]
fn an_fstab_that_cannot_be_read_is_a_problem_and_hides_nothing() {
    let fixture = Fixture::new();
    fixture.directory("home/alice");
    long_link(&fixture, "long");
    let ask = |text: Option<&str>| {
        let _ = fs::remove_file(fixture.host("etc/fstab"));
        match text {
            Some(text) => fixture.file("etc/fstab", text),
            None => long_link(&fixture, "etc/fstab"),
        }
        let root = fixture.root();
        let home = root.resolve(b"/home/alice").unwrap();
        let mounts = LaterMounts::read(&root, Ok(None), b"");
        (mounts.hides(home), mounts.problem)
    };
    assert_eq!(ask(Some("# none\n/dev/a / ext4\n")), (false, None));
    assert_eq!(ask(Some("/dev/a /home ext4\n")), (true, None));
    assert_eq!(ask(Some("/dev/a /home/bob ext4\n")), (false, None));
    assert_eq!(
        ask(Some("/dev/a /long/x ext4\n/dev/b /home ext4\n")),
        (true, Some((&b"/long/x"[..], TOO_LONG.into())))
    );
    let fstab = &b"/etc/fstab"[..];
    assert_eq!(ask(None), (false, Some((fstab, TOO_LONG.into()))));
    // The list of ZFS.
    fixture.file("usr/lib/systemd/systemd", "");
    fixture.link("sbin/init", "/usr/lib/systemd/systemd");
    fixture.link("lib", "usr/lib");
    let _ = fs::remove_file(fixture.host("etc/fstab"));
    fixture.directory("etc/zfs/zfs-list.cache");
    long_link(&fixture, "etc/zfs/zfs-list.cache/other");
    let root = fixture.root();
    let problem = LaterMounts::read(&root, Systemd::find(&root), b"").problem;
    let folder = &b"/etc/zfs/zfs-list.cache"[..];
    assert_eq!(problem, Some((folder, TOO_LONG.into())));
}

/// What is mounted over `/home/alice` or above it, without a line of fstab(5).
#[test]
fn what_units_and_caches_mount_hides_what_is_below() {
    type Make = fn(&Fixture);
    let ask = |make: Make, more: &str, path: &str| {
        let fixture = Fixture::new();
        fixture.file("usr/lib/systemd/systemd", "");
        fixture.link("sbin/init", "/usr/lib/systemd/systemd");
        fixture.link("lib", "usr/lib");
        fixture.directory("home/alice");
        fixture.directory("srv/a-b");
        make(&fixture);
        let root = fixture.root();
        let mounts = LaterMounts::read(&root, Systemd::find(&root), more.as_bytes());
        assert_eq!(mounts.problem, None);
        mounts.hides(root.resolve(path.as_bytes()).unwrap())
    };
    const HOME: &str = "/home/alice/.ssh/authorized_keys";
    const UNIT: &str = "[Mount]\nWhat=/dev/vdb\n";
    let hiding: [(Make, &str); 7] = [
        (|f| f.file("etc/systemd/system/home.mount", UNIT), HOME),
        (
            |f| f.file("usr/lib/systemd/system/home-alice.mount", UNIT),
            HOME,
        ),
        (
            |f| f.file("etc/systemd/system/home.automount", "[Automount]\n"),
            HOME,
        ),
        (
            |f| {
                f.link(
                    "etc/systemd/system/home.mount",
                    "/usr/share/home.mount-not-there",
                )
            },
            "/",
        ),
        (
            |f| f.file("etc/systemd/system/srv-a\\x2db.mount", UNIT),
            "/srv/a-b/keys",
        ),
        (
            |f| f.file("etc/zfs/zfs-list.cache/rpool", "rpool/h\t/home\ton\ton\n"),
            HOME,
        ),
        (
            |f| {
                f.file(
                    "etc/zfs/zfs-list.cache/data",
                    "#\ndata/x\t/x\toff\ndata/a\t/home/alice\ton\ton\n",
                )
            },
            HOME,
        ),
    ];
    for (at, (make, path)) in hiding.into_iter().enumerate() {
        assert_eq!(ask(make, "", path), path != "/", "{at}");
    }
    assert!(ask(|_| {}, "- /home\n", HOME));
    // Neighbours.
    let seen: [Make; 7] = [
        |f| f.link("etc/systemd/system/home.mount", "/dev/null"),
        |f| f.file("etc/systemd/system/home-bob.mount", UNIT),
        |f| f.file("etc/systemd/system/home-alice-data.mount", UNIT),
        |f| f.file("etc/systemd/system/hom.mount", UNIT),
        |f| f.file("usr/lib/systemd/system/-.mount", UNIT),
        |f| {
            f.file(
                "etc/zfs/zfs-list.cache/r",
                "r/h\t/home\tnoauto\ton\nr\t/home\toff\n",
            )
        },
        |f| f.file("etc/zfs/zfs-list.cache/r", "r/h\tlegacy\ton\nr/r\t/\ton\n"),
    ];
    for (at, make) in seen.into_iter().enumerate() {
        assert!(!ask(make, "", HOME), "{at}");
    }
    // Another init reads no units.
    let fixture = Fixture::new();
    fixture.directory("home/alice");
    fixture.file("usr/lib/systemd/system/home.mount", UNIT);
    let root = fixture.root();
    let home = root.resolve(b"/home/alice").unwrap();
    assert!(!LaterMounts::read(&root, Ok(None), b"").hides(home));
}
