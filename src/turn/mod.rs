//! Relaying (core).

mod settings;

pub use settings::*;
