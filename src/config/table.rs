//! The settings, one entry each. Flags, environment, file, `--help`, `check-config` and
//! `docs/settings.md` all come from here.

use std::fmt::Display;
use std::net::SocketAddr;

use super::typed::Typed;
use super::{Config, shown, value};
use crate::store::FileTypes;

/// One thing that an operator may set.
pub struct Setting {
    /// The flag, without its dashes. The environment variable is `TURNSTONE_` and the same in capitals.
    pub flag: &'static str,
    /// What stands for the value in help, such as `ADDR`.
    pub value: &'static str,
    /// Whether it may be given several times, and be a list in the file.
    pub repeat: bool,
    /// Its name in the file, tables joined by dots; `None` cannot stand in the file.
    pub key: Option<&'static str>,
    /// What holds when nobody says anything, in words.
    pub default: &'static str,
    /// What it is, in few words.
    pub help: &'static str,
    /// Never shown, and may come from a file of its own: `…_FILE`, or a systemd credential.
    pub secret: bool,
    /// Checks what was typed and puts it where it belongs.
    pub(super) fill: fn(&mut Config, Typed<'_>),
    /// What holds, as it would be typed; empty when nothing but the default does.
    pub(super) show: fn(&Config) -> Vec<String>,
}

impl Setting {
    /// Whether few will ever need it: help then names it only.
    pub(super) fn is_rare(&self) -> bool {
        let by_name = ["relay-default-family", "relay-workers"];
        by_name.contains(&self.flag) || self.key.is_some_and(|key| key.starts_with("turn.limits."))
    }

    /// The environment variable's name.
    pub fn variable(&self) -> String {
        format!("TURNSTONE_{}", self.flag.replace('-', "_").to_uppercase())
    }
}

/// Every setting, in the order of `--help`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        flag: "config",
        value: "FILE",
        repeat: false,
        key: None,
        default: "/etc/turnstone/turnstone.toml if it exists",
        help: "the file of settings",
        secret: false,
        fill: |_, _| {}, // read before all others: it says where they are
        show: |_| Vec::new(),
    },
    Setting {
        flag: "domain",
        value: "NAME",
        repeat: true,
        key: Some("domain"),
        default: "none: this machine's name and addresses",
        help: "a name people reach it by",
        secret: false,
        fill: |config, typed| {
            typed.each(value::domain, |domains| {
                config.web.domains = unique(domains)
            });
        },
        show: |config| config.web.domains.clone(),
    },
    Setting {
        flag: "data-dir",
        value: "DIR",
        repeat: false,
        key: Some("data_dir"),
        default: "$STATE_DIRECTORY, else ./data",
        help: "what outlives a restart",
        secret: false,
        fill: |config, typed| typed.one(value::path, |dir| config.data_dir = dir),
        show: |config| vec![shown(&config.data_dir)],
    },
    Setting {
        flag: "https-listen",
        value: "ADDR",
        repeat: true,
        key: Some("https.listen"),
        default: "[::]:443, else [::]:8443",
        help: "pages, signaling, TURN over TCP",
        secret: false,
        fill: |config, typed| {
            let set = |all| config.web.https_listen = Some(distinct(all));
            typed.each_checked(value::socket_address, value::at_least_one, set);
        },
        show: |config| all(config.web.https_listen.as_deref().unwrap_or_default()),
    },
    Setting {
        flag: "http-listen",
        value: "ADDR",
        repeat: true,
        key: Some("http.listen"),
        default: "[::]:80, skipped if not free",
        help: "sends people on to HTTPS",
        secret: false,
        fill: |config, typed| {
            let set = |all| config.web.http_listen = Some(distinct(all));
            typed.each_checked(value::socket_address, value::at_least_one, set);
        },
        show: |config| all(config.web.http_listen.as_deref().unwrap_or_default()),
    },
    Setting {
        flag: "turn-listen",
        value: "ADDR",
        repeat: true,
        key: Some("turn.listen"),
        default: "[::]:3478",
        help: "STUN and TURN over UDP, TCP and TLS",
        secret: false,
        fill: |config, typed| {
            let set = |all| config.turn.listen = distinct(all);
            typed.each_checked(value::socket_address, value::at_least_one, set);
        },
        show: |config| all(&config.turn.listen),
    },
    Setting {
        flag: "external-ip",
        value: "IP[/LOCAL]",
        repeat: true,
        key: Some("turn.external_ip"),
        default: "auto",
        help: "where relays are reached; one per family",
        secret: false,
        fill: |config, typed| {
            let set = |ips| config.turn.external_ips = ips;
            typed.each_checked(value::external_ip, value::one_per_family, set);
        },
        show: |config| {
            let shown = |ip: &crate::turn::ExternalIp| match ip.local {
                Some(local) => format!("{}/{local}", ip.public),
                None => ip.public.to_string(),
            };
            config.turn.external_ips.iter().map(shown).collect()
        },
    },
    Setting {
        flag: "relay-ports",
        value: "MIN-MAX",
        repeat: false,
        key: Some("turn.relay_ports"),
        default: "49152-65535",
        help: "the UDP ports of relays",
        secret: false,
        fill: |config, typed| typed.one(value::port_range, |ports| config.turn.relay_ports = ports),
        show: |config| {
            vec![format!(
                "{}-{}",
                config.turn.relay_ports.min, config.turn.relay_ports.max
            )]
        },
    },
    Setting {
        flag: "relay-allow",
        value: "CIDR",
        repeat: true,
        key: Some("turn.allow_peers"),
        default: "none",
        help: "private addresses that relays may reach",
        secret: false,
        fill: |config, typed| typed.each(value::cidr, |nets| config.turn.allow_peers = nets),
        show: |config| all(&config.turn.allow_peers),
    },
    Setting {
        flag: "turn-user",
        value: "NAME:PASSWORD",
        repeat: true,
        key: Some("turn.users"),
        default: "none",
        help: "a fixed TURN user for other software",
        secret: true,
        fill: |config, typed| {
            let set = |users| config.turn.users = users;
            typed.each_checked(value::fixed_user, value::distinct_names, set);
        },
        show: |config| {
            config
                .turn
                .users
                .iter()
                .map(|user| format!("{}:(hidden)", user.name))
                .collect()
        },
    },
    Setting {
        flag: "turn-secret",
        value: "SECRET",
        repeat: false,
        key: Some("turn.secret"),
        default: "none",
        help: "lets other software mint TURN credentials",
        secret: true,
        fill: |config, typed| {
            typed.one(value::secret, |secret| config.turn.secret = Some(secret));
        },
        show: |config| {
            config
                .turn
                .secret
                .iter()
                .map(|_| "(hidden)".to_owned())
                .collect()
        },
    },
    Setting {
        flag: "turn-realm",
        value: "NAME",
        repeat: false,
        key: Some("turn.realm"),
        default: "the first domain, else turnstone",
        help: "the realm of TURN users",
        secret: false,
        fill: |config, typed| typed.one(value::realm, |realm| config.turn.realm = realm),
        show: |config| vec![config.turn.realm.clone()],
    },
    Setting {
        flag: "relay-default-family",
        value: "FAMILY",
        repeat: false,
        key: Some("turn.default_family"),
        default: "ipv4",
        help: "of relays whose client asks for none: ipv4 if there is any, or client for the client's own",
        secret: false,
        fill: |config, typed| {
            typed.one(value::default_family, |family| {
                config.turn.default_family = family
            });
        },
        show: |config| vec![config.turn.default_family.to_string()],
    },
    Setting {
        flag: "relay-workers",
        value: "N",
        repeat: false,
        key: Some("turn.workers"),
        default: "one per core",
        help: "threads that relay, 1 to 254",
        secret: false,
        fill: |config, typed| typed.one(value::workers, |n| config.turn.workers = Some(n)),
        show: |config| {
            config
                .turn
                .workers
                .iter()
                .map(ToString::to_string)
                .collect()
        },
    },
    Setting {
        flag: "relay-allocations",
        value: "N",
        repeat: false,
        key: Some("turn.limits.allocations"),
        default: "16000",
        help: "allocations in all",
        secret: false,
        fill: |config, typed| typed.one(value::allocations, |n| config.turn.limits.allocations = n),
        show: |config| vec![config.turn.limits.allocations.to_string()],
    },
    Setting {
        flag: "relay-allocations-per-user",
        value: "N",
        repeat: false,
        key: Some("turn.limits.allocations_per_user"),
        default: "400",
        help: "allocations of one user",
        secret: false,
        fill: |config, typed| {
            typed.one(value::allocations, |n| {
                config.turn.limits.allocations_per_user = n
            })
        },
        show: |config| vec![config.turn.limits.allocations_per_user.to_string()],
    },
    Setting {
        flag: "relay-allocations-per-address",
        value: "N",
        repeat: false,
        key: Some("turn.limits.allocations_per_address"),
        default: "4000",
        help: "allocations of one address, or IPv6 /64",
        secret: false,
        fill: |config, typed| {
            typed.one(value::allocations, |n| {
                config.turn.limits.allocations_per_source = n
            })
        },
        show: |config| vec![config.turn.limits.allocations_per_source.to_string()],
    },
    Setting {
        flag: "relay-bytes",
        value: "RATE",
        repeat: false,
        key: Some("turn.limits.bytes"),
        default: "1250M",
        help: "bytes relayed a second, both ways, in all",
        secret: false,
        fill: |config, typed| typed.one(value::rate, |rate| config.turn.limits.total.bytes = rate),
        show: |config| vec![value::typed_rate(config.turn.limits.total.bytes)],
    },
    Setting {
        flag: "relay-bytes-per-user",
        value: "RATE",
        repeat: false,
        key: Some("turn.limits.bytes_per_user"),
        default: "62500k",
        help: "the same for one user",
        secret: false,
        fill: |config, typed| {
            typed.one(value::rate, |rate| config.turn.limits.per_user.bytes = rate)
        },
        show: |config| vec![value::typed_rate(config.turn.limits.per_user.bytes)],
    },
    Setting {
        flag: "relay-bytes-per-address",
        value: "RATE",
        repeat: false,
        key: Some("turn.limits.bytes_per_address"),
        default: "250M",
        help: "the same for one address, or IPv6 /64",
        secret: false,
        fill: |config, typed| {
            typed.one(value::rate, |rate| {
                config.turn.limits.per_source.bytes = rate
            })
        },
        show: |config| vec![value::typed_rate(config.turn.limits.per_source.bytes)],
    },
    Setting {
        flag: "relay-packets",
        value: "RATE",
        repeat: false,
        key: Some("turn.limits.packets"),
        default: "2M",
        help: "packets relayed a second, both ways, in all",
        secret: false,
        fill: |config, typed| {
            typed.one(value::rate, |rate| config.turn.limits.total.packets = rate)
        },
        show: |config| vec![value::typed_rate(config.turn.limits.total.packets)],
    },
    Setting {
        flag: "relay-packets-per-user",
        value: "RATE",
        repeat: false,
        key: Some("turn.limits.packets_per_user"),
        default: "100k",
        help: "the same for one user",
        secret: false,
        fill: |config, typed| {
            typed.one(value::rate, |rate| {
                config.turn.limits.per_user.packets = rate
            })
        },
        show: |config| vec![value::typed_rate(config.turn.limits.per_user.packets)],
    },
    Setting {
        flag: "relay-packets-per-address",
        value: "RATE",
        repeat: false,
        key: Some("turn.limits.packets_per_address"),
        default: "400k",
        help: "the same for one address, or IPv6 /64",
        secret: false,
        fill: |config, typed| {
            typed.one(value::rate, |rate| {
                config.turn.limits.per_source.packets = rate
            })
        },
        show: |config| vec![value::typed_rate(config.turn.limits.per_source.packets)],
    },
    Setting {
        flag: "relay-permissions",
        value: "N",
        repeat: false,
        key: Some("turn.limits.permissions"),
        default: "128",
        help: "addresses that one allocation may reach, 1 to 1000",
        secret: false,
        fill: |config, typed| {
            typed.one(value::per_allocation, |n| {
                config.turn.limits.permissions_per_allocation = n
            })
        },
        show: |config| vec![config.turn.limits.permissions_per_allocation.to_string()],
    },
    Setting {
        flag: "relay-channels",
        value: "N",
        repeat: false,
        key: Some("turn.limits.channels"),
        default: "128",
        help: "channels of one allocation, 1 to 1000",
        secret: false,
        fill: |config, typed| {
            typed.one(value::per_allocation, |n| {
                config.turn.limits.channels_per_allocation = n
            })
        },
        show: |config| vec![config.turn.limits.channels_per_allocation.to_string()],
    },
    Setting {
        flag: "relay-answers",
        value: "N",
        repeat: false,
        key: Some("turn.limits.answers"),
        default: "100",
        help: "answers a second to one address that has not signed in, 1 to 1000",
        secret: false,
        fill: |config, typed| {
            typed.one(value::answers, |n| {
                config.turn.limits.unauthenticated_answers = n
            })
        },
        show: |config| vec![config.turn.limits.unauthenticated_answers.to_string()],
    },
    Setting {
        flag: "ssl-dir",
        value: "DIR",
        repeat: false,
        key: Some("tls.dir"),
        default: "./ssl, then /etc/turnstone/ssl",
        help: "the certificate and its key",
        secret: false,
        fill: |config, typed| typed.one(value::path, |dir| config.web.ssl_dir = Some(dir)),
        show: |config| config.web.ssl_dir.iter().map(|dir| shown(dir)).collect(),
    },
    Setting {
        flag: "well-known-dir",
        value: "DIR",
        repeat: false,
        key: Some("https.well_known_dir"),
        default: "well-known in the data directory",
        help: "served under /.well-known/",
        secret: false,
        fill: |config, typed| typed.one(value::path, |dir| config.web.well_known_dir = Some(dir)),
        show: |config| {
            config
                .web
                .well_known_dir
                .iter()
                .map(|dir| shown(dir))
                .collect()
        },
    },
    Setting {
        flag: "allow-origin",
        value: "ORIGIN",
        repeat: true,
        key: Some("https.allow_origins"),
        default: "none",
        help: "another site whose pages may connect",
        secret: false,
        fill: |config, typed| {
            typed.each(value::origin, |origins| {
                config.web.allow_origins = unique(origins)
            });
        },
        show: |config| config.web.allow_origins.clone(),
    },
    Setting {
        flag: "allow-frame",
        value: "ORIGIN",
        repeat: true,
        key: Some("https.allow_frames"),
        default: "none",
        help: "another site that may show ours in a frame",
        secret: false,
        fill: |config, typed| {
            typed.each(value::origin, |origins| {
                config.web.frame_ancestors = unique(origins)
            });
        },
        show: |config| config.web.frame_ancestors.clone(),
    },
    Setting {
        flag: "sockets-per-address",
        value: "N",
        repeat: false,
        key: Some("https.sockets_per_address"),
        default: "200",
        help: "WebSockets from one address, at least 1",
        secret: false,
        fill: |config, typed| {
            typed.one(value::limit, |n| config.web.limits.sockets_per_address = n);
        },
        show: |config| vec![config.web.limits.sockets_per_address.to_string()],
    },
    Setting {
        flag: "capacity",
        value: "N",
        repeat: false,
        key: Some("rooms.capacity"),
        default: "10",
        help: "people in a room, 1 to 1000",
        secret: false,
        fill: |config, typed| typed.one(value::capacity, |n| config.rooms.capacity = n),
        show: |config| vec![config.rooms.capacity.to_string()],
    },
    Setting {
        flag: "history",
        value: "WHO",
        repeat: false,
        key: Some("rooms.history"),
        default: "all",
        help: "who reads older chat: all, or present",
        secret: false,
        fill: |config, typed| typed.one(value::history, |all| config.rooms.history = all),
        show: |config| {
            let who = if config.rooms.history {
                "all"
            } else {
                "present"
            };
            vec![who.to_owned()]
        },
    },
    Setting {
        flag: "create-rooms",
        value: "WHO",
        repeat: false,
        key: Some("rooms.create"),
        default: "anyone",
        help: "who makes kept rooms: anyone, or key",
        secret: false,
        fill: |config, typed| typed.one(value::creators, |who| config.api.create = who),
        show: |config| vec![value::shown_creators(config.api.create).to_owned()],
    },
    Setting {
        flag: "database-url",
        value: "URL",
        repeat: false,
        key: Some("database.url"),
        default: "turnstone.db in the data directory",
        help: "a PostgreSQL database instead",
        secret: true,
        fill: |config, typed| {
            typed.one(value::database_url, |url| config.store.database = Some(url));
        },
        show: |config| {
            let hidden = |_: &_| "(hidden)".to_owned();
            config.store.database.iter().map(hidden).collect()
        },
    },
    Setting {
        flag: "files-url",
        value: "URL",
        repeat: false,
        key: Some("files.url"),
        default: "files in the data directory",
        help: "an S3-compatible bucket instead",
        secret: true,
        fill: |config, typed| {
            typed.one(value::bucket, |bucket| config.store.bucket = Some(bucket));
        },
        show: |config| {
            let hidden = |_: &_| "(hidden)".to_owned();
            config.store.bucket.iter().map(hidden).collect()
        },
    },
    Setting {
        flag: "file-size",
        value: "SIZE",
        repeat: false,
        key: Some("files.max_size"),
        default: "1G",
        help: "the largest file",
        secret: false,
        fill: |config, typed| typed.one(value::size, |size| config.store.file_size = size),
        show: |config| vec![value::shown_size(config.store.file_size)],
    },
    Setting {
        flag: "room-files",
        value: "SIZE",
        repeat: false,
        key: Some("files.max_room"),
        default: "4G",
        help: "all files of a room together",
        secret: false,
        fill: |config, typed| typed.one(value::size, |size| config.store.room_files = size),
        show: |config| vec![value::shown_size(config.store.room_files)],
    },
    Setting {
        flag: "all-files",
        value: "SIZE",
        repeat: false,
        key: Some("files.max_all"),
        default: "20G",
        help: "all files together",
        secret: false,
        fill: |config, typed| typed.one(value::size, |size| config.store.all_files = size),
        show: |config| vec![value::shown_size(config.store.all_files)],
    },
    Setting {
        flag: "file-type",
        value: "TYPE",
        repeat: true,
        key: Some("files.types"),
        default: "all",
        help: "kinds of files that may be shared",
        secret: false,
        fill: |config, typed| {
            let set = |types| config.store.file_types = FileTypes::only(types);
            typed.each(value::file_type, set);
        },
        show: |config| all(config.store.file_types.as_slice()),
    },
    Setting {
        flag: "keep-rooms",
        value: "DAYS",
        repeat: false,
        key: Some("rooms.keep"),
        default: "365d",
        help: "how long a kept room lasts unused",
        secret: false,
        fill: |config, typed| typed.one(value::keep, |time| config.store.keep_rooms = time),
        show: |config| vec![value::shown_keep(config.store.keep_rooms)],
    },
    Setting {
        flag: "keep-messages",
        value: "DAYS",
        repeat: false,
        key: Some("messages.keep"),
        default: "forever",
        help: "how long messages last in kept rooms",
        secret: false,
        fill: |config, typed| typed.one(value::keep, |time| config.store.keep_messages = time),
        show: |config| vec![value::shown_keep(config.store.keep_messages)],
    },
    Setting {
        flag: "keep-files",
        value: "DAYS",
        repeat: false,
        key: Some("files.keep"),
        default: "90d",
        help: "how long files last in kept rooms",
        secret: false,
        fill: |config, typed| typed.one(value::keep, |time| config.store.keep_files = time),
        show: |config| vec![value::shown_keep(config.store.keep_files)],
    },
    Setting {
        flag: "requests-per-minute",
        value: "N",
        repeat: false,
        key: Some("limits.requests"),
        default: "1200",
        help: "API requests from one address",
        secret: false,
        fill: |config, typed| {
            typed.one(value::how_often, |n| {
                config.api.limits.requests_per_minute = n
            });
        },
        show: |config| vec![config.api.limits.requests_per_minute.to_string()],
    },
    Setting {
        flag: "rooms-per-hour",
        value: "N",
        repeat: false,
        key: Some("limits.rooms"),
        default: "30",
        help: "kept rooms made from one address",
        secret: false,
        fill: |config, typed| typed.one(value::how_often, |n| config.api.limits.rooms_per_hour = n),
        show: |config| vec![config.api.limits.rooms_per_hour.to_string()],
    },
    Setting {
        flag: "invites-per-hour",
        value: "N",
        repeat: false,
        key: Some("limits.invites"),
        default: "200",
        help: "invitations of one address, one person",
        secret: false,
        fill: |config, typed| {
            typed.one(value::how_often, |n| config.api.limits.invites_per_hour = n)
        },
        show: |config| vec![config.api.limits.invites_per_hour.to_string()],
    },
    Setting {
        flag: "passwords-per-hour",
        value: "N",
        repeat: false,
        key: Some("limits.passwords"),
        default: "30",
        help: "passwords set by one address, one person",
        secret: false,
        fill: |config, typed| {
            typed.one(value::how_often, |n| {
                config.api.limits.passwords_per_hour = n
            });
        },
        show: |config| vec![config.api.limits.passwords_per_hour.to_string()],
    },
    Setting {
        flag: "uploads-per-hour",
        value: "N",
        repeat: false,
        key: Some("limits.uploads"),
        default: "500",
        help: "uploads of one address, one person",
        secret: false,
        fill: |config, typed| {
            typed.one(value::how_often, |n| config.api.limits.uploads_per_hour = n)
        },
        show: |config| vec![config.api.limits.uploads_per_hour.to_string()],
    },
    Setting {
        flag: "upload-rate",
        value: "SIZE",
        repeat: false,
        key: Some("limits.upload_rate"),
        default: "50M",
        help: "bytes of files per second, one address; 0 is any",
        secret: false,
        fill: |config, typed| {
            typed.one(value::upload_rate, |rate| {
                config.api.limits.upload_rate = rate
            });
        },
        show: |config| vec![value::shown_size(config.api.limits.upload_rate)],
    },
    Setting {
        flag: "webhook-url",
        value: "URL",
        repeat: true,
        key: Some("webhooks.url"),
        default: "none",
        help: "another program that is told of events",
        secret: false,
        fill: |config, typed| {
            typed.each(value::webhook_url, |urls| {
                config.api.webhooks.urls = unique(urls);
            });
        },
        show: |config| config.api.webhooks.urls.clone(),
    },
    Setting {
        flag: "webhook-secret",
        value: "SECRET",
        repeat: false,
        key: Some("webhooks.secret"),
        default: "none",
        help: "signs what it is told: whsec_...",
        secret: true,
        fill: |config, typed| {
            typed.one(value::webhook_secret, |key| {
                config.api.webhooks.key = Some(key)
            });
        },
        show: |config| {
            let hidden = |_: &_| "(hidden)".to_owned();
            config.api.webhooks.key.iter().map(hidden).collect()
        },
    },
    Setting {
        flag: "admin-listen",
        value: "ADDR",
        repeat: false,
        key: Some("admin.listen"),
        default: "127.0.0.1:9478, skipped if not free",
        help: "metrics and health",
        secret: false,
        fill: |config, typed| {
            typed.one(value::socket_address, |address| {
                config.admin.listen = Some(address)
            });
        },
        show: |config| {
            config
                .admin
                .listen
                .iter()
                .map(ToString::to_string)
                .collect()
        },
    },
    Setting {
        flag: "log-format",
        value: "FORMAT",
        repeat: false,
        key: Some("log.format"),
        default: "text",
        help: "text or json, to stderr",
        secret: false,
        fill: |config, typed| typed.one(value::log_format, |format| config.log = format),
        show: |config| vec![config.log.to_string()],
    },
];

fn all(items: &[impl Display]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// The same name twice is no mistake, and no use.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

/// Without the addresses that another one of the list listens on already: `[::]:443` beside `0.0.0.0:443`.
fn distinct(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut kept: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let within = |wide: &SocketAddr, narrow: &SocketAddr| {
            wide.port() == narrow.port()
                && narrow.port() != 0
                && (wide == narrow || super::covers(wide, narrow))
        };
        if !kept.iter().any(|other| within(other, &address)) {
            kept.retain(|other| !within(&address, other));
            kept.push(address);
        }
    }
    kept
}
