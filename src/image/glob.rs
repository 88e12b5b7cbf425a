//! The files that a pattern of glob(7) names.
use super::{Root, fits};
use crate::base::error::Error;
use crate::base::text::base_name;

/// The paths, in the order of their names. Only the last part may be a pattern;
/// without one the path stands for itself, whether it is there or not.
pub fn glob<'a>(root: &Root<'a>, path: &'a [u8]) -> Result<&'a [&'a [u8]], Error> {
    let arena = root.arena();
    let mut paths = arena.vector();
    let (directory, name) = base_name(path);
    if !name.iter().any(|byte| matches!(byte, b'*' | b'?')) {
        paths.push(path);
        return Ok(paths.finish());
    }
    for entry in root.list(directory)? {
        // glob(3) leaves hidden files out.
        if fits(name, entry) && entry.starts_with(b".") == name.starts_with(b".") {
            paths.push(arena.concat(&[directory, b"/", entry]));
        }
    }
    Ok(paths.finish())
}
