//! The scripts of a context, for the booted system to run: this program runs none of
//! them. A unit starts one shell file of ours, which runs them one after the other, as
//! OpenNebula's guest package does (one-apps: one-context.service, net-97-start-script,
//! net-98-execute-scripts): at each boot, after multi-user.target and once the network
//! is up, in a directory with the files of the disk, with the context's variables. If
//! one fails, the next is run all the same.
use crate::base::error::Error;
use crate::base::memory;
use crate::base::text::{Text, as_str, command, quote, words};
use crate::changeset::{Access, Changes, DirectoryPolicy, Done, File};
use crate::image::ResolvedPath;
use crate::plan::Scripts;

const UNIT: &[u8] = b"/run/systemd/system/onecontext-scripts.service";
const WANTS: &[u8] = b"/run/systemd/system/multi-user.target.wants/onecontext-scripts.service";
/// A target is not ordered after a unit that is itself ordered after it
/// (systemd.target(5)), so nothing of the boot waits for the scripts. KillMode=process:
/// otherwise a failure of one script would end processes that another one left running.
const SERVICE: &[u8] = include_bytes!("onecontext-scripts.service");

/// The shell file, up to its list of scripts. Its comments are here, since every initramfs
/// has its text:
/// - /run may be mounted noexec, since the initramfs already.
/// - A Wants= of the unit would make other units of the boot wait for the network too.
/// - `run`: each script has a shell of its own, which reads a script without `#!`; its
///   variables, which may have the names of ours, do not affect this one.
const RUN: &[u8] = include_bytes!("scripts.sh");

/// Variables that a context must not assign: those of a shell that would make it stop,
/// since they are numbers or read-only (dash(1), bash(1); all that begin with BASH
/// count as such), and those by which it finds and reads commands.
const OF_THE_SHELL: &[u8] = b"PATH IFS ENV OPTIND PPID UID EUID SHELLOPTS HISTCMD \
    LINENO RANDOM SECONDS SRANDOM";

/// The longest value that is given to the scripts, in bytes. The kernel takes 128 KiB for a
/// variable with its name (MAX_ARG_STRLEN, linux/binfmts.h), and 2 MiB for all of them and
/// their addresses (execve(2)); with more it starts no program at all.
const LONGEST_VALUE: usize = 127 << 10;
/// The same for all variables.
const LONGEST_ENVIRONMENT: usize = 3 << 19;

/// Adds the files, and a unit that runs them. Scripts have contents only if they are to
/// be run.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn render(
    scripts: &Scripts,
    systemd: Result<bool, Error>,
    changes: &mut Changes,
) -> Result<(), Error> {
    if !scripts.list.iter().any(|script| script.content.is_some()) {
        return Ok(());
    }
    let environment = environment(scripts, changes);
    let mut write = |below: &[u8], name: &[u8], mode, content| {
        let path = memory::concat(&[b"/run/onecontext/scripts/", below, name]);
        let file = File {
            content,
            access: Access::ours(mode),
            directory: DirectoryPolicy::Enforce(Access::ours(0o700)),
        };
        changes.file(ResolvedPath::new(path)?, file);
        Ok::<(), Error>(())
    };
    write(b"", b"environment", 0o600, environment)?;
    write(b"", b"run", 0o700, run(scripts))?;
    for (name, content) in scripts.beside {
        write(b"disk/", name, 0o600, memory::copy(content))?;
    }
    for script in scripts.list {
        if let Some(content) = script.content {
            let below: &[u8] = if script.on_disk { b"disk/" } else { b"" };
            write(below, script.name, 0o700, memory::copy(content))?;
        }
    }
    if !systemd? {
        return Err(Error::new(
            c"this image's init is not systemd: have it run \
              /bin/sh /run/onecontext/scripts/run once its network is up",
        ));
    }
    changes.run_file(UNIT, SERVICE)?;
    let done =
        Done::There(b"scripts of the context are run after the boot by onecontext-scripts.service");
    changes.run_symlink(WANTS, UNIT, done)
}

/// The shell file, with a line for each script and its directory.
fn run(scripts: &Scripts) -> &'static [u8] {
    let mut text = Text::new();
    text.extend(RUN);
    for script in scripts.list {
        let arguments: &[&[u8]] = match script.on_disk {
            true => &[script.name, b"disk/"],
            false => &[script.name],
        };
        command(&mut text, b"run", arguments);
    }
    command(&mut text, b"finish", &[]);
    text.finish()
}

/// The variables, in the syntax of a shell: the only one that allows every byte.
/// systemd's own refuses control characters and what is not UTF-8 (systemd:
/// src/basic/env-util.c, `env_value_is_valid`).
fn environment(scripts: &Scripts, changes: &mut Changes) -> &'static [u8] {
    let mut text = Text::new();
    for (name, value) in scripts.variables {
        // The script has its own text.
        if matches!(as_str(name), "START_SCRIPT" | "START_SCRIPT_BASE64") {
            continue;
        }
        if value.len() > LONGEST_VALUE || text.len() + value.len() > LONGEST_ENVIRONMENT {
            changes.note(&[
                b"not given to the scripts, too long for an environment: ",
                name,
            ]);
            continue;
        }
        let is_of_the_shell =
            name.starts_with(b"BASH") || words(OF_THE_SHELL).any(|other| other == *name);
        // No environment variable can hold a NUL.
        if is_of_the_shell || value.contains(&0) {
            changes.note(&[b"not given to the scripts, a shell would break: ", name]);
            continue;
        }
        export(&mut text, name, value);
    }
    // As in one-apps.
    export(&mut text, b"MOUNT_DIR", b"/run/onecontext/scripts/disk");
    text.finish()
}

fn export(text: &mut Text, name: &[u8], value: &[u8]) {
    text.extend(b"export ");
    text.extend(name);
    text.push(b'=');
    quote(text, value);
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::description::{Describe, Lines};
    use crate::plan::Script;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs, str};

    /// What hurts: quotes of all kinds, newlines at both ends, what a shell would
    /// expand, blanks, no UTF-8, bytes that shells use inside.
    const VALUES: [&[u8]; 9] = [
        b"plain",
        b"",
        b"it's 'quoted' and \"so\"",
        b"\n two\nlines \n\n",
        b"$(touch x) `touch x` $HOME ${HOME} ~ * ? [a]",
        b"back\\slash \\n \\",
        "M\u{fc}nchen \u{20ac}".as_bytes(),
        b"\x01\x1b\x80\x81\x82\x88\xff\r",
        b"#no = comment; & | < > !",
    ];

    /// Every shell of this machine that an image may have as its /bin/sh.
    fn shells() -> Vec<PathBuf> {
        ["sh", "dash", "bash", "busybox"]
            .iter()
            .map(|name| Path::new("/bin").join(name))
            .filter(|path| path.exists())
            .collect()
    }

    fn scripts(list: &[Script], variables: &[(&'static [u8], &'static [u8])]) -> Scripts {
        Scripts {
            list: memory::list(list),
            beside: &[],
            variables: memory::list(variables),
        }
    }

    /// The environment that a program gets from a shell that has read the file.
    fn from_shell(shell: &Path, text: &[u8], name: &str) -> Vec<Vec<u8>> {
        let file = env::temp_dir().join(format!("onecontext-{}-{name}", std::process::id()));
        fs::write(&file, text).unwrap();
        let mut command = Command::new(shell);
        if shell.ends_with("busybox") {
            command.arg("sh");
        }
        let output = command
            .arg("-c")
            .arg(r#"(. "$1" && exec "$2" -0)"#)
            .args([Path::new("sh"), &file, Path::new("/usr/bin/env")])
            .output()
            .unwrap();
        fs::remove_file(&file).unwrap();
        assert!(output.status.success(), "{shell:?}: {output:?}");
        let entries = output.stdout.split(|byte| *byte == 0);
        entries.map(<[u8]>::to_vec).collect()
    }

    /// With one value too long, the kernel starts no script at all.
    #[test]
    fn what_no_environment_holds_is_left_out() {
        let long = |length: usize| &*memory::copy(&vec![b'x'; length]);
        let mut variables: Vec<(&'static [u8], &'static [u8])> = vec![
            (b"A", long(128 << 10)),
            (b"B", long(100 << 10)),
            (b"START_SCRIPT", b"exit"),
            (b"START_SCRIPT_BASE64", b"ZXhpdAo="),
        ];
        let names: Vec<_> = (0..30).map(|n| format!("C{n:02}")).collect();
        for name in &names {
            variables.push((memory::copy(name.as_bytes()), long(100 << 10)));
        }
        variables.push((b"D", b"d"));
        let mut changes = Changes::new();
        let text = environment(&scripts(&[], &variables), &mut changes);
        let said: Vec<_> = changes
            .remarks(true)
            .map(|(_, line)| line.to_vec())
            .collect();
        let left_out = |name: &[u8]| {
            let line = [
                b"not given to the scripts, too long for an environment: ",
                name,
            ]
            .concat();
            said.contains(&line)
        };
        assert!(left_out(b"A") && !left_out(b"B") && left_out(b"C29") && !left_out(b"D"));
        for shell in shells() {
            let found = from_shell(&shell, text, "long");
            let has = |name: &[u8]| found.iter().any(|entry| entry.starts_with(name));
            assert!(has(b"B=x") && has(b"D=d") && !has(b"A=") && !has(b"START_SCRIPT"));
        }
    }

    #[test]
    fn values_arrive_byte_for_byte() {
        let names: Vec<_> = (0..VALUES.len()).map(|n| format!("V{n}")).collect();
        let variables: Vec<_> = (names.iter().zip(VALUES))
            .map(|(name, value)| (&*memory::copy(name.as_bytes()), value))
            .collect();
        let mut changes = Changes::new();
        let text = environment(&scripts(&[], &variables), &mut changes);
        assert!(changes.remarks(true).next().is_none());
        for shell in shells() {
            let found = from_shell(&shell, text, "values");
            for (name, value) in &variables {
                let expected = [name, &b"="[..], value].concat();
                assert!(found.contains(&expected), "{shell:?}: {expected:?}");
            }
            let expected = b"MOUNT_DIR=/run/onecontext/scripts/disk".to_vec();
            assert!(found.contains(&expected));
        }
    }

    /// Whatever a context assigns, a shell reads the file to its end: those that
    /// it would not are left out, and that is said.
    #[test]
    fn no_name_stops_a_shell() {
        let names = "PATH IFS ENV OPTIND OPTERR OPTARG PPID UID EUID SHELLOPTS BASHOPTS \
            BASH_VERSINFO BASH_COMPAT BASH_ENV BASH_XTRACEFD BASHPID HISTCMD LINENO RANDOM SECONDS \
            SRANDOM GROUPS DIRSTACK FUNCNAME EPOCHREALTIME COLUMNS CDPATH HOME PWD OLDPWD PS1 PS4 \
            SHLVL TMOUT MAIL MAILCHECK LC_ALL LANG TERM LD_PRELOAD POSIXLY_CORRECT _ HISTSIZE";
        let names: Vec<_> = names.split_whitespace().collect();
        for value in [&b"a[$(touch x)]"[..], b"7", b"/nonexistent"] {
            let variables: Vec<_> = names
                .iter()
                .map(|name| (&*memory::copy(name.as_bytes()), value))
                .collect();
            let mut changes = Changes::new();
            let text = environment(&scripts(&[], &variables), &mut changes);
            let expected = |name: &&str| {
                words(OF_THE_SHELL).any(|other| other == name.as_bytes())
                    || name.starts_with("BASH")
            };
            let left_out = names.iter().filter(|name| expected(name)).count();
            assert_eq!(changes.remarks(true).count(), left_out);
            for shell in shells() {
                let found = from_shell(&shell, text, "names");
                assert!(found.iter().any(|entry| entry.starts_with(b"MOUNT_DIR=")));
            }
        }
        assert!(!Path::new("x").exists());
        let mut changes = Changes::new();
        let variables = [(&b"A"[..], &b"a\0b"[..])];
        environment(&scripts(&[], &variables), &mut changes);
        assert_eq!(changes.remarks(true).count(), 1);
    }

    /// The shell file at work, in another directory: order, working directory, what
    /// fails, and what has no `#!`.
    #[test]
    fn scripts_run_one_after_the_other() {
        let script = |name, on_disk, content| Script {
            name,
            on_disk,
            content: Some(content),
        };
        let again = Script {
            content: None,
            ..script(b"b 'c'.sh", true, b"")
        };
        let list = [
            script(
                b"START_SCRIPT",
                false,
                b"#!/usr/bin/env sh\necho \"start $A $0\"; pwd; exit 3\n",
            ),
            script(
                b"b 'c'.sh",
                true,
                b"echo \"no mark: $A\"\nA=changed\nfailed=x\n",
            ),
            script(b"gone", true, b""),
            again,
        ];
        let variables = [(&b"A"[..], &b"1"[..]), (b"A", b"it's"), (b"folder", b"/x")];
        let scripts = scripts(&list, &variables);
        let top = nix::unistd::mkdtemp(&env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        let here = top.to_str().unwrap();
        let mut changes = Changes::new();
        render(&scripts, Ok(true), &mut changes).unwrap();
        for change in changes.list() {
            let path = str::from_utf8(change.path.path()).unwrap();
            let Some(name) = path.strip_prefix("/run/onecontext/scripts/") else {
                continue;
            };
            let crate::changeset::What::File(file) = change.what else {
                panic!("{path}");
            };
            let file_path = top.join(name);
            fs::create_dir_all(file_path.parent().unwrap()).unwrap();
            let text = file.content.to_vec();
            let text = match name {
                "run" => String::from_utf8(text)
                    .unwrap()
                    .replace("/run/onecontext/scripts", here)
                    // Where it is tried, systemd may be at work.
                    .replace("systemctl", "true")
                    .into_bytes(),
                _ => text,
            };
            fs::write(&file_path, text).unwrap();
            fs::set_permissions(&file_path, PermissionsExt::from_mode(file.access.mode)).unwrap();
        }
        fs::remove_file(top.join("disk/gone")).unwrap();
        for shell in shells() {
            let mut command = Command::new(&shell);
            if shell.ends_with("busybox") {
                command.arg("sh");
            }
            let output = command.arg(top.join("run")).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let expected = format!(
                "run START_SCRIPT\nstart it's {here}/START_SCRIPT\n{here}/disk\n\
                 run b 'c'.sh\nno mark: it's\nrun gone\nrun b 'c'.sh\nno mark: it's\n"
            );
            assert_eq!(said, expected, "{shell:?}");
            let errors = String::from_utf8(output.stderr).unwrap();
            for line in [
                "START_SCRIPT: exit status 3\n",
                "gone: exit status 127\n",
                "failed: START_SCRIPT gone\n",
            ] {
                assert!(errors.contains(line), "{shell:?}: {errors}");
            }
            assert_eq!(output.status.code(), Some(1), "{shell:?}");
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn files_are_for_root_alone() {
        let list = [Script {
            name: b"init.sh",
            on_disk: true,
            content: Some(b"exit\n"),
        }];
        let written = |scripts: &Scripts, systemd| {
            let mut changes = Changes::new();
            let answer = render(scripts, systemd, &mut changes);
            let mut text = Text::new();
            let root = crate::image::testing::Fixture::new();
            let placed = changes.place(&root.root());
            placed.describe(&mut Lines(&mut text));
            (answer.is_ok(), String::from_utf8(text.to_vec()).unwrap())
        };
        let variables = [(&b"A"[..], &b"1"[..])];
        let all = Scripts {
            beside: &[(b"context.sh", b"A=1\n")],
            ..scripts(&list, &variables)
        };
        let files = "file /run/onecontext/scripts/environment 0600\n\
            file /run/onecontext/scripts/run 0700\n\
            file /run/onecontext/scripts/disk/context.sh 0600\n\
            file /run/onecontext/scripts/disk/init.sh 0700\n";
        let unit = "/run/systemd/system/onecontext-scripts.service";
        let wants = "/run/systemd/system/multi-user.target.wants/onecontext-scripts.service";
        let units = format!("file {unit} 0644\nlink {wants} {unit}\n");
        assert_eq!(written(&all, Ok(true)), (true, format!("{files}{units}")));
        assert_eq!(written(&all, Ok(false)), (false, files.to_string()));
        // Nothing that was not read is run.
        let named = Script {
            content: None,
            ..list[0]
        };
        let nothing = (true, String::new());
        assert_eq!(written(&scripts(&[named], &variables), Ok(true)), nothing);
        assert_eq!(written(&scripts(&[], &variables), Ok(true)), nothing);
    }
}
