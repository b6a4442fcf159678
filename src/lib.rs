//! Turnstone: a self-hosted calling server in one executable.
//!
//! | module | kind | what it is for |
//! |---|---|---|
//! | [`cli`] | | the commands a person types |
//! | [`config`] | | file + environment + flags → one checked `Config`, made of each part's own settings |
//! | [`server`] | | builds the parts, binds every port, watches the tasks, shuts down |
//! | [`web`] | shell | HTTPS: the one port, TLS, routes, embedded assets, headers |
//! | [`signaling`] | shell | WSS: one task per socket |
//! | [`relay`] | shell | STUN/TURN: the ports, workers and timers around the core in `turn` |
//! | [`api`] | shell | the HTTP API under `/api/v1` |
//! | [`admin`] | shell | health and metrics for the operator, on an address of their own |
//! | [`rooms`] | | the one task that owns the room core, and the handle to it |
//! | [`store`] | | what outlives a restart: database and files |
//! | [`room`] | core | who is in which room, and who may send what to whom |
//! | [`turn`] | core | allocations, permissions, channels, credentials, and when they end |
//! | [`token`] | | what lets people into rooms, signed: made and read |
//! | [`stun`] | | what STUN and TURN packets look like, read where they lie |
//! | [`message`] | | what peers and server say to each other (JSON), one enum per direction |
//! | [`id`] | | session ids and names: parsed once, trusted afterwards |
//!
//! A module may use those below it, never those above; shells do not know each other, and cores
//! know neither sockets nor clocks nor tasks. `tests/integration/architecture.rs` keeps it so.

pub mod admin;
pub mod api;
pub mod cli;
pub mod config;
pub mod id;
pub mod message;
pub mod percent;
pub mod relay;
pub mod room;
pub mod rooms;
pub mod server;
pub mod signaling;
pub mod store;
pub mod stun;
pub mod token;
pub mod turn;
pub mod web;
