//! `onecontext.scripts=run`: the files in the run directory.

use crate::*;
use std::path::Path;

const SECRET: &str = "qZx7secret";

/// A disk whose scripts and variables hold a secret.
fn disk(guest: &Guest, start_script: &str) -> std::path::PathBuf {
    let disk = guest.top.join("disk");
    fs::create_dir_all(&disk).unwrap();
    let context = format!(
        "SSH_PUBLIC_KEY='{KEY}'\nINIT_SCRIPTS='a.sh none-{SECRET}'\nPASSWORD='it'\\''s {SECRET}'\n\
         START_SCRIPT='{start_script}'\nUID='{SECRET}'\n"
    );
    fs::write(disk.join("context.sh"), context).unwrap();
    fs::write(disk.join("a.sh"), format!("echo {SECRET}\n")).unwrap();
    disk
}

/// Applies it; the exit status, and all that was reported anywhere.
fn apply(guest: &mut Guest, disk: &Path) -> (i32, String) {
    let status = Command::new(release::initramfs())
        .args(["apply", "--root"])
        .arg(guest.top.join("root"))
        .arg("--run")
        .arg(guest.top.join("run"))
        .arg("--context")
        .arg(disk)
        .status()
        .unwrap();
    let mut said = guest.said();
    for file in ["onecontext/report", "issue.d/50-onecontext.issue"] {
        said += &fs::read_to_string(guest.top.join("run").join(file)).unwrap();
    }
    assert!(!said.contains(SECRET), "{said}");
    (status.code().unwrap(), said)
}

#[test]
#[ignore = "needs root: make test-fast"]
fn systemd_is_told_to_run_the_scripts() {
    let mut guest = Guest::new();
    let run = guest.top.join("run");
    let folder = run.join("onecontext/scripts");
    let wants = run.join("systemd/system/multi-user.target.wants/onecontext-scripts.service");
    let first = disk(&guest, &format!("echo {SECRET}"));

    // Without the parameter, no scripts.
    let (_, said) = apply(&mut guest, &first);
    assert!(
        said.contains("START_SCRIPT: is not run without onecontext.scripts=run"),
        "{said}"
    );
    assert!(!folder.exists() && !wants.is_symlink());

    guest.kernel_line("quiet onecontext.scripts=run\n");
    let (status, said) = apply(&mut guest, &first);
    // One of the scripts is missing.
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("INIT_SCRIPTS: a script of the disk is left out: word 2: no such file"),
        "{said}"
    );
    assert!(said.contains("a shell would break: UID"), "{said}");
    release::assert_unsaid(&said, "is not run without onecontext.scripts=run");
    assert!(wants.is_symlink());
    for (name, expected) in [
        ("", 0o700),
        ("disk", 0o700),
        ("run", 0o700),
        ("START_SCRIPT", 0o700),
        ("disk/a.sh", 0o700),
        ("environment", 0o600),
        ("disk/context.sh", 0o600),
    ] {
        assert_eq!(mode(&folder.join(name)), (expected, 0), "{name}");
    }
    let context = fs::read(first.join("context.sh")).unwrap();
    assert_eq!(fs::read(folder.join("disk/context.sh")).unwrap(), context);
    let environment = fs::read_to_string(folder.join("environment")).unwrap();
    assert!(
        environment.contains(&format!("export PASSWORD='it'\\''s {SECRET}'\n")),
        "{environment}"
    );

    // A later context of the same boot.
    let second = disk(&guest, "echo 2");
    apply(&mut guest, &second);
    assert_eq!(
        fs::read_to_string(folder.join("START_SCRIPT")).unwrap(),
        "echo 2"
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn without_systemd_it_is_said_how_to_run_them() {
    let mut guest = Guest::new();
    fs::remove_file(guest.top.join("root/sbin/init")).unwrap();
    fs::write(guest.top.join("root/sbin/init"), "").unwrap();
    guest.kernel_line("onecontext.scripts=run\n");
    let disk = disk(&guest, "exit");
    let (status, said) = apply(&mut guest, &disk);
    assert_eq!(status, 1);
    assert!(
        said.contains("hand over: scripts: this image's init is not systemd: have it run /bin/sh"),
        "{said}"
    );
    let run = guest.top.join("run");
    assert!(run.join("onecontext/scripts/run").exists());
    assert!(
        !run.join("systemd/system/onecontext-scripts.service")
            .exists()
    );
}
