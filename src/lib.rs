//! Network and SSH context for OpenNebula and StratusLab machines, applied in
//! the initramfs, before switch_root.
//!
//! Data flows one way:
//!
//! ```text
//! disk ──> context ──> plan ──> kernel      addresses and routes, by rtnetlink
//!                        ├────> handover    what the real root's own tools read
//!                        ├────> login       SSH keys, sshd
//!                        └────> report      console, status files, login banner
//! ```
//!
//! [`root`] is the door to the mounted target root; [`memory`] and [`text`]
//! serve everybody. The start-up code of the freestanding binary is in
//! `src/rt`, outside this library, so that tests link as usual.
#![cfg_attr(not(test), no_std)]

pub mod cli;
pub mod commands;
pub mod context;
pub mod directory;
pub mod disk;
pub mod handover;
pub mod kernel;
pub mod login;
pub mod memory;
pub mod parameters;
pub mod plan;
pub mod report;
pub mod root;
pub mod syscall;
pub mod text;
