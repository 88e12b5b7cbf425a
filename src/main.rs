//! onecontext: applies the context of an OpenNebula or StratusLab machine before its real
//! root starts, and shows what it would do. Everything but the start-up code is in the
//! library.
#![no_std]
#![no_main]

mod rt;

use onecontext::base::text::Text;
use onecontext::cli::{self, Command, USAGE};
use onecontext::inspect::{Question, dry_run, inspect};
use onecontext::{print, run};

fn main(arguments: rt::Arguments) -> i32 {
    let streams = rt::streams();
    let mut out = Text::new();
    let status = match cli::parse(arguments.skip(1), false) {
        Ok(Command::Plan(operands)) => inspect(&operands, Question::Plan, streams, &mut out),
        Ok(Command::Check(operands)) => inspect(&operands, Question::Problems, streams, &mut out),
        Ok(Command::Apply(options)) if options.dry_run => dry_run(&options, streams, &mut out),
        command => return run(command, USAGE, streams) as i32,
    };
    print(&out, status, streams) as i32
}
