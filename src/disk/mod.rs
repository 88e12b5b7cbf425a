//! The files of a context, whatever carries them: an ISO 9660 image or block
//! device, a directory, or a lone `context.sh`. The disk is never mounted, so
//! that no driver of a file system and no mount point is needed, and what the
//! cloud sent never reaches a file system driver of the kernel.
mod drive;
pub mod iso9660;
mod medium;
mod search;

pub use drive::DriveStatus;
pub use iso9660::LARGEST;
pub use medium::Disk;
pub use search::{Search, SystemPaths, search};

#[cfg(test)]
mod tests;
