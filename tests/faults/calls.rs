//! Each system call of a run fails once, in one run after the other, with each of
//! several errors. Either the result is that of the undisturbed run, or the failure is
//! reported and affects no more than the step that it hit. `make faults` tries all;
//! plain `cargo test` tries a part of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::machine::{Boot, Init, KEY, Machine, State, root_of};
use crate::random::Random;
use crate::tree::{Tree, difference};

/// The errors to try. They include errors that the kernel would never return for a
/// call; the program must survive them, too.
const ERRORS: [&str; 7] = [
    "ENOSPC", "EROFS", "EIO", "EMFILE", "EACCES", "ENOSYS", "EINTR",
];
/// Calls that do not return.
const UNANSWERED: [&str; 2] = ["execve", "exit_group"];

/// The steps of a boot, independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Keys,
    /// Keys that are removed again, like the next.
    KeysOfBob,
    KeysOfRoot,
    Sshd,
    Network,
    /// NetworkManager's files for devices that were set up: this needs both steps.
    Devices,
    HostName,
    HostNameFile,
    Hosts,
    ResolvConf,
    NetworkManager,
    Networkd,
    Ifupdown,
    CloudInit,
    Report,
}

const REPORT: &str = "run/onecontext/report";
type Needs = fn(Step) -> bool;

/// Parts that more than one step needs: words of strace's line, whether a step needs
/// the part, and what the part is.
const DEPENDENT: &[(&str, Needs, &str)] = &[
    ("/context.sh", |_| true, "what is to be done"),
    (
        "/proc/cmdline",
        is_of_files,
        "whether the root may be written: without, it is not",
    ),
    ("mmap(", |_| true, "memory: without, the program ends"),
    ("/root\", O_RDONLY|", is_of_files, "the root itself"),
    ("/run\", O_RDONLY|", is_of_files, "the run directory itself"),
    ("etc/passwd", is_of_logins, "who has which home"),
    ("sbin/init\"", is_of_services, "whether systemd is init"),
    ("etc/machine-id", is_of_services, "whether presets apply"),
    (".preset", is_of_services, "what presets enable"),
    ("systemd/system", is_of_services, "which units there are"),
    ("/root>, \"lib\"", is_of_services, "where units are"),
    ("/root>, \"usr", is_of_services, "where units are"),
    ("NetworkManager", is_of_services, "who writes resolv.conf"),
    ("sendto(", goes_by_names, "the names of devices"),
    ("recvfrom(", goes_by_names, "the names of devices"),
    ("AF_NETLINK", goes_by_names, "the names of devices"),
];

fn is_of_files(step: Step) -> bool {
    !matches!(step, Step::Network | Step::HostName)
}

fn is_of_logins(step: Step) -> bool {
    matches!(
        step,
        Step::Keys | Step::KeysOfBob | Step::KeysOfRoot | Step::Sshd
    )
}

fn is_of_services(step: Step) -> bool {
    is_of_files(step)
        && !matches!(
            step,
            Step::Keys
                | Step::KeysOfBob
                | Step::KeysOfRoot
                | Step::HostNameFile
                | Step::Hosts
                | Step::Report
        )
}

fn goes_by_names(step: Step) -> bool {
    matches!(step, Step::Network | Step::Ifupdown | Step::Hosts)
}

/// A different result that is correct after some faults: strace's line of the call has
/// all words of `call`, the difference has one of `wrong`, and `why` is the reason.
struct Exception {
    call: &'static [&'static str],
    wrong: &'static [&'static str],
    why: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        call: &["faccessat(", "/root>, \".\", W_OK", "EROFS"],
        wrong: &["[NetworkManager]"],
        why: "no failure, but the answer that the root is read-only: so presets do not apply, and \
              nothing enables NetworkManager",
    },
    Exception {
        call: &["faccessat(", "/root>, \".\", W_OK"],
        wrong: &["[Sshd]"],
        why: "no failure, but the answer that the root cannot be written: so the host keys are \
              made in a copy of /etc/ssh, and their unit has a condition more",
    },
];

impl Exception {
    fn holds(&self, failed: &str, wrong: &str) -> bool {
        self.call.iter().all(|word| failed.contains(word))
            && self.wrong.iter().any(|words| wrong.contains(words))
    }
}

/// One call that fails: its name, its count among calls of this name, and the error.
#[derive(Clone)]
struct Fault {
    call: String,
    number: usize,
    error: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} {}", self.call, self.number, self.error)
    }
}

impl Machine {
    /// A fault for every call of a run and each of these errors.
    fn faults(&mut self, errors: &[&'static str]) -> Vec<Fault> {
        let seen = self.boot(&[]).trace;
        // strace counts the calls of each process separately.
        let mut counts = BTreeMap::<(&str, &str), usize>::new();
        for line in seen.lines() {
            let (process, rest) = line.trim_start().split_once(' ').unwrap();
            if let Some((call, _)) = rest.trim_start().split_once('(')
                && call
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !UNANSWERED.contains(&call)
            {
                *counts.entry((process, call)).or_default() += 1;
            }
        }
        let mut calls = BTreeMap::<&str, usize>::new();
        for ((_, call), count) in counts {
            let most = calls.entry(call).or_default();
            *most = count.max(*most);
        }
        let faults = calls.iter().flat_map(|(call, count)| {
            let with = move |error| {
                (1..=*count).map(move |number| Fault {
                    call: call.to_string(),
                    number,
                    error,
                })
            };
            errors.iter().copied().flat_map(with)
        });
        faults.collect()
    }

    /// Boots with one fault after the other, and lists all wrong results.
    fn fail_each(&mut self, faults: Vec<Fault>) {
        let wrong: Vec<_> = faults.iter().flat_map(|fault| self.fail(fault)).collect();
        let count = wrong.len();
        assert!(
            wrong.is_empty(),
            "{count} of {}:\n{}",
            faults.len(),
            wrong.join("\n")
        );
        println!("{} faults, all survived", faults.len());
    }

    /// Boots with one fault; returns what is wrong, in words.
    fn fail(&mut self, fault: &Fault) -> Vec<String> {
        let Fault {
            call,
            number,
            error,
        } = fault;
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:error={error}:when={number}");
        let boot = self.boot(&["-e", &trace, "-e", &inject]);
        let failed = boot.trace.lines().find(|line| line.contains("(INJECTED)"));
        let Some(failed) = failed else {
            return vec![format!("{fault}: there was no such call")];
        };
        let mut wrong = self.judge(&boot, failed);
        let good = root_of(&self.good.files);
        if boot.beneath != good {
            let again = self.boot_again();
            for path in difference(&again, &good) {
                wrong.push(format!("the next boot does not mend {}", path.display()));
            }
        }
        let exception = |line: &str| EXCEPTIONS.iter().find(|one| one.holds(failed, line));
        wrong.retain(|line| match exception(line) {
            Some(one) => {
                println!("{fault}: {line}: {}", one.why);
                false
            }
            None => true,
        });
        let wrong = wrong
            .iter()
            .map(|line| format!("{fault}: {line}: {failed}"));
        wrong.collect()
    }

    /// What is wrong with the result of a boot in which this call failed.
    fn judge(&self, boot: &Boot, failed: &str) -> Vec<String> {
        let good = &self.good;
        let undone = self.undone(&boot.state);
        let mut wrong = Vec::new();
        match boot.status {
            // Harmless: everything is done, perhaps in another way.
            0 if undone.is_empty() => {}
            0 => wrong.push(format!("status 0, and it cost {undone:?}")),
            1 | 3 => wrong.extend(misreported(&problems(&boot.said), &undone, failed)),
            // A panic is 101, the time limit 124.
            status => wrong.push(format!("status {status}")),
        }
        let paths = boot.state.files.keys();
        for path in paths.filter(|path| path.to_string_lossy().contains(".onecontext")) {
            wrong.push(format!("a temporary file is left: {}", path.display()));
        }
        for path in difference(&boot.beneath, &root_of(&good.files)) {
            if boot.beneath.get(path) != self.fresh.get(path) {
                wrong.push(format!("neither old nor new: {}", path.display()));
            }
        }
        let needs_it = |step: &Step| {
            let mut shared = DEPENDENT.iter();
            shared.any(|(what, needs_it, _)| failed.contains(what) && needs_it(*step))
        };
        if undone.len() > 1 && !undone.iter().all(needs_it) {
            wrong.push(format!("it cost {undone:?}"));
        }
        wrong
    }

    /// The steps that were not done. Only this function decides when a step counts as
    /// done; it sees the files of the root through the mounts over them.
    fn undone(&self, state: &State) -> Vec<Step> {
        let good = &self.good;
        let same = |path: &str| state.files.get(Path::new(path)) == good.files.get(Path::new(path));
        let differ = difference(&state.files, &good.files);
        let below = |top: &str| !differ.iter().any(|path| path.starts_with(top));
        let keys = |path: &str| {
            let file = format!("root{path}");
            let later = written_by_tmpfiles(&state.files, path);
            same(&file) || later.is_some_and(|later| later == text(&good.files, &file))
        };
        let network = state.addresses == good.addresses && state.network == good.network;
        let network_manager =
            below("run/NetworkManager/system-connections") && below("run/NetworkManager/conf.d");
        let devices = below("run/NetworkManager/devices");
        let steps = [
            (Step::Keys, serves_keys(&state.files)),
            (Step::KeysOfBob, keys("/home/bob/.ssh/authorized_keys")),
            (Step::KeysOfRoot, keys("/root/.ssh/authorized_keys")),
            (Step::Sshd, below("run/systemd/system")),
            (Step::Network, network),
            (Step::Devices, devices || !network || !network_manager),
            (Step::HostName, state.hostname == good.hostname),
            (Step::HostNameFile, same("root/etc/hostname")),
            (Step::Hosts, same("root/etc/hosts")),
            (Step::ResolvConf, same("root/etc/resolv.conf")),
            (Step::NetworkManager, network_manager),
            (Step::Networkd, below("run/systemd/network")),
            (Step::Ifupdown, below("root/etc/network")),
            (Step::CloudInit, same("run/onecontext/cloud-init.cfg")),
            (Step::Report, state.files.contains_key(Path::new(REPORT))),
        ];
        let undone = steps.iter().filter(|(_, is_done)| !is_done);
        undone.map(|(step, _)| *step).collect()
    }
}

/// The problems in a log, without the signs before them. Standard error gets the lines that
/// the kernel log does not take.
fn problems(said: &str) -> Vec<&str> {
    let lines = said.lines().filter_map(|line| {
        line.strip_prefix("<3>onecontext: ")
            .or_else(|| line.strip_prefix("onecontext: "))
    });
    lines.collect()
}

/// What a line about a step has.
fn words_of(step: Step) -> &'static [&'static str] {
    match step {
        Step::Keys => &["alice"],
        Step::KeysOfBob => &["bob"],
        Step::KeysOfRoot => &["/root/", "root: ", "user: root"],
        Step::Sshd => &["ssh", "SSH"],
        Step::Network => &["ETH0", "ens3"],
        Step::Devices => &["NetworkManager/devices"],
        Step::HostName => &["host name"],
        Step::HostNameFile => &["/etc/hostname"],
        Step::Hosts => &["/etc/hosts"],
        Step::ResolvConf => &["resolv.conf"],
        Step::NetworkManager => &["NetworkManager"],
        Step::Networkd => &["networkd", "/run/systemd/network"],
        Step::Ifupdown => &["/etc/network", "ifupdown"],
        Step::CloudInit => &["cloud"],
        Step::Report => &["/run/onecontext/report"],
    }
}

/// Lines that belong to a call and name something else than its operand: words of strace's
/// line, and the beginnings of the lines. They have the call's error.
const SAYS: &[(&str, &[&str])] = &[
    ("clone(", &["go on without a time limit: fork: "]),
    ("MAP_SHARED", &["go on without a time limit: fork: "]),
    ("AF_NETLINK", NETLINK),
    ("<socket:", NETLINK),
    ("etc/init.d", &["find out whether the image enables: "]),
    ("etc/init.d/ssh", &["SSH server: sshd: "]),
    ("bin/sudo\"", &["read for the user's account: sudo: "]),
    (
        "bin/chpasswd\"",
        &["read for the user's account: chpasswd: "],
    ),
    ("/run>, \".\"", &["write: /run/"]),
    ("etc/ssh", &["SSH server: sshd: "]),
    ("usr/sbin/sshd", &["SSH server: sshd: "]),
    ("sbin/init\"", SERVICES),
    ("/root>, \"lib\"", SERVICES),
    ("/root>, \"usr", SERVICES),
];
const NETLINK: &[&str] = &["open a netlink socket: ", "list the ", "set the ", "add a"];
const SERVICES: &[&str] = &[
    "SSH server: sshd: ",
    "read for the user's account: /sbin/init: ",
    "hand over: ",
    "find out: which network managers the image enables: ",
];

/// Lines that follow from the failure and have an error of their own: words of strace's
/// line, the beginning of the line, and why.
const FOLLOWS: &[(&str, &str, &str)] = &[
    (
        "onecontext/copies",
        "mount over: ",
        "a file of the copy could not be made",
    ),
    (
        "run/onecontext>, \"copies\"",
        "mount over: ",
        "the same for the folder of the copies",
    ),
    (
        "run>, \"onecontext\"",
        "mount over: ",
        "the same for the folder above it",
    ),
    ("<socket:", "add a route: ", "its address is missing"),
    (
        "<socket:",
        "ETH0 (ens3): the kernel does not have ",
        "it was not added",
    ),
    (
        "recvfrom(",
        "list the addresses: RTM_GETADDR: Device or resource busy",
        "the socket still has the answer to the request before",
    ),
];

/// What is wrong with the problems that are said after a call failed. Each line must be
/// about a step that was not done, or about the operand of the call, and have the call's
/// error. Each step that was not done must be named, or the operand, which explains it.
fn misreported(problems: &[&str], undone: &[Step], failed: &str) -> Vec<String> {
    let names = names(failed);
    let error = error(failed);
    let has_word = |line: &str, step: &Step| words_of(*step).iter().any(|word| line.contains(word));
    let is_of_call = |line: &str| {
        let mut says = SAYS.iter().filter(|(call, _)| failed.contains(call));
        names.iter().any(|name| names_it(line, name))
            || says.any(|(_, lines)| lines.iter().any(|start| line.starts_with(start)))
    };
    let mut wrong = Vec::new();
    for line in problems {
        let mut follows = FOLLOWS.iter().filter(|(call, ..)| failed.contains(call));
        let is_its_own = is_of_call(line) || undone.iter().any(|step| has_word(line, step));
        let is_direct = is_its_own && line.contains(&error);
        if !is_direct && !follows.any(|(_, start, _)| line.starts_with(start)) {
            wrong.push(format!("this line does not belong to the fault: {line}"));
        }
    }
    for step in undone {
        if !problems
            .iter()
            .any(|line| has_word(line, step) || is_of_call(line))
        {
            wrong.push(format!(
                "it is not said that it cost {step:?}: {problems:?}"
            ));
        }
    }
    if problems.is_empty() {
        wrong.push("nothing is said".into());
    }
    wrong
}

/// The error of a failed call in the words of strerror(3).
fn error(failed: &str) -> String {
    let name = failed
        .split(" = -1 ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let text = match name.unwrap_or_default() {
        "ENOSPC" => "No space left on device",
        "EROFS" => "Read-only file system",
        "EIO" => "Input/output error",
        "EMFILE" => "Too many open files",
        "EACCES" => "Permission denied",
        "ENOSYS" => "Function not implemented",
        "EINTR" => "Interrupted system call",
        name => panic!("{name}: {failed}"),
    };
    text.into()
}

/// Whether a line names this path. Only a folder of several names stands for all that is
/// in it, /etc for the files there.
fn names_it(line: &str, path: &str) -> bool {
    let rest = line.split(path).nth(1).filter(|_| path.len() > 1);
    rest.is_some_and(|rest| {
        let name = rest.strip_prefix('/').unwrap_or(rest);
        let is_name = !name.split(": ").next().unwrap().contains('/');
        is_name || path.matches('/').count() > 1
    })
}

/// The paths in the arguments of a call, as a message shows them: below the root, or
/// below /run; without what a temporary name adds.
fn names(failed: &str) -> Vec<String> {
    let mut names = Vec::new();
    // "5</tmp/onecontext-a1b2c3/root/etc>, "hosts", ..."
    for argument in failed.split('<').skip(1) {
        let Some((folder, rest)) = argument.split_once('>') else {
            continue;
        };
        let name = rest
            .strip_prefix(", \"")
            .and_then(|rest| rest.split('"').next());
        // What is written is no name, and "." is the folder itself.
        let name = name.filter(|name| *name != "." && !failed.contains("write("));
        let path = Path::new(folder).join(name.unwrap_or_default());
        let path = path.to_string_lossy();
        let path = match path.trim_end_matches('/').strip_suffix(".onecontext") {
            Some(temporary) => {
                let (above, name) = temporary.rsplit_once("/.").unwrap();
                format!("{above}/{name}")
            }
            None => path.trim_end_matches('/').to_string(),
        };
        let below = path
            .split_once("/onecontext-")
            .and_then(|(_, rest)| rest.split_once('/'));
        let below = below.map_or("", |(_, below)| below);
        let shown = format!("/{}", below.strip_prefix("root/").unwrap_or(below));
        names.extend([path.clone(), shown]);
    }
    names
}

/// The judge takes no line about anything else.
#[test]
fn only_the_line_of_the_fault_is_taken() {
    const FAILED: &str = "7 openat(5</tmp/onecontext-a1b2c3/root/etc>, \".hosts.onecontext\", O_WRONLY) \
        = -1 ENOSPC (No space left on device) (INJECTED)";
    assert_eq!(names(FAILED)[1], "/etc/hosts");
    let right = "write: /etc/hosts: No space left on device";
    let count = |problems: &[&str], undone: &[Step]| misreported(problems, undone, FAILED).len();
    assert_eq!(count(&[right], &[Step::Hosts]), 0);
    assert_eq!(count(&[right], &[]), 0);
    for other in [
        "write: /etc/hostname: No space left on device",
        "write: /etc/hosts: Input/output error",
        "SSH server: sshd: No space left on device",
        "mount over: /etc/hosts: an incomplete copy",
    ] {
        assert_eq!(count(&[right, other], &[Step::Hosts]), 1, "{other}");
    }
    assert_eq!(
        count(
            &["write: /etc/hostname: No space left on device"],
            &[Step::Hosts]
        ),
        2
    );
    assert_eq!(count(&[], &[]), 1);
}

/// Whether the key of the context lets alice in.
fn serves_keys(files: &Tree) -> bool {
    const PATH: &str = "/home/alice/.ssh/authorized_keys";
    let holds = |text: String| text.contains(&format!("{KEY} new"));
    // In the file itself, which may be mounted over, or in the other file that sshd is
    // told of.
    holds(text(files, &format!("root{PATH}")))
        || holds(text(files, "run/onecontext/keys/alice"))
        || written_by_tmpfiles(files, PATH).is_some_and(holds)
}

/// What systemd-tmpfiles will write to a file in the booted system (tmpfiles.d(5)).
fn written_by_tmpfiles(files: &Tree, path: &str) -> Option<String> {
    let lines = text(files, "run/tmpfiles.d/50-onecontext.conf");
    let line = lines
        .lines()
        .find(|line| line.starts_with(&format!("f+ {path} ")))?;
    let mut escaped = line.split(' ').next_back()?.replace("%%", "%");
    while let Some(at) = escaped.find("\\x") {
        let byte = u8::from_str_radix(escaped.get(at + 2..at + 4)?, 16).ok()?;
        // No backslash is in these files.
        escaped.replace_range(at..at + 4, &char::from(byte).to_string());
    }
    Some(escaped)
}

fn text(files: &Tree, path: &str) -> String {
    let text = files.get(Path::new(path)).map(|(.., text)| text);
    String::from_utf8_lossy(text.map_or(&[], Vec::as_slice)).into_owned()
}

/// The report has it, too: the console is gone when somebody asks why a boot hung.
#[test]
#[ignore = "needs root: make test-fast"]
fn no_time_limit_is_in_the_report() {
    let mut machine = Machine::new(Init::Systemd);
    let fault = "inject=clone:error=EAGAIN:when=1";
    let boot = machine.boot(&["-e", "trace=clone", "-e", fault]);
    let line = "go on without a time limit: fork: Resource temporarily unavailable";
    assert_eq!(problems(&boot.said), [line]);
    let report = text(&boot.state.files, REPORT);
    assert!(report.lines().any(|said| said.contains(line)), "{report}");
    assert_eq!(boot.status, 1);
    assert_eq!(machine.undone(&boot.state), []);
}

/// The number of faults that plain `cargo test` tries on each machine.
const SOME: usize = 50;

/// A part of all faults, always the same; `FAULTS_SEED` names another part.
#[test]
#[ignore = "needs root: make test-fast"]
fn some_calls_fail() {
    let seed = std::env::var("FAULTS_SEED").map_or(1, |seed| seed.parse().unwrap());
    for init in [Init::Systemd, Init::Scripts] {
        let mut machine = Machine::new(init);
        let all = machine.faults(&ERRORS);
        let mut random = Random(seed);
        let some = (0..SOME).map(|_| all[random.next() as usize % all.len()].clone());
        machine.fail_each(some.collect());
    }
}

/// Every call, on a machine of each kind.
mod all {
    use super::*;

    /// Each call that strace shows fails with this error.
    fn each_call_fails(init: Init, error: &'static str) {
        let mut machine = Machine::new(init);
        let faults = machine.faults(&[error]);
        assert!(
            faults.len() > 300,
            "only {} faults: a run has more calls",
            faults.len()
        );
        machine.fail_each(faults);
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn no_space() {
        each_call_fails(Init::Systemd, "ENOSPC");
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn read_only() {
        each_call_fails(Init::Systemd, "EROFS");
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn input_output() {
        each_call_fails(Init::Systemd, "EIO");
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn too_many_files() {
        each_call_fails(Init::Systemd, "EMFILE");
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn no_permission() {
        each_call_fails(Init::Systemd, "EACCES");
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn no_such_call() {
        each_call_fails(Init::Systemd, "ENOSYS");
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn interrupted() {
        each_call_fails(Init::Systemd, "EINTR");
    }

    /// Compared with the tests above, only the files that are read in the root differ.
    #[test]
    #[ignore = "takes a minute: make faults"]
    fn input_output_without_systemd() {
        each_call_fails(Init::Scripts, "EIO");
    }

    #[test]
    #[ignore = "takes a minute: make faults"]
    fn too_many_files_without_systemd() {
        each_call_fails(Init::Scripts, "EMFILE");
    }
}
