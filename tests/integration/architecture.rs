//! The arrows between modules: what must *not* be known is the architecture.

use std::fs;
use std::path::{Path, PathBuf};

/// Module → what it may use, itself aside. What stands right of a module may be used by it, and
/// nothing else.
const ARROWS: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("message", &["id"]),
    ("stun", &["id"]),
    ("token", &["message", "id"]),
    ("room", &["token", "message", "id"]),
    ("turn", &["stun", "id"]),
    ("store", &["message", "id"]),
    ("rooms", &["store", "room", "token", "message", "id"]),
    ("percent", &[]),
    ("web", &["percent", "id"]),
    ("signaling", &["rooms", "room", "token", "message", "id"]),
    ("relay", &["turn", "stun", "id"]),
    (
        "api",
        &[
            "rooms", "store", "room", "token", "message", "percent", "id",
        ],
    ),
    ("admin", &["id"]),
    (
        "config",
        &[
            "web",
            "room",
            "store",
            "turn",
            "admin",
            "signaling",
            "relay",
            "api",
            "id",
        ],
    ),
    (
        "server",
        &[
            "config",
            "web",
            "signaling",
            "relay",
            "api",
            "admin",
            "rooms",
            "store",
            "room",
            "turn",
            "token",
            "message",
            "id",
        ],
    ),
    (
        "cli",
        &["config", "server", "store", "token", "message", "id"],
    ),
];

/// What a core may not know: sockets, clocks, tasks, files.
const NOT_IN_A_CORE: &[&str] = &[
    "tokio::",
    "std::net::UdpSocket",
    "std::net::Tcp",
    "Instant::now",
    "SystemTime::now",
    "std::fs",
    "std::thread",
    "async fn",
];
const CORES: &[&str] = &["percent", "room", "turn", "stun", "token", "message", "id"];

struct Source {
    path: PathBuf,
    module: String,
    /// Without its tests, comments left in.
    code: String,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let inside = path.strip_prefix(&src).unwrap();
                let first = inside
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_str()
                    .unwrap();
                let module = first.trim_end_matches(".rs").to_owned();
                let is_tests = path.file_name().is_some_and(|name| name == "tests.rs");
                if is_tests || ["main", "lib", "build"].contains(&module.as_str()) {
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let code = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap()
                    .to_owned();
                found.push(Source { path, module, code });
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The modules of the crate that a line names, behind `crate::` alone or in braces.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        let word = |text: &str| -> String {
            text.trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (index, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ if start && !c.is_whitespace() => {
                            names.push(word(&list[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let all: Vec<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    for source in sources() {
        let (_, may_use) = ARROWS
            .iter()
            .find(|(module, _)| *module == source.module)
            .unwrap_or_else(|| panic!("{} has no arrows", source.path.display()));
        for used in named(&source.code) {
            let is_module = all.contains(&used.as_str());
            let allowed = used == source.module || may_use.contains(&used.as_str());
            assert!(
                !is_module || allowed,
                "{} uses {used}",
                source.path.display()
            );
        }
    }
}

#[test]
fn cores_know_neither_sockets_nor_clocks_nor_tasks() {
    for source in sources()
        .iter()
        .filter(|source| CORES.contains(&source.module.as_str()))
    {
        for forbidden in NOT_IN_A_CORE {
            assert!(
                !source.code.contains(forbidden),
                "{} has {forbidden}",
                source.path.display()
            );
        }
    }
}

#[test]
fn names_behind_crate_are_found() {
    let code = "use crate::{admin, turn::{Settings, x}, web};\nlet a = crate::room::Rooms::new();";
    assert_eq!(named(code), ["admin", "turn", "web", "room"]);
}
