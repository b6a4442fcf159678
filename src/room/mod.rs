//! Rooms (core).

mod settings;

pub use settings::*;
