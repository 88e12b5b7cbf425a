//! The Debian package. At each step of its life a trigger rebuilds the initramfs,
//! whatever the generator; and a machine boots after each step.

use super::*;

/// With initramfs-tools. The size of a script shows which version is in it: the later
/// one is longer.
#[test]
#[ignore = "makes images"]
fn each_step_makes_the_initramfs_anew() {
    let _boot = Boot::begin();
    let image = Image::PackagePurged;
    let script = |step| size(&image.list_after(step), "scripts/init-bottom/onecontext");
    let installed = script("installed");
    assert!(installed.is_some());
    assert_eq!(
        script("upgraded"),
        installed.map(|size| size + "# later\n".len())
    );
    assert_eq!(script("reinstalled"), installed);
    assert_holds_none(&image.list_after("removed"));
    assert_installed_and_purged(image);
}

#[test]
#[ignore = "makes images"]
fn dracut_makes_the_initramfs_anew() {
    let _boot = Boot::begin();
    assert_installed_and_purged(Image::With("package-dracut"));
}

/// The last step is "purged".
fn assert_installed_and_purged(image: Image) {
    assert_holds_none(&image.list_after("before"));
    let installed = image.list_after("installed");
    let program = "usr/lib/onecontext/onecontext";
    assert!(size(&installed, program).is_some(), "{installed}");
    assert_holds_none(&image.list());
}

fn assert_holds_none(list: &str) {
    assert!(
        size(list, "init").is_some() || list.contains("/systemd"),
        "{list}"
    );
    assert!(!list.contains("onecontext"), "{list}");
}

/// The size of a file in a list as `ls -l` prints it: mode, links, owner, group, size.
fn size(list: &str, file: &str) -> Option<usize> {
    let mut lines = list.lines().filter(|line| line.starts_with('-'));
    let line = lines.find(|line| line.ends_with(file))?;
    line.split_whitespace().nth(4)?.parse().ok()
}

/// A login as with any other image. `demo` boots an image where the package was
/// installed once.
#[test]
#[ignore = "boots a machine"]
fn reinstalled() {
    opennebula_one_nic(Image::PackageReinstalled, |machine| machine);
}

/// Nothing of the package is left, and the machine boots without it.
#[test]
#[ignore = "boots a machine"]
fn purged() {
    let (machine, _) = with_one_nic(Image::PackagePurged);
    let mut running = machine.kernel(SHELL).start();
    let mut shell = running.shell();
    assert_untouched(&mut shell);
    assert_eq!(shell.run("find / -xdev -name '*onecontext*'"), "");
}
