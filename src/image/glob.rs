//! Patterns of names (glob(7)).
use super::Root;
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::split_path;

/// The paths that a pattern names, sorted. Only the last part of `path` may be a
/// pattern. A path without a pattern is returned as it is, whether it exists or not.
pub fn glob(root: &Root, path: &'static [u8]) -> Result<&'static [&'static [u8]], Error> {
    let mut paths = Vector::new();
    let (directory, name) = split_path(path);
    if !name.iter().any(|byte| matches!(byte, b'*' | b'?')) {
        paths.push(path);
        return Ok(paths.finish());
    }
    for entry in root.list(directory)? {
        // glob(3) leaves hidden files out.
        if fnmatch(name, entry) && entry.starts_with(b".") == name.starts_with(b".") {
            paths.push(memory::concat(&[directory, b"/", entry]));
        }
    }
    Ok(paths.finish())
}

/// Whether a name matches a shell pattern of `*` and `?` (fnmatch(3) also knows
/// brackets). After a mismatch the last star takes one byte more. Earlier stars need not
/// be tried again.
pub fn fnmatch(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // The pattern after the last star, and the name after the bytes that the star
    // takes.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, name) {
            ([b'*', rest @ ..], _) => {
                star = Some((rest, name));
                pattern = rest;
            }
            ([one, rest @ ..], [other, tail @ ..]) if *one == b'?' || one == other => {
                (pattern, name) = (rest, tail);
            }
            ([], []) => return true,
            _ => match star {
                Some((rest, [_, tail @ ..])) => {
                    star = Some((rest, tail));
                    (pattern, name) = (rest, tail);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, wanted) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*.service", "a.service", true),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxbxxd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "abcd", false),
            ("abcd", "abc", false),
            ("*a", "aba", true),
            ("*ab*ab?", "abcababc", true),
            ("*ab*ab?", "abcabab", false),
            ("**", "", true),
            ("a**?", "a", false),
        ] {
            assert_eq!(
                fnmatch(pattern.as_bytes(), name.as_bytes()),
                wanted,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_pattern_times_name() {
        let pattern = [b"*a".repeat(200), b"*b".to_vec()].concat();
        let name = b"a".repeat(10_000);
        // With a power of their number this would never end.
        assert!(!fnmatch(&pattern, &name));
    }
}
