//! `onecontext live`: after the switch it compares the machine with the plan that was
//! applied, adds what is missing of it in the first runs of a boot, and says what differs.
//! It restarts no manager, and removes nothing.
pub mod compare;
pub mod known;
pub mod machine;

use rustix::thread::{Timespec, nanosleep};
use ufmt::uwrite;

use crate::base::log::{Console, Level, Report};
use crate::base::memory::{self, Vector};
use crate::base::output::Streams;
use crate::base::proc;
use crate::base::syscall::{Clock, clock};
use crate::base::text::{Escaped, Text, c_str, lines, words};
use crate::boot::read_plan;
use crate::changeset::{Changes, Policy, Writer};
use crate::cli::Status;
use crate::context::Purpose;
use crate::disk::{Search, SystemPaths};
use crate::image::Root;
use crate::image::ssh_ports::SshPorts;
use crate::kernel::{self, Machine, present};
use crate::parameters::{Mode, Parameters, ScriptMode};
use crate::plan::bound::DhcpClient;
use crate::plan::record;
use crate::plan::stored::{self, StoredPlan};
use compare::{Check, Class, Missing, Row, Verdict};
use known::Known;
use machine::MachineState;

/// How many runs of a boot add what is missing: that of the service, and that of the timer,
/// by when the network managers have settled.
const FIRST_RUNS: u32 = 2;
/// When a run looks again after it has added something, in seconds.
const ROUNDS: [i64; 3] = [0, 2, 4];
/// When it looks for the last time after that, in seconds.
const LAST: i64 = 2;
/// How often something is added in a boot. Who removes it that often wants it gone.
const MOST: u32 = 3;

/// One run.
pub fn live(streams: Streams) -> Status {
    let mut report = Report::new(Console::Kmsg(streams.errors));
    // The initramfs has reported what is wrong with the parameters.
    let parameters = Parameters::of_kernel(&mut Report::new(Console::Silent));
    if parameters.mode == Mode::Off {
        return Status::Done;
    }
    let Some(record) = file(record::PATH) else {
        return Status::Done;
    };
    let root = Root::open(c"/", Some(c"/run"));
    let known = Known {
        ssh: root.as_ref().map_or(SshPorts::USUAL, SshPorts::read),
        ..file(known::PATH).map_or(Known::NOTHING, Known::read)
    };
    let mut changes = Changes::new();
    let (plan, context) = applied_plan(record, &parameters, &mut changes);
    let now = Run {
        plan: &plan,
        known,
        adds: known.runs < FIRST_RUNS && parameters.network.kernel(),
    };
    let (mut rows, added) = now.rounds(&mut report);
    rows.extend(&context);
    let status = now.say(&rows, &mut report);
    let known = Known {
        runs: (known.runs + 1).min(FIRST_RUNS),
        added: added.finish(),
        rows: with_times(&rows, &known),
        ..known
    };
    write(known::PATH, known.write(), &mut changes);
    write_files(&changes, &mut report);
    status
}

/// Writes files. Only a failure is said.
fn write_files(changes: &Changes, report: &mut Report) {
    let mut written = Report::new(Console::Silent);
    match Root::open(c"/", Some(c"/run")) {
        Ok(root) => Writer::new(&root, Policy::Auto).apply(changes, &mut written),
        Err((path, errno)) => written.problem(c"open", path, errno),
    }
    for (level, line) in written.lines() {
        if *level == Level::Problem {
            report.add(*level, line);
        }
    }
}

/// The content of a file; `None`: it is not there, or cannot be read.
pub fn file(path: &[u8]) -> Option<&'static [u8]> {
    proc::read(c_str(&[path]).ok()?).ok()
}

fn write(path: &'static [u8], content: &'static [u8], changes: &mut Changes) {
    if file(path) == Some(content) {
        return;
    }
    if let Err(error) = changes.run_file(path, content) {
        changes.problem(c"write", path, error);
    }
}

/// The plan that was applied, and a row about the context if that is another by now. The
/// text of the plan is written once.
fn applied_plan(
    record: &'static [u8],
    parameters: &Parameters,
    changes: &mut Changes,
) -> (StoredPlan, Vector<Row>) {
    let mut rows = Vector::new();
    let mut line = lines(record)
        .find_map(|line| line.strip_prefix(b"\tcontext "))
        .map(words)
        .into_iter()
        .flatten();
    // Behind the number of the medium.
    let sum = (line.nth(1), line.next());
    let source = line.next().unwrap_or_default();
    let mut row = |truth: &'static [u8], verdict| {
        rows.push(Row {
            check: Check::Context,
            plan: source,
            truth,
            verdict,
            missing: None,
        });
    };
    let read = read_again(source, parameters);
    let is_same = read.is_some_and(|plan| {
        let mut line = words(plan.edition).skip(2);
        (line.next(), line.next()) == sum
    });
    let old = file(stored::PATH);
    let text = match (read, old) {
        (Some(plan), None) if is_same => {
            let mut silent = Report::new(Console::Silent);
            let machine = Machine::open(DhcpClient::Alone, false, &[], &mut silent);
            let bound = kernel::find(plan, &machine, &mut silent);
            let mut text = Text::new();
            bound.write(None, &mut text);
            let text: &'static [u8] = text.finish();
            write(stored::PATH, text, changes);
            text
        }
        (_, old) => old.unwrap_or_default(),
    };
    if read.is_none() {
        row(b"it cannot be read any more", Verdict::NotVerified);
    } else if !is_same {
        let truth = b"another is there; it takes effect at the next boot";
        row(truth, Verdict::Other(Class::Note));
    }
    (StoredPlan::read(text), rows)
}

/// Reads the context where it was read at the boot. The device is opened, not a mount of
/// it, which may show an old medium. The first read of a new medium may fail.
fn read_again(
    source: &'static [u8],
    parameters: &Parameters,
) -> Option<&'static crate::plan::Plan> {
    let path = c_str(&[source]).ok().filter(|path| !path.is_empty())?;
    let search = Search {
        device: None,
        wait: 0,
        required: true,
        paths: SystemPaths::SYSTEM,
    };
    let purpose = match parameters.scripts {
        ScriptMode::Run => Purpose::Run,
        ScriptMode::Off => Purpose::Plan,
    };
    let mut silent = Report::new(Console::Silent);
    for _ in 0..3 {
        if let Some(plan) = read_plan(Some(path), &search, purpose, &mut silent) {
            return Some(plan);
        }
        sleep(1);
    }
    None
}

/// A run, once the plan is known.
struct Run<'r> {
    plan: &'r StoredPlan,
    known: Known,
    /// Whether it adds what is missing.
    adds: bool,
}

type Added = Vector<(u32, &'static [u8])>;

impl Run<'_> {
    /// Compares, adds what is missing, and looks again. Returns the rows of the last look,
    /// and what was added in this boot.
    fn rounds(&self, report: &mut Report) -> (Vector<Row>, Added) {
        let mut added = Vector::new();
        added.extend(self.known.added);
        for seconds in ROUNDS {
            sleep(seconds);
            let state = MachineState::read();
            let mut rows = self.compare(&state);
            let mut has_added = false;
            for row in rows.iter_mut() {
                has_added |= self.adds && add(row, &state, &mut added, report);
            }
            if !has_added {
                return (rows, added);
            }
        }
        sleep(LAST);
        (self.compare(&MachineState::read()), added)
    }

    /// Every row.
    fn compare(&self, state: &MachineState) -> Vector<Row> {
        let mut rows = compare::network(self.plan, state);
        rows.push(compare::listener(self.known.ssh, state));
        rows.extend(&compare::name_servers(
            self.plan,
            file(machine::RESOLV_CONF),
        ));
        rows.extend(&compare::logins(&machine::users(self.plan)));
        rows
    }

    /// Says what is new, and returns the status: only what keeps people out fails.
    fn say(&self, rows: &[Row], report: &mut Report) -> Status {
        let mut status = Status::Done;
        for row in rows {
            let level = match row.verdict {
                Verdict::Other(Class::Reach) => {
                    status = Status::Wrong;
                    Level::Problem
                }
                Verdict::Other(Class::Differs) => Level::Problem,
                Verdict::Other(Class::Note) => Level::Note,
                Verdict::Same | Verdict::NotVerified => continue,
            };
            if self.known.since(row).is_none() {
                let mut line = report.line();
                let (plan, truth) = (Escaped(row.plan), Escaped(row.truth));
                uwrite!(
                    line,
                    "after the boot: {} {}: {}",
                    row.check.name(),
                    plan,
                    truth
                );
                report.say(level, line);
            }
        }
        status
    }
}

/// Adds what a row lacks, if it was not added too often.
fn add(row: &mut Row, state: &MachineState, added: &mut Added, report: &mut Report) -> bool {
    let (Some(missing), Ok(network)) = (row.missing, &state.network) else {
        return false;
    };
    let (Missing::Address(name, _) | Missing::Route(name, _)) = missing;
    let Some(device) = network.device(name) else {
        return false;
    };
    let mut counts = added.iter_mut();
    let times = match counts.find(|(_, what)| *what == row.plan) {
        Some((times, _)) => times,
        None => {
            added.push((0, row.plan));
            let Some((times, _)) = added.last_mut() else {
                return false;
            };
            times
        }
    };
    if *times >= MOST {
        let parts = [row.truth, b"; added three times, and removed each time"];
        row.truth = memory::concat(&parts);
        return false;
    }
    let done = match missing {
        Missing::Address(_, address) => present::add_address(device, address),
        Missing::Route(_, route) => present::add_route(device, &route),
    };
    let mut line = report.line();
    let plan = Escaped(row.plan);
    match done {
        Ok(()) => {
            *times += 1;
            let truth = Escaped(row.truth);
            uwrite!(
                line,
                "after the boot: {} {} was {}; added",
                row.check.name(),
                plan,
                truth
            );
            report.say(Level::Notice, line);
        }
        Err(reason) => {
            let parts = [row.truth, b"; the kernel refuses it: ", reason];
            row.truth = memory::concat(&parts);
        }
    }
    done.is_ok()
}

/// The rows, each since when it is as it is.
fn with_times(rows: &[Row], known: &Known) -> &'static [(u64, Row)] {
    let (now, _) = clock(Clock::Real).unwrap_or_default();
    let mut timed = Vector::new();
    for row in rows {
        timed.push((known.since(row).unwrap_or(now), *row));
    }
    timed.finish()
}

fn sleep(seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    if seconds > 0 {
        // A signal may end it early, which does no harm.
        let _ = nanosleep(&time);
    }
}
