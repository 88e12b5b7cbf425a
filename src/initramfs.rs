//! onecontext for the initramfs: `apply` and nothing else. What this file does not name
//! is not linked.
#![no_std]
#![no_main]

mod rt;

use onecontext::cli::{self, USAGE_IN_INITRAMFS};
use onecontext::run;

fn main(arguments: rt::Arguments) -> i32 {
    let command = cli::parse(arguments.skip(1), true);
    run(command, USAGE_IN_INITRAMFS, rt::streams()) as i32
}
