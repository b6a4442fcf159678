//! What commands have in common that work on what is kept, beside a server or without one.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;

use super::{fail, logging, refuse};
use crate::config::{self, Config, Process};

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

/// The time, in milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
