//! The cost of two programs that do the same to the same machine.

use crate::figures;
use crate::guest::*;
use nix::libc;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// How often each is run; the cheapest run counts.
const RUNS: usize = 10;

/// The cost of a program and its child processes.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Processor time.
    pub milliseconds: f64,
    pub system_calls: usize,
    /// Address space of the largest process, code and libraries included. Measured for
    /// `make bench` alone.
    pub kib: Option<u64>,
    /// Instructions outside of the kernel. Measured for `make bench` alone.
    pub instructions: Option<u64>,
}

/// Runs a script and the program in turn, several times, and prints their costs. `look`
/// returns the state of the machine, which must be the same after both; `reset`
/// restores the machine.
pub fn compare(
    names: [&str; 2],
    commands: [&mut Command; 2],
    guest: &mut Guest,
    look: fn(&Guest) -> Vec<String>,
    reset: fn(&Guest),
) -> [Cost; 2] {
    let mut looks = [Vec::new(), Vec::new()];
    let mut cheapest = [f64::MAX; 2];
    let [one, other] = commands;
    for _ in 0..RUNS {
        for (index, command) in [&mut *one, &mut *other].into_iter().enumerate() {
            let (status, milliseconds) = run(command);
            assert!(status.success(), "{command:?}: {status} {}", guest.said());
            cheapest[index] = cheapest[index].min(milliseconds);
            looks[index] = look(guest);
            reset(guest);
        }
    }
    let [left, right] = looks;
    assert_eq!(right, left);
    assert!(right.len() > 5, "{right:?}");
    let trace = guest.top.join("trace");
    let mut index = 0;
    let costs = [&*one, &*other].map(|command| {
        let system_calls = system_calls(command, &trace);
        reset(guest);
        let (mut instructions, mut kib) = (None, None);
        if figures::are_kept() {
            instructions = Some(instructions_of(command));
            reset(guest);
            kib = Some(address_space(command, &mut || {
                let is_same = look(guest) == right;
                reset(guest);
                is_same
            }));
        }
        index += 1;
        Cost {
            milliseconds: cheapest[index - 1],
            system_calls,
            kib,
            instructions,
        }
    });
    print(names, costs);
    costs
}

fn print(names: [&str; 2], costs: [Cost; 2]) {
    println!("{:28}CPU time  system calls", "");
    for (name, cost) in names.iter().zip(costs) {
        println!(
            "{name:26} {:6.2} ms {:13}",
            cost.milliseconds, cost.system_calls
        );
    }
    let [one, other] = costs;
    println!("ratio {:27.1}", one.milliseconds / other.milliseconds);
}

/// Runs a command; counts the system calls of it and of its child processes
/// (strace(1)).
fn system_calls(command: &Command, trace: &Path) -> usize {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(trace);
    strace.arg(command.get_program()).args(command.get_args());
    let status = strace.status().unwrap();
    assert!(status.success(), "{strace:?}: {status}");
    let trace = fs::read_to_string(trace).unwrap();
    // strace splits an interrupted call into two lines.
    let resumed = |line: &&str| line.contains("<... ");
    trace.lines().filter(|line| !resumed(line)).count()
}

/// Runs a command; counts the instructions of it and of its child processes outside of
/// the kernel (valgrind(1)).
fn instructions_of(command: &Command) -> u64 {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--trace-children=yes"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(command.get_program())
        .args(command.get_args());
    let output = valgrind.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{valgrind:?}: {words}");
    let counts = words.lines().filter(|line| line.contains("Collected : "));
    let count = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    counts.map(count).sum()
}

/// The least address space, in KiB, with which a command completes its work. Resident
/// pages would not do: the kernel also counts those from before exec.
fn address_space(command: &Command, is_done: &mut dyn FnMut() -> bool) -> u64 {
    let (mut too_little, mut enough) = (0, 256 << 10);
    while enough - too_little > 16 {
        let middle = (enough + too_little) / 2;
        let status = Command::new("prlimit")
            .arg(format!("--as={}", middle << 10))
            .arg(command.get_program())
            .args(command.get_args())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        match is_done() && status.success() {
            true => enough = middle,
            false => too_little = middle,
        }
    }
    enough
}

/// Runs a command; the processor time, in milliseconds, of it and of the child
/// processes that it waited for.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn run(command: &mut Command) -> (ExitStatus, f64) {
    let child = command.spawn().unwrap();
    let mut status = 0;
    // SAFETY: all zeros are a valid value of this plain structure.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are ours, and the child is waited for once.
    let pid = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert_eq!(pid, child.id() as i32);
    let time = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    let milliseconds = time(usage.ru_utime) + time(usage.ru_stime);
    (ExitStatus::from_raw(status), milliseconds)
}
