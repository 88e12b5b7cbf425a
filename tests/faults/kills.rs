//! A run is killed, in one run after the other, before each call that changes something.
//! The next boot repairs everything, and so does another run in the same boot. `make
//! faults` tries all; plain `cargo test` tries a part of them.
//!
//! A process that is killed between two calls leaves the same as one that is killed
//! before the second one. So all states that a killed run can leave are those before each
//! call that changes something, and the one before the last call of all.
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::machine::{Init, Machine, State, root_of, state};
use crate::random::Random;
use crate::tree::difference;

/// Calls that change no file, mount or link, whatever their arguments. A call that is not
/// in this list counts as one that changes something.
const READS: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "clock_gettime",
    "close",
    "faccessat",
    "faccessat2",
    "fcntl",
    "fgetxattr",
    "flistxattr",
    "fstat",
    "fstatfs",
    "getdents64",
    "getpid",
    "getrandom",
    "getsockname",
    "ioctl",
    "lgetxattr",
    "lseek",
    "mmap",
    "munmap",
    "newfstatat",
    "nanosleep",
    "openat2",
    "poll",
    "ppoll",
    "pread64",
    "prlimit64",
    "read",
    "readlinkat",
    "recvfrom",
    "recvmsg",
    "set_tid_address",
    "statfs",
    "statx",
    "uname",
    "wait4",
    "waitid",
];
/// Of these, a call without one of the words changes nothing.
const READS_WITHOUT: &[(&str, &str)] = &[("openat", "O_CREAT"), ("openat2", "O_CREAT")];

/// The call by which one process waits for the other, which does the work. Before it,
/// nothing has been changed.
const WAITS: &str = "pidfd_open";

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Killed {
    /// The process that does the work: the other one says so, and puts the root back.
    Worker,
    /// Both, which is what a power cut does, except that the files stay.
    Both,
    /// The process that waits: the other one does all the work.
    Supervisor,
}

/// What happens after it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// A boot: the run directory is empty, and so is the network.
    Boot,
    /// Another run in the same boot.
    Run,
}

#[derive(Clone, Debug)]
struct Kill {
    call: String,
    number: usize,
    killed: Killed,
    next: Next,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            call,
            number,
            killed,
            next,
        } = self;
        write!(
            f,
            "{killed:?} killed before {call} {number}, then a {next:?}"
        )
    }
}

/// The calls before which a run is killed: the name of each and its number among those of
/// this name.
fn calls(trace: &str) -> Vec<(String, usize)> {
    let lines = || {
        trace
            .lines()
            .filter_map(|line| line.trim_start().split_once(' '))
    };
    // The first process makes the one that does the work.
    let (first, _) = lines().next().unwrap();
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut calls = Vec::new();
    for (process, line) in lines() {
        let Some((call, arguments)) = line.trim_start().split_once('(') else {
            continue;
        };
        let is_name = call
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if process == first || !is_name {
            continue;
        }
        let count = counts.entry(call).or_default();
        *count += 1;
        let reads_only = match READS_WITHOUT.iter().find(|(name, _)| *name == call) {
            Some((_, word)) => !arguments.contains(word),
            None => READS.contains(&call),
        };
        if !reads_only {
            calls.push((call.to_string(), *count));
        }
    }
    calls
}

impl Machine {
    fn kills(&mut self) -> Vec<Kill> {
        let calls = calls(&self.boot(&[]).trace);
        let all = [
            (Killed::Worker, Next::Boot),
            (Killed::Worker, Next::Run),
            (Killed::Both, Next::Boot),
            (Killed::Both, Next::Run),
        ];
        let mut kills = vec![Kill {
            call: WAITS.into(),
            number: 1,
            killed: Killed::Supervisor,
            next: Next::Run,
        }];
        for (call, number) in calls {
            kills.extend(all.map(|(killed, next)| Kill {
                call: call.clone(),
                number,
                killed,
                next,
            }));
        }
        kills.retain(|kill| match (kill.killed, kill.next) {
            // Nobody is left to put the root back: a boot does.
            (Killed::Both, Next::Run) => !self.is_read_only,
            _ => true,
        });
        kills
    }

    /// Boots with one kill; returns what is wrong, in words.
    fn kill(&mut self, kill: &Kill) -> Vec<String> {
        let inject = |call: &str, number| format!("inject={call}:signal=KILL:when={number}");
        let first = inject(&kill.call, kill.number);
        let second = inject(WAITS, 1);
        let mut options = vec!["-e", "trace=all", "-e", &first];
        if kill.killed == Killed::Both {
            options.extend(["-e", &second]);
        }
        let boot = self.boot(&options);
        // Each process counts its own calls. So the one that waits is killed as well if it
        // makes the same call, in order to say that the other has ended.
        let count = boot.trace.matches("+++ killed by SIGKILL +++").count();
        let mut wrong = Vec::new();
        match (kill.killed, count) {
            (Killed::Worker, 1) => {
                if boot.status != 1 {
                    wrong.push(format!("status {}", boot.status));
                }
                if !boot
                    .said
                    .contains("<3>onecontext: apply: ended before it was done")
                {
                    wrong.push(format!("it is not said: {}", boot.said));
                }
                if !boot.is_put_back {
                    wrong.push("the root stays writable".into());
                }
            }
            (Killed::Worker | Killed::Both, 2) => {}
            (Killed::Supervisor, 1) => wrong.extend(self.differences(&boot.state)),
            _ => return vec![format!("{count} processes were killed")],
        }
        let good = root_of(&self.good.files);
        for path in difference(&boot.beneath, &good) {
            let is_temporary = path.to_string_lossy().contains(".onecontext");
            if !is_temporary && boot.beneath.get(path) != self.fresh.get(path) {
                wrong.push(format!("neither old nor new: {}", path.display()));
            }
        }
        if kill.next == Next::Boot {
            self.power_on();
        }
        let (status, said) = self.run_again();
        if status != 0 {
            let problems = said.lines().filter(|line| line.starts_with("<3>"));
            wrong.push(format!(
                "then status {status}: {:?}",
                problems.collect::<Vec<_>>()
            ));
        }
        if !self.is_put_back() {
            wrong.push("then the root stays writable".into());
        }
        let then = self.differences(&state(&self.guest));
        wrong.extend(then.into_iter().map(|line| format!("not repaired: {line}")));
        wrong
    }

    /// What differs from the state after an undisturbed boot, but for the report: a run
    /// that finds things done says less.
    fn differences(&self, state: &State) -> Vec<String> {
        let good = &self.good;
        let is_report =
            |path: &&Path| path.ends_with("report") || path.ends_with("50-onecontext.issue");
        let mut differ = difference(&state.files, &good.files);
        differ.retain(|path| !is_report(path));
        let mut lines: Vec<_> = differ
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        if (&state.addresses, &state.network) != (&good.addresses, &good.network) {
            lines.push(format!("{:?} {}", state.addresses, state.network));
        }
        if state.hostname != good.hostname {
            lines.push(format!("the host name {}", state.hostname));
        }
        lines
    }
}

/// Kills runs on machines of several kinds, for each of which `choose` takes some of all
/// kills. Lists all wrong results.
fn kill_each(mut choose: impl FnMut(Vec<Kill>) -> Vec<Kill>) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (init, user, is_read_only) in [
        (Init::Systemd, "alice", false),
        (Init::Systemd, "carol", true),
        (Init::Scripts, "carol", false),
        (Init::Scripts, "alice", true),
    ] {
        let mut machine = Machine::with(init, user, is_read_only);
        let kills = choose(machine.kills());
        for kill in &kills {
            for line in machine.kill(kill) {
                wrong.push(format!("{init:?}, {user}, {is_read_only}: {kill}: {line}"));
            }
        }
        count += kills.len();
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{count} kills, all repaired");
}

/// The number of kills that `make test-fast` tries on each machine.
const SOME_KILLS: usize = 25;

#[test]
#[ignore = "needs root: make test-fast"]
fn some_kills_are_repaired() {
    let mut random = Random(1);
    kill_each(|all| {
        let some = (0..SOME_KILLS).map(|_| all[random.next() as usize % all.len()].clone());
        some.collect()
    });
}

/// Every call, on every machine.
mod all {
    use super::*;

    #[test]
    #[ignore = "takes minutes: make faults"]
    fn each_kill_is_repaired() {
        kill_each(|all| {
            assert!(
                all.len() > 300,
                "only {} kills: a run has more calls",
                all.len()
            );
            all
        });
    }
}
