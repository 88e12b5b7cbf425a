//! `onecontext status`: what the plan says, what is true, and since when. Every user may
//! ask; what only root can read is as the last run of `live` saw it.
use ufmt::uwrite;

use crate::base::description::{Sink, Value, json_only, operand};
use crate::base::json::Json;
use crate::base::memory::Vector;
use crate::base::text::{Escaped, Moment, Text, format};
use crate::cli;
use crate::live::compare::{self, Check, Class, Row, Verdict};
use crate::live::file;
use crate::live::known::{self, Known};
use crate::live::machine::{MachineState, RESOLV_CONF};
use crate::plan::record;
use crate::plan::stored::{self, StoredPlan};

/// Answers in `out`.
pub fn status(json: bool, out: &mut Text) -> cli::Status {
    let Some(text) = file(stored::PATH) else {
        let what = nothing_applied();
        match json {
            true => write_json(&[], &Known::NOTHING, what, out),
            false => {
                uwrite!(out, "{}\n", what);
            }
        }
        return cli::Status::Done;
    };
    let plan = StoredPlan::read(text);
    let known = file(known::PATH).map_or(Known::NOTHING, Known::read);
    let rows = rows(&plan, &known);
    let is_wrong =
        |row: &&Row| matches!(row.verdict, Verdict::Other(Class::Reach | Class::Differs));
    let wrong = rows.iter().filter(is_wrong).count();
    let summary = match wrong {
        0 => "as planned",
        _ => "not as planned",
    };
    match json {
        true => write_json(&rows, &known, summary, out),
        false => write_table(&rows, &known, wrong, out),
    }
    cli::Status::of(wrong)
}

fn nothing_applied() -> &'static str {
    // The record is root's alone, but everybody may see that it is there.
    let path = crate::base::text::c_str(&[record::PATH]);
    match path.is_ok_and(|path| rustix::fs::stat(path).is_ok()) {
        true => {
            "a context was applied, and not yet compared: onecontext-live.service does that \
             after the boot"
        }
        false => "no context was applied in this boot",
    }
}

/// The rows of now, and those of the last run that only root can look at.
fn rows(plan: &StoredPlan, known: &Known) -> Vector<Row> {
    let state = MachineState::read();
    let mut rows = compare::network(plan, &state);
    rows.push(compare::listener(known.ssh, &state));
    rows.extend(&compare::name_servers(plan, file(RESOLV_CONF)));
    for (_, row) in known.rows {
        if matches!(row.check, Check::Login | Check::Keys | Check::Context) {
            rows.push(*row);
        }
    }
    rows
}

/// What people see of a verdict.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "ok",
        Verdict::Other(Class::Reach) => "WRONG",
        Verdict::Other(Class::Differs) => "differs",
        Verdict::Other(Class::Note) => "note",
        Verdict::NotVerified => "?",
    }
}

fn write_table(rows: &[Row], known: &Known, wrong: usize, out: &mut Text) {
    match wrong {
        0 => {
            uwrite!(out, "all is as the context says\n\n");
        }
        1 => {
            uwrite!(out, "1 thing is not as the context says\n\n");
        }
        more => {
            uwrite!(out, "{} things are not as the context says\n\n", more);
        }
    }
    let mut lines = Vector::new();
    let head = ["", "what", "the plan says", "what is true", "since"];
    lines.push(head.map(str::as_bytes));
    for row in rows {
        let since = known
            .since(row)
            .map_or(&b""[..], |since| format(&Moment(since)));
        lines.push([
            mark(row.verdict).as_bytes(),
            row.check.name().as_bytes(),
            format(&Escaped(row.plan)),
            format(&Escaped(row.truth)),
            since,
        ]);
    }
    let mut widths = [0; 5];
    for line in lines.iter() {
        for (width, field) in widths.iter_mut().zip(line) {
            *width = field.len().max(*width);
        }
    }
    for line in lines.iter() {
        let start = out.len();
        for (width, field) in widths.iter().zip(line) {
            out.extend(field);
            for _ in field.len()..width + 2 {
                out.push(b' ');
            }
        }
        let blanks = out.iter().skip(start).rev();
        let blanks = blanks.take_while(|byte| **byte == b' ').count();
        out.truncate(out.len() - blanks);
        out.push(b'\n');
    }
}

fn write_json(rows: &[Row], known: &Known, summary: &'static str, out: &mut Text) {
    let json: &mut dyn Sink = &mut Json(out);
    json.object("", |json| {
        json.directive("status", &[operand("status", summary)]);
        json.array("rows", |json| {
            for row in rows {
                let since = known.since(row);
                let since = since.map(|since| Value::shown(&Moment(since)));
                let fields = [
                    operand("check", row.check.name()),
                    operand("verdict", row.verdict.name()),
                    operand("plan", row.plan),
                    operand("truth", row.truth),
                    json_only("since", since),
                ];
                json.object("", |json| json.directive("row", &fields));
            }
        });
    });
    out.push(b'\n');
}
