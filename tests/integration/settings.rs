//! What a person types at the program itself: the real binary, real flags, environment and files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// A directory of its own for one test, gone when dropped.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "turnstone-test-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program with these arguments, in an environment that says nothing.
pub(crate) fn turnstone(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnstone"));
    command.args(arguments).env_clear();
    command
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn help_is_one_screen_that_names_every_setting() {
    for arguments in [
        ["--help"].as_slice(),
        &["help"],
        &["-h"],
        &["serve", "--help"],
    ] {
        let output = turnstone(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stderr(&output), "");
        let page = stdout(&output);
        assert!(page.lines().count() <= 64, "{} lines", page.lines().count());
        for setting in turnstone::config::SETTINGS {
            assert!(
                page.contains(&format!("--{} ", setting.flag)),
                "--{}",
                setting.flag
            );
        }
    }
}

#[test]
fn the_version_is_one_line() {
    for arguments in ["--version", "version", "-V"] {
        let output = turnstone(&[arguments]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(
            stdout(&output),
            concat!("turnstone ", env!("CARGO_PKG_VERSION"), "\n")
        );
    }
}

#[test]
fn a_flag_beats_the_environment_that_beats_the_file() {
    let directory = Directory::new();
    let file = directory.file(
        "t.toml",
        "[rooms]\ncapacity = 2\n[turn]\nrealm = \"file\"\n",
    );
    let capacity = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut arguments = arguments.to_vec();
        arguments.insert(0, "check-config");
        let output = turnstone(&arguments)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        let line = stdout(&output)
            .lines()
            .find(|line| line.starts_with("rooms.capacity"))
            .unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let file = file.to_str().unwrap();
    let from_file = format!("2 {file} line 2, rooms.capacity");
    assert_eq!(capacity(&[], &[]), "10 default");
    assert_eq!(capacity(&["--config", file], &[]), from_file);
    assert_eq!(capacity(&[], &[("TURNSTONE_CONFIG", file)]), from_file);
    let variables = [("TURNSTONE_CONFIG", file), ("TURNSTONE_CAPACITY", "3")];
    assert_eq!(capacity(&[], &variables), "3 TURNSTONE_CAPACITY");
    assert_eq!(capacity(&["--capacity", "4"], &variables), "4 --capacity");
}

#[test]
fn all_mistakes_come_at_once_in_words_and_without_colours() {
    let directory = Directory::new();
    let file = directory.file("t.toml", "[https]\nlistn = \":443\"\n");
    for command in ["serve", "check-config"] {
        let output = turnstone(&[
            command,
            "--capacity",
            "0",
            "--relay-ports",
            "5-4",
            "--domian",
            "x",
        ])
        .env("TURNSTONE_DOMAIN", "https://call.example.org")
        .env("TURNSTONE_CONFIG", &file)
        .env("TURNSTONE_TURN_SECRET_FILE", directory.0.join("missing"))
        .current_dir(&directory.0)
        .output()
        .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stdout(&output), "");
        let words = stderr(&output);
        for expected in [
            "6 mistakes",
            "did you mean --domain?",
            "--capacity \"0\"",
            "--relay-ports \"5-4\"",
            "TURNSTONE_DOMAIN \"https://call.example.org\"",
            "TURNSTONE_TURN_SECRET_FILE",
            "t.toml line 2, https.listn: there is no such setting; did you mean https.listen?",
        ] {
            assert!(words.contains(expected), "{expected} is missing:\n{words}");
        }
        assert!(!words.contains('\u{1b}'));
        assert!(!directory.0.join("data").exists(), "nothing was started");
    }
}

#[test]
fn a_certificate_folder_that_is_not_there_is_a_mistake_like_others() {
    let directory = Directory::new();
    let file = directory.file("file", "");
    for command in ["serve", "check-config"] {
        for (folder, words) in [
            (directory.0.join("ssl"), "there is no such folder"),
            (file.clone(), "this is no folder"),
        ] {
            let output = turnstone(&[command, "--capacity", "0", "--data-dir"])
                .arg(directory.0.join("data"))
                .arg("--ssl-dir")
                .arg(&folder)
                .current_dir(&directory.0)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2));
            assert_eq!(stdout(&output), "", "nothing listens");
            let said = stderr(&output);
            let expected = format!("--ssl-dir {folder:?}: {words}.");
            assert!(
                said.contains("2 mistakes") && said.contains(&expected),
                "{said}"
            );
            assert!(!directory.0.join("data").exists(), "nothing was started");
        }
    }
    // One that is empty for now is no mistake, and one that another source overrules is not looked for.
    let output = turnstone(&["check-config", "--ssl-dir", directory.0.to_str().unwrap()])
        .env("TURNSTONE_SSL_DIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_command_that_does_not_exist_is_refused() {
    let output = turnstone(&["srve"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("there is no command \"srve\""));
}

#[test]
fn secrets_reach_neither_stdout_nor_stderr() {
    let directory = Directory::new();
    let secret = directory.file("secret", "hush-secret\n");
    let users = directory.file("users", "kim:hush-one\nlee:hush-two\n");
    let check = |extra: &[&str]| {
        let mut arguments = vec!["check-config"];
        arguments.extend(extra);
        turnstone(&arguments)
            .env("TURNSTONE_TURN_SECRET_FILE", &secret)
            .env("TURNSTONE_TURN_USER_FILE", &users)
            .output()
            .unwrap()
    };
    let fine = check(&[]);
    assert_eq!(fine.status.code(), Some(0));
    assert!(
        stdout(&fine).contains("kim:(hidden), lee:(hidden)"),
        "{}",
        stdout(&fine)
    );
    let mistaken = check(&["--turn-user", "hush-three", "--turn-secret", "hush\nfour"]);
    assert_eq!(mistaken.status.code(), Some(2));
    for output in [fine, mistaken] {
        assert!(!stdout(&output).contains("hush"), "{}", stdout(&output));
        assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
    }
}

#[test]
fn a_device_named_as_the_file_does_not_fill_the_memory() {
    let output = turnstone(&["check-config", "--config", "/dev/zero"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("longer than 1 MiB"),
        "{}",
        stderr(&output)
    );
    let output = turnstone(&["check-config", "--config", "/"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn commands_about_what_is_kept_refuse_a_folder_where_nothing_is() {
    let directory = Directory::new();
    let empty = directory.0.join("empty");
    fs::create_dir(&empty).unwrap();
    let missing = directory.0.join("missing");
    let backup = directory.0.join("all.tar");
    for folder in [&empty, &missing] {
        let command = ["backup", backup.to_str().unwrap()];
        let output = turnstone(&command)
            .args(["--data-dir", folder.to_str().unwrap()])
            .output()
            .unwrap();
        let words = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {words}");
        assert_eq!(stdout(&output), "", "{command:?}");
        assert!(words.contains(folder.to_str().unwrap()), "{words}");
        assert!(words.contains("--data-dir"), "{words}");
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "nothing was made");
    assert!(!missing.exists() && !backup.exists());

    // A shell has no $STATE_DIRECTORY: what is meant there is ./data, which is not made either.
    for command in [
        &["backup", "all.tar"][..],
        &["key", "create", "billing", "turn"],
        &["key", "list"],
        &["token", "Tea"],
    ] {
        let output = turnstone(command)
            .current_dir(&directory.0)
            .output()
            .unwrap();
        assert!(stderr(&output).contains("./data"), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert_eq!(stdout(&output), "", "{command:?}");
        assert!(!directory.0.join("data").exists() && !backup.exists());
    }

    // Where PostgreSQL has the rows, the server's secret must be here; nobody is asked before.
    let output = turnstone(&["backup", "all.tar"])
        .args(["--database-url", "postgres://nobody@127.0.0.1:1/none"])
        .args(["--data-dir", empty.to_str().unwrap()])
        .current_dir(&directory.0)
        .output()
        .unwrap();
    let words = stderr(&output);
    assert!(
        !output.status.success() && words.contains("--data-dir"),
        "{words}"
    );
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "nothing was made");

    // Keys can be made before the first start, where somebody says so.
    let output = turnstone(&["key", "create", "billing", "turn"])
        .args(["--data-dir", empty.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// To write the table anew: `UPDATE_DOCS=1 cargo test --test integration documentation`.
#[test]
fn the_documentation_lists_every_setting_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("by a test -->\n").unwrap();
    let (table, after) = rest.split_once("<!-- end -->").unwrap();
    let expected = turnstone::config::documentation();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(
            &path,
            format!("{before}by a test -->\n{expected}<!-- end -->{after}"),
        )
        .unwrap();
    } else {
        assert_eq!(
            table, expected,
            "docs/settings.md is not what the program does"
        );
    }
}

#[test]
fn the_examples_in_the_documentation_are_accepted() {
    let directory = Directory::new();
    for (name, line) in [
        ("settings.md", "10.20.0.0/16"),
        ("install.md", "call.example.org"),
    ] {
        let page = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name);
        let page = fs::read_to_string(page).unwrap();
        let example = page
            .split("```toml")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        // A setting that is commented out must hold as well once somebody takes it in.
        let taken_in = example
            .replace("# [", "[")
            .replace("# external_ip", "external_ip");
        for example in [example, &taken_in] {
            let file = directory.file("t.toml", example);
            let output = turnstone(&["check-config", "--config", file.to_str().unwrap()])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert!(stdout(&output).contains(line), "{}", stdout(&output));
        }
    }
}
