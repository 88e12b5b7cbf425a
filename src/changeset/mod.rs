//! What the booted system shall see, described before it is made.
//!
//! A decision adds [`Change`]s: a path and what shall be there, whatever the root is like.
//! [`place`] alone knows how each reaches the booted system: written, mounted over what
//! is there, or left to systemd-tmpfiles. [`write`] makes it, and what an [`earlier`] run
//! has left is taken away.
mod change;
mod description;
mod earlier;
mod file;
mod place;
mod remount;
pub mod tmpfiles;
mod write;

pub use change::{
    Change, Changes, Directive, Done, Elsewhere, InRun, Later, Mount, Reason, Replaced, What,
};
pub use earlier::uncover;
pub use file::{Access, DirectoryPolicy, File, HEAD, Label, Octal};
pub use place::{Placed, RootState};
pub use remount::{Policy, cannot_put_back, put_back};
pub use write::Writer;

#[cfg(test)]
mod tests;
