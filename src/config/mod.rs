//! What an operator typed, turned into one checked [`Config`].
//!
//! Four places may say something: flags, environment, systemd credentials and a file. They are read as
//! text ([`typed`]), checked value by value ([`value`]), and laid over the defaults, the most particular
//! last. Which settings there are stands in one [`table`]; each part of the server owns the
//! type that its settings end up in. Whatever is wrong is collected and told at once ([`Mistakes`]).

mod mistakes;
mod page;
mod source;
mod table;
mod typed;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::{admin, api, room, store, turn, web};

pub use mistakes::Mistakes;
pub use page::{documentation, effective, options};
pub use source::{Map, Process, Source};
pub use table::{SETTINGS, Setting};

/// Read when nothing else is named, if it exists.
pub const DEFAULT_FILE: &str = "/etc/turnstone/turnstone.toml";

/// Where the data goes when neither a setting nor systemd's `StateDirectory=` says.
pub const DEFAULT_DATA_DIR: &str = "./data";

/// Every setting of the server, checked: nothing in it needs to be doubted again.
#[derive(Clone, Default)]
pub struct Config {
    /// The directory of everything that outlives a restart.
    pub data_dir: PathBuf,
    /// HTTPS and the pages.
    pub web: web::Settings,
    /// Rooms.
    pub rooms: room::Settings,
    /// STUN and TURN.
    pub turn: turn::Settings,
    /// What outlives a restart.
    pub store: store::Settings,
    /// The HTTP API.
    pub api: api::Settings,
    /// Health and metrics.
    pub admin: admin::Settings,
    /// The shape of log lines.
    pub log: LogFormat,
}

/// The shape of log lines on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// A checked configuration, and which source had the last word on each setting.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What to run with.
    pub config: Config,
    /// The flag of a setting → who set it; what stands at its default is not in here.
    pub origins: BTreeMap<&'static str, String>,
}

/// Reads every source and checks all of it.
///
/// # Errors
/// All mistakes of all sources, in words, also those in values that another source overrides.
pub fn load(source: &impl Source) -> Result<Config, Mistakes> {
    load_with_origins(source).map(|loaded| loaded.config)
}

/// [`load`], remembering who set what.
///
/// # Errors
/// As [`load`].
pub fn load_with_origins(source: &impl Source) -> Result<Loaded, Mistakes> {
    let mut mistakes = Mistakes::default();
    let mut config = Config::default();
    let mut origins = BTreeMap::new();
    default_directories(source, &mut config, &mut origins);

    let mut ports_are_sure = true;
    for layer in typed::layers(source, &mut mistakes) {
        for setting in SETTINGS {
            if let Some(values) = layer.get(setting.flag) {
                let before = mistakes.iter().count();
                (setting.fill)(
                    &mut config,
                    typed::Typed::new(setting, values, &mut mistakes),
                );
                origins.insert(setting.flag, values.origin.clone());
                ports_are_sure &=
                    mistakes.iter().count() == before || !setting.flag.ends_with("-listen");
            }
        }
    }

    default_realm(&mut config, &mut origins);
    refuse_a_missing_ssl_dir(source, &config, &origins, &mut mistakes);
    refuse_unsigned_webhooks(&config, &origins, &mut mistakes);
    if ports_are_sure {
        refuse_overlaps(&config, &origins, &mut mistakes);
    }
    if mistakes.is_empty() {
        Ok(Loaded { config, origins })
    } else {
        Err(mistakes)
    }
}

/// What systemd provides stands in for a setting, below everything that was typed.
fn default_directories(
    source: &impl Source,
    config: &mut Config,
    origins: &mut BTreeMap<&'static str, String>,
) {
    config.data_dir = PathBuf::from(DEFAULT_DATA_DIR);
    if let Some(state) = source
        .variable("STATE_DIRECTORY")
        .filter(|dirs| !dirs.is_empty())
    {
        // `StateDirectory=a b` gives several, joined by colons; ours is the first.
        let state = state.to_string_lossy();
        config.data_dir = PathBuf::from(state.split(':').next().unwrap_or(&state));
        origins.insert("data-dir", "$STATE_DIRECTORY".to_owned());
    }
    if let Some(directory) = source.variable("CREDENTIALS_DIRECTORY").map(PathBuf::from) {
        let has = |names: &[&str]| {
            names
                .iter()
                .any(|name| source.is_file(&directory.join(name)))
        };
        if has(&["cert1.pem", "cert.pem", "fullchain.pem"]) && has(&["privkey1.pem", "privkey.pem"])
        {
            config.web.ssl_dir = Some(directory);
            origins.insert("ssl-dir", "$CREDENTIALS_DIRECTORY".to_owned());
        }
    }
}

/// The first domain names the realm, unless somebody chose one.
fn default_realm(config: &mut Config, origins: &mut BTreeMap<&'static str, String>) {
    if origins.contains_key("turn-realm") {
        return;
    }
    let domain = config.web.domains.first();
    if let Some(realm) = domain.and_then(|domain| value::realm(domain).ok()) {
        config.turn.realm = realm;
        origins.insert("turn-realm", "the first domain".to_owned());
    }
}

/// A certificate's folder may be empty for now, but one that is not there was mistyped.
fn refuse_a_missing_ssl_dir(
    source: &impl Source,
    config: &Config,
    origins: &BTreeMap<&'static str, String>,
    mistakes: &mut Mistakes,
) {
    let (Some(dir), Some(origin)) = (&config.web.ssl_dir, origins.get("ssl-dir")) else {
        return;
    };
    let words = match source.look_into(dir) {
        Ok(()) => return,
        Err(error) if error.kind() == ErrorKind::NotFound => "there is no such folder".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotADirectory => "this is no folder".to_owned(),
        Err(error) => format!("this folder cannot be opened: {error}"),
    };
    mistakes.add(format!("{origin} {:?}: {words}.", shown(dir)));
}

/// Whoever is told of events must be able to tell that it is us.
fn refuse_unsigned_webhooks(
    config: &Config,
    origins: &BTreeMap<&'static str, String>,
    mistakes: &mut Mistakes,
) {
    let Some(origin) = origins.get("webhook-url") else {
        return;
    };
    // A secret that was typed and is none has been told of already.
    if !config.api.webhooks.urls.is_empty() && !origins.contains_key("webhook-secret") {
        mistakes.add(format!(
            "{origin}: what is sent there must be signed; set a webhook-secret, for example \
             whsec_ and what openssl rand -base64 32 prints."
        ));
    }
}

/// Two listeners on one TCP port would fail at the second bind; here both can be named.
fn refuse_overlaps(
    config: &Config,
    origins: &BTreeMap<&'static str, String>,
    mistakes: &mut Mistakes,
) {
    let default_https = [SocketAddr::from(([0u16; 8], 443))];
    let https = config.web.https_listen.as_deref().unwrap_or(&default_https);
    // What nobody asked for gives way by itself, so it cannot stand in the way of anything.
    let http = config.web.http_listen.as_deref().unwrap_or_default();
    let admin: Vec<_> = config.admin.listen.into_iter().collect();
    let listeners = [
        ("https-listen", https),
        ("http-listen", http),
        ("turn-listen", &config.turn.listen),
        ("admin-listen", &admin),
    ];
    let called = |flag| {
        origins
            .get(flag)
            .cloned()
            .unwrap_or_else(|| format!("--{flag}"))
    };
    for (at, (flag, addresses)) in listeners.iter().enumerate() {
        for (other_flag, others) in listeners.iter().skip(at + 1) {
            for address in *addresses {
                if let Some(other) = others.iter().find(|other| overlap(address, other)) {
                    let hint = if (*flag, *other_flag) == ("https-listen", "turn-listen") {
                        "; the HTTPS port already carries TURN over TCP and TLS"
                    } else {
                        ""
                    };
                    mistakes.add(format!(
                        "{} {address} and {} {other} want the same port: give each its own{hint}.",
                        called(flag),
                        called(other_flag),
                    ));
                }
            }
        }
    }
}

/// Whether two TCP listeners cannot both be bound.
fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// Whether `wide` listens on every address of the family of `narrow`; `[::]` stands for both families.
fn covers(wide: &SocketAddr, narrow: &SocketAddr) -> bool {
    wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
}

/// `path` as a person would type it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl fmt::Debug for Config {
    /// As `check-config` prints it: secrets stay hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for setting in SETTINGS {
            map.entry(&setting.flag, &page::visible(setting, self));
        }
        map.finish()
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests;
