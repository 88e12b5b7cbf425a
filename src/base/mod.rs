//! What all other modules use: memory, text, errors, the log, and the system calls that
//! rustix lacks.

pub mod context_files;
pub mod description;
pub mod error;
pub mod fatal;
pub mod fnv;
pub mod getdents;
pub mod json;
pub mod log;
pub mod memory;
pub mod output;
pub mod proc;
pub mod progress;
pub mod set;
pub mod sort;
pub mod syscall;
pub mod text;
pub mod wait;
