//! `onecontext plan` and `onecontext check`: what would be applied, and what is
//! wrong. Nothing is written, and no privilege is needed.
use ufmt::uwrite;

use crate::base::json::Json;
use crate::base::log::{Console, Level, Report};
use crate::base::memory::Vector;
use crate::base::output::{Streams, write_all};
use crate::base::text::Text;
use crate::changeset::{Changes, Placed};
use crate::cli::{Inspect, Status};
use crate::context::Purpose;
use crate::disk::{Search, SystemPaths};
use crate::handover;
use crate::image::Root;
use crate::image::facts::Facts;
use crate::load;
use crate::login;
use crate::plan::Plan;
use crate::plan::bound::BoundPlan;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The whole plan.
    Plan,
    /// Only what is wrong.
    Problems,
}

/// The functions for `plan`, `check` and dry runs, which only the full binary has.
#[derive(Clone, Copy)]
pub struct Inspection {
    /// Answers a question.
    pub inspect: Inspector,
    /// Writes a plan.
    pub write: PlanWriter,
}

/// [`inspect`]
pub type Inspector =
    fn(operands: &Inspect, question: Question, streams: Streams, out: &mut Text) -> Status;

/// [`write`]
pub type PlanWriter = fn(bound: &BoundPlan, changes: Option<&Placed>, out: &mut Text);

impl Inspection {
    /// All of them.
    pub const FULL: Self = Self { inspect, write };
}

/// A dry run of `apply`: nothing is changed, and the plan is written.
pub struct DryRun<'o> {
    /// Writes it.
    pub write: PlanWriter,
    /// The output.
    pub out: &'o mut Text,
}

/// Reports that the binary of the initramfs has no such command.
pub fn refuse(streams: Streams) -> Status {
    // If standard error cannot be written, there is nowhere to report that.
    let _ = write_all(
        streams.errors,
        b"\
onecontext: plan, check and --dry-run are not in the program of the initramfs: run
/usr/bin/onecontext of the booted system.
",
    );
    Status::Misused
}

/// Answers in `out`.
pub fn inspect(operands: &Inspect, question: Question, streams: Streams, out: &mut Text) -> Status {
    let mut report = Report::new(Console::File(streams.errors));
    let search = Search {
        device: None,
        wait: 0,
        required: true,
        paths: SystemPaths::SYSTEM,
    };
    // The image's kernel command line is not known, so scripts count as not run.
    let purpose = match question {
        Question::Plan => Purpose::Plan,
        Question::Problems => Purpose::Check,
    };
    let plan = load::plan(operands.context, &search, purpose, &mut report);
    let Some(plan) = plan else {
        return Status::Unreadable;
    };
    let root = match operands.root.map(|root| Root::open(root, None)) {
        None => None,
        Some(Ok(root)) => Some(root),
        Some(Err((path, errno))) => {
            report.problem(c"open the root", path, errno);
            return Status::Unreadable;
        }
    };
    let facts = root.as_ref().map(|root| {
        let facts = load::facts(root, plan, true);
        load::drop_user_data_warnings(plan, &facts);
        facts
    });
    // The devices of this machine are not those of the root.
    let bound = BoundPlan::unbound(plan);
    let known = root.as_ref().zip(facts.as_ref());
    let changes = known.map(|(root, facts)| decide(&bound, root, facts));
    match question {
        Question::Plan => {
            match operands.json {
                true => write_json(&bound, changes.as_ref(), out),
                false => write(&bound, changes.as_ref(), out),
            }
            Status::Done
        }
        Question::Problems => {
            write_problems(plan, changes.as_ref(), out);
            match out.is_empty() {
                true => Status::Done,
                false => Status::Wrong,
            }
        }
    }
}

fn write_problems(plan: &Plan, changes: Option<&Placed>, out: &mut Text) {
    for warning in plan.warnings() {
        uwrite!(out, "{}\n", *warning);
    }
    for (level, line) in changes
        .into_iter()
        .flat_map(|changes| changes.remarks.iter())
    {
        if *level == Level::Problem {
            out.extend(line);
            out.push(b'\n');
        }
    }
}

/// Writes the text form of a plan, with its changes to a root.
pub fn write(bound: &BoundPlan, changes: Option<&Placed>, out: &mut Text) {
    let mut files = Vector::new();
    if let Some(changes) = changes {
        changes.write(&mut files);
    }
    bound.write(out, &files);
}

/// Writes the plan as one JSON object, with its changes to a root.
fn write_json(bound: &BoundPlan, changes: Option<&Placed>, out: &mut Text) {
    let mut json = Json::new(out);
    json.open();
    bound.write_json(&mut json);
    if let Some(changes) = changes {
        changes.write_json(&mut json);
    }
    json.close();
    out.push(b'\n');
}

/// The changes to a root that can be written.
pub fn decide(bound: &BoundPlan, root: &Root, facts: &Facts) -> Placed {
    let mut changes = Changes::new();
    let logins = load::login_facts(root, bound.plan);
    login::decide(bound.plan, logins, &mut changes);
    handover::render(bound, facts, &mut changes);
    changes.place(root)
}
