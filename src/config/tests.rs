//! What is typed where, and what comes of it.

use super::*;

fn flags(line: &str) -> Map {
    Map::arguments(line.split_whitespace())
}

fn loaded(source: &Map) -> Config {
    match load(source) {
        Ok(config) => config,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

fn mistakes(source: &Map) -> Vec<String> {
    match load(source) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(mistakes) => mistakes.iter().map(str::to_owned).collect(),
    }
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn nothing_typed_gives_the_defaults() {
    let config = loaded(&Map::default());
    assert_eq!(config.data_dir, Path::new("./data"));
    assert_eq!(config.web.domains, Vec::<String>::new());
    assert_eq!(config.web.https_listen, None, "so that 8443 may stand in");
    assert_eq!(config.web.http_listen, None);
    assert_eq!(config.web.ssl_dir, None);
    assert_eq!(config.web.well_known_dir, None);
    assert_eq!(config.turn.listen, addresses(&["[::]:3478"]));
    assert_eq!(
        (config.turn.relay_ports.min, config.turn.relay_ports.max),
        (49152, 65535)
    );
    assert_eq!(config.turn.external_ips, Vec::new());
    assert_eq!(config.turn.realm, "turnstone");
    assert_eq!(config.turn.secret, None);
    assert_eq!(config.rooms.capacity, 10);
    assert_eq!(config.admin.listen, None);
    assert_eq!(config.log, LogFormat::Text);
}

#[test]
fn every_setting_can_be_a_flag_a_variable_and_a_line() {
    let samples = [
        ("domain", "call.example.org"),
        ("data-dir", "/srv/turnstone"),
        ("https-listen", "127.0.0.1:8443"),
        ("http-listen", "127.0.0.1:8080"),
        ("turn-listen", "127.0.0.1:3479"),
        ("external-ip", "198.51.100.7/10.0.0.4"),
        ("relay-ports", "50000-50100"),
        ("relay-allow", "10.0.0.0/8"),
        ("turn-user", "kim:hush"),
        ("turn-secret", "hush hush"),
        ("turn-realm", "tea"),
        ("relay-default-family", "client"),
        ("relay-workers", "3"),
        ("relay-allocations", "77"),
        ("relay-allocations-per-user", "77"),
        ("relay-allocations-per-address", "77"),
        ("relay-bytes", "77k"),
        ("relay-bytes-per-user", "77M"),
        ("relay-bytes-per-address", "unlimited"),
        ("relay-packets", "77"),
        ("relay-packets-per-user", "77"),
        ("relay-packets-per-address", "77"),
        ("relay-permissions", "77"),
        ("relay-channels", "77"),
        ("relay-answers", "77"),
        ("ssl-dir", "/srv/ssl"),
        ("well-known-dir", "/srv/well-known"),
        ("allow-origin", "https://app.example.org"),
        ("allow-frame", "https://app.example.org"),
        ("sockets-per-address", "20"),
        ("capacity", "6"),
        ("history", "present"),
        ("create-rooms", "key"),
        ("database-url", "postgres://kim:hush@db.example/calls"),
        ("files-url", "https://kim:hush@s3.example/calls"),
        ("file-size", "500M"),
        ("room-files", "3G"),
        ("all-files", "1T"),
        ("file-type", "image/*"),
        ("keep-rooms", "forever"),
        ("keep-messages", "30d"),
        ("keep-files", "7"),
        ("requests-per-minute", "60"),
        ("rooms-per-hour", "5"),
        ("invites-per-hour", "6"),
        ("passwords-per-hour", "7"),
        ("uploads-per-hour", "8"),
        ("upload-rate", "1M"),
        ("webhook-url", "https://app.example.org/calls"),
        ("webhook-secret", "whsec_c2VjcmV0LW9mLTI0LWJ5dGVzLWxvbmch"),
        ("admin-listen", "127.0.0.1:9000"),
        ("log-format", "json"),
    ];
    let default = format!("{:?}", loaded(&Map::default()));
    for setting in SETTINGS.iter().filter(|setting| setting.flag != "config") {
        let (_, value) = samples
            .iter()
            .find(|(flag, _)| *flag == setting.flag)
            .unwrap();
        // A folder that is named has to be there.
        let mut around = Map::default().with_file("/srv/ssl/cert.pem", "");
        if setting.flag == "webhook-url" {
            // What is sent there must be signed.
            let (_, secret) = samples
                .iter()
                .find(|(flag, _)| *flag == "webhook-secret")
                .unwrap();
            around = around.with_variable("TURNSTONE_WEBHOOK_SECRET", *secret);
        }
        let typed = |arguments: &[String]| loaded(&around.clone().with_arguments(arguments));
        let flag = typed(&[format!("--{}={value}", setting.flag)]);
        let apart = typed(&[format!("--{}", setting.flag), value.to_string()]);
        let variable = loaded(&around.clone().with_variable(&setting.variable(), *value));
        let line = format!("{} = \"{value}\"", setting.key.unwrap());
        let file = loaded(&around.clone().with_file(DEFAULT_FILE, line));
        let flag = format!("{flag:?}");
        assert_ne!(flag, default, "--{} changes nothing", setting.flag);
        assert_eq!(flag, format!("{apart:?}"));
        assert_eq!(flag, format!("{variable:?}"));
        assert_eq!(flag, format!("{file:?}"));
    }
}

#[test]
fn the_defaults_that_are_named_are_those_that_hold() {
    let config = loaded(&Map::default());
    let in_figures = |setting: &&Setting| {
        setting
            .key
            .is_some_and(|key| key.starts_with("turn.limits.") || key == "turn.default_family")
    };
    let settings: Vec<&Setting> = SETTINGS.iter().filter(in_figures).collect();
    assert_eq!(settings.len(), 13);
    for setting in settings {
        assert_eq!(
            (setting.show)(&config),
            [setting.default],
            "--{}",
            setting.flag
        );
    }
}

#[test]
fn sizes_and_days_are_read_as_they_are_shown() {
    for (typed, shown) in [
        ("0", "0"),
        ("1023", "1023"),
        ("2048", "2K"),
        ("1536M", "1536M"),
        ("5 g", "5G"),
        ("1024G", "1T"),
    ] {
        let bytes = value::size(typed).unwrap();
        assert_eq!(value::shown_size(bytes), shown);
        assert_eq!(value::size(shown), Ok(bytes));
    }
    for bad in [
        "",
        "G",
        "-1",
        "1.5G",
        "1X",
        "1GB",
        "99999999T",
        "9223372036854775808",
        "é",
    ] {
        assert!(value::size(bad).is_err(), "{bad:?}");
    }
    for (typed, shown) in [("1", "1d"), ("90D", "90d"), ("Forever", "forever")] {
        assert_eq!(value::shown_keep(value::keep(typed).unwrap()), shown);
    }
    for bad in ["", "d", "0", "-1", "36501", "1h", "never"] {
        assert!(value::keep(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn names_of_settings_are_unique_and_follow_one_form() {
    for (at, setting) in SETTINGS.iter().enumerate() {
        for other in SETTINGS.iter().skip(at + 1) {
            assert_ne!(setting.flag, other.flag);
            assert!(
                setting.key.is_none() || setting.key != other.key,
                "{:?}",
                setting.key
            );
        }
        assert!(
            setting
                .flag
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        );
        assert!(!setting.help.is_empty() && !setting.default.is_empty());
    }
    assert_eq!(
        SETTINGS
            .iter()
            .find(|s| s.flag == "https-listen")
            .unwrap()
            .variable(),
        "TURNSTONE_HTTPS_LISTEN"
    );
}

#[test]
fn a_flag_beats_the_environment_that_beats_a_credential_that_beats_the_file() {
    let file = Map::default().with_file(
        DEFAULT_FILE,
        "[rooms]\ncapacity = 2\n[turn]\nsecret = \"of the file\"",
    );
    assert_eq!(loaded(&file).rooms.capacity, 2);
    assert_eq!(loaded(&file).turn.secret.as_deref(), Some("of the file"));

    let credential = file
        .with_variable("CREDENTIALS_DIRECTORY", "/run/credentials/turnstone")
        .with_file(
            "/run/credentials/turnstone/turn-secret",
            "of the credential\n",
        );
    assert_eq!(
        loaded(&credential).turn.secret.as_deref(),
        Some("of the credential")
    );

    let variable = credential
        .with_variable("TURNSTONE_CAPACITY", "3")
        .with_variable("TURNSTONE_TURN_SECRET", "of the environment");
    assert_eq!(loaded(&variable).rooms.capacity, 3);
    assert_eq!(
        loaded(&variable).turn.secret.as_deref(),
        Some("of the environment")
    );

    let flag = variable.with_arguments(["--capacity", "4", "--turn-secret", "of the flag"]);
    assert_eq!(loaded(&flag).rooms.capacity, 4);
    assert_eq!(loaded(&flag).turn.secret.as_deref(), Some("of the flag"));
}

#[test]
fn lists_replace_each_other_whole() {
    let source = Map::arguments(["--domain", "a.example", "--domain", "b.example"])
        .with_variable("TURNSTONE_DOMAIN", "c.example")
        .with_file(DEFAULT_FILE, "domain = [\"d.example\", \"e.example\"]");
    assert_eq!(loaded(&source).web.domains, ["a.example", "b.example"]);
}

#[test]
fn lists_are_separated_by_commas_in_the_environment_only() {
    let listed = Map::default().with_variable("TURNSTONE_HTTPS_LISTEN", "127.0.0.1:1, [::1]:1");
    assert_eq!(
        loaded(&listed).web.https_listen,
        Some(addresses(&["127.0.0.1:1", "[::1]:1"]))
    );
    let flag = flags("--https-listen 127.0.0.1:1,[::1]:1");
    assert!(
        mistakes(&flag)[0].contains("in the environment only"),
        "{:?}",
        mistakes(&flag)
    );
    // A secret that is no list may hold what it likes.
    let secret = Map::default().with_variable("TURNSTONE_TURN_SECRET", "a,b");
    assert_eq!(loaded(&secret).turn.secret.as_deref(), Some("a,b"));
}

#[test]
fn all_mistakes_of_all_sources_are_told_at_once() {
    let source = Map::arguments([
        "--capacity",
        "0",
        "--htps-listen",
        "[::]:1",
        "--relay-ports",
    ])
    .with_variable("TURNSTONE_CONFIG", "/etc/t.toml")
    .with_variable("TURNSTONE_DOMAIN", "https://call.example.org")
    .with_variable("TURNSTONE_DOMIAN", "call.example.org")
    .with_variable("CREDENTIALS_DIRECTORY", "/run/c")
    .with_file("/run/c/turn-secret", "")
    .with_file(
        "/etc/t.toml",
        "[https]\nlissen = \"[::]:443\"\n[rooms]\ncapacity = \"many\"",
    );
    assert_eq!(
        mistakes(&source),
        [
            "--htps-listen: there is no such flag; did you mean --https-listen?",
            "--relay-ports: its value, MIN-MAX, is missing.",
            "TURNSTONE_DOMIAN: there is no such setting; did you mean TURNSTONE_DOMAIN?",
            "/etc/t.toml line 2, https.lissen: there is no such setting; did you mean https.listen?",
            "/etc/t.toml line 4, rooms.capacity \"many\": a room holds 1 to 1000 people, a whole number.",
            "credential turn-secret: the secret is empty.",
            "TURNSTONE_DOMAIN \"https://call.example.org\": a name alone is needed, without scheme, \
             port or path: call.example.org.",
            "--capacity \"0\": a room holds 1 to 1000 people, a whole number.",
        ]
    );
}

#[test]
fn a_mistaken_value_is_told_even_where_another_overrides_it() {
    let source = flags("--capacity 5").with_variable("TURNSTONE_CAPACITY", "five");
    assert_eq!(mistakes(&source).len(), 1);
}

#[test]
fn no_mistake_repeats_a_secret() {
    let source = Map::arguments(["--turn-user", "hushpassword", "hushalone", "--turn-secret="])
        .with_variable("TURNSTONE_TURN_USER", "kim:hush1,kim:hush2,hush3")
        .with_variable("TURNSTONE_TURN_SECRET", "hush\n")
        .with_file(
            DEFAULT_FILE,
            "[turn]\nsecret = [\"hush4\"]\nusers = \"hush5\"\nx = \"hush6\n",
        );
    for mistake in mistakes(&source) {
        assert!(!mistake.contains("hush"), "{mistake}");
    }
    let fine = loaded(&Map::arguments([
        "--turn-user",
        "kim:hush",
        "--turn-secret",
        "hush",
    ]));
    assert!(!format!("{fine:?}").contains("hush"), "{fine:?}");
    let source = Map::arguments(["--turn-user", "kim:hush", "--turn-secret", "hush"]);
    let page = effective(&load_with_origins(&source).unwrap());
    assert!(
        !page.contains("hush") && page.contains("kim:(hidden)"),
        "{page}"
    );
}

#[test]
fn unknown_keys_of_the_file_are_refused_with_a_hint() {
    for (line, hint) in [
        ("domian = \"x\"", "did you mean domain?"),
        ("data-dir = \"x\"", "did you mean data_dir?"),
        ("https_listen = \"x\"", "did you mean https.listen?"),
        ("[turn]\nrelay_allow = \"x\"", "there is no such setting"),
        ("[turn]\ncapacity = 5", "did you mean rooms.capacity?"),
        ("ssl_dir = \"x\"", "did you mean tls.dir?"),
        ("[colour]\nred = 1", "colour: there is no such setting."),
        ("https = 1", "the name of a table"),
        ("[domain]\nx = 1", "in a list"),
        ("[https.listen]\nx = 1", "in a list"),
        ("config = \"x\"", "there is no such setting"),
    ] {
        let mistakes = mistakes(&Map::default().with_file(DEFAULT_FILE, line));
        assert_eq!(mistakes.len(), 1, "{line}: {mistakes:?}");
        assert!(mistakes[0].contains(hint), "{line}: {mistakes:?}");
    }
}

#[test]
fn values_of_the_file_may_be_texts_numbers_and_lists() {
    let source = Map::default().with_file(
        DEFAULT_FILE,
        "domain = \"a.example\"\nrooms.capacity = 0x0A\n\
         [turn]\nusers = [\"kim:a,b\", \"lee:c\"]\nallow_peers = []",
    );
    let config = loaded(&source);
    assert_eq!(config.web.domains, ["a.example"]);
    assert_eq!(config.rooms.capacity, 10);
    assert_eq!(config.turn.users[0].password, "a,b");
    for line in [
        "domain = 1.5",
        "domain = true",
        "domain = [[\"a\"]]",
        "rooms.capacity = [5]",
    ] {
        assert_eq!(
            mistakes(&Map::default().with_file(DEFAULT_FILE, line)).len(),
            1,
            "{line}"
        );
    }
    let empty = Map::default().with_file(DEFAULT_FILE, "http.listen = []");
    assert!(mistakes(&empty)[0].contains("the list is empty"));
}

#[test]
fn every_slip_in_the_files_grammar_is_told_with_its_line() {
    let source = Map::default().with_file(DEFAULT_FILE, "domain = \n[turn\nrealm = \"x\"\n");
    let mistakes = mistakes(&source);
    assert!(
        mistakes
            .iter()
            .any(|mistake| mistake.contains("turnstone.toml line 1"))
    );
    assert!(
        mistakes
            .iter()
            .any(|mistake| mistake.contains("turnstone.toml line 2"))
    );
}

#[test]
fn a_file_that_was_named_must_be_there() {
    assert!(mistakes(&flags("--config /nowhere"))[0].starts_with("--config: /nowhere cannot be"));
    let variable = Map::default().with_variable("TURNSTONE_CONFIG", "/nowhere");
    assert!(mistakes(&variable)[0].starts_with("TURNSTONE_CONFIG: /nowhere cannot be"));
    let both = flags("--config /etc/a").with_variable("TURNSTONE_CONFIG", "/nowhere");
    assert_eq!(
        loaded(&both.with_file("/etc/a", "rooms.capacity = 3"))
            .rooms
            .capacity,
        3
    );
    let binary = flags("--config /etc/a").with_file("/etc/a", [0xff, 0xfe]);
    assert!(mistakes(&binary)[0].contains("not UTF-8"));
}

#[test]
fn a_flag_is_given_once_and_with_a_value() {
    assert!(mistakes(&flags("--capacity 5 --capacity 6"))[0].contains("given twice"));
    assert!(mistakes(&flags("--config a --config b"))[0].contains("given twice"));
    assert_eq!(
        mistakes(&flags("--domain --capacity 5")),
        ["--domain: its value, NAME, is missing."]
    );
    assert!(mistakes(&flags("--domain a.example check-config"))[0].contains("before all flags"));
    assert!(mistakes(&flags("-x"))[0].contains("-x: there is no such flag"));
    assert!(mistakes(&flags("--domain="))[0].contains("the name is empty"));
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let source = Map::default()
        .with_variable("TURNSTONE_DOMAIN", "")
        .with_variable("TURNSTONE_TURN_SECRET_FILE", "")
        .with_variable("TURNSTONE_CONFIG", "");
    assert_eq!(loaded(&source).web.domains, Vec::<String>::new());
}

#[test]
fn names_that_container_platforms_make_up_are_let_be() {
    let source = Map::default()
        .with_variable("TURNSTONE_SERVICE_HOST", "10.0.0.1")
        .with_variable("TURNSTONE_PORT", "tcp://10.0.0.1:443")
        .with_variable("TURNSTONE_PORT_443_TCP_ADDR", "10.0.0.1");
    loaded(&source);
    for (slip, meant) in [
        ("TURNSTONE_DOMAINS", "TURNSTONE_DOMAIN?"),
        ("TURNSTONE_TURN_USERS", "TURNSTONE_TURN_USER?"),
        ("TURNSTONE_TLS_DIR", "TURNSTONE_SSL_DIR?"),
        ("TURNSTONE_DOMAIN_FILE", "use TURNSTONE_DOMAIN."),
    ] {
        assert!(
            mistakes(&Map::default().with_variable(slip, "x"))[0].ends_with(meant),
            "{slip}"
        );
    }
}

#[test]
fn secrets_come_from_files_too() {
    let source = Map::default()
        .with_variable("TURNSTONE_TURN_SECRET_FILE", "/run/secret")
        .with_variable("TURNSTONE_TURN_USER_FILE", "/run/users")
        .with_file("/run/secret", "hush hush\r\n")
        .with_file("/run/users", "kim:a,b\n\n  lee:c \n");
    let config = loaded(&source);
    assert_eq!(config.turn.secret.as_deref(), Some("hush hush"));
    let users: Vec<_> = config
        .turn
        .users
        .iter()
        .map(|user| (&*user.name, &*user.password))
        .collect();
    assert_eq!(users, [("kim", "a,b"), ("lee", "c")]);

    let both = source.clone().with_variable("TURNSTONE_TURN_SECRET", "x");
    assert!(mistakes(&both)[0].contains("only one of them"));
    let missing = Map::default().with_variable("TURNSTONE_TURN_SECRET_FILE", "/nowhere");
    assert!(mistakes(&missing)[0].contains("/nowhere cannot be read"));
}

#[test]
fn what_systemd_provides_stands_in() {
    let source = Map::default()
        .with_variable("STATE_DIRECTORY", "/var/lib/turnstone:/var/lib/more")
        .with_variable("CREDENTIALS_DIRECTORY", "/run/c")
        .with_file("/run/c/turn-user", "kim:hush\n");
    let config = loaded(&source);
    assert_eq!(config.data_dir, Path::new("/var/lib/turnstone"));
    assert_eq!(config.turn.users.len(), 1);
    assert_eq!(
        config.web.ssl_dir, None,
        "there is no certificate among the credentials"
    );

    let source = source
        .with_file("/run/c/fullchain.pem", "")
        .with_file("/run/c/privkey.pem", "");
    assert_eq!(
        loaded(&source).web.ssl_dir.as_deref(),
        Some(Path::new("/run/c"))
    );
    let asked = source
        .with_variable("TURNSTONE_SSL_DIR", "/srv/ssl")
        .with_file("/srv/ssl/cert.pem", "")
        .with_variable("TURNSTONE_DATA_DIR", "/srv/data");
    assert_eq!(
        loaded(&asked).web.ssl_dir.as_deref(),
        Some(Path::new("/srv/ssl"))
    );
    assert_eq!(loaded(&asked).data_dir, Path::new("/srv/data"));
}

#[test]
fn the_first_domain_is_the_realm_unless_one_is_chosen() {
    let domains = flags("--domain a.example --domain b.example");
    assert_eq!(loaded(&domains).turn.realm, "a.example");
    let chosen = domains.with_variable("TURNSTONE_TURN_REALM", "tea");
    assert_eq!(loaded(&chosen).turn.realm, "tea");
}

#[test]
fn listeners_that_want_one_port_are_refused() {
    for line in [
        "--https-listen 127.0.0.1:1 --http-listen 127.0.0.1:1",
        "--https-listen [::]:1 --turn-listen 192.0.2.1:1",
        "--turn-listen :443",
        "--admin-listen 0.0.0.0:3478",
        "--http-listen 127.0.0.1:1 --admin-listen :1",
    ] {
        let mistakes = mistakes(&flags(line));
        assert_eq!(mistakes.len(), 1, "{line}: {mistakes:?}");
        assert!(mistakes[0].contains("want the same port"), "{mistakes:?}");
    }
    for line in [
        "--https-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --turn-listen 127.0.0.1:0",
        "--https-listen 127.0.0.1:1 --http-listen 127.0.0.2:1",
        "--https-listen 0.0.0.0:1 --http-listen [::1]:1",
        "--https-listen :80", // nobody asked for the redirect, so it gives way
        "--turn-listen :9478",
    ] {
        loaded(&flags(line));
    }
}

#[test]
fn an_address_that_another_covers_is_bound_once() {
    let source = flags("--https-listen 0.0.0.0:1 --https-listen [::]:1 --https-listen 0.0.0.0:2");
    assert_eq!(
        loaded(&source).web.https_listen,
        Some(addresses(&["[::]:1", "0.0.0.0:2"]))
    );
    let source = flags("--https-listen 127.0.0.1:0 --https-listen 127.0.0.1:0");
    assert_eq!(
        loaded(&source).web.https_listen.map(|all| all.len()),
        Some(2)
    );
}
