//! Network and SSH context for OpenNebula and StratusLab machines, applied in
//! the initramfs, before switch_root.
//!
//! Facts are read first, decisions are pure, changes are made last and in one
//! place:
//!
//! ```text
//! disk ──> context ──> plan ────┐
//!                               ├──> kernel     addresses and routes, by rtnetlink
//! image (facts of the root) ────┼──> handover ──┐
//!                               └──> login ─────┴──> changeset ──> files and mounts
//!                 every step ──> base::log ──> console, report, login banner
//! ```
//!
//! Imports point down this list only. Modules on one line do not import each other, and
//! [`image`] does not import [`plan`]. There is no circle of imports between the files
//! of a module. `tests/imports.rs` has the full rule and checks it.
//!
//! | module | its job |
//! |---|---|
//! | [`supervise`] | the time that a boot may take |
//! | [`apply`], [`early`] | a boot, step by step; the early stage, before there is a root |
//! | [`inspect`] | `plan` and `check` |
//! | [`load`] | from a disk to a plan |
//! | [`cli`], [`parameters`] | the arguments; the kernel's command line |
//! | [`disk`], [`context`] | where the context is; what it says |
//! | [`handover`], [`login`] | what to write for network managers; for sshd and its users |
//! | [`kernel`], [`banner`] | the network now; the report and the login banner |
//! | [`changeset`] | what is to be written, and the only code that writes it |
//! | [`image`] | what the mounted root is like; it only reads |
//! | [`plan`] | the desired state and its text form |
//! | [`base`] | memory, text, errors, the log |
//!
//! The two binaries are `src/main.rs`, with every command, and `src/initramfs.rs`, with
//! `apply` only. Their start-up code is in `src/rt`, outside this library, so that
//! tests link as usual.
#![cfg_attr(not(test), no_std)]

pub mod apply;
pub mod banner;
pub mod base;
pub mod changeset;
pub mod cli;
pub mod context;
pub mod disk;
pub mod early;
pub mod handover;
pub mod image;
pub mod inspect;
pub mod kernel;
pub mod load;
pub mod login;
pub mod parameters;
pub mod plan;
pub mod supervise;

use ufmt::uwrite;

use base::log::{Console, Report};
use base::output::{Streams, write_all};
use base::text::{Escaped, Text};
use cli::{Command, Misuse, Status, USAGE, USAGE_IN_INITRAMFS};
use inspect::{DryRun, Inspection, Question};

/// Runs a command. The binary for the initramfs passes no `inspection`.
pub fn run(
    command: Result<Command, Misuse>,
    streams: Streams,
    inspection: Option<Inspection>,
) -> Status {
    let mut out = Text::new();
    let usage = match inspection {
        Some(_) => USAGE,
        None => USAGE_IN_INITRAMFS,
    };
    let status = match (command, inspection) {
        (Ok(Command::Help), _) => {
            out.extend(usage.as_bytes());
            Status::Done
        }
        (Ok(Command::Version), _) => {
            uwrite!(out, "onecontext {}\n", env!("CARGO_PKG_VERSION"));
            Status::Done
        }
        (Ok(Command::Apply(options)), _) if !options.dry_run => {
            supervise::in_time(streams, &mut |progress| {
                apply::apply(&options, streams, progress, None)
            })
        }
        (Ok(Command::ApplyEarly(options)), _) if !options.dry_run => {
            supervise::in_time(streams, &mut |progress| {
                early::apply(&options, streams, progress, None)
            })
        }
        // A dry run has no time limit: its user waits at a terminal.
        (Ok(Command::Apply(options)), Some(Inspection { write, .. })) => {
            let dry_run = DryRun {
                write,
                out: &mut out,
            };
            apply::apply(&options, streams, None, Some(dry_run))
        }
        (Ok(Command::ApplyEarly(options)), Some(Inspection { write, .. })) => {
            let dry_run = DryRun {
                write,
                out: &mut out,
            };
            early::apply(&options, streams, None, Some(dry_run))
        }
        (Ok(Command::Plan(operands)), Some(Inspection { inspect, .. })) => {
            inspect(&operands, Question::Plan, streams, &mut out)
        }
        (Ok(Command::Check(operands)), Some(Inspection { inspect, .. })) => {
            inspect(&operands, Question::Problems, streams, &mut out)
        }
        (Ok(_), None) => inspect::refuse(streams),
        (Err(misuse), _) => {
            let mut text = Text::new();
            write_misuse(&misuse, usage, &mut text);
            // If standard error cannot be written, there is nowhere to report that.
            let _ = write_all(streams.errors, &text);
            Status::Misused
        }
    };
    match write_all(streams.output, &out) {
        Ok(()) => status,
        Err(errno) => {
            let mut report = Report::new(Console::File(streams.errors));
            report.problem(c"write to", b"standard output", errno);
            status.max(Status::Wrong)
        }
    }
}

fn write_misuse(misuse: &Misuse, usage: &str, text: &mut Text) {
    uwrite!(text, "onecontext: {}", misuse.what);
    if !misuse.argument.is_empty() {
        uwrite!(text, ": {}", Escaped(misuse.argument.to_bytes()));
    }
    uwrite!(text, "\n{}", usage);
}
