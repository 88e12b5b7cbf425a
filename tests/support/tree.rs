//! The content of directories, to be compared and restored.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A file, a link or a directory: its mode, its owner, its content or target.
pub type Entry = (u32, (u32, u32), Vec<u8>);
/// The entries of some directories, by path.
pub type Tree = BTreeMap<PathBuf, Entry>;

/// The content of these directories of `top`, by path below `top`.
pub fn tree(top: &Path, directories: &[&str]) -> Tree {
    let mut tree = Tree::new();
    let mut directories: Vec<_> = directories.iter().map(PathBuf::from).collect();
    while let Some(directory) = directories.pop() {
        let list = fs::read_dir(top.join(&directory)).unwrap();
        for entry in list.map(Result::unwrap) {
            let path = directory.join(entry.file_name());
            let data = entry.path().symlink_metadata().unwrap();
            let content = if data.is_symlink() {
                let target = fs::read_link(entry.path()).unwrap();
                target.into_os_string().into_encoded_bytes()
            } else if data.is_dir() {
                directories.push(path.clone());
                vec![]
            } else {
                fs::read(entry.path()).unwrap()
            };
            tree.insert(path, (data.mode(), (data.uid(), data.gid()), content));
        }
    }
    tree
}

/// The paths at which two trees differ, in order.
pub fn difference<'t>(one: &'t Tree, other: &'t Tree) -> Vec<&'t Path> {
    let paths: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differ = paths
        .into_iter()
        .filter(|path| one.get(*path) != other.get(*path));
    differ.map(PathBuf::as_path).collect()
}

/// Makes all of a tree. A directory sorts before its content.
#[allow(dead_code, reason = "one of the tests that look at trees makes some")]
pub fn plant(top: &Path, tree: &Tree) {
    for (path, (mode, (uid, gid), content)) in tree {
        let path = top.join(path);
        match mode & 0o170000 {
            0o120000 => {
                symlink(std::str::from_utf8(content).unwrap(), &path).unwrap();
                continue;
            }
            0o040000 => fs::create_dir(&path).unwrap(),
            _ => fs::write(&path, content).unwrap(),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777)).unwrap();
        nix::unistd::chown(&path, Some((*uid).into()), Some((*gid).into())).unwrap();
    }
}
