//! `onecontext plan` and `onecontext check`: what would be applied, and what is
//! wrong. Nothing is written, and no privilege is needed.
mod admission;
mod candidates;
mod key_types;
mod listening;
mod obstacle;
mod overrides;
mod remains;
mod rivals;
mod selection;
mod server;
mod sudo;

use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::log::{Console, Level, Report};
use crate::base::memory::Vector;
use crate::base::output::Streams;
use crate::base::text::{Escaped, Text};
use crate::boot::{self, Boot, read_plan};
use crate::changeset::{Changes, Placed};
use crate::cli::{Apply, Inspect, Status};
use crate::context::Purpose;
use crate::disk::{Search, SystemPaths};
use crate::image::Root;
use crate::image::facts::{Facts, LoginFacts, NetworkFacts};
use crate::plan::bound::{BoundPlan, DhcpClient};
use crate::plan::{Link, Plan};
use rivals::Nics;

/// How the context is looked for where none is named.
const SEARCH: Search = Search {
    device: None,
    wait: 0,
    required: true,
    paths: SystemPaths::SYSTEM,
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The whole plan.
    Plan,
    /// Only what is wrong.
    Problems,
}

/// A dry run of `apply`: nothing is changed, and the plan is written to `out`. It has no
/// time limit, since its user waits at a terminal.
pub fn dry_run(options: &Apply, streams: Streams, out: &mut Text) -> Status {
    let mut report = Report::new(Console::File(streams.errors));
    let boot = match Boot::read(options, &mut report) {
        Ok(boot) => boot,
        Err(none) => return none.status,
    };
    let bound = boot.find_devices(&mut report);
    if let Some(root) = boot.root() {
        bound.write(Some(&boot.decide(&bound, &report).place(root)), out);
    }
    Status::of(report.problems())
}

/// Answers in `out`.
pub fn inspect(operands: &Inspect, question: Question, streams: Streams, out: &mut Text) -> Status {
    let mut report = Report::new(Console::File(streams.errors));
    // The image's kernel command line is not known, so scripts count as not run.
    let purpose = match question {
        Question::Plan => Purpose::Plan,
        Question::Problems => Purpose::Check,
    };
    let Some(plan) = read_plan(operands.context, &SEARCH, purpose, &mut report) else {
        return Status::Unreadable;
    };
    let root = match operands.root.map(|root| Root::open(root, None)).transpose() {
        Ok(root) => root,
        Err((path, errno)) => {
            report.problem(c"open the root", path, errno);
            return Status::Unreadable;
        }
    };
    let facts = (root.as_ref()).map(|root| boot::read_facts(root, plan, true));
    if let Some(facts) = &facts {
        boot::settle_warnings(plan, facts);
    }
    // The devices of this machine are not those of the root.
    let dhcp = facts
        .as_ref()
        .map_or(DhcpClient::Alone, |facts| boot::dhcp_client(plan, facts));
    let bound = BoundPlan::unbound(plan, dhcp);
    let known = root.as_ref().zip(facts.as_ref());
    let placed = known.map(|(root, facts)| place(&bound, root, facts));
    match question {
        Question::Plan => {
            write_plan(
                &bound,
                placed.as_ref().map(|(placed, _)| placed),
                operands.json,
                out,
            );
            Status::Done
        }
        Question::Problems => {
            write_problems(plan, placed.as_ref(), out);
            if let Some(((root, facts), (_, logins))) = known.zip(placed.as_ref()) {
                write_foreseen(plan, root, facts, logins, out);
            }
            match out.is_empty() {
                true => Status::Done,
                false => Status::Wrong,
            }
        }
    }
}

fn write_plan(bound: &BoundPlan, placed: Option<&Placed>, json: bool, out: &mut Text) {
    let write = match json {
        true => BoundPlan::write_json,
        false => BoundPlan::write,
    };
    write(bound, placed.map(|placed| placed as _), out);
}

/// What the booted system shall see, on a root that can be written, and the facts of its
/// users.
fn place(bound: &BoundPlan, root: &Root, facts: &Facts) -> (Placed, &'static LoginFacts) {
    let logins = boot::read_login_facts(root, bound.plan, facts.systemd, b"");
    let mut changes = Changes::new();
    boot::decide(bound, facts, logins, &mut changes);
    if let Some(network) = facts.network {
        changes.step(b"network managers", |changes| {
            name_rivals(bound.plan, root, network, changes)
        });
    }
    (changes.place(root), logins)
}

/// What the booted system will do by itself, against the plan. Only `check` reads so much.
fn write_foreseen(plan: &Plan, root: &Root, facts: &Facts, logins: &LoginFacts, out: &mut Text) {
    let mut step = |operand: &str, result: Result<(), Error>| {
        if let Err(error) = result {
            uwrite!(out, "check: {}: {}\n", operand, error);
        }
    };
    let mut text = Text::new();
    if let Ok(systemd) = facts.systemd
        && !plan.keys.is_empty()
    {
        match server::obstacle(root, systemd) {
            Ok(Some((path, reason))) => {
                uwrite!(text, "SSH server: {}: {}\n", Escaped(path), Escaped(reason));
            }
            Ok(None) => {}
            Err(error) => step("how the SSH server starts", Err(error)),
        }
    }
    step(
        "what is applied later",
        overrides::write(root, plan, facts, &mut text),
    );
    if let Ok(users) = logins.logins {
        step(
            "what was left",
            remains::write(root, plan, users, &mut text),
        );
    }
    candidates::check(root, plan, logins, &mut text);
    out.extend(&text);
}

/// Names what of the image's own settings outweighs our files.
fn name_rivals(
    plan: &Plan,
    root: &Root,
    network: &NetworkFacts,
    changes: &mut Changes,
) -> Result<(), Error> {
    let mut macs = Vector::new();
    for link in plan.links.iter().filter(|link| link.is_managed()) {
        macs.extend(link.mac.as_slice());
    }
    let nics = Nics {
        macs: &macs,
        by_dhcp: plan.links.iter().any(|link| link.ipv4.uses_dhcp()),
    };
    if !plan.links.iter().any(Link::is_managed) {
        return Ok(());
    }
    for (path, what) in rivals::find(root, &network.managers, nics)?.iter() {
        changes.problem(c"hand over", path, *what);
    }
    Ok(())
}

fn write_problems(plan: &Plan, placed: Option<&(Placed, &'static LoginFacts)>, out: &mut Text) {
    for warning in plan.warnings().filter(|warning| !warning.is_note) {
        uwrite!(out, "{}\n", *warning);
    }
    overrides::write_shared_networks(plan, out);
    let remarks = placed.map_or(&[][..], |(changes, _)| &changes.remarks);
    for (level, line) in remarks {
        if *level == Level::Problem {
            out.extend(line);
            out.push(b'\n');
        }
    }
}
