//! What a person types into a browser to get here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::config::Config;

/// The links to the pages served on `https`, the best first.
pub(super) fn links(config: &Config, https: &[SocketAddr]) -> Vec<String> {
    links_to(&config.web.domains, https, || {
        let configured = config.turn.external_ips.iter().map(|ip| ip.public);
        let host = rustix::system::uname()
            .nodename()
            .to_str()
            .map(str::to_owned)
            .ok();
        (configured.chain(own_address()).collect(), host)
    })
}

/// `machine` gives the machine's addresses and name; it is asked only when no domain says more.
fn links_to(
    domains: &[String],
    https: &[SocketAddr],
    machine: impl FnOnce() -> (Vec<IpAddr>, Option<String>),
) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    let mut add = |host: String, port: u16| {
        let port = if port == 443 {
            String::new()
        } else {
            format!(":{port}")
        };
        let link = format!("https://{host}{port}/");
        if !links.contains(&link) {
            links.push(link);
        }
    };
    let everywhere = https.iter().find(|address| address.ip().is_unspecified());
    if let (false, Some(first)) = (domains.is_empty(), everywhere.or(https.first())) {
        for domain in domains {
            add(domain.clone(), first.port());
        }
        return links;
    }
    if let Some(everywhere) = everywhere {
        let (addresses, host) = machine();
        for address in addresses {
            add(in_link(address), everywhere.port());
        }
        if let Some(host) = host.filter(|host| !host.is_empty() && host != "localhost") {
            add(host.to_ascii_lowercase(), everywhere.port());
        }
        add("localhost".to_owned(), everywhere.port());
    }
    for address in https
        .iter()
        .filter(|address| !address.ip().is_unspecified())
    {
        add(in_link(address.ip()), address.port());
    }
    links
}

fn in_link(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The address this machine would use towards the internet. Connecting a UDP socket only looks up the
/// route: nothing is sent, and the address asked for (RFC 5737) belongs to nobody.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn https(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect()
    }

    fn machine() -> (Vec<IpAddr>, Option<String>) {
        (
            vec!["198.51.100.7".parse().unwrap()],
            Some("Attic".to_owned()),
        )
    }

    #[test]
    fn domains_are_all_that_is_named() {
        let domains = ["call.example.org".to_owned(), "tea.example".to_owned()];
        let links = links_to(&domains, &https(&["0.0.0.0:443", "[::]:443"]), machine);
        assert_eq!(links, ["https://call.example.org/", "https://tea.example/"]);
    }

    #[test]
    fn without_a_domain_the_machine_is_named() {
        let links = links_to(&[], &https(&["0.0.0.0:8443", "[::]:8443"]), machine);
        assert_eq!(
            links,
            [
                "https://198.51.100.7:8443/",
                "https://attic:8443/",
                "https://localhost:8443/"
            ]
        );
    }

    #[test]
    fn an_address_of_its_own_is_named_as_it_is() {
        let links = links_to(&[], &https(&["127.0.0.1:4433", "[::1]:443"]), machine);
        assert_eq!(links, ["https://127.0.0.1:4433/", "https://[::1]/"]);
    }
}
