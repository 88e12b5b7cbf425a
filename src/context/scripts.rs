//! The scripts that a context wants to run in the booted system, in the order of
//! OpenNebula's guest package (one-apps: net-97-start-script, net-98-execute-scripts):
//! START_SCRIPT, then the files of the disk that INIT_SCRIPTS names, or init.sh.
//! StratusLab's own init.sh is left out, since its meaning is applied by this program;
//! it ran SCRIPT_EXEC.
use ufmt::uwrite;

use super::assignments::Assigned;
use super::base64::decode;
use super::shell::Assignment;
use super::state::Context;
use super::stratuslab;
use super::variables::Variable::*;
use crate::base::context_files::{CONFIGURATION, CONTEXT, Files};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::set::Set;
use crate::base::text::{position, split_path, words};
use crate::plan::{Script, Scripts};

/// The warning about what is never run.
pub const NEVER_RUN: &str = "is there and was not run: onecontext runs nothing of a context";
/// The warning where the image does not allow scripts.
const NOT_WANTED: &str = "is not run without onecontext.scripts=run on the kernel command line";
/// The warning about a word of INIT_SCRIPTS. Its number and the reason follow, and not
/// the word itself: of this variable only names of files on the disk are shown.
const LEFT_OUT: &str = "a script of the disk is left out";

/// The script that is run if INIT_SCRIPTS is not set.
const INIT: &[u8] = b"init.sh";
/// The most bytes of scripts that are read from a disk: as many as of a single file.
const LARGEST: usize = 16 << 20;

/// Reads the scripts of a context, and warns about those that are not run. `on_disk`:
/// what [`find`] has found. `assignments`: those of the context, if its scripts are to
/// be run.
// Not inlined: a large stack frame makes every access to it longer.
#[inline(never)]
pub fn read(
    context: &mut Context,
    on_disk: &OnDisk,
    assignments: Option<&[Assignment]>,
) -> Scripts {
    let run = assignments.is_some();
    say_what_is_not_run(context, run);
    let mut reader = Reader {
        list: Vector::new(),
        seen: Set::new(),
        left: LARGEST,
        run,
    };
    let machine = context.assignments.machine();
    for (number, variable) in (0u32..).zip(machine.each(&[START_SCRIPT_BASE64, START_SCRIPT])) {
        let content = match variable.id {
            START_SCRIPT => Some(variable.value),
            _ => decode(variable.value),
        };
        match content {
            _ if number > 0 => context.warn(&variable, "is not run, START_SCRIPT_BASE64 is there"),
            Some(content) => reader.add(variable.name, content),
            None => context.warn(&variable, "is no base64, it cannot be run"),
        }
    }
    match machine.get(INIT_SCRIPTS) {
        Some(variable) => reader.add_files(context, variable),
        None if on_disk.init => reader.add_init(context),
        None => {}
    }
    if let Some(variable) = machine.get(SCRIPT_EXEC)
        && !on_disk.init_runs_exec
    {
        reader.add(variable.name, variable.value);
    }
    let list = &*reader.list.finish();
    match assignments {
        Some(assignments) if !list.is_empty() => Scripts {
            list,
            beside: beside(context),
            variables: variables(assignments),
        },
        _ => Scripts {
            list,
            beside: &[],
            variables: &[],
        },
    }
}

fn say_what_is_not_run(context: &mut Context, run: bool) {
    let machine = context.assignments.machine();
    for variable in machine.each(&[CLOUD_INIT_USER_DATA]) {
        context.warn(&variable, NEVER_RUN);
    }
    if !run {
        for variable in
            machine.each(&[INIT_SCRIPTS, START_SCRIPT, START_SCRIPT_BASE64, SCRIPT_EXEC])
        {
            context.warn(&variable, NOT_WANTED);
        }
    }
}

/// The files of the context itself, for the scripts to read. They are read again: the
/// first copy was unquoted in place.
fn beside(context: &mut Context) -> &'static [(&'static [u8], &'static [u8])] {
    let mut beside = Vector::new();
    for name in [CONTEXT, CONFIGURATION] {
        match context.files.read(name) {
            Ok(Some(content)) => beside.push((name, &*content)),
            Ok(None) => {}
            Err(reason) => cannot_read(context, name, reason),
        }
    }
    beside.finish()
}

/// The environment of the scripts.
fn variables(assignments: &[Assignment]) -> &'static [(&'static [u8], &'static [u8])] {
    let mut variables = Vector::new();
    for assignment in assignments {
        variables.push((assignment.name, assignment.value));
    }
    variables.finish()
}

/// The scripts on a disk.
pub struct OnDisk {
    /// There is an init.sh that is not StratusLab's own.
    init: bool,
    /// It runs SCRIPT_EXEC, as StratusLab's own does.
    init_runs_exec: bool,
    /// There is one of StratusLab's own scripts, whose meaning is applied. Never `true`
    /// for a context with a NIC `ETHn`, which is not StratusLab's.
    pub stock: bool,
}

/// Looks for init.sh, and for HEPiX's prolog.sh and epilog.sh, which are never handed
/// over.
pub fn find(context: &mut Context, has_eth: bool) -> OnDisk {
    let mut found = OnDisk {
        init: false,
        init_runs_exec: false,
        stock: false,
    };
    for name in words(b"init.sh prolog.sh epilog.sh") {
        let text = match context.files.has(name) {
            Ok(false) => continue,
            Ok(true) if has_eth => Ok(None),
            Ok(true) => context.files.read(name),
            Err(reason) => Err(reason),
        };
        let text = match &text {
            Ok(text) => text.as_deref().unwrap_or_default(),
            Err(reason) => {
                cannot_read(context, name, *reason);
                continue;
            }
        };
        if stratuslab::is_stock(text) {
            found.stock = true;
        } else if name == INIT {
            found.init = true;
            found.init_runs_exec = position(text, b"SCRIPT_EXEC").is_some();
        } else {
            context.warnings.general(Some(name), NEVER_RUN, None);
        }
    }
    found
}

fn cannot_read(context: &mut Context, name: &'static [u8], reason: Error) {
    let mut found = Vector::new();
    uwrite!(found, "{}", reason);
    let what = "cannot be read for the scripts";
    context
        .warnings
        .general(Some(name), what, Some(found.finish()));
}

/// The scripts so far.
struct Reader {
    list: Vector<Script>,
    /// Files of the disk that were read.
    seen: Set,
    /// Bytes that may still be read.
    left: usize,
    /// Whether contents are needed.
    run: bool,
}

impl Reader {
    /// Adds a script that a variable holds.
    fn add(&mut self, name: &'static [u8], content: &'static [u8]) {
        self.list.push(Script {
            name,
            on_disk: false,
            content: self.run.then_some(content),
        });
    }

    /// Adds a file of the disk. Its name there may have quotes: servers up to 7.4.0 wrote
    /// those of the template.
    fn add_file(&mut self, files: &dyn Files, name: &'static [u8]) -> Result<(), Error> {
        const MISSING: Error = Error::new(c"no such file");
        const TOO_LARGE: Error = Error::new(c"more than 16 MiB of scripts");
        // Rock Ridge allows such names.
        if matches!(name, b"" | b"." | b"..") {
            return Err(MISSING);
        }
        let mut on_disk = name;
        for mark in [b"'".as_slice(), b"\""] {
            if !files.has(on_disk)? {
                on_disk = memory::concat(&[mark, name, mark]);
            }
        }
        if !files.has(on_disk)? {
            return Err(MISSING);
        }
        let mut content = None;
        if self.run && !self.seen.contains(0, name) {
            if self.left == 0 {
                return Err(TOO_LARGE);
            }
            let text = files.read(on_disk)?.ok_or(MISSING)?;
            let left = self.left.checked_sub(text.len());
            self.left = left.unwrap_or(0);
            left.ok_or(TOO_LARGE)?;
            self.seen.insert(0, name);
            content = Some(&*text);
        }
        self.list.push(Script {
            name,
            on_disk: true,
            content,
        });
        Ok(())
    }

    /// Adds the files that INIT_SCRIPTS names.
    fn add_files(&mut self, context: &mut Context, variable: Assigned) {
        for (number, word) in (1u32..).zip(words(variable.value)) {
            if let Err(reason) = self.add_file(context.files, split_path(word).1) {
                let mut found = Vector::new();
                uwrite!(found, "word {}: {}", number, reason);
                context.warn_with(&variable, LEFT_OUT, found.finish());
            }
        }
    }

    /// Adds init.sh.
    fn add_init(&mut self, context: &mut Context) {
        if !self.run {
            context.warnings.general(Some(INIT), NOT_WANTED, None);
        }
        if let Err(reason) = self.add_file(context.files, INIT) {
            cannot_read(context, INIT, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::Memory;
    use crate::context::{self, tests::plan_of};

    const NIC: &str = "ETH0_MAC='02:00:0a:12:01:01'\n";
    const STOCK: &str = include_str!("../../tests/contexts/fixtures/stratuslab/init.sh");

    /// The scripts that are to be run, as `NAME=CONTENT`, and the warnings.
    fn run(context: &str, disk: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut files = vec![("context.sh", context)];
        files.extend(disk);
        let disk = Memory {
            files: (files.iter())
                .map(|(name, text)| (name.to_string(), text.as_bytes().to_vec()))
                .collect(),
        };
        let plan = context::read(b"disk", &disk, context::Purpose::Run)
            .ok()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let scripts = plan.scripts.list.iter().map(|script| {
            let place = if script.on_disk { "" } else { "$" };
            let content = script.content.map_or("again".into(), text);
            format!("{place}{}={content}", text(script.name))
        });
        let mut warnings = Vector::new();
        for warning in plan.warnings() {
            uwrite!(warnings, "{}\n", *warning);
        }
        let is_ours = |line: &&str| !line.contains("no SSH key") && !line.contains("no NIC");
        let warnings = text(&warnings);
        (
            scripts.collect(),
            warnings
                .lines()
                .filter(is_ours)
                .map(str::to_string)
                .collect(),
        )
    }

    /// The same, where all is well.
    fn run_all(context: &str, disk: &[(&str, &str)]) -> Vec<String> {
        let (scripts, warnings) = run(context, disk);
        assert_eq!(warnings, [""; 0]);
        scripts
    }

    #[test]
    fn names_on_the_disk_may_have_quotes() {
        let context = NIC.to_string() + "INIT_SCRIPTS='a.sh b.sh c.sh'\n";
        let disk = [
            ("'a.sh'", "1"),
            ("\"b.sh\"", "2"),
            ("'b.sh", "3"),
            ("c.sh", "4"),
            ("'c.sh'", "5"),
        ];
        let (scripts, warnings) = run(&context, &disk);
        assert_eq!(scripts, ["a.sh=1", "b.sh=2", "c.sh=4"]);
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn they_are_run_in_the_order_of_one_apps() {
        let context = NIC.to_string()
            + "INIT_SCRIPTS='b.sh  dir/a.sh\nb.sh'\nSTART_SCRIPT='#!/bin/sh\necho \"$A\"\n'\n";
        let disk = [("a.sh", "A"), ("b.sh", "B"), ("init.sh", "I")];
        let expected = [
            "$START_SCRIPT=#!/bin/sh\necho \"$A\"",
            "b.sh=B",
            "a.sh=A",
            "b.sh=again",
        ];
        assert_eq!(run_all(&context, &disk), expected);
        assert_eq!(run_all(NIC, &disk), ["init.sh=I"]);
        assert_eq!(
            run_all(&format!("{NIC}INIT_SCRIPTS=''\n"), &disk),
            ["init.sh=I"]
        );
        assert_eq!(run_all(NIC, &[]), [""; 0]);
    }

    #[test]
    fn base64_is_stronger_and_may_be_bad() {
        let both = NIC.to_string() + "START_SCRIPT='exit'\nSTART_SCRIPT_BASE64='ZXhp\ndCAx'\n";
        let (scripts, warnings) = run(&both, &[]);
        assert_eq!(scripts, ["$START_SCRIPT_BASE64=exit 1"]);
        assert_eq!(
            warnings,
            ["context.sh:2 START_SCRIPT: is not run, START_SCRIPT_BASE64 is there"]
        );
        let (scripts, warnings) = run(&both.replace("ZXhp", "#!/bin/sh"), &[]);
        assert_eq!(scripts, [""; 0]);
        assert_eq!(
            warnings,
            [
                "context.sh:2 START_SCRIPT: is not run, START_SCRIPT_BASE64 is there",
                "context.sh:3 START_SCRIPT_BASE64: is no base64, it cannot be run",
            ]
        );
    }

    #[test]
    fn missing_files_are_said_and_cost_no_other() {
        let context = NIC.to_string() + "INIT_SCRIPTS='x .. a.sh /'\n";
        let (scripts, warnings) = run(&context, &[("a.sh", "A"), ("..", "no")]);
        assert_eq!(scripts, ["a.sh=A"]);
        let expected = [1, 2, 4].map(|word| {
            format!("context.sh:2 INIT_SCRIPTS: {LEFT_OUT}: word {word}: no such file")
        });
        assert_eq!(warnings, expected);
    }

    /// A disk on which only `context.sh` can be read.
    struct Damaged(Memory);

    impl Files for Damaged {
        fn called(&self, name: &'static [u8]) -> &'static [u8] {
            name
        }
        fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error> {
            match name {
                b"context.sh" => self.0.read(name),
                b"configuration.sh" => Ok(None),
                _ => Err(rustix::io::Errno::IO.into()),
            }
        }
        fn has(&self, name: &[u8]) -> Result<bool, Error> {
            match name {
                b"prolog.sh" => Err(rustix::io::Errno::IO.into()),
                _ => Ok(name == b"init.sh"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let context = b"IP_PRIVATE=10.0.0.1\n".to_vec();
        let files = vec![("context.sh".to_string(), context)];
        let disk = Damaged(Memory { files });
        let plan = context::read(b"disk", &disk, context::Purpose::Plan);
        let mut text = Vector::new();
        for warning in plan.ok().unwrap().warnings() {
            uwrite!(text, "{}\n", *warning);
        }
        let text = String::from_utf8_lossy(&text);
        for name in ["init.sh", "prolog.sh"] {
            let line = format!("{name}: cannot be read for the scripts: Input/output error");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    fn no_more_is_read_than_16_mib() {
        let large = "x".repeat(9 << 20);
        let context = NIC.to_string() + "INIT_SCRIPTS='a a b a c'\n";
        let (scripts, warnings) = run(&context, &[("a", &large), ("b", &large), ("c", "C")]);
        assert_eq!(scripts.len(), 3);
        let expected = [3, 5].map(|word| {
            format!(
                "context.sh:2 INIT_SCRIPTS: {LEFT_OUT}: word {word}: more than 16 MiB of scripts"
            )
        });
        assert_eq!(warnings, expected);
    }

    #[test]
    fn stratuslab_s_own_script_is_not_run() {
        let context = "IP_PRIVATE=\"10.0.0.1\"\nSCRIPT_EXEC=\"reboot\"\n";
        let exec = "$SCRIPT_EXEC=reboot";
        assert_eq!(run_all(context, &[]), [exec]);
        assert_eq!(run_all(context, &[("init.sh", STOCK)]), [exec]);
        assert_eq!(
            run_all(context, &[("init.sh", "reboot")]),
            ["init.sh=reboot", exec]
        );
        // It does what the stock one does since April 2011.
        let own = "echo $SCRIPT_EXEC > /tmp/x; sh /tmp/x";
        assert_eq!(
            run_all(context, &[("init.sh", own)]),
            [format!("init.sh={own}")]
        );
    }

    /// The text of the disk, not what the reader of variables has made of it;
    /// variables with the blanks around them.
    #[test]
    fn files_and_variables_come_with_them() {
        let read = |context: &str, purpose| {
            let disk = Memory {
                files: vec![
                    ("context.sh".into(), context.into()),
                    ("configuration.sh".into(), b"A=\"2\"".to_vec()),
                ],
            };
            context::read(b"disk", &disk, purpose).ok().unwrap().scripts
        };
        let text = "A=' 1\n'\nSTART_SCRIPT='it'\\''s'\n";
        let scripts = read(text, context::Purpose::Run);
        assert_eq!(scripts.list[0].content, Some(&b"it's"[..]));
        assert_eq!(
            scripts.beside,
            [
                (&b"context.sh"[..], text.as_bytes()),
                (b"configuration.sh", b"A=\"2\"")
            ]
        );
        assert_eq!(
            scripts.variables,
            [
                (&b"A"[..], &b" 1\n"[..]),
                (b"START_SCRIPT", b"it's"),
                (b"A", b"2")
            ]
        );
        let named = read(text, context::Purpose::Plan);
        assert_eq!((named.list.len(), named.list[0].content), (1, None));
        assert!(named.beside.is_empty() && named.variables.is_empty());
        let nothing = read("A=1\n", context::Purpose::Run);
        assert!(nothing.beside.is_empty() && nothing.variables.is_empty());
    }

    #[test]
    fn where_they_are_not_wanted_they_are_named() {
        let context = NIC.to_string() + "START_SCRIPT='exit 1'\n";
        let text = plan_of(&[("context.sh", &context), ("init.sh", "exit 1\n")]);
        let lines: Vec<_> = text
            .lines()
            .skip_while(|line| !line.starts_with("script"))
            .collect();
        assert_eq!(
            lines[..3],
            [
                "script START_SCRIPT".to_string(),
                "script init.sh".to_string(),
                format!("warning context.sh:2 START_SCRIPT: {NOT_WANTED}"),
            ]
        );
        assert!(lines.contains(&&*format!("warning - init.sh: {NOT_WANTED}")));
    }
}
