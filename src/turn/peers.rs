//! Which peers may be reached: nothing that a stranger could not reach without us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Peer ports below this are services, not media.
const FIRST_PEER_PORT: u16 = 1024;

/// IPv4 ranges that are not the public internet (IANA special-purpose registry, RFC 6890 and later, multicast, and a
/// cloud's metadata service that sits at a public address).
const REFUSED_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network, unspecified
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // a cloud's metadata and DNS service
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, metadata services
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // IETF protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24),  // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24),  // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(192, 175, 48, 0), 24),  // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

/// IPv6 ranges that are not the public internet. Those that carry an IPv4 address are unwrapped instead.
const REFUSED_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48), // local-use translation
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 32),     // discard-only, dummy prefixes
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 0), 32),    // anycast services
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 31),    // benchmarking, AMT
    (Ipv6Addr::new(0x2001, 4, 0, 0, 0, 0, 0, 0), 30),    // AS112, protocol assignments
    (Ipv6Addr::new(0x2001, 8, 0, 0, 0, 0, 0, 0), 29),    // protocol assignments
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28), // ORCHID
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 27), // ORCHIDv2, drone tags
    (Ipv6Addr::new(0x2001, 0x40, 0, 0, 0, 0, 0, 0), 26), // protocol assignments
    (Ipv6Addr::new(0x2001, 0x80, 0, 0, 0, 0, 0, 0), 25), // protocol assignments
    (Ipv6Addr::new(0x2001, 0x100, 0, 0, 0, 0, 0, 0), 24), // protocol assignments
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),    // documentation
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16),    // segment routing
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),     // unique local, metadata services
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),    // link-local
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),    // site-local
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),     // multicast
];

/// On what ground a peer may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The operator said so: any port.
    Lifted,
    /// It is on the public internet: ports that are not services.
    Public,
    /// It is a relayed address of ours: as long as it lives.
    OurRelay,
}

/// The rule of who may be a peer. This server's own live relay addresses are let through before it is asked.
#[derive(Debug, Clone)]
pub struct PeerPolicy {
    allowed: Vec<IpNet>,
    own: Vec<IpAddr>,
}

impl PeerPolicy {
    /// A policy that refuses `own`, this machine's addresses, and everything special, unless `allowed` lifts it.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>, own: Vec<IpAddr>) -> Self {
        Self { allowed, own }
    }

    /// On what ground a permission may be installed for this address, whatever the port.
    #[must_use]
    pub fn standing(&self, ip: IpAddr) -> Option<Standing> {
        if self.lifts(ip) {
            Some(Standing::Lifted)
        } else {
            (!self.own.contains(&ip) && !self.is_refused(ip)).then_some(Standing::Public)
        }
    }

    /// Whether a peer of the public internet may be reached at this port.
    #[must_use]
    pub fn is_media_port(port: u16) -> bool {
        port >= FIRST_PEER_PORT
    }

    /// Takes the machine's addresses anew; they come and go.
    pub fn set_own(&mut self, own: Vec<IpAddr>) {
        self.own = own;
    }

    fn lifts(&self, ip: IpAddr) -> bool {
        if self.allowed.is_empty() {
            return false;
        }
        let inside = |ip: IpAddr| self.allowed.iter().any(|range| range.contains(&ip));
        let wrapped = wrapped_v4(ip);
        inside(ip)
            || matches!(wrapped, [Some(_), _])
                && wrapped
                    .into_iter()
                    .flatten()
                    .all(|v4| inside(IpAddr::V4(v4)))
    }

    fn is_refused(&self, ip: IpAddr) -> bool {
        let refused_v4 = |v4: Ipv4Addr| {
            self.own.contains(&IpAddr::V4(v4))
                || REFUSED_V4
                    .iter()
                    .any(|&(net, bits)| (v4.to_bits() ^ net.to_bits()) >> (32 - bits) == 0)
        };
        match ip {
            IpAddr::V4(v4) => refused_v4(v4),
            IpAddr::V6(v6) => {
                wrapped_v4(ip).into_iter().flatten().any(refused_v4)
                    || REFUSED_V6
                        .iter()
                        .any(|&(net, bits)| (v6.to_bits() ^ net.to_bits()) >> (128 - bits) == 0)
            }
        }
    }
}

/// The IPv4 addresses that an IPv6 address carries: v4-mapped, v4-compatible, 6to4 (RFC 3056), NAT64 (RFC 6052), and
/// server and client of Teredo (RFC 4380 §4).
fn wrapped_v4(ip: IpAddr) -> [Option<Ipv4Addr>; 2] {
    let IpAddr::V6(v6) = ip else {
        return [None, None];
    };
    let at = |shift: u32| Some(Ipv4Addr::from_bits((v6.to_bits() >> shift) as u32));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [at(0), None],
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => [at(0), None],
        [0x2002, ..] => [at(80), None],
        [0x2001, 0, ..] => [at(64), Some(Ipv4Addr::from_bits(!(v6.to_bits() as u32)))],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allowed: &[&str], own: &[&str]) -> PeerPolicy {
        PeerPolicy::new(
            allowed.iter().map(|net| net.parse().unwrap()).collect(),
            own.iter().map(|ip| ip.parse().unwrap()).collect(),
        )
    }

    #[test]
    fn special_addresses_are_refused() {
        let policy = policy(&[], &[]);
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.8.8.8",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.9",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "100::1",
            "100:0:0:1::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b:1::808:808",
        ] {
            assert_eq!(policy.standing(ip.parse().unwrap()), None, "{ip}");
        }
    }

    #[test]
    fn refused_addresses_stay_refused_however_they_are_wrapped() {
        let policy = policy(&[], &["198.41.0.4"]);
        for ip in [
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0.0.0.0",
            "::10.0.0.1",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            // Teredo: client 10.0.0.1 is written inverted.
            "2001:0:808:808:0:0:f5ff:fffe",
            "2001:0:a00:1:0:0:f7f7:f7f7",
            "::ffff:198.41.0.4",
            "64:ff9b::198.41.0.4",
        ] {
            assert_eq!(policy.standing(ip.parse().unwrap()), None, "{ip}");
        }
    }

    #[test]
    fn the_public_internet_is_allowed() {
        let policy = policy(&[], &["198.41.0.4"]);
        for ip in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2a00:1450::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(
                policy.standing(ip.parse().unwrap()),
                Some(Standing::Public),
                "{ip}"
            );
        }
    }

    #[test]
    fn a_lifted_range_is_lifted_wholly_and_no_further() {
        let policy = policy(&["127.0.0.0/8", "fd00::/64"], &["127.0.0.1"]);
        let standing = |ip: &str| policy.standing(ip.parse().unwrap());
        for ip in ["127.0.0.1", "127.255.0.9", "::ffff:127.0.0.1", "fd00::5"] {
            assert_eq!(standing(ip), Some(Standing::Lifted), "{ip}");
        }
        for ip in ["10.0.0.1", "::1", "fd00:0:0:1::5"] {
            assert_eq!(standing(ip), None, "{ip}");
        }
        assert_eq!(standing("128.0.0.1"), Some(Standing::Public));
    }
}
