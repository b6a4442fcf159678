//! Turnstone: a self-hosted calling server in one executable.

pub mod admin;
pub mod cli;
pub mod config;
pub mod id;
pub mod message;
pub mod room;
pub mod rooms;
pub mod server;
pub mod signaling;
pub mod turn;
pub mod web;
