//! `turnstone backup FILE` and `turnstone restore FILE`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::data::{self, now};
use super::say;
use crate::config::{Config, Process};
use crate::store::Store;
use crate::store::backup::{self, Summary};

/// Writes everything that is kept into a file. The server may run.
pub fn back_up(file: &Path, settings: &Process) -> ExitCode {
    data::run(settings, async |config| {
        let summary = write(file, &config).await?;
        say(&format!("{}: {}\n", file.display(), told(&summary)));
        Ok(())
    })
}

/// Replaces everything that is kept by what a file holds. The server must be stopped.
pub fn restore(file: &Path, settings: &Process) -> ExitCode {
    data::run(settings, async |config| {
        let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
        let from = BufReader::new(File::open(file).map_err(cannot)?);
        let summary = backup::restore(config.store, &config.data_dir, from, now())
            .await
            .map_err(|error| error.to_string())?;
        say(&format!("restored {}\n", told(&summary)));
        Ok(())
    })
}

/// Under another name until it is whole and on the disk.
async fn write(file: &Path, config: &Config) -> Result<Summary, String> {
    let cannot = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    if file.exists() {
        return Err(format!("{} exists already", file.display()));
    }
    data::must_be_in_use(config)?;
    let store = Store::open(config.store.clone(), &config.data_dir)
        .await
        .map_err(|error| error.to_string())?;
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        // It holds what people said, and the server's secret.
        .mode(0o600)
        .open(&partial)
        .map_err(cannot)?;
    let mut to = BufWriter::new(to);
    let written = backup::back_up(&store, &config.data_dir, &mut to, now()).await;
    store.close().await;
    let done = written
        .map_err(|error| error.to_string())
        .and_then(|summary| {
            to.flush()
                .and_then(|()| to.get_ref().sync_all())
                .and_then(|()| fs::rename(&partial, file))
                .map_err(cannot)?;
            Ok(summary)
        });
    if done.is_err() {
        // What cannot be removed either is named as what it is.
        let _ = fs::remove_file(&partial);
    }
    done
}

/// What a backup holds, in words.
fn told(summary: &Summary) -> String {
    let rows = |table| summary.rows.get(table).copied().unwrap_or_default();
    let missing = match summary.missing {
        0 => String::new(),
        missing => format!("; {missing} files could not be read and were left out"),
    };
    format!(
        "{} rooms, {} messages, {} files{missing}",
        rows("rooms"),
        rows("messages"),
        rows("files")
    )
}
