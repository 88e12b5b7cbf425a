//! onecontext for the initramfs. It leaves out the code that only `plan`, `check` and
//! dry runs need: nobody runs them there.
#![no_std]
#![no_main]

mod rt;

use onecontext::{cli, run};

fn main(arguments: rt::Arguments) -> i32 {
    let command = cli::parse(arguments.skip(1));
    run(command, rt::streams(), None) as i32
}
