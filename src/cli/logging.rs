//! Log lines on stderr.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// From here on, what parts of the server log is written to stderr: `info` and above, or as
/// `RUST_LOG` says.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // A second logger in one process is a test's business, and harmless.
    let _ = match format {
        // The library would colour even into a pipe.
        LogFormat::Text => lines.with_ansi(colourful()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}

/// Colours are for terminals whose owner has not opted out (<https://no-color.org>).
fn colourful() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
