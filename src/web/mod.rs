//! HTTPS (shell).

mod settings;

pub use settings::*;
