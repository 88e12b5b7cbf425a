//! Bounds the time of `apply`: the boot goes on whatever a drive or a file system does.
//! A child process does the work. This process waits for it, kills it when the time is
//! over, puts a root back that it has remounted, and reports the step that it was at.
use core::ffi::CStr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use ufmt::uwrite;

use crate::base::log::{Console, Level, Report};
use crate::base::output::Streams;
use crate::base::progress::Progress;
use crate::base::syscall::{exit, fork};
use crate::base::text::Escaped;
use crate::base::wait::Wait;
use crate::changeset::{cannot_put_back, put_back};
use crate::cli::Status;

/// The time limit of the work, in seconds. With the time to kill it and to put the root
/// back that makes a minute.
const LIMIT: u32 = 58;
/// How long to wait for the end of a killed process, or for the root to be put back, in
/// seconds. Either may never end while it waits in the kernel for a file system.
const END: u32 = 1;

/// An `apply`, which records its steps in the argument; or why it has no time limit.
pub type Work<'w> = &'w mut dyn FnMut(Result<&'static Progress, Errno>) -> Status;

/// Does the work in at most a minute. `root`: where the root is mounted.
pub fn in_time(streams: Streams, root: &CStr, work: Work) -> Status {
    let started = Progress::share().and_then(|progress| {
        // SAFETY: the program has one thread.
        unsafe { fork() }.map(|process| (progress, process))
    });
    match started {
        Ok((progress, None)) => {
            let status = work(Ok(progress));
            progress.finish(status as u8);
            exit(status as i32)
        }
        Ok((progress, Some(process))) => supervise(
            process,
            progress,
            root,
            &mut Report::new(Console::Kmsg(streams.errors)),
        ),
        // Working without a limit is better than not at all.
        Err(errno) => work(Err(errno)),
    }
}

/// Waits for the process. Its exit status comes through the shared memory: wait(2)
/// gives none if the parent ignores SIGCHLD.
fn supervise(process: Pid, progress: &Progress, root: &CStr, report: &mut Report) -> Status {
    let mut line = report.line();
    if ends_within(process, LIMIT) {
        if let Some(status) = progress.status().and_then(Status::from_code) {
            return status;
        }
        uwrite!(line, "apply: ended before it was done, at: ");
    } else {
        // If it waits for a drive, the kernel ends it only afterwards.
        let _ = kill_process(process, Signal::KILL);
        ends_within(process, END);
        uwrite!(line, "apply: given up after {} s, at: ", LIMIT);
    }
    if progress.remount() != 0 {
        put_root_back(root, progress.remount(), report);
    }
    let mut step = report.line();
    progress.step(&mut step);
    uwrite!(line, "{}", Escaped(&step));
    report.say(Level::Problem, line);
    Status::Wrong
}

/// Puts the root back, in a process of its own: the root may never answer.
fn put_root_back(root: &CStr, flags: u32, report: &mut Report) {
    // SAFETY: the program has one thread.
    let process = unsafe { fork() };
    if let Ok(Some(process)) = process {
        if !ends_within(process, END) {
            cannot_put_back(root, Errno::TIMEDOUT, report);
        }
        return;
    }
    // Without a limit is better than not at all.
    put_back(root, flags, report);
    if process.is_ok() {
        exit(0)
    }
}

/// Waits until a process has ended, at most `seconds`.
fn ends_within(process: Pid, seconds: u32) -> bool {
    let timeout = Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    if let Ok(file) = pidfd_open(process, PidfdFlags::empty()) {
        let mut files = [PollFd::new(&file, PollFlags::IN)];
        if let Ok(ready) = retry_on_intr(|| poll(&mut files, Some(&timeout))) {
            // Reap the process.
            has_ended(process);
            return ready > 0;
        }
    }
    // Before Linux 5.3 there is no pidfd_open(2): poll.
    let mut wait = Wait::seconds(seconds);
    loop {
        if has_ended(process) {
            return true;
        }
        if !wait.sleep() {
            return false;
        }
    }
}

/// Whether a process has ended. This reaps it, and its process ID is free then, so do
/// not ask again.
fn has_ended(process: Pid) -> bool {
    // ECHILD: this process ignores SIGCHLD, so the kernel has reaped the other.
    !matches!(waitpid(Some(process), WaitOptions::NOHANG), Ok(None))
}
