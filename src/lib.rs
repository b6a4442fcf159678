//! Turnstone: a self-hosted calling server in one executable.

pub mod admin;
pub mod room;
pub mod turn;
pub mod web;
