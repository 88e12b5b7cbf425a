//! What each command does, from the disk to the report.
use core::ffi::CStr;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, Mode as Bits, OFlags, accessat, openat};
use rustix::io::Errno;
use ufmt::uwrite;

use crate::cli::{Apply, Command, Inspect, Misuse, USAGE};
use crate::context::{self, Files};
use crate::disk::wait::Wait;
use crate::disk::{Disk, Places, Search, search};
use crate::handover::{self, Managers};
use crate::kernel::{self, Machine};
use crate::login;
use crate::memory::Arena;
use crate::parameters::{Mode, Parameters};
use crate::plan::Plan;
use crate::report::{Console, Level, Report, banner};
use crate::root::{Changes, Column, Root, Writer};
use crate::text::{Error, Shown, Text};

/// Exit statuses.
const DONE: i32 = 0;
const WRONG: i32 = 1;
const MISUSED: i32 = 2;
const UNREADABLE: i32 = 3;

/// Where the program writes.
#[derive(Clone, Copy)]
pub struct Streams {
    /// Standard output.
    pub output: BorrowedFd<'static>,
    /// Standard error.
    pub errors: BorrowedFd<'static>,
}

/// Carries a command out and gives the exit status.
pub fn run(command: Result<Command<'_>, Misuse<'_>>, streams: Streams) -> i32 {
    let arena = Arena::new();
    let mut out = arena.table();
    let status = match command {
        Ok(Command::Help) => {
            out.extend(USAGE.as_bytes());
            DONE
        }
        Ok(Command::Version) => {
            uwrite!(out, "onecontext {}\n", env!("CARGO_PKG_VERSION"));
            DONE
        }
        Ok(Command::Apply(options)) => apply(&arena, &options, streams, &mut out),
        Ok(Command::Plan(operands)) => inspect(&arena, &operands, false, streams, &mut out),
        Ok(Command::Check(operands)) => inspect(&arena, &operands, true, streams, &mut out),
        Err(misuse) => {
            let mut text = arena.table();
            uwrite!(text, "onecontext: {}", misuse.what);
            if !misuse.argument.is_empty() {
                uwrite!(text, ": {}", Shown(misuse.argument.to_bytes()));
            }
            uwrite!(text, "\n{}", USAGE);
            let _ = print(streams.errors, &text);
            MISUSED
        }
    };
    match print(streams.output, &out) {
        Ok(()) => status,
        Err(errno) => {
            let mut report = Report::new(&arena, Console::File(streams.errors));
            report.problem("write to", b"standard output", errno);
            status.max(WRONG)
        }
    }
}

/// Writes all of `text`.
fn print(to: BorrowedFd, mut text: &[u8]) -> Result<(), Errno> {
    while !text.is_empty() {
        match rustix::io::write(to, text) {
            Ok(0) => return Err(Errno::IO),
            Ok(length) => text = text.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

impl<'a> Files<'a> for Disk<'a> {
    fn read(&self, name: &[u8]) -> Result<Option<&'a mut [u8]>, Error> {
        self.read(name)
    }
    fn has(&self, name: &[u8]) -> Result<bool, Error> {
        self.has(name)
    }
}

/// `onecontext plan` and `onecontext check`.
fn inspect<'a>(
    arena: &'a Arena,
    operands: &Inspect<'a>,
    only_problems: bool,
    streams: Streams,
    out: &mut Text<'a>,
) -> i32 {
    let mut report = Report::new(arena, Console::File(streams.errors));
    let options = Search {
        device: None,
        wait: 0,
        required: true,
        places: Places::SYSTEM,
    };
    let Some(mut plan) = read(arena, operands.context, &options, &mut report) else {
        return UNREADABLE;
    };
    let root = match operands.root.map(|root| Root::open(arena, root, None)) {
        None => None,
        Some(Ok(root)) => Some(root),
        Some(Err((path, errno))) => {
            report.problem("open the root", path, errno);
            return UNREADABLE;
        }
    };
    if let Some(root) = &root {
        look_for_readers(&mut plan, root);
    }
    let changes = root
        .as_ref()
        .map(|root| decide(&plan, root, Some(&Managers::of(root))));
    if !only_problems {
        write(&plan, changes.as_ref(), arena, out);
        return DONE;
    }
    for warning in plan.warnings() {
        uwrite!(out, "{}\n", *warning);
    }
    for (level, line) in changes.iter().flat_map(Changes::remarks) {
        if *level == Level::Problem {
            out.extend(line);
            out.push(b'\n');
        }
    }
    if out.is_empty() { DONE } else { WRONG }
}

/// The text form of a plan, with the files that it means for a root.
fn write(plan: &Plan, changes: Option<&Changes>, arena: &Arena, out: &mut Text) {
    let mut files = arena.table();
    if let Some(changes) = changes {
        changes.write(&mut files);
    }
    plan.write(out, &files);
}

/// User data that something in the root reads needs no word.
fn look_for_readers(plan: &mut Plan, root: &Root) {
    if !plan.user_data.is_empty() && handover::reads_user_data(root) {
        plan.user_data = &[];
    }
}

/// What would be written into a root that can be.
fn decide<'a>(plan: &Plan, root: &Root<'a>, managers: Option<&Managers<'a>>) -> Changes<'a> {
    let mut changes = Changes::new(root.arena());
    login::decide(plan, root, Column::Written, &mut changes);
    handover::decide(plan, root, managers, Column::Written, &mut changes);
    changes
}

/// Reads the context at `path`, or that of the disk that is found. `None`:
/// there is none that can be read, and the report says why.
fn read<'a>(
    arena: &'a Arena,
    path: Option<&CStr>,
    options: &Search,
    report: &mut Report<'a>,
) -> Option<Plan<'a>> {
    let disk = match path {
        Some(path) => Disk::open(arena, path).map(Some),
        None => search(arena, report, options),
    };
    let disk = match disk {
        Ok(disk) => disk?,
        Err(reason) => {
            let named = path
                .or(options.device)
                .map_or(&b"context disk"[..], CStr::to_bytes);
            report.problem("open", named, reason);
            return None;
        }
    };
    match context::read(arena, disk.source(), &disk) {
        Ok(plan) => Some(plan),
        Err(context::Unreadable { file, reason }) => {
            let mut line = report.line();
            let source = Shown(disk.source());
            uwrite!(line, "read {} of {}: {}", file, source, reason);
            report.say(Level::Problem, line);
            None
        }
    }
}

/// `onecontext apply`.
fn apply<'a>(arena: &'a Arena, options: &Apply<'a>, streams: Streams, out: &mut Text<'a>) -> i32 {
    let console = match options.dry_run {
        true => Console::File(streams.errors),
        false => Console::Kmsg(streams.errors),
    };
    let mut report = Report::new(arena, console);
    let line = command_line(arena, &mut report);
    let parameters = Parameters::read(arena, line, &mut report);
    if parameters.mode == Mode::Off {
        return DONE;
    }
    report.all = parameters.debug;
    let required = parameters.mode == Mode::Require;
    let device = parameters.device;
    let search = Search {
        device,
        wait: parameters.wait,
        required,
        places: Places::SYSTEM,
    };
    let mut plan = read(arena, options.context, &search, &mut report);
    if plan.is_none() && report.problems() == 0 {
        let mut line = report.line();
        uwrite!(line, "no context disk, nothing to do");
        report.say(Level::Note, line);
        return DONE;
    }
    let named = options.context.is_some() || device.is_some() || required;
    // Before the context's own problems, of which there may be very many.
    let root = match Root::open(arena, options.root, Some(options.run)) {
        Ok(root) => Some(root),
        Err((path, errno)) => {
            report.problem("open", path, errno);
            None
        }
    };
    let network = parameters.network;
    let managers = match &root {
        Some(root) if plan.is_some() && network.handover() => Some(Managers::of(root)),
        _ => None,
    };
    if let Some(plan) = &mut plan {
        if let Some(root) = &root {
            look_for_readers(plan, root);
        }
        for warning in plan.warnings() {
            let mut line = report.line();
            uwrite!(line, "{}", *warning);
            report.say(Level::Problem, line);
        }
        let machine = machine(managers.as_ref(), &mut report);
        if options.dry_run {
            plan.links = kernel::find(arena, plan, &machine, &mut report);
        } else {
            kernel::set_hostname(plan, &mut report);
            if network.kernel() {
                let mut wait = Wait::seconds(parameters.wait);
                let mut wait = || udev_is_busy() && wait.sleep();
                plan.links = kernel::apply(arena, plan, &machine, &mut wait, &mut report);
            } else if machine.dhcp_managed {
                plan.links = kernel::find(arena, plan, &machine, &mut report);
            }
        }
    }
    let Some(root) = root else {
        return WRONG;
    };
    if options.dry_run {
        if let Some(plan) = &plan {
            let changes = decide(plan, &root, managers.as_ref());
            write(plan, Some(&changes), arena, out);
        }
        return status(plan.is_some(), named, &report);
    }
    let mut writer = Writer::new(&root, parameters.root);
    if let Some(plan) = &plan {
        login::apply(plan, &root, &mut writer, &mut report);
        handover::apply(plan, &root, managers.as_ref(), &mut writer, &mut report);
    }
    writer.finish(&mut report);
    let files = banner::files(arena, plan.as_ref(), &report);
    Writer::new(&root, parameters.root).apply(&mut report, |_, changes| {
        for (path, content) in files {
            if let Err(reason) = changes.run_file(&root, path, content) {
                changes.problem("write", path, reason);
            }
        }
    });
    report.finish();
    status(plan.is_some(), named, &report)
}

fn status(read: bool, named: bool, report: &Report) -> i32 {
    match (read, report.problems()) {
        (false, _) if named => UNREADABLE,
        (true, 0) => DONE,
        _ => WRONG,
    }
}

/// The kernel's command line. It has at most 4096 bytes on most
/// architectures (`COMMAND_LINE_SIZE`), but that is not ours to know.
fn command_line<'a>(arena: &'a Arena, report: &mut Report) -> &'a [u8] {
    const PATH: &CStr = c"/proc/cmdline";
    let mut line = arena.table();
    let read =
        openat(CWD, PATH, OFlags::RDONLY | OFlags::CLOEXEC, Bits::empty()).and_then(|file| {
            let mut part = [0; 1024];
            loop {
                let length = rustix::io::read(&file, &mut part)?;
                match part.get(..length) {
                    Some(part @ [_, ..]) => line.extend(part),
                    _ => return Ok(()),
                }
            }
        });
    if let Err(errno) = read {
        report.problem("read the kernel parameters", PATH.to_bytes(), errno);
    }
    line.finish()
}

/// The running system, as far as it is there.
fn machine(managers: Option<&Managers>, report: &mut Report) -> Machine {
    let mut open = |path: &CStr| -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Bits::empty()) {
            Ok(directory) => Some(directory),
            Err(Errno::NOENT) => None,
            Err(errno) => {
                report.problem("open", path.to_bytes(), errno);
                None
            }
        }
    };
    Machine {
        ipv6_conf: open(c"/proc/sys/net/ipv6/conf"),
        sys_net: open(c"/sys/class/net"),
        dhcp_managed: managers.is_some_and(Managers::do_dhcp),
        routers_managed: managers.is_some_and(Managers::hear_routers),
    }
}

fn udev_is_busy() -> bool {
    accessat(CWD, Places::SYSTEM.queue, Access::EXISTS, AtFlags::empty()).is_ok()
}
