//! The documents: each link leads to an existing file of the repository, and to an
//! existing heading if it names one.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn links_lead_somewhere() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for document in documents(top) {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            let shown = document.strip_prefix(top).unwrap().display();
            assert!(target.exists(), "{shown}: {link}: there is no such file");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let has = headings(&text).any(|name| name == heading);
                assert!(has, "{shown}: {link}: there is no such heading");
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count} links");
}

/// The messages that README shows on the console: the longest part of each, without
/// operands and numbers, is in the program's source.
#[test]
fn the_console_says_what_readme_says() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(top.join("README.md")).unwrap();
    let (_, table) = readme.split_once("| the console says |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut source = String::new();
    read_all(&top.join("src"), &mut source);
    let mut count = 0;
    for row in rows {
        let said = row.split(" | ").next().unwrap();
        let Some(message) = said.split('`').nth(1) else {
            continue;
        };
        let parts = message.split(|sign: char| ":(…".contains(sign) || sign.is_numeric());
        let longest = parts.map(str::trim).max_by_key(|part| part.len()).unwrap();
        assert!(source.contains(longest), "{message}: {longest}");
        count += 1;
    }
    assert!(count > 5, "{count} messages");
}

fn read_all(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => read_all(&path, text),
            false => text.push_str(&fs::read_to_string(path).unwrap()),
        }
    }
}

fn documents(top: &Path) -> Vec<PathBuf> {
    let mut documents = vec![top.join("tests/README.md")];
    for folder in [top.to_path_buf(), top.join("docs")] {
        let entries = fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    documents
}

/// The text between `](` and `)`, outside of examples.
fn links(text: &str) -> Vec<&str> {
    let mut in_example = false;
    let mut links = Vec::new();
    for line in text.lines() {
        in_example ^= line.starts_with("```");
        if !in_example && !line.starts_with("    ") {
            let rest = line.split("](").skip(1);
            links.extend(
                rest.filter_map(|rest| rest.split_once(')'))
                    .map(|(link, _)| link),
            );
        }
    }
    links
}

/// The headings in the form that links use: lower case, `-` for each blank, nothing for
/// other signs.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter_map(|sign| match sign {
            ' ' => Some('-'),
            sign if sign.is_alphanumeric() || sign == '-' || sign == '_' => Some(sign),
            _ => None,
        });
        kept.collect()
    })
}
