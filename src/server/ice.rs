//! Which STUN and TURN servers a page is told to use.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::api::{TurnGrant, TurnUsers};
use crate::id::SessionId;
use crate::message::{IceGrant, IceServer};
use crate::signaling::IceServers;
use crate::turn::Credentials;
use crate::web::tls::Tls;

/// The port of HTTPS when an address names none.
const HTTPS_PORT: u16 = 443;

/// Servers as a person reaches us: by the host of the page, at the ports we listen on.
pub(super) struct OwnServers {
    pub(super) credentials: Arc<Credentials>,
    /// The port of STUN and TURN.
    pub(super) turn_port: u16,
    /// Whether browsers trust our certificate decides about `turns:`.
    pub(super) tls: Tls,
}

impl IceServers for OwnServers {
    fn grant(&self, session: SessionId, host: &str) -> IceGrant {
        let minted = self.credentials.mint(&session, unix_now());
        let urls = urls(host, self.turn_port, self.tls.is_trusted());
        let ice_servers = urls
            .into_iter()
            .map(|urls| {
                // STUN asks for no credentials, and browsers reject them there.
                let is_turn = !urls.starts_with("stun:");
                IceServer {
                    username: is_turn.then(|| minted.username.clone()),
                    credential: is_turn.then(|| minted.password.clone()),
                    urls,
                }
            })
            .collect();
        IceGrant {
            ice_servers,
            ice_ttl: minted.ttl_seconds,
        }
    }
}

impl TurnUsers for OwnServers {
    fn grant(&self, name: &str, ttl_seconds: u64, host: &str) -> TurnGrant {
        let minted = self.credentials.mint_shared(name, ttl_seconds, unix_now());
        TurnGrant {
            username: minted.username,
            password: minted.password,
            ttl: minted.ttl_seconds,
            uris: urls(host, self.turn_port, self.tls.is_trusted()).into(),
        }
    }
}

/// In seconds since 1970.
fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// One STUN and three TURN addresses: browsers warn at five, and each costs an allocation per
/// connection. Plain TURN over TCP on the HTTPS port passes most firewalls and needs no
/// certificate; `turns:` gathers nothing without a trusted one, nor from an IP address.
fn urls(host: &str, turn_port: u16, trusted: bool) -> [String; 4] {
    let (name, https_port) = split_port(host);
    let is_ip = name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
    let last = if trusted && !is_ip {
        format!("turns:{name}:{https_port}?transport=tcp")
    } else {
        format!("turn:{name}:{turn_port}?transport=tcp")
    };
    [
        format!("stun:{name}:{turn_port}"),
        format!("turn:{name}:{turn_port}?transport=udp"),
        format!("turn:{name}:{https_port}?transport=tcp"),
        last,
    ]
}

/// `name:port`, `[v6]:port`, or without a port; brackets stay.
fn split_port(host: &str) -> (&str, u16) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().unwrap_or(HTTPS_PORT)),
        _ => (host, HTTPS_PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_name_gets_turns() {
        assert_eq!(
            urls("call.example", 3478, true),
            [
                "stun:call.example:3478",
                "turn:call.example:3478?transport=udp",
                "turn:call.example:443?transport=tcp",
                "turns:call.example:443?transport=tcp",
            ]
        );
    }

    #[test]
    fn without_trust_or_a_name_the_turn_port_stands_in() {
        assert_eq!(
            urls("call.example:8443", 3478, false)[3],
            "turn:call.example:3478?transport=tcp"
        );
        assert_eq!(
            urls("192.0.2.1:8443", 3478, true)[3],
            "turn:192.0.2.1:3478?transport=tcp"
        );
        assert_eq!(
            urls("192.0.2.1:8443", 3478, true)[2],
            "turn:192.0.2.1:8443?transport=tcp"
        );
    }

    #[test]
    fn ipv6_stays_in_brackets() {
        assert_eq!(
            urls("[2001:db8::1]", 3478, true)[1],
            "turn:[2001:db8::1]:3478?transport=udp"
        );
        assert_eq!(
            urls("[2001:db8::1]:8443", 3478, true)[2],
            "turn:[2001:db8::1]:8443?transport=tcp"
        );
    }
}
