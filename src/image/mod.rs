//! Reads the mounted root, and the directory that becomes its `/run`. All access goes
//! through [`Root`]; the other modules read one subject each and return plain data.
//! Nothing here writes.
pub mod account;
pub mod cloud_init;
pub mod config_file;
pub mod facts;
pub mod glob;
pub mod ifupdown;
pub mod initd;
pub mod initramfs;
pub mod key_file;
pub mod later_mounts;
pub mod logins;
pub mod managers;
mod netplan;
pub mod networkd;
pub mod passwd;
pub mod resolver;
mod root;
pub mod shadow;
pub mod sshd;
pub mod sshd_config;
pub mod sshd_settings;
pub mod systemd;
#[cfg(test)]
pub(crate) mod testing;

pub use root::{Fact, FileContent, ResolvedPath, Root, if_there};

use crate::base::error::Error;

/// A path, and why it could not be read.
pub type PathError = (&'static [u8], Error);

/// Adds the path to an error.
fn at<T>(path: &'static [u8], read: Result<T, Error>) -> Result<T, PathError> {
    read.map_err(|error| (path, error))
}

#[cfg(test)]
mod tests;
