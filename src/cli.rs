//! The command line.
use core::ffi::CStr;

use crate::base::text::as_str;

/// What `--help` prints in the initramfs, and, to standard error, every wrong usage.
pub const USAGE_IN_INITRAMFS: &str = "\
usage: onecontext apply --root DIR [--run DIR] [--context PATH]
       onecontext apply --early [--context PATH]
       onecontext --version

More commands are in /usr/bin/onecontext of the booted system.
";

/// The same of the program with all commands.
pub const USAGE: &str = "\
usage: onecontext apply --root DIR [--run DIR] [--context PATH] [--dry-run]
       onecontext apply --early [--context PATH] [--dry-run]
       onecontext plan  [PATH] [--root DIR] [--json]
       onecontext check [PATH] [--root DIR]
       onecontext --help | --version

Applies the context of an OpenNebula or StratusLab machine: network, host
name, SSH keys.

  apply    find the context disk and apply it to this machine and to DIR
  plan     print what would be applied; needs no privilege
  check    print what is wrong with the context, and with DIR

  PATH     an ISO image, a block device, a directory or a context.sh file;
           without it the context disk is looked for
  --root   the mounted root of the machine
  --run    the directory that becomes its /run; /run if not given
  --early  there is no root yet: set up the initramfs itself
  --dry-run  print the plan, with the devices it would be applied to
  --json   print the plan as one JSON object

Exit status: 0 done, 1 something is wrong or could not be applied, 2 usage,
3 the context could not be read.
";

/// The exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Done; or there was no context disk, and so nothing to do.
    Done = 0,
    /// Something is wrong, or could not be applied.
    Wrong = 1,
    /// The command line is wrong.
    Misused = 2,
    /// A context was named or required, and could not be read.
    Unreadable = 3,
}

impl Status {
    /// The status of a command with this many problems.
    pub fn of(problems: usize) -> Self {
        match problems {
            0 => Self::Done,
            _ => Self::Wrong,
        }
    }

    /// The status with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        let all = [Self::Done, Self::Wrong, Self::Misused, Self::Unreadable];
        all.into_iter().find(|status| *status as u8 == code)
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `apply`
    Apply(Apply),
    /// `plan`
    Plan(Inspect),
    /// `check`
    Check(Inspect),
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// The options of `apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apply {
    /// What it is applied to.
    pub stage: Stage,
    /// `--context`
    pub context: Option<&'static CStr>,
    /// `--dry-run`
    pub dry_run: bool,
}

/// A stage of the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `--early`: there is no root yet, the initramfs is set up.
    Early {
        /// `--ip`: the value of initramfs-tools' variable IP.
        ip: Option<&'static CStr>,
    },
    /// The root is mounted.
    Root {
        /// `--root`
        root: &'static CStr,
        /// `--run`
        run: &'static CStr,
    },
}

impl Stage {
    /// Where the root is mounted that it sets up.
    pub fn root(self) -> &'static CStr {
        match self {
            Self::Early { .. } => c"/",
            Self::Root { root, .. } => root,
        }
    }
}

/// The operands of `plan` and `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Inspect {
    /// The path of the context.
    pub context: Option<&'static CStr>,
    /// `--root`
    pub root: Option<&'static CStr>,
    /// `--json`, of `plan` alone
    pub json: bool,
}

/// What is wrong with the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The text for the user.
    pub what: &'static str,
    /// The wrong argument; may be empty.
    pub argument: &'static CStr,
}

/// Reads the arguments, without the program's own name. Of `plan` and `check` the program
/// of the initramfs (`is_small`) reads no operands.
pub fn parse(
    mut arguments: impl Iterator<Item = &'static CStr>,
    is_small: bool,
) -> Result<Command, Misuse> {
    let Some(command) = arguments.next() else {
        return misuse("a command is missing", c"");
    };
    match as_str(command.to_bytes()) {
        "apply" => apply(&mut arguments),
        "plan" | "check" if is_small => Ok(Command::Plan(Inspect::default())),
        "plan" => inspect(&mut arguments, true, Command::Plan),
        "check" => inspect(&mut arguments, false, Command::Check),
        "--help" | "-h" | "help" => Ok(Command::Help),
        "--version" | "-V" => Ok(Command::Version),
        _ => misuse("unknown command", command),
    }
}

fn misuse<T>(what: &'static str, argument: &'static CStr) -> Result<T, Misuse> {
    Err(Misuse { what, argument })
}

/// The arguments behind the command.
type ArgumentList<'i> = &'i mut dyn Iterator<Item = &'static CStr>;

fn apply(arguments: ArgumentList<'_>) -> Result<Command, Misuse> {
    let (mut root, mut run, mut context, mut ip) = (None, None, None, None);
    let (mut early, mut dry_run) = (false, false);
    while let Some(argument) = arguments.next() {
        match as_str(argument.to_bytes()) {
            "--help" | "-h" => return Ok(Command::Help),
            "--root" => root = Some(value(arguments, argument)?),
            "--run" => run = Some(value(arguments, argument)?),
            "--early" => early = true,
            "--ip" => ip = Some(value(arguments, argument)?),
            "--context" => context = Some(value(arguments, argument)?),
            "--dry-run" => dry_run = true,
            _ if is_option(argument) => return misuse("unknown option", argument),
            _ => return misuse("unexpected argument", argument),
        }
    }
    let stage = match (early, root, run, ip) {
        (true, None, None, ip) => Stage::Early { ip },
        (true, ..) => return misuse("apply --early takes no --root and no --run", c""),
        (false, Some(root), run, None) => Stage::Root {
            root,
            run: run.unwrap_or(c"/run"),
        },
        (false, _, _, Some(_)) => return misuse("--ip goes with --early", c""),
        (false, None, ..) => return misuse("apply needs --root, or --early", c""),
    };
    Ok(Command::Apply(Apply {
        stage,
        context,
        dry_run,
    }))
}

fn inspect(
    arguments: ArgumentList<'_>,
    may_be_json: bool,
    command: fn(Inspect) -> Command,
) -> Result<Command, Misuse> {
    let mut operands = Inspect::default();
    while let Some(argument) = arguments.next() {
        match as_str(argument.to_bytes()) {
            "--help" | "-h" => return Ok(Command::Help),
            "--root" => operands.root = Some(value(arguments, argument)?),
            "--json" if may_be_json => operands.json = true,
            _ if is_option(argument) => return misuse("unknown option", argument),
            _ if operands.context.is_some() => return misuse("more than one PATH", argument),
            _ => operands.context = Some(argument),
        }
    }
    Ok(command(operands))
}

/// The value of the option `name`.
fn value(arguments: ArgumentList<'_>, name: &'static CStr) -> Result<&'static CStr, Misuse> {
    match arguments.next() {
        Some(value) if !value.is_empty() => Ok(value),
        _ => misuse("a value is missing after", name),
    }
}

/// A lone `-` is a path.
fn is_option(argument: &CStr) -> bool {
    argument.to_bytes().starts_with(b"-") && argument != c"-"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&'static CStr]) -> Result<Command, Misuse> {
        parse(arguments.iter().copied(), false)
    }

    #[test]
    fn commands() {
        assert_eq!(read(&[c"--help"]), Ok(Command::Help));
        assert_eq!(read(&[c"plan", c"--help"]), Ok(Command::Help));
        assert_eq!(read(&[c"--version"]), Ok(Command::Version));
        assert_eq!(read(&[c"plan"]), Ok(Command::Plan(Inspect::default())));
        let both = Inspect {
            context: Some(c"x.iso"),
            root: Some(c"/mnt"),
            json: false,
        };
        assert_eq!(
            read(&[c"check", c"--root", c"/mnt", c"x.iso"]),
            Ok(Command::Check(both))
        );
        let json = Inspect { json: true, ..both };
        assert_eq!(
            read(&[c"plan", c"--json", c"x.iso", c"--root", c"/mnt"]),
            Ok(Command::Plan(json))
        );
        let apply = Apply {
            stage: Stage::Root {
                root: c"/sysroot",
                run: c"/run",
            },
            context: None,
            dry_run: false,
        };
        assert_eq!(
            read(&[c"apply", c"--root", c"/sysroot"]),
            Ok(Command::Apply(apply))
        );
        let early = Apply {
            stage: Stage::Early { ip: Some(c"dhcp") },
            context: Some(c"c"),
            dry_run: true,
        };
        let all = [
            c"apply",
            c"--ip",
            c"dhcp",
            c"--early",
            c"--context",
            c"c",
            c"--dry-run",
        ];
        assert_eq!(read(&all), Ok(Command::Apply(early)));
        let apply = Apply {
            stage: Stage::Root {
                root: c"/sysroot",
                run: c"/r",
            },
            context: Some(c"c"),
            dry_run: true,
        };
        let all = [
            c"apply",
            c"--dry-run",
            c"--run",
            c"/r",
            c"--context",
            c"c",
            c"--root",
            c"/sysroot",
        ];
        assert_eq!(read(&all), Ok(Command::Apply(apply)));
    }

    #[test]
    fn misuse() {
        for (arguments, what, argument) in [
            (&[][..], "a command is missing", c""),
            (&[c"frob"], "unknown command", c"frob"),
            (&[c"apply"], "apply needs --root, or --early", c""),
            (
                &[c"apply", c"--root", c"/", c"--ip", c"on"],
                "--ip goes with --early",
                c"",
            ),
            (
                &[c"apply", c"--early", c"--root", c"/"],
                "apply --early takes no --root and no --run",
                c"",
            ),
            (
                &[c"apply", c"--root"],
                "a value is missing after",
                c"--root",
            ),
            (
                &[c"apply", c"--root", c""],
                "a value is missing after",
                c"--root",
            ),
            (
                &[c"apply", c"--root", c"/", c"x"],
                "unexpected argument",
                c"x",
            ),
            (&[c"apply", c"--x"], "unknown option", c"--x"),
            (&[c"plan", c"--run", c"/run"], "unknown option", c"--run"),
            (&[c"check", c"--json"], "unknown option", c"--json"),
            (&[c"plan", c"a", c"b"], "more than one PATH", c"b"),
        ] {
            assert_eq!(
                read(arguments),
                Err(Misuse { what, argument }),
                "{arguments:?}"
            );
        }
    }
}
