//! A store of its own for each test, on SQLite or on PostgreSQL. The latter is started here once, in a
//! temporary directory, and ends with this process, however that ends.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::Row;
use turnstone::id::{RoomId, RoomName, SessionId};
use turnstone::store::{DatabaseUrl, NewMessage, NewRoom, RoomSettings, Settings, Store};

/// A moment in the year 2027, in milliseconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) const MINUTE: u64 = 60 * 1000;
pub(crate) const DAY: u64 = 24 * 60 * MINUTE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Where a store lies: its own directory, and with PostgreSQL its own database.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) dir: PathBuf,
    pub(crate) url: Option<String>,
}

impl Place {
    pub(crate) fn new(kind: Kind) -> Self {
        let name = format!("turnstone_{}", uuid::Uuid::new_v4().simple());
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).unwrap();
        let url = (kind == Kind::Postgres).then(|| Postgres::running().create_database(&name));
        Self { kind, dir, url }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            database: self
                .url
                .as_deref()
                .map(|url| DatabaseUrl::parse(url).unwrap()),
            ..Settings::default()
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.settings(), &self.dir).await.unwrap()
    }

    /// The way to the database behind the store's back, once a store has been open.
    pub(crate) async fn database(&self) -> sqlx::AnyPool {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", self.dir.join("turnstone.db").display()),
        };
        sqlx::AnyPool::connect(&url).await.unwrap()
    }

    /// What is counted of files is what is there.
    pub(crate) async fn counts_are_right(&self) {
        let database = self.database().await;
        for wrong in [
            "SELECT COUNT(*) FROM rooms WHERE files <> (SELECT COUNT(*) FROM files \
             WHERE room = rooms.id) OR bytes <> (SELECT COALESCE(SUM(received), 0) FROM files \
             WHERE room = rooms.id)",
            "SELECT COUNT(*) FROM files WHERE pieces <> (SELECT COUNT(*) FROM parts \
             WHERE file = files.id) OR received <> (SELECT COALESCE(SUM(size), 0) FROM parts \
             WHERE file = files.id)",
        ] {
            let row = sqlx::query(wrong).fetch_one(&database).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), 0, "{wrong}");
        }
        database.close().await;
    }

    /// Every piece of a file that lies in the directory.
    pub(crate) fn pieces(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.join("files")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn name(text: &str) -> RoomName {
    text.parse().unwrap()
}

pub(crate) fn new_room(text: &str) -> NewRoom {
    NewRoom {
        settings: RoomSettings::named(name(text)),
        created: NOW,
    }
}

pub(crate) async fn room(store: &Store, text: &str) -> RoomId {
    store.create_room(&new_room(text)).await.unwrap().id
}

pub(crate) fn message(room: RoomId, session: SessionId, text: &str) -> NewMessage {
    NewMessage {
        room,
        client_id: "c".to_owned(),
        session,
        name: "Ann".parse().unwrap(),
        text: text.to_owned(),
        time: NOW,
        to: None,
        reply_to: None,
    }
}

/// Makes of each function a test on SQLite and one on PostgreSQL.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::store::harness::Place::new($crate::store::harness::Kind::Sqlite)).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::store::harness::Place::new($crate::store::harness::Kind::Postgres)).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// A PostgreSQL server.
pub(crate) struct Postgres {
    bin: PathBuf,
    port: u16,
    /// Ends the server and removes its directory when its standard input ends, that is, with us.
    keeper: Child,
}

/// How long the server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const KEEPER: &str = r#"
    "$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 \
        -c fsync=off -c max_connections=400 </dev/null >"$2/log" 2>&1 &
    server=$!
    cat >/dev/null
    kill -INT $server
    wait $server
    rm -rf "$2"
"#;

impl Postgres {
    fn running() -> &'static Self {
        static RUNNING: OnceLock<Postgres> = OnceLock::new();
        RUNNING.get_or_init(Self::start)
    }

    /// One more, for a test that does something to it.
    pub(crate) fn start() -> Self {
        let bin = binaries().unwrap_or_else(|| {
            panic!(
                "PostgreSQL is missing; run: apt-get install -y --no-install-recommends postgresql"
            )
        });
        let user = user();
        let dir =
            std::env::temp_dir().join(format!("turnstone-pg-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid)).unwrap();
        }
        let as_user = |command: &mut Command| {
            command.current_dir(&dir);
            if let Some((uid, gid)) = user {
                command.gid(gid).uid(uid);
            }
        };
        let mut initdb = Command::new(bin.join("initdb"));
        // A locale that sorts as people do, not as bytes do: nothing may rely on either.
        initdb
            .args([
                "-U",
                "turnstone",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
                "-D",
            ])
            .arg(dir.join("data"));
        as_user(&mut initdb);
        let made = initdb.output().unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "sh"])
            .arg(&bin)
            .arg(&dir)
            .arg(port.to_string())
            .stdin(Stdio::piped());
        as_user(&mut keeper);
        let mut keeper = keeper.spawn().unwrap();
        // Taken as a check that it runs; the pipe stays open as long as this process.
        keeper.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let server = Self { bin, port, keeper };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = server.psql("SELECT 1");
            if answer.status.success() {
                return server;
            }
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            let said = String::from_utf8_lossy(&answer.stderr);
            assert!(
                Instant::now() < deadline,
                "PostgreSQL does not start: {said}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops it, as an operator would: whoever is connected is cut off.
    pub(crate) fn stop(mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }

    pub(crate) fn create_database(&self, name: &str) -> String {
        let answer = self.psql(&format!("CREATE DATABASE {name}"));
        assert!(
            answer.status.success(),
            "{}",
            String::from_utf8_lossy(&answer.stderr)
        );
        format!("postgres://turnstone@127.0.0.1:{}/{name}", self.port)
    }

    fn psql(&self, statement: &str) -> std::process::Output {
        Command::new(self.bin.join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "turnstone",
                "-d",
                "postgres",
            ])
            .args(["-v", "ON_ERROR_STOP=1", "-qc", statement])
            .output()
            .unwrap()
    }
}

/// The newest version of Debian's packages, or what the path has.
fn binaries() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut candidates: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    candidates.sort_by_key(|path| {
        let version = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    candidates.reverse();
    candidates.extend(std::env::split_paths(&std::env::var_os("PATH")?));
    candidates.into_iter().find(|bin| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|program| bin.join(program).is_file())
    })
}

/// PostgreSQL refuses to run as root: then it runs as its own user, or as nobody.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let mut fields = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(fields)
        })?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}
