//! The table of `docs/turn.md` that names a test for each rule: the tests exist, and no rule is without one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// From the heading on, until the next of its kind.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no heading {heading}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

/// What stands between backticks and can be the name of a test: words joined by underscores, perhaps after a module.
fn named(text: &str) -> Vec<&str> {
    let word = |name: &str| {
        name.contains('_')
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:".contains(&byte)
            })
    };
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| word(name))
        .collect()
}

/// The files in which a test of this module may stand.
fn files_of(module: Option<&str>) -> Vec<PathBuf> {
    let Some(module) = module else {
        return vec![repository().join("src/turn/tests.rs")];
    };
    [
        format!("src/turn/{module}.rs"),
        format!("src/{module}/mod.rs"),
        format!("src/relay/{module}.rs"),
        format!("src/config/{module}.rs"),
        format!("tests/integration/{module}.rs"),
    ]
    .into_iter()
    .map(|file| repository().join(file))
    .filter(|file| file.exists())
    .collect()
}

/// Whether a file has a test of this name: a function with a test's mark above it, or one of `proptest!`.
fn has_test(file: &Path, name: &str) -> bool {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_it = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    };
    lines.iter().enumerate().any(|(at, line)| {
        is_it(line)
            && lines[..at]
                .iter()
                .rev()
                .take_while(|above| above.starts_with("#["))
                .any(|above| above.starts_with("#[test]") || above.starts_with("#[tokio::test"))
    })
}

fn exists(name: &str) -> bool {
    let (module, test) = match name.split_once("::") {
        Some((module, test)) => (Some(module), test),
        None => (None, name),
    };
    files_of(module).iter().any(|file| has_test(file, test))
}

/// The rows of the tables of a section, without their heads.
fn rows(section: &str) -> Vec<&str> {
    let head = |line: &str| line.starts_with("| rule") || line.starts_with("| fault");
    section
        .lines()
        .filter(|line| line.starts_with("| ") && !head(line))
        .collect()
}

#[test]
fn every_test_that_the_conformance_table_names_exists() {
    let page = fs::read_to_string(repository().join("docs/turn.md")).unwrap();
    let rows = rows(section(&page, "Conformance"));
    let names: BTreeSet<&str> = rows.into_iter().flat_map(named).collect();
    assert!(names.len() > 50, "only {} are named", names.len());
    let missing: Vec<&&str> = names.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn every_rule_of_the_conformance_table_has_a_test() {
    let page = fs::read_to_string(repository().join("docs/turn.md")).unwrap();
    let rows = rows(section(&page, "Conformance"));
    for row in &rows {
        assert!(!named(row).is_empty(), "no test is named: {row}");
    }
    let rules: String = rows
        .iter()
        .filter_map(|row| row.split('|').nth(1))
        .collect();
    for code in [400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 508] {
        assert!(rules.contains(&code.to_string()), "no rule is about {code}");
    }
}

#[test]
fn a_name_that_no_test_has_is_not_found() {
    assert!(exists("binding_tells_the_client_its_address"));
    assert!(exists("turn_door::payloads_of_every_length_pass_unchanged"));
    assert!(exists("any_bytes_are_survived"), "in a macro");
    for name in [
        "binding_tells_the_client",
        "quotas::binding_tells_the_client_its_address",
        "long_term_key",
        "nowhere::a_test",
    ] {
        assert!(!exists(name), "{name}");
    }
    assert_eq!(
        named("`a_b`, `x::a_b`, `TurnTest::a_b`, `core`, a_b"),
        ["a_b", "x::a_b"]
    );
}
