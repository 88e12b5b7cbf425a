//! Imports between the modules in `src`: the rule of `src/lib.rs`, checked in the
//! source. Tests, the start-up code in `rt`, `main.rs` and `initramfs.rs` are exempt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a stage of a boot may import.
const STAGE: &[&str] = &[
    "inspect",
    "load",
    "cli",
    "cmdline",
    "disk",
    "context",
    "handover",
    "login",
    "kernel",
    "banner",
    "changeset",
    "image",
    "plan",
    "base",
];

/// Each module and what it may import. A line names only modules of lines below it, so
/// there is no cycle.
const LAW: &[(&str, &[&str])] = &[
    (
        "lib",
        &["supervise", "apply", "early", "inspect", "cli", "base"],
    ),
    ("supervise", &["cli", "base"]),
    ("apply", STAGE),
    ("early", STAGE),
    (
        "inspect",
        &[
            "load",
            "cli",
            "disk",
            "context",
            "handover",
            "login",
            "changeset",
            "image",
            "plan",
            "base",
        ],
    ),
    ("load", &["disk", "context", "image", "plan", "base"]),
    ("cli", &["base"]),
    ("cmdline", &["changeset", "base"]),
    ("disk", &["base"]),
    ("context", &["plan", "base"]),
    ("handover", &["changeset", "image", "plan", "base"]),
    ("login", &["changeset", "image", "plan", "base"]),
    ("kernel", &["plan", "base"]),
    ("banner", &["plan", "base"]),
    ("changeset", &["image", "base"]),
    ("image", &["base"]),
    ("plan", &["base"]),
    ("base", &[]),
];

#[test]
fn the_law_has_no_circle() {
    for (index, (module, allowed)) in LAW.iter().enumerate() {
        for name in *allowed {
            let below = LAW[index + 1..].iter().any(|(other, _)| other == name);
            assert!(below, "{module} may import {name}, which is not below it");
        }
    }
}

#[test]
fn imports_point_down() {
    let sources = Sources::read();
    for (file, imported) in sources.imports() {
        let (from, to) = (module(&file), module(&imported));
        let (_, allowed) = LAW
            .iter()
            .find(|(name, _)| *name == from)
            .unwrap_or_else(|| panic!("{from}: say in LAW what it may import"));
        let is_allowed = from == to || allowed.contains(&&*to);
        assert!(is_allowed, "src/{file} imports {to}, which {from} may not");
    }
}

/// The parts of `handover` that its renderers may import.
const SHARED: [&str; 2] = ["dhcp", "render"];

#[test]
fn no_renderer_imports_another() {
    let of_handover = |file: &str| {
        let name = file.strip_prefix("handover/")?.strip_suffix(".rs")?;
        Some(name.to_string())
    };
    for (file, imported) in Sources::read().imports() {
        if let (Some(from), Some(to)) = (of_handover(&file), of_handover(&imported))
            && from != "mod"
        {
            let is_shared = SHARED.contains(&&*to);
            assert!(is_shared, "src/{file} imports {to}, which is not shared");
        }
    }
}

#[test]
fn no_file_imports_itself_through_others() {
    let sources = Sources::read();
    let mut next: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, imported) in sources.imports() {
        next.entry(file).or_default().insert(imported);
    }
    let in_circles: Vec<_> = next
        .keys()
        .filter(|file| reachable(&next, file).contains(*file))
        .collect();
    assert!(in_circles.is_empty(), "in a cycle: {in_circles:?}");
}

/// All files that a file imports, directly or through others.
fn reachable(next: &BTreeMap<String, BTreeSet<String>>, file: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![file.to_string()];
    while let Some(file) = left.pop() {
        for imported in next.get(&file).into_iter().flatten() {
            if found.insert(imported.clone()) {
                left.push(imported.clone());
            }
        }
    }
    found
}

/// The module of a file: its name or that of its directory, the first below `src`.
fn module(file: &str) -> String {
    let first = file.split('/').next().unwrap();
    first.trim_end_matches(".rs").to_string()
}

/// The files below `src` by their paths there, without tests and comments.
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn read() -> Sources {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        let mut of_tests = Vec::new();
        for path in rust_files(&top) {
            let name = path.strip_prefix(&top).unwrap().to_str().unwrap();
            let (code, modules) = without_tests(&fs::read_to_string(&path).unwrap());
            let folder = folder_of_submodules(name);
            of_tests.extend(modules.iter().map(|module| format!("{folder}{module}")));
            files.insert(name.to_string(), code);
        }
        files.retain(|name, _| {
            let is_test = |module: &String| {
                let rest = name.strip_prefix(&**module);
                rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            let aside = ["main.rs", "initramfs.rs"].contains(&&**name) || name.starts_with("rt/");
            !aside && !of_tests.iter().any(is_test)
        });
        assert!(files.len() > 40, "{} files", files.len());
        Sources(files)
    }

    /// Every import: a file and the file that defines the imported item.
    fn imports(&self) -> BTreeSet<(String, String)> {
        let mut passed_on = BTreeMap::new();
        for (name, code) in &self.0 {
            for path in self.paths(name, code, true) {
                let own = module_path(name).into_iter();
                let name: Vec<_> = own.chain(path.last().cloned()).collect();
                // A function may have the name of its module.
                if !self.is_module(&name) {
                    passed_on.insert(name, path);
                }
            }
        }
        let mut all = BTreeSet::new();
        for (name, code) in &self.0 {
            for path in self.paths(name, code, false) {
                let imported = self.file_of(&path, &passed_on);
                if imported != *name {
                    all.insert((name.clone(), imported));
                }
            }
        }
        all
    }

    /// The paths that a file names, from the crate's root on: those that begin with
    /// `crate`, `super`, `self` or a submodule. Either all, or only those that it
    /// re-exports by `pub use`.
    fn paths(&self, name: &str, code: &str, passed_on: bool) -> Vec<Vec<String>> {
        let own = module_path(name);
        let mut all = Vec::new();
        for (start, word) in words(code) {
            let rest = &code[start + word.len()..];
            let goes_on = code[..start].ends_with("::") || code[..start].ends_with('$');
            let line = code[..start].rsplit('\n').next().unwrap_or_default();
            let is_passed_on = line.starts_with("pub") && line.ends_with(" use ");
            if goes_on || !rest.starts_with("::") || passed_on && !is_passed_on {
                continue;
            }
            let submodule = || [&*own, &[word.to_string()]].concat();
            let mut base = match word {
                "crate" => Vec::new(),
                "self" => own.clone(),
                "super" => own[..own.len().saturating_sub(1)].to_vec(),
                _ if self.is_module(&submodule()) => submodule(),
                _ => continue,
            };
            let mut rest = &rest[2..];
            while word == "super" && rest.starts_with("super::") {
                base.pop();
                rest = &rest["super::".len()..];
            }
            leaves(&base, rest, &mut all);
        }
        all
    }

    fn is_module(&self, path: &[String]) -> bool {
        let path = path.join("/");
        self.0.contains_key(&format!("{path}.rs")) || self.0.contains_key(&format!("{path}/mod.rs"))
    }

    /// The file that a path leads into: that of the longest part of the path that is a
    /// module, after following re-exports.
    fn file_of(&self, path: &[String], passed_on: &BTreeMap<Vec<String>, Vec<String>>) -> String {
        let end = (1..=path.len()).find(|end| passed_on.contains_key(&path[..*end]));
        if let Some(end) = end {
            let path = [&*passed_on[&path[..end]], &path[end..]].concat();
            return self.file_of(&path, passed_on);
        }
        let end = (1..=path.len())
            .rev()
            .find(|end| self.is_module(&path[..*end]));
        let Some(end) = end else {
            return "lib.rs".to_string();
        };
        let path = path[..end].join("/");
        let file = format!("{path}.rs");
        match self.0.contains_key(&file) {
            true => file,
            false => format!("{path}/mod.rs"),
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
    all
}

/// `login/mod.rs` is the module login, `login/sshd.rs` login::sshd.
fn module_path(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = path.split('/').filter(|part| *part != "lib");
    parts.map(str::to_string).collect()
}

/// The directory of a file's submodules: `login/`.
fn folder_of_submodules(file: &str) -> String {
    let mut path = module_path(file).join("/");
    if !path.is_empty() {
        path.push('/');
    }
    path
}

/// The code without comments and without items under `#[cfg(test)]`; and the modules
/// declared there, whose files are tests. It relies on the format of rustfmt.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let mut code = String::new();
    let mut modules = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.push_str(without_comment(line));
            code.push('\n');
            continue;
        }
        let mut item = lines.next().unwrap();
        while item.trim().starts_with("#[") {
            item = lines.next().unwrap();
        }
        if let Some((_, name)) = item.trim_end_matches(';').split_once("mod ") {
            modules.push(name.trim_end_matches(" {").to_string());
        }
        let indent = &item[..item.len() - item.trim_start().len()];
        let ends = [";", "}", "};", ","].map(|end| format!("{indent}{end}"));
        let mut last = item;
        let is_one_line = item.ends_with([';', ',', '}']);
        while !is_one_line && !ends.contains(&last.to_string()) {
            last = lines.next().unwrap();
        }
    }
    (code, modules)
}

/// A `//` in a string comes after a colon.
fn without_comment(line: &str) -> &str {
    let comment = line
        .match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// The identifiers of a text, each with its position.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |byte: char| byte.is_alphanumeric() || byte == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(part)?;
        let end = text[start..]
            .find(|c| !part(c))
            .map_or(text.len(), |length| start + length);
        at = end;
        Some((start, &text[start..end]))
    })
}

/// The paths of a tree as `use` takes them: `a::{b, c::d}` and the like, or one path.
/// Returns the text behind it.
fn leaves<'t>(base: &[String], text: &'t str, all: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            let before = rest.len();
            rest =
                leaves(base, rest, all).trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            assert!(rest.len() < before, "cannot parse: {rest}");
        }
    }
    let length = words(text).next().map_or(0, |(start, word)| match start {
        0 => word.len(),
        _ => 0,
    });
    if length == 0 {
        all.push(base.to_vec());
        return text.strip_prefix('*').unwrap_or(text);
    }
    let (word, rest) = text.split_at(length);
    let path = match word {
        "self" => base.to_vec(),
        _ => [base, &[word.to_string()]].concat(),
    };
    match rest.strip_prefix("::") {
        Some(rest) => leaves(&path, rest, all),
        None => {
            all.push(path);
            // A name of its own: `b as c`.
            let named = rest.strip_prefix(" as ");
            named.map_or(rest, |named| {
                named.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
            })
        }
    }
}
