//! Contexts, and what the shipped binary makes of them.

#[path = "../support/release.rs"]
mod release;

mod mistakes;
mod plan;
mod secrets;
