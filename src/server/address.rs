//! Where this machine is: its interfaces' addresses, and those that others see it at.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::turn::{ExternalAddresses, ExternalIp, Family, PeerPolicy};

/// The addresses of this machine's interfaces that are up, loopback included.
///
/// # Errors
/// When the system does not list them.
pub fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()?.iter().map(|i| i.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// How often interfaces are looked at again: a machine gets other addresses while it runs.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Keeps `tell` informed of this machine's addresses, those of its interfaces and `others`, until `stop`.
pub(super) async fn watch_own(
    others: Vec<IpAddr>,
    tell: impl Fn(&[IpAddr]),
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
        match interface_addresses() {
            Ok(mut own) => {
                own.extend(&others);
                tell(&own);
            }
            Err(error) => debug!(%error, "cannot list this machine's addresses"),
        }
    }
}

/// Finds what relayed ports are seen at. `configured` wins, family by family; else a public address on an interface;
/// else what `domains` resolve to; else the best that an interface has, with a warning. What a request says of us is
/// never asked.
pub async fn external_addresses(
    configured: &[ExternalIp],
    domains: &[String],
) -> ExternalAddresses {
    let interfaces = interface_addresses().unwrap_or_else(|error| {
        warn!(%error, "cannot list this machine's addresses");
        Vec::new()
    });
    let needs_names = [Family::V4, Family::V6].into_iter().any(|family| {
        of_family(configured, family).is_none() && public(&interfaces, family).is_none()
    });
    let mut resolved = Vec::new();
    if needs_names {
        for domain in domains {
            match tokio::net::lookup_host((domain.as_str(), 0)).await {
                Ok(found) => resolved.extend(found.map(|address: SocketAddr| address.ip())),
                Err(error) => warn!(%domain, %error, "the domain does not resolve"),
            }
        }
    }
    choose(configured, &interfaces, &resolved)
}

fn choose(
    configured: &[ExternalIp],
    interfaces: &[IpAddr],
    resolved: &[IpAddr],
) -> ExternalAddresses {
    let pick = |family| {
        if let Some(configured) = of_family(configured, family) {
            // Bound to the address itself where we have it, so that what is sent leaves from there.
            let local = configured.local.or_else(|| {
                interfaces
                    .contains(&configured.public)
                    .then_some(configured.public)
            });
            return Some(ExternalIp {
                local,
                ..configured
            });
        }
        let best = best(interfaces, family);
        if let Some(public) = public(interfaces, family) {
            return Some(ExternalIp {
                public,
                local: Some(public),
            });
        }
        // A name that leads here through a one-to-one NAT; useless for a family that no interface has.
        if let (Some(public), Some(local)) = (public(resolved, family), best) {
            return Some(ExternalIp {
                public,
                local: (!local.is_loopback()).then_some(local),
            });
        }
        let best = best?;
        Some(ExternalIp {
            public: best,
            local: Some(best),
        })
    };
    let (v4, v6) = (pick(Family::V4), pick(Family::V6));
    let found: Vec<IpAddr> = [v4, v6].into_iter().flatten().map(|ip| ip.public).collect();
    let is_reachable = |ip: &IpAddr| {
        of_family(configured, Family::of(*ip)).is_some()
            || public(&[*ip], Family::of(*ip)).is_some()
            || ip.is_loopback()
    };
    if !found.iter().any(is_reachable) {
        warn!(
            "no public address was found; calls that need the relay will only work inside this network \
             (set --external-ip)"
        );
    }
    let mut own: Vec<IpAddr> = interfaces.to_vec();
    for external in configured.iter().copied().chain(v4).chain(v6) {
        own.push(external.public);
        own.extend(external.local);
    }
    own.sort_unstable();
    own.dedup();
    ExternalAddresses { v4, v6, own }
}

fn of_family(configured: &[ExternalIp], family: Family) -> Option<ExternalIp> {
    configured
        .iter()
        .find(|external| Family::of(external.public) == family)
        .copied()
}

fn public(addresses: &[IpAddr], family: Family) -> Option<IpAddr> {
    // Exactly the addresses that strangers may be relayed to are those that strangers can reach.
    let rule = PeerPolicy::new(Vec::new(), Vec::new());
    addresses
        .iter()
        .copied()
        .find(|ip| Family::of(*ip) == family && rule.standing(*ip).is_some())
}

/// What an interface has when nothing is public: private before loopback. Link-local IPv6 needs a zone that no peer
/// can be told, so it does not count.
fn best(interfaces: &[IpAddr], family: Family) -> Option<IpAddr> {
    let usable = |ip: &&IpAddr| {
        Family::of(**ip) == family
            && match ip {
                IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_unspecified(),
                IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
            }
    };
    interfaces
        .iter()
        .filter(usable)
        .min_by_key(|ip| ip.is_loopback())
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn external(public: &str, local: Option<&str>) -> Option<ExternalIp> {
        Some(ExternalIp {
            public: public.parse().unwrap(),
            local: local.map(|ip| ip.parse().unwrap()),
        })
    }

    #[test]
    fn a_public_address_on_an_interface_comes_first() {
        let found = choose(
            &[],
            &ips(&["127.0.0.1", "10.0.0.5", "8.8.4.4", "fe80::1", "2a00::5"]),
            &ips(&["9.9.9.9"]),
        );
        assert_eq!(found.v4, external("8.8.4.4", Some("8.8.4.4")));
        assert_eq!(found.v6, external("2a00::5", Some("2a00::5")));
        assert_eq!(
            found.own,
            ips(&["8.8.4.4", "10.0.0.5", "127.0.0.1", "2a00::5", "fe80::1"])
        );
    }

    #[test]
    fn then_what_the_domain_resolves_to() {
        let found = choose(
            &[],
            &ips(&["127.0.0.1", "10.0.0.5", "::1"]),
            &ips(&["9.9.9.9", "2a00::5"]),
        );
        assert_eq!(found.v4, external("9.9.9.9", Some("10.0.0.5")));
        assert_eq!(found.v6, external("2a00::5", None));
        let found = choose(&[], &ips(&["10.0.0.5"]), &ips(&["192.168.1.1", "2a00::5"]));
        assert_eq!(found.v4, external("10.0.0.5", Some("10.0.0.5")));
        assert_eq!(found.v6, None);
    }

    #[test]
    fn then_the_best_that_an_interface_has() {
        let found = choose(
            &[],
            &ips(&["127.0.0.1", "169.254.3.4", "10.0.0.5", "fe80::1"]),
            &[],
        );
        assert_eq!(found.v4, external("10.0.0.5", Some("10.0.0.5")));
        assert_eq!(found.v6, None);
        assert_eq!(
            choose(&[], &ips(&["127.0.0.1"]), &[]).v4,
            external("127.0.0.1", Some("127.0.0.1"))
        );
    }

    #[test]
    fn what_is_configured_wins() {
        let configured = [external("9.9.9.9", Some("10.0.0.6")).unwrap()];
        let found = choose(
            &configured,
            &ips(&["8.8.4.4", "10.0.0.6", "2a00::5"]),
            &ips(&["1.1.1.1"]),
        );
        assert_eq!(found.v4, external("9.9.9.9", Some("10.0.0.6")));
        assert_eq!(found.v6, external("2a00::5", Some("2a00::5")));
        assert!(found.own.contains(&"9.9.9.9".parse().unwrap()));
        let configured = [external("8.8.4.4", None).unwrap()];
        assert_eq!(
            choose(&configured, &ips(&["8.8.4.4"]), &[]).v4,
            external("8.8.4.4", Some("8.8.4.4"))
        );
    }

    #[test]
    fn this_machine_has_addresses() {
        assert!(
            interface_addresses()
                .unwrap()
                .contains(&"127.0.0.1".parse().unwrap())
        );
    }
}
