//! No part of a value that may be secret is written anywhere, whatever its quoting and
//! however broken its line. The tests plant a mark in every variable of the program's
//! table and in some unknown ones, in every form, and look for it in all output of `plan`,
//! `plan --json`, `check` and `apply --dry-run`.

use crate::release;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use onecontext::context::variables::{IGNORED, Variable};

/// The two halves of the mark, with room for quotes between them. The mark needs the
/// lower-case letters: a word in capitals before a `=` is a name, and shown.
const LEFT: &str = "qZx7left";
const RIGHT: &str = "wKv8right";

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

/// Every variable of the program's table, and three others, with whether its value may be
/// shown, good or bad.
fn variables() -> Vec<(String, bool)> {
    let others = ["MY_SECRET", "X", "ONEAPP_PASSWORD"];
    let secret = others.iter().chain(IGNORED);
    let mut all: Vec<_> = secret.map(|name| (name.to_string(), false)).collect();
    for variable in Variable::ALL {
        let prefixes = variable.scope().prefixes().iter();
        all.extend(prefixes.map(|prefix| (format!("{prefix}{variable:?}"), variable.is_shown())));
    }
    for (name, is_public) in &mut all {
        let is_secret = |word: &&str| name.contains(word);
        let secret = ["PASSWORD", "KEY", "TOKEN", "SCRIPT", "DATA"];
        assert!(
            !*is_public || !secret.iter().any(is_secret),
            "{name} in the table"
        );
        *name = name
            .replace("n_", "0_")
            .replace("ALIASm", "ALIAS0")
            .replace('*', "X");
    }
    all
}

/// `@N` is the name, `@L` and `@R` are the halves of the mark, `@K` is a key.
fn fill(form: &str, name: &str) -> String {
    form.replace("@N", name)
        .replace("@L", LEFT)
        .replace("@R", RIGHT)
        .replace("@K", KEY)
}

/// Assignments, some of them with expansions of the shell.
const GOOD: [&str; 31] = [
    "@N='@L@R'",
    "@N=\"@L@R\"",
    "@N=@L@R",
    "@N='@L'\"@R\"",
    "@N=@L\\@R",
    "@N='@L'\\''@R'",
    "@N=\"@L\\\"@R\"",
    "@N=\"@L$x@R\"",
    "@N=\"$6$@L$@R\"",
    "@N=@L$@R",
    "@N=`@L @R`",
    "@N=\"@L`@R`\"",
    "@N=~@L@R",
    "@N=x:~@L@R",
    "@N=$(@L @R)",
    "@N=\"$(@L)@R\"",
    "@N=${@L:-@R}",
    "@N=\"${@L}@R\"",
    "@N=$'@L@R'",
    "@N=@L$\"@R\"",
    "export @N='@L@R'",
    "export @N=~\"@L\"@R",
    "@N='@L@R'\r",
    "@N=$x@L@R\r",
    "@N='@L\n@R'",
    "@N=\"$x\n@L\n@R\"",
    "@N='x=@L@R'",
    "@N=@L@R; z=1",
    "@N=~@L@R z=1",
    "@N='@L/@R@@L@R,@L@R @L@R'",
    "  \t@N=@L\\\n$x@R # @L@R",
];

/// Lines that assign nothing to `N`.
const BROKEN: [&str; 33] = [
    "@N = @L@R",
    "@N = '@L@R'",
    "@N = \"@L\"@R",
    "@N =@L@R",
    "@N =\"@L\"'@R'",
    "@N= @L@R",
    "@N= \"@L\"@R",
    "@N\t=\t@L@R",
    "@N = $@L@R",
    "@N = @L \"\"@R\" = \"",
    "export @N = @L@R",
    "@N=@L@R command",
    "@N='@L'@R command \"@L@R\"",
    "@N=\"@L$x\" @R",
    "@N=@L@R & z",
    "@N=@L@R|z",
    "@N=@L@R>z",
    "@N=(@L @R)",
    "@N+=@L@R",
    "@N[0]=@L@R",
    "@N: @L@R",
    "@N @L@R",
    "1@N=@L@R",
    "-@N=@L@R",
    "@L@R",
    "@L@R=",
    "@L@R = @N",
    "@L'@R'",
    "echo \"@L\"@R",
    "; @N=@L@R",
    "@N=1 @L@R=2 @L@R",
    "<@L@R>",
    "{ @N=@L@R; }\r",
];

/// One quote too many: the rest of the line is torn. Some of them assign the mark.
const TORN: [&str; 10] = [
    "@N=\"@L\"@R\"",
    "@N=\"\"@L@R\"",
    "\"@N=\"@L@R\"",
    "@N=\"@L@R\"\"",
    "@N = \"@L\"@R\"",
    "@N=\"@L@R\\\"",
    "@N='@L@R''",
    "@N='@L'@R'",
    "@N=\"@L@R\" \"",
    "@N=\"@L$x@R\" '@L@R",
];

/// Quotes that are never closed.
const OPEN: [&str; 9] = [
    "@N='@L@R",
    "@N=\"@L@R",
    "@N=\"@L\"\"@R\\\"",
    "@N=`@L@R",
    "@N=$(@L@R",
    "@N=${@L@R",
    "@N = \"@L@R",
    "@L@R \"@L@R",
    "@N='@L'@R'@L@R",
];

/// A missing quote makes the next variable part of this one.
const SWALLOWED: [&str; 6] = [
    "@N=\"10.0.0.1\nPASSWORD=\"@L@R\"\nZ=\"\"",
    "@N=\"example.org\nPASSWORD=\"my @L@R word\"\nZ=\"\"",
    "@N=\"x\\\"\nPASSWORD=\"@L@R, @L@R\"\nZ=\"\"",
    "@N=\"02:00:0a:12:01:01\\\nPASSWORD=\"@L@R\"\nZ=\"\"",
    "@N='10.0.0.0/8 via 10.0.0.2,\nPASSWORD='@L@R via @L@R, @L@R'\nZ=''",
    "@N=\"@L@R=\nETH0_DNS=\"x\nPASSWORD=\"@L@R\"\nZ=\"\"",
];

/// Texts that people may paste in place of a public key.
const KEYS: [&str; 9] = [
    "@N='@K a\n@L@R'",
    "@N='-----BEGIN OPENSSH PRIVATE KEY-----\n@L\n@R\n@L@R=\n-----END OPENSSH PRIVATE KEY-----\n@K a'",
    "@N='-----BEGIN RSA PRIVATE KEY-----\nProc-Type: @L@R\n\n@L@R\n@L@R'",
    "@N='-----BEGIN PRIVATE KEY-----\\n@L@R\\n@L@R\\n-----END PRIVATE KEY-----'",
    "@N='-----BEGIN PRIVATE KEY----- @L @R -----END PRIVATE KEY-----'",
    "@N='PuTTY-User-Key-File-3: ssh-rsa\nPublic-Lines: 1\n@L@R\nPrivate-Lines: 1\n@L@R'",
    "@N='ssh-ed25519 @L@R'",
    "@N='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkV\n@L@R\n@L@R @L@R'",
    "@N='@K*@L@R'",
];

/// A context with a NIC of OpenNebula, and one of StratusLab.
fn bases() -> [String; 2] {
    [
        format!(
            "ETH0_MAC='02:00:0a:12:01:01'\nETH0_IP='10.18.1.1'\nETH0_IP6='2001:db8::1'\n\
             USERNAME='alice'\nPUBLIC_KEY='{KEY} a'\n"
        ),
        format!("IP_PRIVATE='10.18.1.1'\nPUBLIC_KEY='{KEY} a'\n"),
    ]
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        for folder in ["root/etc", "root/root", "run"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        fs::write(top.join("root/etc/passwd"), passwd).unwrap();
        Self(top)
    }

    /// Runs the program on a context; no part of the mark may be in its output.
    fn try_context(&self, text: &str, commands: &[&str]) {
        fs::write(self.0.join("context.sh"), text).unwrap();
        for command in commands {
            let output = Command::new(release::program(command.split(' ')))
                .args(command.split(' '))
                .current_dir(&self.0)
                .output()
                .unwrap();
            let status = output.status.code();
            assert!(matches!(status, Some(0 | 1)), "{command}: {output:?}");
            let out = String::from_utf8_lossy(&output.stdout);
            let is_plan = out.contains("context ") || out.starts_with("{\"dialect\":");
            assert!(*command == CHECK || is_plan, "{command}: {output:?}");
            for stream in [&out, &String::from_utf8_lossy(&output.stderr)] {
                let low = stream.to_lowercase();
                for mark in [LEFT, RIGHT] {
                    let line = low.lines().find(|line| line.contains(&mark.to_lowercase()));
                    assert!(line.is_none(), "{command}: {line:?} of the context\n{text}");
                }
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PLAN: &str = "plan context.sh";
const JSON: &str = "plan --json context.sh --root root";
const CHECK: &str = "check context.sh --root root";
const APPLY: &str = "apply --dry-run --root root --run run --context context.sh";

/// Passes to `then` the lines of one form for all variables that it may be tried on,
/// with each of the bases.
fn each_base(form: &str, public_too: bool, then: &mut dyn FnMut(&str)) {
    for base in bases() {
        let mut text = base.clone();
        for (name, is_public) in variables() {
            let nic = name.starts_with("ETH0_") && !base.starts_with("ETH0_");
            if !nic && (public_too || !is_public) {
                text += &format!("{}\n", fill(form, &name));
            }
        }
        then(&text);
    }
}

#[test]
fn assignments_show_nothing() {
    let folder = Folder::new();
    for form in GOOD {
        each_base(form, false, &mut |text| {
            folder.try_context(text, &[PLAN, JSON, CHECK, APPLY]);
        });
    }
}

#[test]
fn broken_lines_show_nothing() {
    let folder = Folder::new();
    for (forms, public_too) in [(&BROKEN[..], true), (&TORN, false)] {
        for form in forms {
            each_base(form, public_too, &mut |text| {
                folder.try_context(text, &[PLAN, JSON, CHECK, APPLY]);
            });
        }
    }
}

#[test]
fn quotes_that_are_missing_show_nothing() {
    let folder = Folder::new();
    for (number, (name, is_public)) in variables().iter().enumerate() {
        // Each name gets some of the forms; every form is used with many names.
        for round in 0..2 {
            let base = &bases()[(number + round) % 2];
            for forms in [&OPEN[..], &SWALLOWED, &TORN] {
                if forms == TORN && *is_public {
                    continue;
                }
                let form = forms[(number / 2 + round * 5) % forms.len()];
                let line = fill(form, name);
                folder.try_context(&format!("{line}\n{base}TOKEN=\"{LEFT}\"\n"), &[PLAN, JSON]);
            }
        }
    }
    for (name, _) in variables().iter().filter(|(_, is_public)| *is_public) {
        for form in SWALLOWED {
            folder.try_context(&format!("{}\n", fill(form, name)), &[PLAN, JSON]);
        }
    }
}

#[test]
fn what_is_no_public_key_is_not_shown() {
    let folder = Folder::new();
    for form in KEYS {
        for (name, _) in variables().iter().filter(|(name, _)| name.contains("KEY")) {
            let line = fill(form, name);
            let base = "ETH0_MAC='02:00:0a:12:01:01'\nUSERNAME='alice'\n";
            folder.try_context(&format!("{base}{line}\n"), &[PLAN, JSON, APPLY]);
        }
    }
}

/// `apply` writes a password to one file, which root alone can read, and nowhere else:
/// to no other file and not to the console. It runs in a network of its own.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_password_is_in_one_file() {
    let mark = format!("{LEFT}{RIGHT}");
    let hash = format!("$6$salt${mark}{mark}");
    for (variable, line) in [
        (format!("PASSWORD='{mark}'"), format!("alice:{mark}\n")),
        (
            format!("CRYPTED_PASSWORD='{hash}'"),
            format!("alice:{hash}\n"),
        ),
        // The mark.
        (
            "PASSWORD_BASE64='cVp4N2xlZnR3S3Y4cmlnaHQ='".into(),
            format!("alice:{mark}\n"),
        ),
    ] {
        let folder = Folder::new();
        let top = &folder.0;
        for file in ["usr/sbin/chpasswd", "usr/lib/systemd/systemd"] {
            let file = top.join("root").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let context = top.join("context.sh");
        fs::write(&context, format!("USERNAME='alice'\n{variable}\n")).unwrap();
        let output = Command::new("unshare")
            .args(["--net", "--uts"])
            .arg(release::initramfs())
            .args([
                "apply",
                "--root",
                "root",
                "--run",
                "run",
                "--context",
                "context.sh",
            ])
            .current_dir(top)
            .output()
            .unwrap();
        assert!(!format!("{output:?}").contains(LEFT), "{output:?}");
        fs::remove_file(context).unwrap();
        let with_mark: Vec<_> = files(top)
            .into_iter()
            .filter(|file| fs::read_to_string(file).unwrap().contains(LEFT))
            .collect();
        let file = top.join("run/onecontext/passwords");
        assert_eq!(with_mark, std::slice::from_ref(&file), "{output:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), line);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
            0o600
        );
    }
}

/// All files below a directory.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Files of the disk, and names of files that it lacks.
#[test]
fn scripts_show_nothing() {
    let folder = Folder::new();
    for name in ["init.sh", "a.sh", "epilog.sh"] {
        fs::write(folder.0.join(name), format!("echo {LEFT}{RIGHT}\n")).unwrap();
    }
    let commands = [
        "plan .",
        "check . --root root",
        "apply --dry-run --root root --run run --context .",
    ];
    for base in bases() {
        folder.try_context(&base, &commands);
        let text = format!(
            "{base}INIT_SCRIPTS='a.sh {LEFT}/{RIGHT}'\nSTART_SCRIPT_BASE64='{LEFT}{RIGHT}-'\n\
             START_SCRIPT='{LEFT}{RIGHT}'\n"
        );
        folder.try_context(&text, &commands);
    }
}

/// Lines of all forms in any order, from a seed that a failure names.
#[test]
fn mixed_lines_show_nothing() {
    let folder = Folder::new();
    let variables = variables();
    for seed in 0..60u64 {
        let mut state = seed;
        let mut below = |limit: usize| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) as usize % limit
        };
        let mut text = format!("# seed {seed}\n{}", bases()[seed as usize % 2]);
        for _ in 0..40 {
            let (name, is_public) = &variables[below(variables.len())];
            let form = match below(4) {
                0 | 1 if !is_public => GOOD[below(GOOD.len())],
                2 if seed % 3 == 0 && !is_public => TORN[below(TORN.len())],
                _ => BROKEN[below(BROKEN.len())],
            };
            text += &format!("{}\n", fill(form, name));
        }
        folder.try_context(&text, &[PLAN, JSON, CHECK, APPLY]);
    }
}
