//! The files of ifupdown (interfaces(5)).
use rustix::io::Errno;

use super::config_file::ConfigFile;
use super::glob::{fnmatch, glob};
use super::{PathError, ResolvedPath, Root, at};
use crate::base::memory::{self, Vector};
use crate::base::text::{as_str, lines, split_path, words};

/// The files of ifupdown (interfaces(5)). Files that sourced files source are not read.
#[derive(Clone, Copy)]
pub struct Interfaces {
    /// `/etc/network/interfaces`
    pub main: &'static ConfigFile,
    /// The files that it sources.
    pub sourced: &'static [&'static ConfigFile],
    /// A path for another file, in a directory below /run that it sources.
    pub drop_in: Option<ResolvedPath>,
}

impl Interfaces {
    /// Reads the files.
    pub fn read(root: &Root) -> Result<&'static Self, PathError> {
        const PATH: &[u8] = b"/etc/network/interfaces";
        let main = at(PATH, ConfigFile::read(root, PATH))?;
        let mut sourced = Vector::new();
        let mut drop_in = None;
        let text = main.content.ok_or((PATH, Errno::NOENT.into()))?.content;
        for line in lines(text) {
            let mut words = words(line);
            let all_of_it: &[u8] = match words.next().map(as_str) {
                Some("source") => b"",
                Some("source-directory") if !is_ifupdown2(root)? => b"/*",
                _ => continue,
            };
            for pattern in words {
                // A relative path is relative to the directory of interfaces.
                let base: &[u8] = match pattern {
                    [b'/', ..] => b"",
                    _ => b"/etc/network/",
                };
                let path = memory::concat(&[base, pattern, all_of_it]);
                let (directory, name) = split_path(path);
                for path in at(path, glob(root, path))? {
                    sourced.push(at(path, ConfigFile::read_regular(root, path))?);
                }
                let ours = memory::concat(&[directory, b"/onecontext"]);
                let ours = at(ours, root.resolve(ours))?;
                if ours.in_run() && fnmatch(name, b"onecontext") {
                    drop_in = Some(ours);
                }
            }
        }
        Ok(memory::place(Self {
            main,
            sourced: sourced.finish(),
            drop_in,
        }))
    }
}

/// Whether ifup(8) is that of ifupdown2, which does not know `source-directory`.
fn is_ifupdown2(root: &Root) -> Result<bool, PathError> {
    const IFUP: &[u8] = b"/sbin/ifup";
    let target = at(IFUP, root.read_link(IFUP))?;
    Ok(target.is_some_and(|target| target.ends_with(b"ifupdown2")))
}
