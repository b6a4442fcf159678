//! Health and metrics (shell).

mod settings;

pub use settings::*;
