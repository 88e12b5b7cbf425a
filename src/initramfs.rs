//! onecontext as it is in an initramfs: without what only `plan`, `check` and dry
//! runs need, which nobody asks for there.
#![no_std]
#![no_main]

mod rt;

use onecontext::{cli, run};

fn main(arguments: rt::Arguments) -> i32 {
    let command = cli::parse(arguments.skip(1));
    run(command, rt::streams(), None) as i32
}
