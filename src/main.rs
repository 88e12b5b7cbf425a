//! onecontext: applies the context of an OpenNebula or StratusLab machine
//! before its real root starts. Everything but the start-up code is in the
//! library.
#![no_std]
#![no_main]

mod rt;

use onecontext::{cli, run};

fn main(arguments: rt::Arguments) -> i32 {
    run(cli::parse(arguments.skip(1)), rt::streams()) as i32
}
