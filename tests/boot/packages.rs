//! The Debian package: each step of its life has the initramfs made anew by a
//! trigger, whatever the generator; and a machine boots after each.

use super::*;

/// Debian 12 with initramfs-tools, and with dracut; and a file of each that starts
/// it, which the later version has longer.
const IMAGES: [(Image, &str); 2] = [
    (Image::PackagePurged, "scripts/init-bottom/onecontext"),
    (Image::With("package-dracut"), "system/onecontext.service"),
];

#[test]
#[ignore = "makes images"]
fn each_step_makes_the_initramfs_anew() {
    let _boot = Boot::begin();
    for (image, script) in IMAGES {
        let before = image.list_after("before");
        assert!(before.contains("/init"), "{before}");
        assert!(!before.contains("onecontext"), "{before}");

        let installed = image.list_after("installed");
        assert!(installed.contains("usr/lib/onecontext/onecontext"));
        assert!(size(&installed, script).is_some(), "{installed}");

        let upgraded = image.list_after("upgraded");
        let line = "# later\n".len();
        assert_eq!(
            size(&upgraded, script),
            size(&installed, script).map(|size| size + line)
        );

        // The last step is "purged".
        for list in [image.list_after("removed"), image.list()] {
            assert!(list.contains("/init"), "{list}");
            assert!(!list.contains("onecontext"), "{list}");
        }
        assert_eq!(
            size(&image.list_after("reinstalled"), script),
            size(&installed, script)
        );
    }
}

/// The size of a file in a list as that of `ls -l`: mode, links, owner, group, size.
fn size(list: &str, file: &str) -> Option<usize> {
    let mut lines = list.lines().filter(|line| line.starts_with('-'));
    let line = lines.find(|line| line.ends_with(file))?;
    line.split_whitespace().nth(4)?.parse().ok()
}

/// A login as with any other image; `demo` boots one where it was installed once.
#[test]
#[ignore = "boots a machine"]
fn reinstalled() {
    opennebula_one_nic(Image::PackageReinstalled, |machine| machine);
}

/// Nothing of it is left, and the machine boots without it.
#[test]
#[ignore = "boots a machine"]
fn purged() {
    let (machine, key) = machine(Image::PackagePurged);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    let mut running = machine
        .nic(MAC1, 1)
        .disk(&disk, Drive::Cdrom)
        .kernel(SHELL)
        .start();
    let mut shell = running.shell();
    assert_untouched(&mut shell);
    assert_eq!(shell.run("find / -xdev -name '*onecontext*'"), "");
}
