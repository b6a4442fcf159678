//! HTTPS (shell): the one port and what is spoken on it, TLS, the pages, and the redirect to them.
//!
//! Leaves to others what it hands over: TURN connections, upgraded WebSockets and requests for the HTTP API.

pub mod assets;
pub mod limits;
pub mod port;
pub mod redirect;
pub mod tls;

mod accept;
mod api;
mod headers;
mod host;
mod http;
mod settings;
mod stream;
mod upgrade;
mod well_known;

pub use api::{ApiRequest, Body, OnApi};
pub use host::{BadHost, Host, NotAnOrigin, Origin};
pub use http::Http;
pub use limits::{Guard, Limits};
pub use port::{OnTurn, Port, TurnConnection};
pub use redirect::Redirect;
pub use settings::*;
pub use tls::{SanName, Tls, TlsError};
pub use upgrade::{OnSocket, UpgradedSocket};
