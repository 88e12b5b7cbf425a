//! Network and SSH context for OpenNebula and StratusLab machines, applied in
//! the initramfs, before switch_root.
//!
//! Facts are read first, decisions are pure, changes are made last and in one
//! place:
//!
//! ```text
//! disk ──> context ──> plan ────┐
//!                               ├──> kernel      addresses and routes, by rtnetlink
//! image (facts of the root) ────┼──> managers ─┐
//!                               ├──> system  ──┤
//!                               └──> login ────┴──> changeset ──> files and mounts
//!                 every step ──> base::log ──> console, report, login banner
//! ```
//!
//! Imports point down this list only. Modules on one line do not import each other, and
//! [`image`] does not import [`plan`]. There is no circle of imports between the files
//! of a module. `tests/release/shape.rs` has the full rule and checks it.
//!
//! | module | its job |
//! |---|---|
//! | [`supervise`] | the time that a boot may take |
//! | [`inspect`] | `plan`, `check` and dry runs, which the initramfs lacks |
//! | [`boot`] | a boot, as a table of contents, for both stages |
//! | [`cli`], [`parameters`] | the arguments; the kernel's command line |
//! | [`disk`], [`context`] | where the context is; what it says |
//! | [`managers`], [`system`], [`login`] | what to write for network managers; for names, name servers, cloud-init and scripts; for sshd and its users |
//! | [`kernel`], [`banner`] | the network now; the report and the login banner |
//! | [`changeset`] | what is to be written, and the only code that writes it |
//! | [`image`] | what the mounted root is like; it only reads |
//! | [`plan`] | the desired state and its description, of which the text form and JSON are two sinks |
//! | [`base`] | memory, text, errors, the log |
//!
//! The two binaries are `src/main.rs`, with every command, and `src/initramfs.rs`, with
//! `apply` only. Their start-up code is in `src/rt`, outside this library, so that
//! tests link as usual.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod banner;
pub mod base;
pub mod boot;
pub mod changeset;
pub mod cli;
pub mod context;
pub mod disk;
pub mod image;
pub mod inspect;
pub mod kernel;
pub mod login;
pub mod managers;
pub mod parameters;
pub mod plan;
pub mod supervise;
pub mod system;

use ufmt::uwrite;

use base::log::{Console, Report};
use base::output::{Streams, write_all};
use base::text::{Escaped, Text, as_str};
use cli::{Command, Misuse, Status};

/// Runs what both programs know: `apply`, help and version. `usage` is that of the
/// program.
pub fn run(command: Result<Command, Misuse>, usage: &str, streams: Streams) -> Status {
    let mut out = Text::new();
    let status = match command {
        Ok(Command::Apply(options)) if !options.dry_run => {
            supervise::in_time(streams, options.stage.root(), &mut |progress| {
                boot::apply(&options, streams, progress)
            })
        }
        Ok(Command::Help) => {
            out.extend(usage.as_bytes());
            Status::Done
        }
        Ok(Command::Version) => {
            uwrite!(out, "onecontext {}\n", env!("CARGO_PKG_VERSION"));
            Status::Done
        }
        Ok(Command::Apply(_) | Command::Plan(_) | Command::Check(_)) => refuse(
            "plan, check and --dry-run are not in the program of the initramfs: run\n\
                 /usr/bin/onecontext of the booted system.\n",
            streams,
        ),
        Err(misuse) => {
            let mut text = Text::new();
            uwrite!(text, "{}", misuse.what);
            if !misuse.argument.is_empty() {
                uwrite!(text, ": {}", Escaped(misuse.argument.to_bytes()));
            }
            uwrite!(text, "\n{}", usage);
            refuse(as_str(&text), streams)
        }
    };
    print(&out, status, streams)
}

/// Prints the output of a command, and returns its status.
pub fn print(out: &[u8], status: Status, streams: Streams) -> Status {
    match write_all(streams.output, out) {
        Ok(()) => status,
        Err(errno) => {
            let mut report = Report::new(Console::File(streams.errors));
            report.problem(c"write to", b"standard output", errno);
            status.max(Status::Wrong)
        }
    }
}

/// Says why nothing is done.
fn refuse(why: &str, streams: Streams) -> Status {
    let mut text = Text::new();
    uwrite!(text, "onecontext: {}", why);
    // If standard error cannot be written, there is nowhere to report that.
    let _ = write_all(streams.errors, &text);
    Status::Misused
}
