//! Everything in one file, and back.
//!
//! The file is a tar archive of the tables, row by row in JSON, of the files' pieces, and of the
//! server's secret. It is read from one moment of the database while others go on writing, and a piece at
//! a time. Being rows and not a copy of a database, it can be restored into either kind, also to
//! move from one to the other.
//!
//! | entry | what |
//! |---|---|
//! | `turnstone.json` | the first: which form and layout this is |
//! | `files/<key>` | a piece of a file |
//! | `tables/<table>/<number>.jsonl` | rows, an object a line |
//! | `secret` | what tokens and links are signed with |
//! | `end.json` | the last: how many there are of each, so that half a backup is known for one |
//!
//! Reading and writing the archive blocks; this is for commands, which have nothing else to do.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::any::AnyRow;
use sqlx::error::ErrorKind;
use sqlx::{AssertSqlSafe, Row};
use tar::{Archive, Builder, Entry, EntryType, Header};

use super::database::{Tx, Use};
use super::schema::{COUNT_ANEW, Column, NEWEST, TABLES};
use super::{Columns, Error, OpenError, Settings, Store, number};

/// The form of the archive; another number means that this program cannot read it.
const FORM: u32 = 1;

/// How many bytes of rows make an entry.
const ROWS_BYTES: usize = 1024 * 1024;

/// The largest entry that is read, in bytes: above any that is written.
const ENTRY_MAX: u64 = 32 * 1024 * 1024;

/// The file of the server's secret in the data directory.
pub const SECRET: &str = "secret";

/// A table that is not in a backup: it is about pieces that are in none either.
const LEFT_OUT: &str = "graves";

/// What went into a file, or came out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// Pieces of files.
    pub pieces: u64,
    /// Files that were left out, since a piece of each could not be read.
    pub missing: u64,
}

/// Why a backup was not written or restored, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store has failed.
    #[error("{0}")]
    Store(#[from] Error),
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is no backup, or not a whole one.
    #[error("this is no backup that can be restored: {0}; nothing was changed")]
    NotABackup(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    form: u32,
    layout: i64,
    version: String,
    created: u64,
}

/// Writes everything that `store` and `data_dir` hold into `to`. The server may run.
///
/// # Errors
/// [`BackupError`]; what was written until then is of no use.
pub async fn back_up(
    store: &Store,
    data_dir: &Path,
    to: impl Write,
    now: u64,
) -> Result<Summary, BackupError> {
    let mut archive = Writer(Builder::new(to), now / 1000);
    let manifest = Manifest {
        form: FORM,
        layout: NEWEST,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created: now,
    };
    archive.json("turnstone.json", &manifest)?;
    let mut summary = Summary::default();
    let mut tx = store.database.snapshot().await?;
    let missing = write_pieces(store, &mut tx, &mut archive, &mut summary).await?;
    summary.missing = missing.len() as u64;
    for (table, columns) in TABLES.iter().filter(|(table, _)| *table != LEFT_OUT) {
        let count = write_table(&mut tx, table, columns, &missing, &mut archive).await?;
        summary.rows.insert((*table).to_owned(), count);
    }
    match fs::read(data_dir.join(SECRET)) {
        Ok(secret) => archive.entry(SECRET, &secret)?,
        // No server has run here yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    archive.json("end.json", &summary)?;
    archive.0.into_inner()?.flush()?;
    Ok(summary)
}

/// Replaces everything that is kept at `settings` and `data_dir` by what `from` holds, or nothing of
/// it. No server may run.
///
/// # Errors
/// [`BackupError`]; what was there before is there still.
pub async fn restore(
    settings: Settings,
    data_dir: &Path,
    from: impl Read,
    now: u64,
) -> Result<Summary, BackupError> {
    let store = Store::open_for(settings, data_dir, Use::Alone).await?;
    let mut written = Vec::new();
    let restored = replace(&store, data_dir, from, now, &mut written).await;
    if restored.is_err() {
        for key in &written {
            store.blobs.delete(key).await?;
        }
    }
    // The pieces of what was replaced.
    store.bury(now).await?;
    store.close().await;
    restored
}

/// Restores in one transaction. `written` are pieces that were not there before.
async fn replace(
    store: &Store,
    data_dir: &Path,
    from: impl Read,
    now: u64,
    written: &mut Vec<String>,
) -> Result<Summary, BackupError> {
    let mut archive = Archive::new(from);
    let mut entries = archive.entries().map_err(not_readable)?;
    let first = entries.next().ok_or(EMPTY)?.map_err(not_readable)?;
    check_manifest(first)?;

    let there = pieces_there(store).await?;
    let mut tx = store.database.begin().await?;
    empty(&mut tx, now).await?;
    let mut summary = Summary::default();
    let mut secret = None;
    let mut end: Option<Summary> = None;
    for entry in entries {
        let mut entry = entry.map_err(not_readable)?;
        let path = entry.path().map_err(not_readable)?;
        let path = path.to_str().ok_or(STRANGE)?.to_owned();
        let content = content(&mut entry)?;
        if end.is_some() {
            return Err(STRANGE);
        }
        match path.split_once('/') {
            None if path == SECRET => secret = Some(content),
            None if path == "end.json" => {
                end = Some(serde_json::from_slice(&content).map_err(|_| STRANGE)?);
            }
            Some(("files", key)) if is_key(key) => {
                if !there.contains(key) {
                    written.push(key.to_owned());
                }
                store.blobs.put(key, Bytes::from(content)).await?;
                summary.pieces += 1;
            }
            Some(("tables", rest)) => {
                let table = rest.split_once('/').map(|(table, _)| table);
                let (table, columns) = TABLES
                    .iter()
                    .find(|(known, _)| Some(*known) == table && *known != LEFT_OUT)
                    .ok_or(STRANGE)?;
                let count = read_rows(&mut tx, table, columns, &content).await?;
                *summary.rows.entry((*table).to_owned()).or_default() += count;
            }
            _ => return Err(STRANGE),
        }
    }
    let end = end.ok_or(BackupError::NotABackup("its end is missing"))?;
    summary.missing = end.missing;
    for table in end.rows.keys() {
        summary.rows.entry(table.clone()).or_default();
    }
    if summary != end {
        return Err(BackupError::NotABackup("something in it is missing"));
    }
    sqlx::raw_sql("DELETE FROM graves WHERE key IN (SELECT key FROM parts)")
        .execute(tx.on())
        .await
        .map_err(Error::from)?;
    sqlx::raw_sql(COUNT_ANEW)
        .execute(tx.on())
        .await
        .map_err(Error::from)?;
    tx.commit().await?;
    if let Some(secret) = secret {
        write_secret(data_dir, &secret)?;
    }
    Ok(summary)
}

const EMPTY: BackupError = BackupError::NotABackup("it is empty");
const STRANGE: BackupError = BackupError::NotABackup("it holds what no backup has");

fn not_readable(_: io::Error) -> BackupError {
    BackupError::NotABackup("it breaks off, or is no tar archive")
}

fn check_manifest(mut entry: Entry<'_, impl Read>) -> Result<(), BackupError> {
    if entry.path().map_err(not_readable)?.to_str() != Some("turnstone.json") {
        return Err(STRANGE);
    }
    let manifest: Manifest = serde_json::from_slice(&content(&mut entry)?).map_err(|_| STRANGE)?;
    if manifest.form != FORM {
        return Err(BackupError::NotABackup("a newer version has written it"));
    }
    if manifest.layout > NEWEST {
        return Err(OpenError::Newer {
            found: manifest.layout,
            known: NEWEST,
        }
        .into());
    }
    Ok(())
}

fn content(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, BackupError> {
    if entry.header().entry_type() != EntryType::Regular || entry.size() > ENTRY_MAX {
        return Err(STRANGE);
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(not_readable)?;
    if content.len() as u64 != entry.size() {
        return Err(BackupError::NotABackup("it breaks off"));
    }
    Ok(content)
}

/// Whether it is a key as this program makes them: nothing else becomes a path.
fn is_key(key: &str) -> bool {
    let hexadecimal = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    key.split_once('/').is_some_and(|(folder, name)| {
        folder.len() == 2 && name.len() == 30 && hexadecimal(folder) && hexadecimal(name)
    })
}

struct Writer<W: Write>(Builder<W>, u64);

impl<W: Write> Writer<W> {
    fn entry(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.1);
        header.set_entry_type(EntryType::Regular);
        self.0.append_data(&mut header, path, content)
    }

    fn json(&mut self, path: &str, value: &impl Serialize) -> io::Result<()> {
        self.entry(path, &serde_json::to_vec(value)?)
    }
}

/// Writes all pieces. The files of which one is missing, or shorter than it should be.
async fn write_pieces(
    store: &Store,
    tx: &mut Tx<'_>,
    archive: &mut Writer<impl Write>,
    summary: &mut Summary,
) -> Result<HashSet<String>, BackupError> {
    let mut missing = HashSet::new();
    let mut rows = sqlx::query("SELECT file, size, key FROM parts").fetch(tx.on());
    while let Some(row) = rows.try_next().await.map_err(Error::from)? {
        let key = row.text("key")?;
        match store.blobs.get(&key).await {
            Ok(bytes) if bytes.len() as u64 == row.number("size")? => {
                archive.entry(&format!("files/{key}"), &bytes)?;
                summary.pieces += 1;
            }
            // Deleted since the moment of this backup, or lost.
            Ok(_) | Err(Error::NotFound) => {
                missing.insert(row.text("file")?);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(missing)
}

async fn write_table(
    tx: &mut Tx<'_>,
    table: &str,
    columns: &[Column],
    missing: &HashSet<String>,
    archive: &mut Writer<impl Write>,
) -> Result<u64, BackupError> {
    // The name of the column that says which file a row is about.
    let file = match table {
        "files" => Some("id"),
        "parts" => Some("file"),
        _ => None,
    };
    let mut count = 0;
    let mut chunks = 0;
    let mut lines = Vec::new();
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    let select = format!("SELECT {} FROM {table}", names.join(", "));
    let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(tx.on());
    loop {
        let row = rows.try_next().await.map_err(Error::from)?;
        if let Some(row) = &row {
            let row = as_json(row, columns)?;
            let id = file.and_then(|file| row.get(file)?.as_str());
            if id.is_none_or(|id| !missing.contains(id)) {
                serde_json::to_writer(&mut lines, &row).map_err(io::Error::from)?;
                lines.push(b'\n');
                count += 1;
            }
        }
        if lines.len() >= ROWS_BYTES || (row.is_none() && !lines.is_empty()) {
            chunks += 1;
            archive.entry(&format!("tables/{table}/{chunks:09}.jsonl"), &lines)?;
            lines.clear();
        }
        if row.is_none() {
            return Ok(count);
        }
    }
}

fn as_json(row: &AnyRow, columns: &[Column]) -> Result<Map<String, Value>, Error> {
    let mut object = Map::new();
    for column in columns {
        let value = match *column {
            Column::Text(name) => row.text_if_any(name)?.map(Value::from),
            Column::Number(name) => row.try_get::<Option<i64>, _>(name)?.map(Value::from),
        };
        if let Some(value) = value {
            object.insert(column.name().to_owned(), value);
        }
    }
    Ok(object)
}

/// Inserts rows. A column that an older layout did not have is left at its default.
async fn read_rows(
    tx: &mut Tx<'_>,
    table: &str,
    columns: &[Column],
    lines: &[u8],
) -> Result<u64, BackupError> {
    let mut count = 0;
    for line in lines
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let row: Map<String, Value> = serde_json::from_slice(line).map_err(|_| STRANGE)?;
        let given: Vec<Column> = columns
            .iter()
            .copied()
            .filter(|column| row.contains_key(column.name()))
            .collect();
        if given.len() != row.len() {
            return Err(STRANGE);
        }
        let names: Vec<&str> = given.iter().map(|column| column.name()).collect();
        let places: Vec<String> = (1..=given.len()).map(|place| format!("${place}")).collect();
        // Names come from the list of columns above, never from the file.
        let insert = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for column in &given {
            query = match (*column, row.get(column.name())) {
                (Column::Text(_), Some(Value::String(text))) => query.bind(text.clone()),
                (Column::Number(_), Some(value)) => query.bind(value.as_i64().ok_or(STRANGE)?),
                _ => return Err(STRANGE),
            };
        }
        query.execute(tx.on()).await.map_err(|error| match error {
            // A row that no table of ours would have taken.
            sqlx::Error::Database(error) if !matches!(error.kind(), ErrorKind::Other) => STRANGE,
            error => Error::from(error).into(),
        })?;
        count += 1;
    }
    Ok(count)
}

async fn pieces_there(store: &Store) -> Result<HashSet<String>, Error> {
    let mut there = HashSet::new();
    let mut rows = sqlx::query("SELECT key FROM parts").fetch(&store.database.pool);
    while let Some(row) = rows.try_next().await? {
        there.insert(row.text("key")?);
    }
    Ok(there)
}

/// Deletes every row. The pieces of files are noted for removal.
async fn empty(tx: &mut Tx<'_>, now: u64) -> Result<(), Error> {
    sqlx::query("INSERT INTO graves (key, due) SELECT key, $1 FROM parts")
        .bind(number(now))
        .execute(tx.on())
        .await?;
    for (table, _) in TABLES.iter().rev().filter(|(table, _)| *table != LEFT_OUT) {
        sqlx::raw_sql(AssertSqlSafe(format!("DELETE FROM {table}")))
            .execute(tx.on())
            .await?;
    }
    Ok(())
}

/// Written beside and renamed, so that a crash leaves no half a secret.
fn write_secret(data_dir: &Path, secret: &[u8]) -> io::Result<()> {
    let beside = data_dir.join("secret.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&beside, data_dir.join(SECRET))?;
    fs::File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_our_own_become_paths() {
        let key = super::super::blobs::Blobs::new_key();
        assert!(is_key(&key), "{key}");
        for bad in [
            "",
            "../secret",
            "ab",
            "ab/..",
            "ab/../../etc/passwd",
            "AB/0123456789abcdef0123456789abcd",
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
