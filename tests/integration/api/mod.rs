//! The HTTP API over real TLS: each route, each refusal, on both databases where storage matters.

mod door;
mod events;
mod files;
mod harness;
mod invites;
mod people;
mod refusals;
mod rooms;
mod turn;
mod webhooks;
