//! What commands have in common that work on what is kept, beside a server or without one.

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;

use super::{fail, logging, refuse};
use crate::config::{self, Config, Process};
use crate::store::SQLITE_FILE;
use crate::store::backup::SECRET;

/// Reads the settings and does `work` with them, on a runtime of its own.
pub(super) fn run(
    settings: &Process,
    work: impl AsyncFnOnce(Config) -> Result<(), String>,
) -> ExitCode {
    let config = match config::load(settings) {
        Ok(config) => config,
        Err(mistakes) => return refuse(&mistakes),
    };
    logging::start(config.log);
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime could not be started: {error}")),
    };
    match runtime.block_on(work(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => fail(&words),
    }
}

/// Refuses a data directory in which no server has kept anything: it is another one than meant. A shell
/// has no `$STATE_DIRECTORY`, for one, and what is made anew in `./data` would pass for what is kept.
pub(super) fn must_be_in_use(config: &Config) -> Result<(), String> {
    let folder = config.data_dir.display();
    let file = match config.store.database {
        None => SQLITE_FILE,
        // The rows are elsewhere. Every server has its secret here.
        Some(_) => SECRET,
    };
    match config.data_dir.join(file).try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "no server has kept anything in the data directory {folder}: there is no {file} in it; \
             --data-dir names another one"
        )),
        Err(error) => Err(format!(
            "the data directory {folder} cannot be read: {error}"
        )),
    }
}

/// Refuses the data directory that is taken when nobody names one, unless a server has used it. One that somebody
/// names may be new: keys and tokens can be made before the first start.
pub(super) fn must_be_meant(config: &Config) -> Result<(), String> {
    if config.data_dir == Path::new(config::DEFAULT_DATA_DIR) {
        return must_be_in_use(config);
    }
    Ok(())
}

/// The time, in milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
