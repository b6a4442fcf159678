//! `turnstone token ROOM`: a token that lets its bearer into a room.

use std::ffi::OsString;
use std::process::ExitCode;

use super::data::{self, now};
use super::{complain, hand_over};
use crate::config::{Config, Process};
use crate::id::{DisplayName, RoomName};
use crate::message::Role;
use crate::server;
use crate::store::{Error, Store};
use crate::token::{Claims, Kind};

/// Seconds of a day: how long a token is good unless it is said otherwise.
const DAY: u64 = 24 * 60 * 60;
/// The longest time a token may be good, in seconds. Nothing revokes it before, short of deleting the room.
const LONGEST: u64 = 366 * DAY;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenCommand {
    /// The room.
    pub room: RoomName,
    /// As what the bearer enters.
    pub role: Role,
    /// What the bearer is called, whatever the page says.
    pub name: Option<DisplayName>,
    /// How long it is good, in seconds.
    pub expires: u64,
}

impl TokenCommand {
    /// Reads what stands behind `token`, and leaves the flags that are settings.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn typed(words: &[String], flags: &mut Vec<OsString>) -> Result<Self, String> {
        let [room] = words else {
            return Err(
                "it is turnstone token ROOM [--role host|guest|viewer] [--name NAME] [--expires 24h]"
                    .to_owned(),
            );
        };
        let role = match taken(flags, "--role")?.as_deref() {
            None | Some("guest") => Role::Guest,
            Some("host") => Role::Host,
            Some("viewer") => Role::Viewer,
            Some(_) => return Err("a role is host, guest or viewer".to_owned()),
        };
        let name = taken(flags, "--name")?
            .map(|name| name.parse())
            .transpose()
            .map_err(|error| format!("the person's name cannot be used: {error}"))?;
        let expires = taken(flags, "--expires")?;
        Ok(Self {
            room: room
                .parse()
                .map_err(|error| format!("the room's name cannot be used: {error}"))?,
            role,
            name,
            expires: expires.as_deref().map_or(Ok(DAY), seconds)?,
        })
    }
}

/// Takes a flag and its value out of the arguments: `--flag value` or `--flag=value`.
fn taken(flags: &mut Vec<OsString>, flag: &str) -> Result<Option<String>, String> {
    let is_it = |argument: &OsString| {
        argument.to_str().is_some_and(|argument| {
            argument
                .strip_prefix(flag)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    let Some(place) = flags.iter().position(is_it) else {
        return Ok(None);
    };
    let argument = flags.remove(place).to_string_lossy().into_owned();
    if let Some((_, value)) = argument.split_once('=') {
        return Ok(Some(value.to_owned()));
    }
    if place >= flags.len() {
        return Err(format!("{flag} needs a value"));
    }
    Ok(Some(flags.remove(place).to_string_lossy().into_owned()))
}

/// `30m`, `24h`, `7d`.
fn seconds(text: &str) -> Result<u64, String> {
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => DAY,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|seconds| (1..=LONGEST).contains(seconds))
        .ok_or_else(|| "--expires is a time such as 30m, 24h or 7d, at most 366d".to_owned())
}

/// Prints a token. The server may run.
pub fn token(command: &TokenCommand, settings: &Process) -> ExitCode {
    data::run(settings, async |config| print(command, config).await)
}

async fn print(command: &TokenCommand, config: Config) -> Result<(), String> {
    data::must_be_meant(&config)?;
    let tokens = server::room_tokens(&config.data_dir).map_err(|error| {
        format!(
            "the data directory {} cannot be used: {error}",
            config.data_dir.display()
        )
    })?;
    let store = Store::open(config.store, &config.data_dir)
        .await
        .map_err(|error| error.to_string())?;
    let kept = store.room_by_name(&command.room).await;
    store.close().await;
    let rid = match kept {
        Ok(room) => Some(room.id),
        Err(Error::NotFound) => {
            complain(
                &"No room of that name is kept; the token is for one that people make by joining.",
            );
            None
        }
        Err(error) => return Err(error.to_string()),
    };
    let claims = Claims {
        room: command.room.clone(),
        rid,
        sid: None,
        inv: None,
        name: command.name.clone(),
        role: command.role,
        exp: now() / 1000 + command.expires,
        kind: match command.role {
            Role::Host => Kind::Host,
            Role::Guest | Role::Viewer => Kind::Guest,
        },
    };
    // The token alone goes to stdout, for scripts.
    hand_over(&format!("{}\n", tokens.mint(&claims)))
        .map_err(|error| format!("the token could not be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(room: &[&str], flags: &[&str]) -> Result<(TokenCommand, usize), String> {
        let words: Vec<String> = room.iter().map(|&word| word.to_owned()).collect();
        let mut flags: Vec<OsString> = flags.iter().map(OsString::from).collect();
        let command = TokenCommand::typed(&words, &mut flags)?;
        Ok((command, flags.len()))
    }

    #[test]
    fn a_token_is_asked_for_and_settings_are_left() {
        let flags = [
            "--data-dir",
            "/x",
            "--role",
            "host",
            "--name=Ann",
            "--expires",
            "7d",
        ];
        let expected = TokenCommand {
            room: "Tea".parse().unwrap(),
            role: Role::Host,
            name: Some("Ann".parse().unwrap()),
            expires: 7 * DAY,
        };
        assert_eq!(typed(&["Tea"], &flags), Ok((expected, 2)));
        let (plain, _) = typed(&["Tea"], &[]).unwrap();
        assert_eq!((plain.role, plain.expires), (Role::Guest, DAY));
    }

    #[test]
    fn mistakes_are_told() {
        for (words, flags, hint) in [
            (vec![], vec![], "ROOM"),
            (vec!["a", "b"], vec![], "ROOM"),
            (vec!["\u{1}"], vec![], "room's name"),
            (vec!["a"], vec!["--role", "king"], "host"),
            (vec!["a"], vec!["--role"], "value"),
            (vec!["a"], vec!["--expires", "1"], "24h"),
            (vec!["a"], vec!["--expires", "d"], "24h"),
            (vec!["a"], vec!["--expires", "9é"], "24h"),
            (vec!["a"], vec!["--expires", "367d"], "366d"),
        ] {
            assert!(
                typed(&words, &flags).unwrap_err().contains(hint),
                "{words:?} {flags:?}"
            );
        }
    }
}
