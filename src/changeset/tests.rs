use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::*;
use crate::base::log::{Console, Report};
use crate::image::Root;
use crate::image::testing::{Fixture, in_own_mounts, is_root, lines};

const NONE: Option<&str> = None;

fn remount(path: &Path, flags: MsFlags) {
    mount(NONE, path, NONE, flags | MsFlags::MS_REMOUNT, NONE).unwrap();
}

/// A change of one file of the root.
fn file<'a>(root: &Root<'a>, path: &[u8], content: &'a [u8], changes: &mut Changes<'a>) {
    changes.file(root.resolve(path).unwrap(), File::public(content));
}

#[test]
fn a_change_is_shown_before_it_is_made() {
    let fixture = Fixture::new();
    fixture.directory("etc");
    let arena = Arena::new();
    let root = fixture.root(&arena);
    let mut changes = Changes::new(&arena);
    file(&root, b"/etc/a", b"x", &mut changes);
    changes.run_file(b"/run/x/y", b"x").unwrap();
    changes.run_symlink(b"/run/l", b"/usr/lib/t", b"").unwrap();
    let changes = changes.pending(&root);
    let mut text = arena.vector();
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
                changes.run_file(b"/run/x", b"x").unwrap();
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
        // `Root` does not keep the file system busy.
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
            writer.apply(report, |access, changes| {
                seen.borrow_mut().push(access);
                changes.note(&[b"said once"]);
                let path: &[u8] = match access {
                    RootAccess::Writable => b"/etc/a",
                    _ => b"/run/a",
                };
                file(root, path, b"x", changes);
            });
            assert_eq!(writer.access(), RootAccess::ReadOnly);
        });
        assert_eq!(columns, [RootAccess::Writable, RootAccess::ReadOnly]);
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
        let mut buffer = [0u8; 100];
        let length =
            rustix::fs::lgetxattr(path(at).as_c_str(), c"security.selinux", &mut buffer[..]);
        length.ok().map(|length| buffer[..length].to_vec())
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
            let access = Access {
                label: Label::NetConf,
                ..Access::PUBLIC
            };
            let what = File {
                access,
                ..File::public(b"new")
            };
            changes.file(root.resolve(b"/root/resolv.conf").unwrap(), what);
            let access = |mode| Access {
                mode,
                owner: None,
                label: Label::SshHome,
            };
            let what = Action::File(File {
                content: b"key",
                access: access(0o600),
                folder: Folder::Kept(access(0o700)),
            });
            let resolved = root.resolve(b"/root/.ssh/authorized_keys").unwrap();
            let done = b"";
            changes.push(Change {
                path: resolved,
                action: what,
                done,
            });
        });
    });
    let ssh = Some(b"system_u:object_r:ssh_home_t:s0:c1,c2\0".to_vec());
    assert_eq!(get("root/.ssh"), ssh);
    assert_eq!(get("root/.ssh/authorized_keys"), ssh);
    assert_eq!(get("root/file"), Some(b"u:r:own_t\0".to_vec()));
    assert_eq!(get("root/other"), Some(LABEL.to_vec()));
    let net = Some(b"system_u:object_r:net_conf_t:s0:c1,c2\0".to_vec());
    assert_eq!(get("root/resolv.conf"), net);
    assert_eq!(get("plain/other"), None);
}
