//! Promises at the door, over real sockets, on ports the system picks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod acts;
mod admin;
mod api;
mod architecture;
mod assets;
mod conformance;
mod harness;
mod https;
mod https_certificates;
mod https_http2;
mod https_redirect;
mod kept;
mod port;
mod port_strangers;
mod rooms;
mod samples;
mod server;
mod settings;
mod signaling;
mod store;
mod systemd;
mod turn;
mod turn_client;
mod turn_door;
mod turn_limits;
mod turn_program;
mod turn_strangers;
