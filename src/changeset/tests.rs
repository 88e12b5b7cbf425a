use crate::base::memory::{self, Vector};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::place::{Action, Step};
use super::*;
use crate::base::description::{Describe, Lines};
use crate::base::error::Error;
use crate::base::json::Json;
use crate::base::log::Level;
use crate::base::log::{Console, Report};
use crate::image::config_file::ConfigFile;
use crate::image::later_mounts::LaterMounts;
use crate::image::testing::{Attribute, Fixture, decided, in_own_mounts, lines};
use crate::image::{ResolvedPath, Root};

const NONE: Option<&str> = None;

fn remount(path: &Path, flags: MsFlags) {
    mount(NONE, path, NONE, flags | MsFlags::MS_REMOUNT, NONE).unwrap();
}

fn mount_tmpfs(at: &Path, flags: MsFlags, options: Option<&str>) {
    let tmpfs = Some("tmpfs");
    mount(tmpfs, at, tmpfs, flags, options).unwrap();
}

/// A change that writes a file of the root.
fn file(root: &Root, path: &[u8], content: &'static [u8], changes: &mut Changes) {
    changes.file(root.resolve(path).unwrap(), File::public(content));
}

/// The same for a file over which a copy may be mounted.
fn instead(root: &Root, path: &[u8], content: &'static [u8], changes: &mut Changes) {
    let missing = memory::place(Reason {
        level: Level::Problem,
        step: c"write".into(),
        operand: b"a file",
        error: Error::new(c"there is none"),
    });
    let file = ConfigFile::read(root, path).unwrap();
    changes.replace(file, content, Label::Neighbour, missing);
}

#[test]
fn a_change_is_shown_before_it_is_made() {
    let fixture = Fixture::new();
    fixture.directory("etc");
    let root = fixture.root();
    let mut changes = Changes::new();
    file(&root, b"/etc/a", b"x", &mut changes);
    changes.run_file(b"/run/x/y", b"x").unwrap();
    changes
        .run_symlink(b"/run/l", b"/usr/lib/t", Done::Path)
        .unwrap();
    let mut changes = changes.place(&root);
    let [path, copy] = [b"/etc/b", b"/run/b"].map(|path| ResolvedPath::new(path).unwrap());
    for action in [Action::MountOver(copy), Action::Remove] {
        let done = None;
        changes.steps.push(Step { path, action, done });
    }
    let [mut text, mut json] = [Vector::new(), Vector::new()];
    changes.describe(&mut Lines(&mut text));
    changes.describe(&mut Json(&mut json));
    let text = std::str::from_utf8(&text).unwrap();
    assert_eq!(
        text,
        "file /etc/a 0644\nfile /run/x/y 0644\nlink /run/l /usr/lib/t\n\
         bind /etc/b /run/b\nremove /etc/b\n"
    );
    let json = std::str::from_utf8(&json).unwrap();
    assert_eq!(
        json,
        "\"directives\":[],\"changes\":[\
         {\"kind\":\"file\",\"path\":\"/etc/a\",\"mode\":\"0644\"},\
         {\"kind\":\"file\",\"path\":\"/run/x/y\",\"mode\":\"0644\"},\
         {\"kind\":\"link\",\"path\":\"/run/l\",\"target\":\"/usr/lib/t\"},\
         {\"kind\":\"bind\",\"path\":\"/etc/b\",\"source\":\"/run/b\"},\
         {\"kind\":\"remove\",\"path\":\"/etc/b\"}]"
    );
    assert!(!fixture.has("etc/a") && !fixture.has("run/x") && !fixture.has("run/l"));
}

/// It would be hidden in the booted system, and the mount point no longer empty.
#[test]
fn nothing_is_written_where_something_is_mounted_later() {
    let fixture = Fixture::new();
    fixture.file("etc/fstab", "LABEL=data /data ext4\n");
    fixture.file("data/keep", "");
    fixture.file("etc/hosts", "");
    let root = fixture.root();
    let mounts = memory::place(LaterMounts::read(&root, Ok(None), b""));
    let said = fixture.apply(Policy::Auto, |root, writer, report| {
        let mut changes = Changes::new();
        changes.mounts = Some(mounts);
        for path in [&b"/data/hosts"[..], b"/etc/hosts"] {
            instead(root, path, b"new", &mut changes);
        }
        writer.apply(&changes, report);
    });
    let problem = "!write: /data/hosts: something is mounted there later, which would hide it";
    assert_eq!(said, [problem, "wrote /etc/hosts"]);
    assert!(!fixture.has("data/hosts"));
}

/// Also one whose temporary name would be too long.
#[test]
fn a_file_with_the_longest_name_is_written() {
    let fixture = Fixture::new();
    for length in [243, 244, 255] {
        let path = format!("/etc/{}", "n".repeat(length));
        fixture.directory("etc");
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            let path = path.as_bytes();
            writer.apply(
                &decided(|changes| file(root, path, b"new", changes)),
                report,
            );
        });
        assert!(
            said.iter().all(|line| line.starts_with("wrote /etc/n")),
            "{said:?}"
        );
        assert_eq!(fixture.text(&path), "new");
    }
}

/// A path of the image cannot make another line.
#[test]
fn a_path_stays_on_its_line() {
    let fixture = Fixture::new();
    fixture.directory("var");
    fixture.link("etc/hosts", "../var/a\nwarning x");
    let root = fixture.root();
    let changes = decided(|changes| file(&root, b"/etc/hosts", b"new", changes));
    let mut text = Vector::new();
    changes.place(&root).describe(&mut Lines(&mut text));
    assert_eq!(
        String::from_utf8_lossy(&text),
        "file /var/a?warning x 0644\n"
    );
}

#[test]
fn what_an_interrupted_write_left_is_swept() {
    let fixture = Fixture::new();
    fixture.file("etc/.a.onecontext", "half");
    fixture.change(Policy::Auto, |root, changes| {
        file(root, b"/etc/a", b"whole", changes);
    });
    assert_eq!(fixture.text("etc/a"), "whole");
    assert!(!fixture.has("etc/.a.onecontext"));
}

/// In an append-only directory a file can be created, but neither renamed nor removed.
/// So no temporary file may be created there.
#[test]
#[ignore = "needs root: make test-fast"]
fn nothing_is_left_in_an_append_only_directory() {
    let fixture = Fixture::new();
    fixture.file("etc/a", "old");
    let directory = fixture.host("etc");
    let append_only = Attribute::set(directory.clone(), 'a');
    let said = fixture.change(Policy::Auto, |root, changes| {
        file(root, b"/etc/a", b"new", changes);
    });
    let names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    drop(append_only);
    assert_eq!(
        said,
        ["!write: /etc/a: its directory is append-only (chattr(1))"]
    );
    assert_eq!(names, ["a"]);
    assert_eq!(fixture.text("etc/a"), "old");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_read_only_root_is_written_and_put_back() {
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
        mount_tmpfs(&path, flags, NONE);
        fixture.file("etc/a", "old");
        remount(&path, flags | MsFlags::MS_RDONLY);
        let before = statvfs(&path).unwrap().flags();
        assert!(before.contains(FsFlags::ST_RDONLY | FsFlags::ST_NOSUID | FsFlags::ST_NOATIME));
        // With nothing to write, the root is not remounted at all.
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(
                &decided(|changes| {
                    file(root, b"/etc/a", b"old", changes);
                    changes.run_file(b"/run/x", b"x").unwrap();
                }),
                report,
            );
            assert!(statvfs(&path).unwrap().flags().contains(FsFlags::ST_RDONLY));
        });
        assert_eq!(said, ["wrote /run/x"]);
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(
                &decided(|changes| {
                    file(root, b"/etc/a", b"new", changes);
                }),
                report,
            );
            let now = statvfs(&path).unwrap().flags();
            assert_eq!(now, before - FsFlags::ST_RDONLY);
        });
        assert_eq!(said, ["wrote /etc/a"]);
        assert_eq!(fixture.text("etc/a"), "new");
        assert_eq!(statvfs(&path).unwrap().flags(), before);
        // Also without a call of `finish`.
        let root = fixture.root();
        let mut report = Report::new(Console::Silent);
        Writer::new(&root, Policy::Auto).apply(
            &decided(|changes| {
                file(&root, b"/etc/a", b"newer", changes);
            }),
            &mut report,
        );
        assert_eq!(fixture.text("etc/a"), "newer");
        assert_eq!(statvfs(&path).unwrap().flags(), before);
        // `Root` does not keep the file system busy.
        nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH).unwrap();
    });
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_root_that_cannot_go_back_is_told() {
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        mount_tmpfs(&path, MsFlags::empty(), NONE);
        fixture.directory("etc");
        remount(&path, MsFlags::MS_RDONLY);
        let mut busy = None;
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(
                &decided(|changes| file(root, b"/etc/a", b"x", changes)),
                report,
            );
            busy = Some(fs::File::create(fixture.host("busy")).unwrap());
        });
        let problem = format!(
            "!remount read-only: {}: Device or resource busy",
            path.display()
        );
        assert_eq!(said, ["wrote /etc/a".to_owned(), problem]);
    });
}

/// A copy that lacks some of the directory's files would hide them.
#[test]
#[ignore = "needs root: make test-fast"]
fn an_incomplete_copy_is_not_mounted() {
    let fixture = Fixture::new();
    fixture.file("etc/ssh/ssh_host_ed25519_key", "secret");
    fixture.file("etc/ssh/sshd_config", "old");
    in_own_mounts(|| {
        let run = fixture.top().join("run");
        // The tmpfs has room for the directories and one file.
        let size = Some("nr_inodes=6");
        mount_tmpfs(&run, MsFlags::empty(), size);
        let said = fixture.change(Policy::Auto, |root, changes| {
            let name = b"sshd_config";
            let file = File::public(b"new");
            let what = What::Directory(memory::place(Replaced { name, file }));
            changes.push(Change {
                mount: Mount::Always,
                ..Change::new(root.resolve(b"/etc/ssh").unwrap(), what)
            });
        });
        assert_eq!(
            said,
            [
                "wrote /run/onecontext/copies/etc/ssh/ssh_host_ed25519_key",
                "!write: /run/onecontext/copies/etc/ssh/sshd_config: No space left on device",
                "!mount over: /etc/ssh: an incomplete copy",
                "!write: /run/onecontext/files: No space left on device",
            ]
        );
        assert_eq!(fixture.text("etc/ssh/sshd_config"), "old");
    });
}

/// For example a subvolume of btrfs, while another one is mounted at /var.
#[test]
#[ignore = "needs root: make test-fast"]
fn other_mounts_of_the_file_system_stay_as_they_are() {
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    let other = fixture.top().join("other");
    fs::create_dir(&other).unwrap();
    in_own_mounts(|| {
        mount_tmpfs(&other, MsFlags::empty(), NONE);
        mount(Some(&other), &path, NONE, MsFlags::MS_BIND, NONE).unwrap();
        fixture.directory("etc");
        let flags = MsFlags::MS_BIND | MsFlags::MS_NOSUID | MsFlags::MS_RDONLY;
        remount(&path, flags);
        let before = statvfs(&path).unwrap().flags();
        let said = fixture.change(Policy::Auto, |root, changes| {
            file(root, b"/etc/a", b"x", changes)
        });
        assert_eq!(said, ["wrote /etc/a"]);
        assert_eq!(statvfs(&path).unwrap().flags(), before);
        fs::write(other.join("etc/b"), "still writable").unwrap();
    });
}

/// A root that stays read-only, as an image on squashfs does: a bind mount below a
/// mount that we must not remount.
#[test]
#[ignore = "needs root: make test-fast"]
fn changes_to_a_sealed_root_are_placed_again() {
    let fixture = Fixture::new();
    fixture.file("etc/hostname", "old\n");
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        // It is no mount point, so the remount fails and the whole root is read-only.
        let top = fixture.top();
        mount(Some(top), top, NONE, MsFlags::MS_BIND, NONE).unwrap();
        let flags = MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        remount(top, flags);
        let run = top.join("run");
        mount_tmpfs(&run, MsFlags::empty(), NONE);
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            let changes = decided(|changes| {
                changes.note(&[b"said once"]);
                instead(root, b"/etc/hostname", b"new", changes);
                changes.if_written(|changes| changes.run_file(b"/run/w", b"x").unwrap());
                changes.if_not_written(|changes| changes.run_file(b"/run/n", b"x").unwrap());
            });
            writer.apply(&changes, report);
            assert_eq!(writer.state(), RootState::CannotBe);
        });
        assert!(said[0].starts_with(&format!("remount read-write: {}: ", path.display())));
        assert_eq!(
            said[1..],
            [
                "wrote /run/onecontext/copies/etc/hostname",
                "mounted over /etc/hostname",
                "wrote /run/n",
                "said once",
            ]
        );
        assert_eq!(fixture.text("etc/hostname"), "new");
    });
}

/// Whatever is decided, and although it could be written.
#[test]
fn a_root_that_must_not_be_written_is_not() {
    let fixture = Fixture::new();
    fixture.file("etc/b", "old");
    let before = fixture.picture();
    let said = fixture.change(Policy::ReadOnly, |root, changes| {
        file(root, b"/etc/a", b"x", changes);
        file(root, b"/etc/b", b"new", changes);
        let path = root.resolve(b"/etc/b").unwrap();
        changes.push(Change::new(path, What::Nothing));
        changes.written_later(|_| {});
    });
    assert_eq!(
        said,
        [
            "!write: /etc/a: Read-only file system",
            "!write: /etc/b: Read-only file system",
            "!remove: /etc/b: Read-only file system",
        ]
    );
    assert_eq!(fixture.picture(), before);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_full_file_system_keeps_what_was_there() {
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        let size = Some("size=64k");
        mount_tmpfs(&path, MsFlags::empty(), size);
        fixture.file("etc/a", "old");
        let large = vec![b'x'; 1 << 20];
        let large = memory::copy(&large);
        let root = fixture.root();
        let mut report = Report::new(Console::Silent);
        let mut writer = Writer::new(&root, Policy::Auto);
        writer.apply(
            &decided(|changes| {
                file(&root, b"/etc/a", large, changes);
                file(&root, b"/etc/b", b"small", changes);
            }),
            &mut report,
        );
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

/// A change that fails does not stop the others, and a mount stands in for it.
#[test]
#[ignore = "needs root: make test-fast"]
fn over_a_file_that_refuses_a_copy_is_mounted() {
    let fixture = Fixture::new();
    fixture.file("etc/a", "old");
    fixture.file("etc/b", "old");
    // A directory cannot be replaced by a file.
    fixture.directory("run/d");
    let _immutable = Attribute::set(fixture.host("etc/a"), 'i');
    in_own_mounts(|| {
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            let changes = decided(|changes| {
                instead(root, b"/etc/a", b"new", changes);
                instead(root, b"/etc/b", b"new", changes);
                changes.run_file(b"/run/d", b"new").unwrap();
                changes.note(&[b"said once"]);
            });
            writer.apply(&changes, report);
            // The root is still writable for the next changes.
            assert_eq!(writer.state(), RootState::Written);
        });
        assert_eq!(
            said,
            [
                "!write: /etc/a: Operation not permitted",
                "wrote /run/onecontext/copies/etc/a",
                "mounted over /etc/a",
                "wrote /etc/b",
                "!write: /run/d: Is a directory",
                "said once",
            ]
        );
        let texts = ["etc/a", "etc/b"].map(|path| fixture.text(path));
        assert_eq!(texts, ["new", "new"]);
    });
    assert_eq!(fixture.text("etc/a"), "old");
    // Nothing may stand in for this one.
    let said = fixture.apply(Policy::Auto, |root, writer, report| {
        let changes = decided(|changes| file(root, b"/etc/a", b"newer", changes));
        writer.apply(&changes, report);
    });
    assert_eq!(
        said,
        [
            "!write: /etc/a: Operation not permitted",
            "removed /run/onecontext/copies/etc/a",
        ]
    );
}

/// Like a root after a disk error (ext4(5), errors=remount-ro).
#[test]
#[ignore = "needs root: make test-fast"]
fn a_root_that_becomes_read_only_is_said() {
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        mount_tmpfs(&path, MsFlags::empty(), NONE);
        fixture.directory("etc");
        let said = fixture.apply(Policy::Auto, |root, writer, report| {
            writer.apply(
                &decided(|changes| file(root, b"/etc/a", b"x", changes)),
                report,
            );
            remount(&path, MsFlags::MS_RDONLY);
            writer.apply(
                &decided(|changes| {
                    changes.if_written(|changes| file(root, b"/etc/b", b"x", changes));
                    changes.if_not_written(|changes| changes.run_file(b"/run/b", b"x").unwrap());
                }),
                report,
            );
        });
        assert_eq!(
            said,
            [
                "wrote /etc/a",
                "!write: /etc/b: Read-only file system",
                "wrote /run/b",
            ]
        );
    });
}

#[test]
fn no_link_leads_out_of_the_run_directory() {
    let fixture = Fixture::new();
    fixture.directory("etc");
    fixture.link("run/out", "../root/etc");
    fixture.link("run/file", "../root/etc/file");
    let said = fixture.apply(Policy::Auto, |_, writer, report| {
        writer.apply(
            &decided(|changes| {
                changes.run_file(b"/run/out/a", b"x").unwrap();
                changes.run_file(b"/run/file", b"x").unwrap();
            }),
            report,
        );
    });
    assert_eq!(
        said,
        [
            "!write: /run/out/a: Too many levels of symbolic links",
            "wrote /run/file",
        ]
    );
    assert_eq!(fs::read_dir(fixture.host("etc")).unwrap().count(), 0);
    // The file replaced the link.
    let stat = fs::symlink_metadata(fixture.host("run/file")).unwrap();
    assert!(stat.is_file());
}

/// The ACL that lets the user 1000 read (acl(5); linux/posix_acl_xattr.h: version 2;
/// then tag, permissions and number of each entry).
fn list_for_user_1000(mask: u16) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [
        (0x01u16, 6u16, NOBODY),
        (0x02, 4, 1000),
        (0x04, 0, NOBODY),
        (0x10, mask, NOBODY),
        (0x20, 0, NOBODY),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_replaces_a_file_has_its_list_and_attributes() {
    use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
    let fixture = Fixture::new();
    fixture.file("etc/a", "old");
    let path = CString::new(fixture.host("etc/a").as_os_str().as_bytes()).unwrap();
    let set = |name: &std::ffi::CStr, value: &[u8]| {
        lsetxattr(path.as_c_str(), name, value, XattrFlags::empty())
    };
    let get = |name: &std::ffi::CStr| {
        let mut buffer = [0u8; 1000];
        let length = lgetxattr(path.as_c_str(), name, &mut buffer[..]).unwrap();
        buffer[..length].to_vec()
    };
    set(c"user.note", b"mine").expect("a file system with attributes");
    set(c"user.empty", b"").unwrap();
    set(c"system.posix_acl_access", &list_for_user_1000(4)).unwrap();
    let before = fixture.stat("etc/a");
    assert_eq!(before.0, 0o640);
    for content in [&b"new"[..], b"newer"] {
        fixture.change(Policy::Auto, |root, changes| {
            let resolved = root.resolve(b"/etc/a").unwrap();
            let access = Access::of(root.read_resolved(resolved).unwrap());
            changes.file(
                resolved,
                File {
                    access,
                    ..File::public(content)
                },
            );
        });
        assert_eq!(fs::read(fixture.host("etc/a")).unwrap(), content);
        assert_eq!(fixture.stat("etc/a"), before);
        assert_eq!(get(c"user.note"), b"mine");
        assert_eq!(get(c"user.empty"), b"");
        assert_eq!(get(c"system.posix_acl_access"), list_for_user_1000(4));
    }
    // With a mode that gives the group nothing, the mask hides the ACL.
    fixture.change(Policy::Auto, |root, changes| {
        let resolved = root.resolve(b"/etc/a").unwrap();
        let access = Access::ours(0o600);
        changes.file(
            resolved,
            File {
                access,
                ..File::public(b"private")
            },
        );
    });
    assert_eq!(fixture.stat("etc/a").0, 0o600);
    assert_eq!(get(c"system.posix_acl_access"), list_for_user_1000(0));
}

/// They would take the memory and time of later steps.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_file_with_very_many_attributes_is_left_alone() {
    use rustix::fs::{XattrFlags, lsetxattr};
    let fixture = Fixture::new();
    let path = fixture.top().join("root");
    in_own_mounts(|| {
        mount_tmpfs(&path, MsFlags::empty(), NONE);
        fixture.file("etc/a", "old");
        let write = || {
            fixture.change(Policy::Auto, |root, changes| {
                file(root, b"/etc/a", b"new", changes)
            })
        };
        let path = CString::new(fixture.host("etc/a").as_os_str().as_bytes()).unwrap();
        for name in [c"user.1", c"user.2"] {
            let value = [b'x'; 33 << 10];
            lsetxattr(path.as_c_str(), name, &value, XattrFlags::empty())
                .expect("a tmpfs with attributes");
        }
        let said = "!write: /etc/a: more than 64 KiB of attributes";
        assert_eq!(write(), [said]);
        assert_eq!(fixture.text("etc/a"), "old");
        assert_eq!(fs::read_dir(fixture.host("etc")).unwrap().count(), 1);
        rustix::fs::lremovexattr(path.as_c_str(), c"user.2").unwrap();
        assert_eq!(write(), ["wrote /etc/a"]);
    });
}

#[test]
#[ignore = "needs root: make test-fast"]
fn labels_are_those_of_the_neighbours() {
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
    set("root", LABEL).expect("a file system with labels");
    set("root/file", b"u:r:own_t\0").unwrap();
    fixture.change(Policy::Auto, |root, changes| {
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
        let what = File {
            content: b"key",
            access: access(0o600),
            directory: DirectoryPolicy::Enforce(access(0o700)),
        };
        let path = b"/root/.ssh/authorized_keys";
        changes.file(root.resolve(path).unwrap(), what);
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
