//! onecontext: applies the context of an OpenNebula or StratusLab machine
//! before its real root starts. Everything but the start-up code is in the
//! library.
#![no_std]
#![no_main]

mod rt;

use onecontext::inspect::Inspection;
use onecontext::{cli, run};

fn main(arguments: rt::Arguments) -> i32 {
    let command = cli::parse(arguments.skip(1));
    run(command, rt::streams(), Some(Inspection::FULL)) as i32
}
