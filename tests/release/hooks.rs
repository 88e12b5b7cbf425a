//! dracut's modules and the hook of initramfs-tools, with stand-ins for the functions
//! of these generators. The boot tests look at the real results in images.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An empty root of an image below this crate's target directory.
fn root(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&root);
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The output of a command that has to succeed, with nothing on stderr.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// What `install` of the module asks dracut for, in an image for any host; its
/// initramfs is in the directory `initramfs` of the root.
fn installed(module: &str, root: &Path, kernel_cmdline: &str) -> Vec<String> {
    const SCRIPT: &str = r#"
        inst_simple() { echo "file $1"; }
        inst_hook() { echo "hook $1 $2"; }
        inst_rules() { for rule; do echo "rule $rule ${hostonly:+of the image}"; done; }
        dracut_module_included() { return 1; }
        dracutsysrootdir=$1
        hostonly=
        moddir=$2
        initdir=$1/initramfs
        kernel_cmdline=${3-}
        . "$moddir/module-setup.sh"
        install
    "#;
    let mut bash = Command::new("bash");
    bash.args(["-euc", SCRIPT, "bash"]).arg(root);
    bash.arg(top().join("dracut").join(module));
    let said = said(bash.arg(kernel_cmdline));
    said.lines().map(|line| line.trim().to_string()).collect()
}

/// A NIC keeps its name once it is up (before Linux 6.2), so in the initramfs it must
/// get the name that the image gives it.
#[test]
fn what_names_nics_in_the_image_names_them_in_the_initramfs() {
    let root = root("names");
    write(&root, "usr/lib/systemd/network/99-default.link", "[Link]\n");
    write(&root, "usr/lib/systemd/network/20-wired.network", "");
    write(&root, "usr/local/lib/systemd/network/50-lan.link", "");
    write(&root, "etc/systemd/network/50-lan.link.d/name.conf", "");
    let rule = "SUBSYSTEM==\"net\", ATTR{address}==\"02:00:0a:12:01:01\", NAME=\"lan0\"\n";
    write(&root, "etc/udev/rules.d/70-persistent-net.rules", rule);
    let rule = "SUBSYSTEM==\"block\", SYMLINK+=\"data\"\n";
    write(&root, "etc/udev/rules.d/70-disk.rules", rule);
    // Switched off, as udev(7) and systemd.link(5) describe.
    symlink(
        "/dev/null",
        root.join("etc/systemd/network/99-default.link"),
    )
    .unwrap();
    let rule = root.join("etc/udev/rules.d/80-net-setup-link.rules");
    symlink("/dev/null", rule).unwrap();
    assert_eq!(
        installed("50onecontext", &root, ""),
        [
            "file /usr/lib/onecontext/onecontext",
            "rule 75-net-description.rules of the image",
            "rule 80-net-setup-link.rules of the image",
            "rule 70-persistent-net.rules of the image",
            "file /usr/lib/systemd/network/99-default.link",
            "file /usr/local/lib/systemd/network/50-lan.link",
            "file /etc/systemd/network/99-default.link",
            "file /etc/systemd/network/50-lan.link.d/name.conf",
            "hook pre-pivot 20",
        ]
    );
}

#[test]
fn an_image_without_any_such_file_gets_the_rest() {
    let root = root("no-names");
    assert_eq!(
        installed("50onecontext", &root, ""),
        [
            "file /usr/lib/onecontext/onecontext",
            "rule 75-net-description.rules of the image",
            "rule 80-net-setup-link.rules of the image",
            "hook pre-pivot 20",
        ]
    );
}

/// Both stages set up the same links; a root without a passphrase waits for neither.
#[test]
fn the_early_stage_ends_before_the_other_begins() {
    let path = top().join("dracut/50onecontext/onecontext.service");
    let unit = fs::read_to_string(path).unwrap();
    let after = unit.lines().filter_map(|line| line.strip_prefix("After="));
    let mut names = after.flat_map(str::split_whitespace);
    assert!(
        names.any(|name| name == "onecontext-early.service"),
        "{unit}"
    );
}

/// dracut goes on without the module.
#[test]
fn a_program_that_is_missing_is_said() {
    const SCRIPT: &str = r#"
        require_binaries() { return 1; }
        dwarn() { echo "$1"; }
        . "$1"
        check || echo "left out"
    "#;
    let mut bash = Command::new("bash");
    let module = top().join("dracut/50onecontext/module-setup.sh");
    let said = said(bash.args(["-euc", SCRIPT, "bash"]).arg(module));
    let missing = "onecontext: /usr/lib/onecontext/onecontext is missing\n";
    assert_eq!(said, format!("{missing}left out\n"));
}

/// It is in the initramfs if there is a server, or if the image's command lines ask for
/// it.
#[test]
fn the_early_stage_is_only_where_it_serves() {
    let early = |root: &Path, line: &str| installed("99onecontext-early", root, line);
    let hook = ["hook initqueue/settled 01"];
    let root = root("early");
    write(
        &root,
        "etc/default/grub",
        "GRUB_CMDLINE_LINUX=\"quiet onecontext=auto\"\n",
    );
    assert!(early(&root, "quiet onecontext.debug").is_empty());
    assert_eq!(early(&root, "quiet onecontext.early=keys"), hook);
    for (path, text) in [
        ("initramfs/usr/sbin/sshd", ""),
        ("initramfs/bin/dropbear", ""),
        (
            "initramfs/etc/cmdline.d/01-default.conf",
            "onecontext.early=network\n",
        ),
        (
            "etc/kernel/cmdline",
            "root=/dev/vda onecontext.early=network\n",
        ),
        (
            "etc/default/grub.d/early.cfg",
            "GRUB_CMDLINE_LINUX+=\" onecontext.early=keys\"\n",
        ),
    ] {
        write(&root, path, text);
        assert_eq!(early(&root, ""), hook, "{path}");
        fs::remove_file(root.join(path)).unwrap();
    }
}

/// Whether the script of the early stage stays in an initramfs of initramfs-tools.
fn keeps_the_early_script(root: &Path) -> bool {
    let script = "initramfs/scripts/init-premount/onecontext";
    write(root, script, "");
    write(
        root,
        "functions",
        "copy_exec() { :; }\nmanual_add_modules() { :; }\n",
    );
    let hook = fs::read_to_string(top().join("initramfs-tools/hooks/onecontext")).unwrap();
    let functions = root.join("functions");
    let functions = functions.to_str().unwrap();
    let hook = hook
        .replace("/usr/share/initramfs-tools/hook-functions", functions)
        .replace("-x /usr/lib/onecontext/onecontext", "-x /bin/sh")
        .replace(" /etc/", &format!(" {}/etc/", root.display()));
    let mut shell = Command::new("sh");
    shell.env("DESTDIR", root.join("initramfs"));
    shell.env("CONFDIR", root.join("etc/initramfs-tools"));
    said(shell.args(["-euc", &hook, "sh", ""]));
    root.join(script).exists()
}

#[test]
fn initramfs_tools_has_the_early_stage_only_where_it_serves() {
    let root = root("early-initramfs-tools");
    write(
        &root,
        "etc/default/grub",
        "GRUB_CMDLINE_LINUX=\"onecontext=auto\"\n",
    );
    write(
        &root,
        "etc/initramfs-tools/hooks/keymap",
        "copy_exec /bin/loadkeys\n",
    );
    assert!(!keeps_the_early_script(&root));
    for (path, text) in [
        ("initramfs/sbin/dropbear", ""),
        ("initramfs/usr/sbin/tinysshd", ""),
        ("etc/kernel/cmdline", "quiet onecontext.early=network\n"),
        (
            "etc/default/grub.d/early.cfg",
            "GRUB_CMDLINE_LINUX=onecontext.early=keys\n",
        ),
        // It runs after those of packages.
        (
            "etc/initramfs-tools/hooks/ssh",
            "copy_exec /usr/sbin/sshd\n",
        ),
    ] {
        write(&root, path, text);
        assert!(keeps_the_early_script(&root), "{path}");
        fs::remove_file(root.join(path)).unwrap();
    }
}
