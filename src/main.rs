//! onecontext: applies the context of an OpenNebula or StratusLab machine
//! before its real root starts.
#![no_std]
#![no_main]

mod rt;

fn main(_: rt::Args) -> i32 {
    0
}
