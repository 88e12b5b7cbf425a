//! onecontext as it is in an initramfs: without what only `plan` and `check`
//! need, which nobody runs there.
#![no_std]
#![no_main]

mod rt;

use onecontext::{cli, inspect, run};

fn main(arguments: rt::Arguments) -> i32 {
    let command = cli::parse(arguments.skip(1));
    run(command, rt::streams(), inspect::refuse_in_initramfs) as i32
}
