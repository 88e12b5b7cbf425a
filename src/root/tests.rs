use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::testing::{Fixture, in_own_mounts, is_root, lines};
use super::*;
use crate::report::{Console, Report};

const NONE: Option<&str> = None;

fn remount(path: &Path, flags: MsFlags) {
    mount(NONE, path, NONE, flags | MsFlags::MS_REMOUNT, NONE).unwrap();
}

/// A change of one file of the root.
fn file<'a>(root: &Root<'a>, path: &[u8], content: &'a [u8], changes: &mut Changes<'a>) {
    let file = File {
        content,
        access: Access::PUBLIC,
        folder: Folder::Made(Access::FOLDER),
    };
    let spot = root.locate(path).unwrap();
    changes.file(root, spot, file, b"").unwrap();
}

fn locate(fixture: &Fixture, path: &str) -> Result<String, Error> {
    let arena = Arena::new();
    let root = fixture.root(&arena);
    let fast = root.locate(path.as_bytes());
    // The kernels before 5.6 answer the same.
    root.openat2.set(false);
    assert_eq!(root.locate(path.as_bytes()), fast);
    if let Ok(spot) = fast {
        let slow = root.stat(spot).map(|stat| stat.st_ino);
        root.openat2.set(true);
        assert_eq!(root.stat(spot).map(|stat| stat.st_ino), slow);
    }
    fast.map(|spot| String::from_utf8(spot.path().to_vec()).unwrap())
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
    for (path, spot) in [
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
        assert_eq!(locate(&fixture, path).as_deref(), Ok(spot), "{path}");
    }
    assert_eq!(
        locate(&fixture, "/etc/plain/x"),
        Err(Error::from(Errno::NOTDIR))
    );
    fixture.link("a", "b");
    fixture.link("b", "a");
    assert_eq!(locate(&fixture, "/a/x"), Err(Error::from(Errno::LOOP)));
}

#[test]
fn what_leads_below_run_is_in_the_run_directory() {
    let fixture = Fixture::new();
    // What the root itself has there is hidden after switch_root.
    fs::create_dir_all(fixture.top().join("root/run")).unwrap();
    fs::write(fixture.top().join("root/run/file"), "hidden").unwrap();
    fixture.file("run/file", "seen");
    fixture.link("var/run", "/run");
    fixture.link("relative", "var/run/../run/file");
    fixture.link("run/back", "/etc");
    fixture.file("etc/name", "root");
    let arena = Arena::new();
    let root = fixture.root(&arena);
    for path in ["/run/file", "/var/run/file", "/relative"] {
        assert_eq!(locate(&fixture, path).as_deref(), Ok("/run/file"));
        assert_eq!(root.read(path.as_bytes()).unwrap().content, b"seen");
    }
    assert_eq!(
        locate(&fixture, "/run/back/name").as_deref(),
        Ok("/etc/name")
    );
    assert_eq!(locate(&fixture, "/run/..").as_deref(), Ok("/"));
    assert_eq!(locate(&fixture, "/runner").as_deref(), Ok("/runner"));
    assert!(!root.locate(b"/runner").unwrap().in_run());
    assert!(root.locate(b"/run").unwrap().in_run());
    assert!(root.locate(b"/proc/x").unwrap().is_hidden());
}

#[test]
fn a_spot_follows_no_link() {
    let fixture = Fixture::new();
    fixture.file("etc/plain", "");
    fixture.link("link", "etc");
    let arena = Arena::new();
    let root = fixture.root(&arena);
    for openat2 in [true, false] {
        root.openat2.set(openat2);
        for path in [c"/link", c"/link/plain"] {
            assert_eq!(root.stat(Spot(path)).err(), Some(Errno::LOOP), "{path:?}");
        }
        assert!(root.stat(Spot(c"/etc/plain")).is_ok());
        assert_eq!(root.stat(Spot(c"/etc/none")).err(), Some(Errno::NOENT));
    }
}

#[test]
fn lists_are_sorted() {
    let fixture = Fixture::new();
    for name in ["b", "a", "c", ".x", "aa"] {
        fixture.file(&format!("etc/{name}"), "");
    }
    let arena = Arena::new();
    let root = fixture.root(&arena);
    assert_eq!(
        root.list(b"/etc").unwrap(),
        [b".x".as_slice(), b"a", b"aa", b"b", b"c"]
    );
    assert!(root.list(b"/none").unwrap().is_empty());
    assert!(root.list(b"/etc/a").unwrap().is_empty());
}

#[test]
fn a_change_is_shown_before_it_is_made() {
    let fixture = Fixture::new();
    fixture.directory("etc");
    let arena = Arena::new();
    let root = fixture.root(&arena);
    let mut changes = Changes::new(&arena);
    file(&root, b"/etc/a", b"x", &mut changes);
    changes.run_file(&root, b"/run/x/y", b"x").unwrap();
    let link = root.locate(b"/run/l").unwrap();
    changes.link(&root, link, b"/usr/lib/t").unwrap();
    let mut text = arena.table();
    changes.write(&mut text);
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        "file /etc/a 0644\nfile /run/x/y 0644\nlink /run/l /usr/lib/t\n"
    );
    assert!(!fixture.has("etc/a") && !fixture.has("run/x") && !fixture.has("run/l"));
}

#[test]
fn what_an_interrupted_write_left_is_swept() {
    let fixture = Fixture::new();
    fixture.file("etc/.a.onecontext", "half");
    fixture.apply(Policy::Auto, |root, writer, report| {
        writer.apply(report, |_, changes| {
            file(root, b"/etc/a", b"whole", changes);
        });
    });
    assert_eq!(fixture.text("etc/a"), "whole");
    assert!(!fixture.has("etc/.a.onecontext"));
}

/// In an append-only directory a file can be made, and then neither renamed nor
/// removed: nothing is begun there.
#[test]
fn nothing_is_left_in_an_append_only_directory() {
    if !is_root("nothing_is_left_in_an_append_only_directory") {
        return;
    }
    let fixture = Fixture::new();
    fixture.file("etc/a", "old");
    let directory = fixture.host("etc");
    let chattr = |flag| {
        let status = std::process::Command::new("chattr")
            .arg(flag)
            .arg(&directory)
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !chattr("+a") {
        eprintln!(
            "skipped: no append-only directories in {}",
            directory.display()
        );
        return;
    }
    let said = fixture.apply(Policy::Auto, |root, writer, report| {
        writer.apply(report, |_, changes| {
            file(root, b"/etc/a", b"new", changes);
        });
    });
    let names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(chattr("-a"));
    assert_eq!(
        said,
        ["!write: /etc/a: its directory is append-only (chattr(1))"]
    );
    assert_eq!(names, ["a"]);
    assert_eq!(fixture.text("etc/a"), "old");
}

#[test]
fn a_read_only_root_is_written_and_put_back() {
    if !is_root("a_read_only_root_is_written_and_put_back") {
        return;
    }
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
        mount(Some("tmpfs"), &path, Some("tmpfs"), flags, NONE).unwrap();
        fixture.file("etc/a", "old");
        remount(&path, flags | MsFlags::MS_RDONLY);
        let before = statvfs(&path).unwrap().flags();
        assert!(before.contains(FsFlags::ST_RDONLY | FsFlags::ST_NOSUID | FsFlags::ST_NOATIME));
        // Nothing to write: nothing is remounted, not even for a moment.
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(report, |_, changes| {
                file(root, b"/etc/a", b"old", changes);
                changes.run_file(root, b"/run/x", b"x").unwrap();
            });
            assert!(statvfs(&path).unwrap().flags().contains(FsFlags::ST_RDONLY));
        });
        assert_eq!(said, ["wrote /run/x"]);
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(report, |_, changes| {
                file(root, b"/etc/a", b"new", changes);
            });
            let now = statvfs(&path).unwrap().flags();
            assert_eq!(now, before - FsFlags::ST_RDONLY);
        });
        assert_eq!(said, ["wrote /etc/a"]);
        assert_eq!(fixture.text("etc/a"), "new");
        assert_eq!(statvfs(&path).unwrap().flags(), before);
        // Also when nobody calls finish.
        let arena = Arena::new();
        let root = fixture.root(&arena);
        let mut report = Report::new(&arena, Console::Silent);
        Writer::new(&root, Policy::Auto).apply(&mut report, |_, changes| {
            file(&root, b"/etc/a", b"newer", changes);
        });
        assert_eq!(fixture.text("etc/a"), "newer");
        assert_eq!(statvfs(&path).unwrap().flags(), before);
        // The door does not keep the file system busy.
        nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH).unwrap();
    });
}

#[test]
fn a_root_that_cannot_go_back_is_told() {
    if !is_root("a_root_that_cannot_go_back_is_told") {
        return;
    }
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
        fixture.directory("etc");
        remount(&path, MsFlags::MS_RDONLY);
        let mut busy = None;
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(report, |_, changes| file(root, b"/etc/a", b"x", changes));
            busy = Some(fs::File::create(fixture.host("busy")).unwrap());
        });
        let problem = format!(
            "!remount read-only: {}: Device or resource busy",
            path.display()
        );
        assert_eq!(said, ["wrote /etc/a".to_owned(), problem]);
    });
}

/// A root that stays read-only: a bind mount below a mount that is not ours
/// to remount, as an image on squashfs would be.
#[test]
fn a_sealed_root_is_asked_for_again() {
    if !is_root("a_sealed_root_is_asked_for_again") {
        return;
    }
    let fixture = Fixture::new();
    fixture.file("etc/hostname", "old\n");
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        // Not a mount point: the remount fails, and the whole is read-only.
        let top = fixture.top();
        mount(Some(top), top, NONE, MsFlags::MS_BIND, NONE).unwrap();
        let flags = MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        remount(top, flags);
        let run = top.join("run");
        mount(Some("tmpfs"), &run, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
        let mut columns = Vec::new();
        let seen = std::cell::RefCell::new(&mut columns);
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(report, |column, changes| {
                seen.borrow_mut().push(column);
                changes.note(&[b"said once"]);
                let path: &[u8] = match column {
                    Column::Written => b"/etc/a",
                    _ => b"/run/a",
                };
                file(root, path, b"x", changes);
            });
            assert_eq!(writer.column(), Column::Sealed);
        });
        assert_eq!(columns, [Column::Written, Column::Sealed]);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with(&format!("remount read-write: {}: ", path.display())));
        assert_eq!(said[1..], ["wrote /run/a", "said once"]);
    });
}

#[test]
fn a_full_file_system_keeps_what_was_there() {
    if !is_root("a_full_file_system_keeps_what_was_there") {
        return;
    }
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        let size = Some("size=64k");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), size).unwrap();
        fixture.file("etc/a", "old");
        let large = vec![b'x'; 1 << 20];
        let arena = Arena::new();
        let large = &*arena.copy(&large);
        let root = fixture.root(&arena);
        let mut report = Report::new(&arena, Console::Silent);
        let mut writer = Writer::new(&root, Policy::Auto);
        writer.apply(&mut report, |_, changes| {
            file(&root, b"/etc/a", large, changes);
            file(&root, b"/etc/b", b"small", changes);
        });
        writer.finish(&mut report);
        assert_eq!(
            lines(&report),
            ["!write: /etc/a: No space left on device", "wrote /etc/b"]
        );
        assert_eq!(fixture.text("etc/a"), "old");
        let names: Vec<_> = fs::read_dir(path.join("etc"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    });
}

#[test]
fn labels_are_those_of_the_neighbours() {
    if !is_root("labels_are_those_of_the_neighbours") {
        return;
    }
    let fixture = Fixture::new();
    const LABEL: &[u8] = b"system_u:object_r:admin_home_t:s0:c1,c2\0";
    fixture.file("root/file", "");
    fixture.file("plain/file", "");
    let path = |path: &str| CString::new(fixture.host(path).as_os_str().as_bytes()).unwrap();
    let set = |at: &str, label: &[u8]| {
        rustix::fs::lsetxattr(
            path(at).as_c_str(),
            c"security.selinux",
            label,
            rustix::fs::XattrFlags::empty(),
        )
    };
    let get = |at: &str| {
        let mut room = [0u8; 100];
        let length = rustix::fs::lgetxattr(path(at).as_c_str(), c"security.selinux", &mut room[..]);
        length.ok().map(|length| room[..length].to_vec())
    };
    if let Err(errno) = set("root", LABEL) {
        eprintln!("labels: skipped: the file system takes none: {errno}");
        return;
    }
    set("root/file", b"u:r:own_t\0").unwrap();
    fixture.apply(Policy::Auto, |root, writer, report| {
        writer.apply(report, |_, changes| {
            file(root, b"/root/file", b"new", changes);
            file(root, b"/root/other", b"new", changes);
            file(root, b"/plain/other", b"new", changes);
            let access = |mode| Access {
                mode,
                owner: None,
                label: Label::SshHome,
            };
            let what = What::File(File {
                content: b"key",
                access: access(0o600),
                folder: Folder::Kept(access(0o700)),
            });
            let spot = root.locate(b"/root/.ssh/authorized_keys").unwrap();
            let done = b"";
            changes.push(Change { spot, what, done });
        });
    });
    let ssh = Some(b"system_u:object_r:ssh_home_t:s0:c1,c2\0".to_vec());
    assert_eq!(get("root/.ssh"), ssh);
    assert_eq!(get("root/.ssh/authorized_keys"), ssh);
    assert_eq!(get("root/file"), Some(b"u:r:own_t\0".to_vec()));
    assert_eq!(get("root/other"), Some(LABEL.to_vec()));
    assert_eq!(get("plain/other"), None);
}

/// What no system call can follow: a link with a name longer than 255 bytes.
fn long_link(fixture: &Fixture, path: &str) {
    fixture.link(path, &"x".repeat(300));
}

const TOO_LONG: Errno = Errno::NAMETOOLONG;

#[test]
fn what_is_not_there_and_what_cannot_be_found_out() {
    let fixture = Fixture::new();
    fixture.file("etc/plain", "x");
    fixture.link("etc/gone", "/nowhere/at/all");
    fixture.link("etc/loop", "loop");
    fixture.link("etc/null", "/dev/null");
    long_link(&fixture, "etc/long");
    let arena = Arena::new();
    let root = fixture.root(&arena);
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
        assert_eq!(root.link(b"/etc/plain"), Ok(None));
        assert_eq!(root.link(b"/etc/gone"), Ok(Some(&b"/nowhere/at/all"[..])));
        assert_eq!(root.read_if_there(b"/etc/null"), Ok(None));
        for path in [b"/etc/long".as_slice(), b"/etc/long/x"] {
            assert_eq!(root.exists(path), Err(TOO_LONG.into()));
            assert_eq!(root.read_if_there(path), Err(TOO_LONG.into()));
            assert_eq!(root.list(path), Err(TOO_LONG.into()));
        }
        assert_eq!(root.link(b"/etc/long/x"), Err(TOO_LONG.into()));
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
            Err(Error::new(&"not a regular file"))
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
    let arena = Arena::new();
    let path = CString::new(fixture.top().join("root").as_os_str().as_bytes()).unwrap();
    let root = Root::open(&arena, &path, None).unwrap();
    for openat2 in [true, false] {
        root.openat2.set(openat2);
        for path in [b"/run/there".as_slice(), b"/run/x/y", b"/etc/link"] {
            assert_eq!(root.exists(path), Ok(false));
            assert_eq!(root.read(path).err(), Some(Error::from(Errno::NOENT)));
        }
        assert_eq!(root.list(b"/run"), Ok(&[][..]));
        assert_eq!(root.locate(b"/etc/link").unwrap().path(), b"/run/there");
        assert_eq!(
            root.locate(b"/run/../etc/name").unwrap().path(),
            b"/etc/name"
        );
    }
    let mut changes = Changes::new(&arena);
    changes.run_file(&root, b"/run/there", b"x").unwrap();
    assert_eq!(changes.list().len(), 1);
}

#[test]
fn units_are_there_or_not_or_that_is_not_known() {
    use units::{Unit, enabled, find, has_generator, is_init};
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
        let arena = Arena::new();
        let root = fixture.root(&arena);
        find(&root, name.as_bytes()).map(|unit| match unit {
            Unit::Missing => "missing",
            Unit::Masked => "masked",
            Unit::Found { .. } => "found",
        })
    };
    assert_eq!(ask("gone.service"), Ok("missing"));
    assert_eq!(ask("loop.service"), Ok("found"));
    assert_eq!(ask("off.service"), Ok("masked"));
    assert_eq!(ask("long.service"), Err(TOO_LONG.into()));
    let arena = Arena::new();
    let root = fixture.root(&arena);
    assert_eq!(enabled(&root, b"a.socket"), Err(TOO_LONG.into()));
    assert_eq!(has_generator(&root, b"netplan"), Err(TOO_LONG.into()));
    assert_eq!(is_init(&root), Ok(true));
    fs::rename(fixture.host("sbin"), fixture.host("bin")).unwrap();
    long_link(&fixture, "sbin");
    assert_eq!(is_init(&fixture.root(&arena)), Err(TOO_LONG.into()));
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
        let arena = Arena::new();
        let root = fixture.root(&arena);
        let home = root.locate(b"/home/alice").unwrap();
        (mounted_later(&root, home), later_mounts(&root).problem)
    };
    assert_eq!(ask(Some("# none\n/dev/a / ext4\n")), (false, None));
    assert_eq!(ask(Some("/dev/a /home ext4\n")), (true, None));
    assert_eq!(ask(Some("/dev/a /home/bob ext4\n")), (false, None));
    assert_eq!(
        ask(Some("/dev/a /long/x ext4\n/dev/b /home ext4\n")),
        (true, Some(TOO_LONG.into()))
    );
    assert_eq!(ask(None), (false, Some(TOO_LONG.into())));
}
