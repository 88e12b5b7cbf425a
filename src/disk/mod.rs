//! The files of a context, whatever carries them: an ISO 9660 image or block device, a
//! directory, or a lone `context.sh`. The disk is never mounted: no mount point and no
//! file system driver is needed, and the kernel's drivers never parse what the cloud
//! sent.
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
