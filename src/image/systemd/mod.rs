//! What the root's systemd starts: units, and the presets that enable some of
//! them at a first boot.
mod presets;
pub mod units;
