//! The table of settings as people read it: in help, in the documentation, and with what is effective.

use std::fmt::Write;

use super::table::{SETTINGS, Setting};
use super::{Config, Loaded};

/// The columns of a terminal that help is made for.
const COLUMNS: usize = 100;

/// The part of `--help` that lists the flags, a line each; those that few need without words.
pub fn options() -> String {
    let mut page = String::new();
    for setting in SETTINGS.iter().filter(|setting| !setting.is_rare()) {
        let flag = usage(setting);
        let line = format!("  {flag:<30} {} ({})", setting.help, setting.default);
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{}", line.trim_end());
    }
    let mut line = String::from("  Rarely needed, see docs/settings.md:");
    for setting in SETTINGS.iter().filter(|setting| setting.is_rare()) {
        let flag = usage(setting);
        if line.len() + 1 + flag.len() > COLUMNS {
            let _ = writeln!(page, "{line}");
            line = " ".to_owned();
        }
        let _ = write!(line, " {flag}");
    }
    let _ = writeln!(page, "{line}");
    page
}

/// The table of `docs/settings.md`.
pub fn documentation() -> String {
    let mut page = String::from(
        "| flag | environment | file | default | what it is |\n|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        let mut variable = format!("`{}`", setting.variable());
        if setting.secret {
            let _ = write!(variable, " or `{}_FILE`", setting.variable());
        }
        let key = setting
            .key
            .map(|key| format!("`{key}`"))
            .unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{}` | {variable} | {key} | {} | {} |",
            usage(setting),
            setting.default,
            setting.help
        );
    }
    page
}

/// Every setting with what holds and who said so; secrets hidden.
pub fn effective(loaded: &Loaded) -> String {
    let mut page = String::new();
    for setting in SETTINGS {
        let Some(key) = setting.key else { continue };
        let value = visible(setting, &loaded.config);
        let origin = loaded
            .origins
            .get(setting.flag)
            .map_or("default", String::as_str);
        let _ = writeln!(page, "{key:<36} {value:<42} {origin}");
    }
    page
}

/// What holds, in one line.
pub(super) fn visible(setting: &Setting, config: &Config) -> String {
    let values = (setting.show)(config);
    if values.is_empty() {
        setting.default.to_owned()
    } else {
        values.join(", ")
    }
}

/// `--flag VALUE`, with dots where it may be repeated.
fn usage(setting: &Setting) -> String {
    let dots = if setting.repeat { "..." } else { "" };
    format!("--{} {}{dots}", setting.flag, setting.value)
}
