//! The scripts that run boots and verify units.

mod boots_tests;
mod slice_tests;
mod units_tests;
