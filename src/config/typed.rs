//! What was typed, as text, with the place it was typed in: one layer per source.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::mistakes::{Mistakes, did_you_mean};
use super::source::Source;
use super::table::{SETTINGS, Setting};
use super::{DEFAULT_FILE, shown};

/// Everything one source says: the flag of a setting → its values.
pub(super) type Layer = BTreeMap<&'static str, Values>;

/// What one source says about one setting.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// Who said it, for people: `--capacity`, `TURNSTONE_CAPACITY`, `turnstone.toml line 4, rooms.capacity`.
    pub(super) origin: String,
    /// The values; one, unless the setting may be repeated.
    items: Vec<String>,
}

/// The values of one setting on their way to being checked.
pub(super) struct Typed<'a> {
    setting: &'static Setting,
    values: &'a Values,
    mistakes: &'a mut Mistakes,
}

impl<'a> Typed<'a> {
    pub(super) fn new(
        setting: &'static Setting,
        values: &'a Values,
        mistakes: &'a mut Mistakes,
    ) -> Self {
        Self {
            setting,
            values,
            mistakes,
        }
    }

    /// Checks the value; `set` is called unless it is a mistake.
    pub(super) fn one<T>(self, parse: fn(&str) -> Result<T, String>, set: impl FnOnce(T)) {
        self.each(parse, |all| {
            if let Some(value) = all.into_iter().next() {
                set(value);
            }
        });
    }

    /// Checks every value; `set` is called unless one is a mistake.
    pub(super) fn each<T>(self, parse: fn(&str) -> Result<T, String>, set: impl FnOnce(Vec<T>)) {
        self.each_checked(parse, Ok, set);
    }

    /// Checks every value, then whether they go together.
    pub(super) fn each_checked<T, U>(
        self,
        parse: fn(&str) -> Result<T, String>,
        together: fn(Vec<T>) -> Result<U, String>,
        set: impl FnOnce(U),
    ) {
        let origin = &self.values.origin;
        let mut parsed = Vec::with_capacity(self.values.items.len());
        for item in &self.values.items {
            match parse(item) {
                Ok(value) => parsed.push(value),
                Err(words) if self.setting.secret => {
                    self.mistakes.add(format!("{origin}: {words}."));
                }
                Err(words) => {
                    let hint = if self.setting.repeat && item.contains(',') {
                        "; commas separate values in the environment only, elsewhere give each on \
                         its own"
                    } else {
                        ""
                    };
                    self.mistakes
                        .add(format!("{origin} {item:?}: {words}{hint}."));
                }
            }
        }
        if parsed.len() == self.values.items.len() {
            match together(parsed) {
                Ok(value) => set(value),
                Err(words) => self.mistakes.add(format!("{origin}: {words}.")),
            }
        }
    }
}

/// What every source says, the least particular first: file, credentials, environment, flags.
pub(super) fn layers(source: &impl Source, mistakes: &mut Mistakes) -> [Layer; 4] {
    let mut flags = flags(source.arguments(), mistakes);
    let mut environment = environment(source, mistakes);
    let credentials = credentials(source, mistakes);
    let named = flags
        .remove("config")
        .or_else(|| environment.remove("config"));
    let file = file(source, named, mistakes);
    [file, credentials, environment, flags]
}

fn flags(arguments: Vec<OsString>, mistakes: &mut Mistakes) -> Layer {
    let mut layer = Layer::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    loop {
        let name = match parser.next() {
            Ok(None) => return layer,
            Ok(Some(lexopt::Arg::Long(name))) => name.to_owned(),
            Ok(Some(lexopt::Arg::Short(letter))) => {
                mistakes.add(format!("-{letter}: there is no such flag."));
                continue;
            }
            Ok(Some(lexopt::Arg::Value(value))) => {
                // It may well be a password that lost its flag, so it is not repeated here.
                let hint = match value.to_str() {
                    Some(
                        command @ ("serve" | "check-config" | "backup" | "restore" | "key" | "help"
                        | "version"),
                    ) => {
                        format!("the command {command} goes before all flags")
                    }
                    _ => "every value follows its flag".to_owned(),
                };
                mistakes.add(format!("One argument stands alone: {hint}."));
                continue;
            }
            Err(error) => {
                mistakes.add(format!("{error}."));
                continue;
            }
        };
        let value = parser.optional_value().or_else(|| {
            let mut rest = parser.try_raw_args()?;
            rest.next_if(|next| !is_flag(next))
        });
        let Some(setting) = SETTINGS.iter().find(|setting| setting.flag == name) else {
            let near = did_you_mean(&name, SETTINGS.iter().map(|setting| setting.flag));
            let hint = near
                .map(|near| format!("; did you mean --{near}?"))
                .unwrap_or(".".into());
            mistakes.add(format!("--{name}: there is no such flag{hint}"));
            continue;
        };
        let origin = format!("--{}", setting.flag);
        let Some(value) = value else {
            mistakes.add(format!(
                "{origin}: its value, {}, is missing.",
                setting.value
            ));
            continue;
        };
        let Some(value) = text(&origin, value, mistakes) else {
            continue;
        };
        let values = layer.entry(setting.flag).or_default();
        if !setting.repeat && !values.items.is_empty() {
            mistakes.add(format!(
                "{origin}: it is given twice, but can have one value only."
            ));
            continue;
        }
        values.origin = origin;
        values.items.push(value);
    }
}

/// Whether an argument is a flag rather than the value of the one before it.
fn is_flag(argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|text| text.starts_with("--"))
}

fn environment(source: &impl Source, mistakes: &mut Mistakes) -> Layer {
    let mut layer = Layer::new();
    for setting in SETTINGS {
        let name = setting.variable();
        // Compose files and units set what they have no value for to nothing: that is unset.
        let direct = source.variable(&name).filter(|value| !value.is_empty());
        let from_file = format!("{name}_FILE");
        let path = source
            .variable(&from_file)
            .filter(|path| setting.secret && !path.is_empty())
            .map(PathBuf::from);
        match (direct, path) {
            (Some(_), Some(_)) => {
                mistakes.add(format!(
                    "{name} and {from_file}: only one of them can count."
                ));
            }
            (Some(value), None) => {
                if let Some(value) = text(&name, value, mistakes) {
                    let items = if setting.repeat {
                        value
                            .split(',')
                            .map(|item| item.trim().to_owned())
                            .collect()
                    } else {
                        vec![value]
                    };
                    layer.insert(
                        setting.flag,
                        Values {
                            origin: name,
                            items,
                        },
                    );
                }
            }
            (None, Some(path)) => {
                if let Some(values) = secret_file(source, setting, from_file, &path, mistakes) {
                    layer.insert(setting.flag, values);
                }
            }
            (None, None) => {}
        }
    }
    refuse_slips(source, mistakes);
    layer
}

/// Refuses variables that look like a setting misspelt. Others that begin with `TURNSTONE_` are let
/// be: container platforms make up such names for a service called so (`TURNSTONE_SERVICE_HOST`).
fn refuse_slips(source: &impl Source, mistakes: &mut Mistakes) {
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    for name in source.variables() {
        let Some(rest) = name.strip_prefix("TURNSTONE_") else {
            continue;
        };
        if known.contains(&name) {
            continue;
        }
        if let Some(setting) = rest.strip_suffix("_FILE").and_then(|stem| {
            SETTINGS
                .iter()
                .find(|setting| setting.variable() == format!("TURNSTONE_{stem}"))
        }) {
            if !setting.secret {
                let variable = setting.variable();
                mistakes.add(format!(
                    "{name}: only secrets are read from files; use {variable}."
                ));
            }
            continue;
        }
        let as_in_file = SETTINGS.iter().find(|setting| {
            setting
                .key
                .is_some_and(|key| key.replace('.', "_").to_uppercase() == rest)
        });
        let near = as_in_file.map(Setting::variable).or_else(|| {
            let stems = known
                .iter()
                .filter_map(|known| known.strip_prefix("TURNSTONE_"));
            did_you_mean(rest, stems).map(|near| format!("TURNSTONE_{near}"))
        });
        if let Some(near) = near {
            mistakes.add(format!(
                "{name}: there is no such setting; did you mean {near}?"
            ));
        }
    }
}

/// Secrets that systemd hands over (`LoadCredential=`), each named as its flag.
fn credentials(source: &impl Source, mistakes: &mut Mistakes) -> Layer {
    let mut layer = Layer::new();
    let Some(directory) = source.variable("CREDENTIALS_DIRECTORY").map(PathBuf::from) else {
        return layer;
    };
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        let path = directory.join(setting.flag);
        if source.is_file(&path) {
            let origin = format!("credential {}", setting.flag);
            if let Some(values) = secret_file(source, setting, origin, &path, mistakes) {
                layer.insert(setting.flag, values);
            }
        }
    }
    layer
}

/// A secret in a file of its own; where several may be given, one a line.
fn secret_file(
    source: &impl Source,
    setting: &Setting,
    origin: String,
    path: &Path,
    mistakes: &mut Mistakes,
) -> Option<Values> {
    let content = content(source, &origin, path, mistakes)?;
    let items: Vec<String> = if setting.repeat {
        content
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(Into::into)
            .collect()
    } else {
        vec![content.trim_end_matches(['\r', '\n']).to_owned()]
    };
    Some(Values { origin, items })
}

/// The file of settings; not having one is fine as long as nobody named one.
fn file(source: &impl Source, named: Option<Values>, mistakes: &mut Mistakes) -> Layer {
    let mut layer = Layer::new();
    let must_exist = named.is_some();
    let (origin, path) = match named.and_then(|mut named| Some((named.items.pop()?, named.origin)))
    {
        Some((path, origin)) if path.is_empty() => {
            mistakes.add(format!("{origin}: the file's name is empty."));
            return layer;
        }
        Some((path, origin)) => (origin, PathBuf::from(path)),
        None => (
            "The file of settings".to_owned(),
            PathBuf::from(DEFAULT_FILE),
        ),
    };
    // A file that is there but may not be read is a mistake, even where nobody named it.
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if !must_exist && source.read(&path).is_err_and(|error| missing(&error)) {
        return layer;
    }
    let Some(content) = content(source, &origin, &path, mistakes) else {
        return layer;
    };
    let (table, errors) = DeTable::parse_recoverable(&content);
    for error in &errors {
        let line = error.span().map_or(1, |span| line_of(&content, span.start));
        // The library's longer form quotes the line, which may hold a secret.
        mistakes.add(format!(
            "{} line {line}: {}.",
            shown(&path),
            error.message()
        ));
    }
    if errors.is_empty() {
        let mut reader = FileReader {
            path: &path,
            content: &content,
            layer: &mut layer,
            mistakes,
        };
        reader.table(table.get_ref(), "");
    }
    layer
}

struct FileReader<'a> {
    path: &'a Path,
    content: &'a str,
    layer: &'a mut Layer,
    mistakes: &'a mut Mistakes,
}

impl FileReader<'_> {
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let line = line_of(self.content, name.span().start);
            let place = format!("{} line {line}, {key}", shown(self.path));
            let inside = format!("{key}.");
            let known = |setting: &&Setting| setting.key == Some(key.as_str());
            if let Some(setting) = SETTINGS.iter().find(known) {
                self.setting(setting, place, value.get_ref());
            } else if !SETTINGS
                .iter()
                .any(|s| s.key.is_some_and(|k| k.starts_with(&inside)))
            {
                let near = near_key(&key).map(|near| format!("; did you mean {near}?"));
                let hint = near.unwrap_or(".".into());
                self.mistakes
                    .add(format!("{place}: there is no such setting{hint}"));
            } else if let DeValue::Table(table) = value.get_ref() {
                self.table(table, &inside);
            } else {
                self.mistakes
                    .add(format!("{place}: this is the name of a table, [{key}]."));
            }
        }
    }

    fn setting(&mut self, setting: &'static Setting, origin: String, value: &DeValue<'_>) {
        let items = match value {
            DeValue::Array(_) if !setting.repeat => {
                self.mistakes
                    .add(format!("{origin}: it takes one value, not a list."));
                return;
            }
            DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect(),
            one => scalar(one).map(|item| vec![item]),
        };
        match items {
            Some(items) => {
                self.layer.insert(setting.flag, Values { origin, items });
            }
            None if setting.repeat => {
                self.mistakes
                    .add(format!("{origin}: it takes texts in quotes, in a list."));
            }
            None => self
                .mistakes
                .add(format!("{origin}: it takes a text in quotes.")),
        }
    }
}

/// A value of the file as it would be typed elsewhere.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .ok(),
        _ => None,
    }
}

/// The key that was probably meant: written as the flag is, misspelt, or put under another table.
fn near_key(typed: &str) -> Option<&'static str> {
    fn last(key: &str) -> &str {
        key.rsplit('.').next().unwrap_or(key)
    }
    let plain = typed.replace('-', "_");
    let as_flag = |setting: &&Setting| setting.flag.replace('-', "_") == plain.replace('.', "_");
    let as_flag = SETTINGS
        .iter()
        .find(as_flag)
        .and_then(|setting| setting.key);
    let keys = || SETTINGS.iter().filter_map(|setting| setting.key);
    let elsewhere = || {
        let mut same = keys().filter(|key| last(key) == last(&plain));
        same.next().filter(|_| same.next().is_none())
    };
    as_flag
        .or_else(|| did_you_mean(&plain, keys()))
        .or_else(elsewhere)
}

fn content(
    source: &impl Source,
    origin: &str,
    path: &Path,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let bytes = match source.read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            mistakes.add(format!(
                "{origin}: {} cannot be read: {error}.",
                shown(path)
            ));
            return None;
        }
    };
    let text = String::from_utf8(bytes).ok();
    if text.is_none() {
        mistakes.add(format!("{origin}: {} is not UTF-8 text.", shown(path)));
    }
    text
}

fn text(origin: &str, value: OsString, mistakes: &mut Mistakes) -> Option<String> {
    let text = value.into_string().ok();
    if text.is_none() {
        mistakes.add(format!("{origin}: its value is not UTF-8 text."));
    }
    text
}

/// The line, from 1, on which the byte at `offset` stands.
fn line_of(content: &str, offset: usize) -> usize {
    content
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
        + 1
}
