//! The documents: each link leads to an existing file of the repository, and to an
//! existing heading if it names one. What they list is what the program's tables have.

use std::fs;
use std::path::{Path, PathBuf};

use crate::release;
use onecontext::context::variables::{IGNORED, Variable};
use onecontext::parameters::PARAMETERS;

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
/// operands and numbers, is a text of the program.
#[test]
fn the_console_says_what_readme_says() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(top.join("README.md")).unwrap();
    let (_, table) = readme.split_once("| the console says |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut count = 0;
    for row in rows {
        let said = row.split(" | ").next().unwrap();
        let Some(message) = said.split('`').nth(1) else {
            continue;
        };
        let parts = message.split(|sign: char| ":(…".contains(sign) || sign.is_numeric());
        let longest = parts.map(str::trim).max_by_key(|part| part.len()).unwrap();
        let is_said = release::has_text(release::initramfs(), longest);
        assert!(is_said, "{message}: {longest}");
        count += 1;
    }
    assert!(count > 5, "{count} messages");
}

/// README.md and the man page have the parameters of the program, with their values and
/// defaults, and no others.
#[test]
fn the_parameters_are_those_of_the_program() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(top.join("README.md")).unwrap();
    let (_, table) = readme.split_once("\n| parameter | default | |\n").unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = rows.collect();
    let man = fs::read_to_string(top.join("man/onecontext.8")).unwrap();
    let (_, list) = man.split_once("\n.Ss Kernel parameters\n").unwrap();
    let entries: Vec<_> = list
        .split("\n.El")
        .next()
        .unwrap()
        .split("\n.It Cm ")
        .skip(1)
        .collect();
    for parameter in &PARAMETERS {
        let (name, values, default) = (parameter.name, parameter.values, parameter.default);
        let (equals, macro_equals) = if values.is_empty() {
            ("", "")
        } else {
            ("=", " Ns = Ns ")
        };
        let escaped = values.replace('|', "\\|");
        let start = format!("| `{name}{equals}{escaped}` | ");
        let row = rows.iter().find_map(|row| row.strip_prefix(&start));
        let row = row.unwrap_or_else(|| panic!("README.md has no row {start}"));
        let cell = row
            .split('|')
            .next()
            .unwrap()
            .trim()
            .trim_start_matches('`');
        assert!(
            cell.starts_with(default) && cell.is_empty() == default.is_empty(),
            "{row}"
        );

        let shown = match values.to_lowercase() {
            kind if kind == values => format!("Cm {}", values.replace('|', " | ")),
            kind => format!("Ar {kind}"),
        };
        let shown = if values.is_empty() {
            String::new()
        } else {
            shown
        };
        let start = format!("{name}{macro_equals}{shown}\n");
        let entry = entries.iter().find_map(|entry| entry.strip_prefix(&start));
        let entry = entry.unwrap_or_else(|| panic!("the man page has no entry {start}"));
        let words = entry.replace("\n.Cm ", " ").replace(['\n', ','], " ");
        let words = format!(
            "{} ",
            words.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        let phrases = [
            format!("The default is {default}"),
            format!("{default} the default:"),
        ];
        let has_default = phrases.iter().any(|phrase| words.contains(phrase));
        assert_eq!(
            has_default,
            !default.is_empty(),
            "the default of {name}: {words}"
        );
    }
    assert_eq!(
        (rows.len(), entries.len()),
        (PARAMETERS.len(), PARAMETERS.len())
    );
}

/// docs/variables.md has a row for each variable of the program, and no others. It says of
/// those that are ignored on purpose that they are, and of no others.
#[test]
fn the_variables_are_those_of_the_program() {
    let mut known: Vec<_> = IGNORED
        .iter()
        .map(|name| (name.to_string(), true))
        .collect();
    for variable in Variable::ALL {
        let prefixes = variable.scope().prefixes().iter();
        known.extend(prefixes.map(|prefix| (format!("{prefix}{variable:?}"), false)));
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(top.join("docs/variables.md")).unwrap();
    let mut listed = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let (names, what) = row.split_once(" | ").unwrap();
        let is_ignored = what.starts_with("ignored");
        let names = names.split('`').skip(1).step_by(2);
        listed.extend(names.map(|name| (name.to_string(), is_ignored)));
    }
    for list in [&mut known, &mut listed] {
        list.sort();
        list.dedup();
    }
    assert_eq!(listed, known);
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
