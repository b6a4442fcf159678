//! `turnstone key create|list|revoke`: the keys that other programs show to the HTTP API.

use std::fmt::Write;
use std::process::ExitCode;

use super::data::{self, now};
use super::{complain, hand_over, say};
use crate::config::{Config, Process};
use crate::id::KeyId;
use crate::store::{ApiKey, Error, MintedKey, Scope, Store};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// What to do with keys.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyCommand {
    /// Make one.
    Create {
        /// What it is for, in the operator's words.
        name: String,
        /// What it allows.
        scopes: Vec<Scope>,
    },
    /// Show all, without their secrets.
    List,
    /// Make one worthless.
    Revoke(KeyId),
}

impl KeyCommand {
    /// Reads what stands behind `key`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn typed(words: &[String]) -> Result<Self, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["create", name, scopes] => {
                let scopes = scopes.split(',').map(|scope| {
                    scope.parse().map_err(|_| {
                        format!("there is no scope {scope:?}; scopes are {}", all_scopes())
                    })
                });
                if name.trim().is_empty() {
                    return Err("the key's name is empty".to_owned());
                }
                Ok(Self::Create {
                    name: name.trim().to_owned(),
                    scopes: scopes.collect::<Result<_, _>>()?,
                })
            }
            ["create", ..] => Err(format!(
                "it is turnstone key create NAME SCOPE[,SCOPE...]; scopes are {}",
                all_scopes()
            )),
            ["list"] => Ok(Self::List),
            ["revoke", id] => id
                .parse()
                .map(Self::Revoke)
                .map_err(|_| "a key is revoked by its id; turnstone key list shows all".to_owned()),
            _ => {
                Err("it is turnstone key create NAME SCOPES, key list, or key revoke ID".to_owned())
            }
        }
    }
}

/// Makes, lists or revokes keys. The server may run, and heeds it at once.
pub fn key(command: &KeyCommand, settings: &Process) -> ExitCode {
    data::run(settings, async |config| act(command, config).await)
}

async fn act(command: &KeyCommand, config: Config) -> Result<(), String> {
    // In PostgreSQL they are the same ones whatever the folder.
    if config.store.database.is_none() {
        data::must_be_meant(&config)?;
    }
    let store = Store::open(config.store, &config.data_dir)
        .await
        .map_err(|error| error.to_string())?;
    let done = match command {
        KeyCommand::Create { name, scopes } => store
            .create_key(name, scopes, now())
            .await
            .map(|minted| show(&minted)),
        KeyCommand::List => store.keys().await.map(|keys| {
            say(&listed(&keys));
            Ok(())
        }),
        KeyCommand::Revoke(id) => store.revoke_key(*id, now()).await.map(Ok),
    };
    store.close().await;
    done.map_err(|error| match error {
        Error::NotFound => "there is no such key, or it is revoked already".to_owned(),
        error => error.to_string(),
    })?
}

/// The key alone goes to stdout, for scripts. What nobody has seen is of no use to anybody.
fn show(minted: &MintedKey) -> Result<(), String> {
    complain(&"This key is shown once; keep it where only the other program reads it.");
    hand_over(&format!("{}\n", minted.key)).map_err(|error| {
        let id = minted.id;
        format!("the key could not be written ({error}): turnstone key revoke {id} ends it")
    })
}

fn listed(keys: &[ApiKey]) -> String {
    let mut page = String::new();
    for key in keys {
        let used = match (key.revoked, key.last_used) {
            (Some(revoked), _) => format!("revoked {}", date(revoked)),
            (None, Some(used)) => format!("last used {}", date(used)),
            (None, None) => "never used".to_owned(),
        };
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "{}  {}  {:<20}  {:?}  made {}",
            key.id,
            scopes.join(","),
            used,
            key.name,
            date(key.created)
        );
    }
    page
}

fn all_scopes() -> String {
    Scope::ALL.map(Scope::as_str).join(", ")
}

/// The day (UTC) of a time in milliseconds since 1970, as `2027-01-15`: counted in eras of 400
/// years that begin on 1 March, so that the odd day comes last.
fn date(unix_ms: u64) -> String {
    let days = unix_ms / 1000 / DAY + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Result<KeyCommand, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        KeyCommand::typed(&words)
    }

    #[test]
    fn commands_are_read_and_mistakes_told() {
        let create = KeyCommand::Create {
            name: "billing".to_owned(),
            scopes: vec![Scope::Turn, Scope::RoomsRead],
        };
        assert_eq!(
            typed(&["create", " billing", "turn,rooms:read"]),
            Ok(create)
        );
        assert_eq!(typed(&["list"]), Ok(KeyCommand::List));
        for (words, hint) in [
            (vec!["create", "billing"], "SCOPE"),
            (vec!["create", "billing", "everything"], "rooms:write"),
            (vec!["create", " ", "turn"], "empty"),
            (vec!["revoke", "billing"], "key list"),
            (vec![], "key list"),
        ] {
            assert!(typed(&words).unwrap_err().contains(hint), "{words:?}");
        }
    }

    #[test]
    fn days_are_told_as_people_write_them() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_800_000_000, "2027-01-15"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds * 1000), expected);
        }
    }
}
