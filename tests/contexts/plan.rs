//! Each directory of tests/contexts/fixtures is a context disk and its plan: `context.sh`, other
//! files of the disk, `plan` with the text form, and `check` with the lines of the
//! command `check` beyond the plan's warnings, if there are any. `json` is of
//! `tests/contexts/json.rs`.
//!
//! `BLESS=1 cargo test --test contexts plan::` writes the plans again; read what changed.

use crate::release;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// With fewer directories than this, some were lost.
const LEAST: usize = 80;

#[test]
fn every_fixture_has_its_plan() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contexts/fixtures");
    let mut names: Vec<_> = fs::read_dir(&fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= LEAST, "{} fixtures", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        let run = |command: &str| {
            Command::new(release::binary())
                .args([command, name])
                .current_dir(&fixtures)
                .output()
                .unwrap()
        };
        let output = run("plan");
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            (output.status.code(), output.stderr),
            (Some(0), vec![]),
            "{name}"
        );
        let file = fixtures.join(name).join("plan");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &found).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            wrong.push(format!(
                "--- {name}, expected:\n{expected}--- found:\n{found}"
            ));
        }
        // `check` prints the warnings, and the lines of the file `check`.
        let output = run("check");
        let said = String::from_utf8(output.stdout).unwrap();
        let warnings: String = found
            .lines()
            .filter_map(|line| line.strip_prefix("warning "))
            .map(|line| format!("{line}\n"))
            .collect();
        let mistakes: String = said
            .lines()
            .filter(|line| !warnings.lines().any(|warning| warning == *line))
            .map(|line| format!("{line}\n"))
            .collect();
        let file = fixtures.join(name).join("check");
        if std::env::var_os("BLESS").is_some() && !mistakes.is_empty() {
            fs::write(&file, &mistakes).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if mistakes != expected {
            wrong.push(format!(
                "--- check {name}, expected:\n{expected}--- found:\n{mistakes}"
            ));
        }
        let lines = warnings.lines().count() + mistakes.lines().count();
        assert_eq!(said.lines().count(), lines, "{name}: {said}");
        assert_eq!(
            output.status.code(),
            Some(i32::from(!said.is_empty())),
            "{name}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs the program; exit status, standard output, standard error.
fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(release::program(arguments.iter().copied()))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_program_of_the_initramfs_says_where_plan_is() {
    for arguments in [
        &["plan"][..],
        &["check"],
        &["apply", "--root", "/", "--dry-run"],
        &["apply", "--early", "--dry-run"],
    ] {
        let output = Command::new(release::initramfs())
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(2), vec![]));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "onecontext: plan, check and --dry-run are not in the program of the initramfs: run\n\
             /usr/bin/onecontext of the booted system.\n"
        );
    }
    let output = Command::new(release::initramfs())
        .arg("--help")
        .output()
        .unwrap();
    let usage = String::from_utf8(output.stdout).unwrap();
    assert!(usage.starts_with("usage: onecontext apply --root DIR"));
    assert!(
        !usage.contains("plan") && !usage.contains("--dry-run"),
        "{usage}"
    );
}

#[test]
fn a_lone_file_is_called_by_its_name() {
    let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
    for (name, called) in [
        ("saved.txt", "saved.txt"),
        // The name would be two words of the text form.
        ("saved context.txt", "context.sh"),
    ] {
        fs::write(top.join(name), "A=1\nETH0_IP='10.0.0.x'\n").unwrap();
        let (_, out, _) = run(&["plan", name], &top);
        let warning = format!("\nwarning {called}:2 ETH0_IP: ");
        assert!(out.contains(&warning), "{out}");
    }
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn user_data_is_named_where_nothing_reads_it() {
    const WARNING: &str = "context.sh:2 USERDATA: is there and was not run";
    const UNIT: &str = "root/usr/lib/systemd/system/cloud-init-local.service";
    let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
    let text = "ETH0_MAC='02:00:0a:12:01:01'\nUSERDATA='#cloud-config'\n";
    fs::write(top.join("context.sh"), text).unwrap();
    for folder in ["root/sbin", "root/etc/init.d", "root/etc/rc2.d", "run"] {
        fs::create_dir_all(top.join(folder)).unwrap();
    }
    fs::create_dir_all(top.join(UNIT).parent().unwrap()).unwrap();
    symlink("/usr/lib/systemd/systemd", top.join("root/sbin/init")).unwrap();
    let named = |expected: bool| {
        for command in [
            &["plan", "context.sh", "--root", "root"][..],
            &["check", "context.sh", "--root", "root"],
            &[
                "apply",
                "--dry-run",
                "--root",
                "root",
                "--run",
                "run",
                "--context",
                "context.sh",
            ],
        ] {
            let (_, out, errors) = run(command, &top);
            assert_eq!((out + &errors).contains(WARNING), expected, "{command:?}");
        }
        assert!(run(&["plan", "context.sh"], &top).1.contains(WARNING));
    };
    named(true);
    fs::write(top.join(UNIT), "[Service]\nExecStart=/usr/bin/cloud-init\n").unwrap();
    named(false);
    // Without systemd a script starts it.
    fs::remove_file(top.join("root/sbin/init")).unwrap();
    fs::write(top.join("root/sbin/init"), "").unwrap();
    named(true);
    fs::write(top.join("root/etc/init.d/cloud-init-local"), "").unwrap();
    let link = top.join("root/etc/rc2.d/S01cloud-init-local");
    symlink("../init.d/cloud-init-local", link).unwrap();
    named(false);
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn a_user_that_the_root_lacks_is_named() {
    let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
    let text = "USERNAME='bob'\nUSERNAME_SHELL='/bin/zsh'\nPASSWORD='secret'\n";
    fs::write(top.join("context.sh"), text).unwrap();
    for file in [
        "etc/passwd",
        "bin/sh",
        "bin/zsh",
        "usr/sbin/useradd",
        "usr/sbin/chpasswd",
        "usr/lib/systemd/systemd",
    ] {
        let file = top.join("root").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
    }
    let plan = || run(&["plan", "context.sh", "--root", "root"], &top).1;
    let account = "\nuser bob\nshell bob /bin/zsh\nsudo bob\npassword bob plain\n";
    let made = "\ncreate-user bob /bin/zsh\nfile /run/onecontext/passwords 0600\n";
    let text = plan();
    assert!(text.contains(account) && text.contains(made), "{text}");
    let user = "bob:x:1000:1000::/home/bob:/bin/zsh\n";
    fs::write(top.join("root/etc/passwd"), user).unwrap();
    let text = plan();
    assert!(
        text.contains(account) && !text.contains("create-user"),
        "{text}"
    );
    fs::remove_dir_all(top).unwrap();
}

#[test]
fn misuse_is_named() {
    for (arguments, line) in [
        (&["frob"][..], "unknown command: frob"),
        (&["apply", "--root", "/", "--x"], "unknown option: --x"),
        (&["apply"], "apply needs --root, or --early"),
        (&["check", "--root"], "a value is missing after: --root"),
        (&["plan", "a", "b"], "more than one PATH: b"),
    ] {
        let (status, out, errors) = run(arguments, Path::new("/"));
        assert_eq!((status, out.as_str()), (Some(2), ""), "{arguments:?}");
        let expected = format!("onecontext: {line}\nusage: onecontext apply");
        assert!(errors.starts_with(&expected), "{errors}");
    }
}
