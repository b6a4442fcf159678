//! What the store promises, on both databases.

mod backup;
mod crash;
mod files;
pub(crate) mod harness;
mod keys;
mod messages;
mod open;
mod rooms;
mod shelves;
mod sweep;
