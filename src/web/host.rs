//! Where a request was sent (`Host`) and whose page sent it (`Origin`): read strictly, compared with defaults filled in.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use hyper::Request;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;

/// The longest name that DNS can hold (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;

/// The host and port that a request was sent to (RFC 9110 §7.2), safe to repeat in a header.
#[derive(Debug, Clone)]
pub struct Host {
    name: Name,
    port: Option<u16>,
    text: String,
}

/// Whose page sends a request (RFC 6454 §7), with the scheme's default port filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    name: Name,
    port: u16,
}

/// A name or an address; names are kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Dns(String),
    Ip(IpAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// The request does not say where it was sent, or says it twice, or says what no host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Host header is missing or is not a host")]
pub struct BadHost;

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin; it looks like https://call.example or http://localhost:3000")]
pub struct NotAnOrigin(String);

impl Host {
    /// Where a request was sent: the target's authority where it has one, otherwise the one `Host` header.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, BadHost> {
        if let Some(authority) = request.uri().authority() {
            return authority.as_str().parse();
        }
        let mut sent = request.headers().get_all(HOST).iter();
        let host = sent.next().ok_or(BadHost)?;
        if sent.next().is_some() {
            return Err(BadHost);
        }
        host.to_str().map_err(|_| BadHost)?.parse()
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As it was sent, with another port, which is left out when it is 443.
    pub(super) fn at_https_port(&self, port: u16) -> String {
        match port {
            HTTPS_PORT => self.name.to_string(),
            port => format!("{}:{port}", self.name),
        }
    }

    /// The origin of our own pages there.
    fn origin(&self) -> Origin {
        Origin {
            scheme: Scheme::Https,
            name: self.name.clone(),
            port: self.port.unwrap_or(HTTPS_PORT),
        }
    }
}

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let (name, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']').ok_or(BadHost)?;
            let address: Ipv6Addr = address.parse().map_err(|_| BadHost)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or(BadHost)?),
            };
            (Name::Ip(address.into()), port)
        } else {
            let (name, port) = match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            };
            (Name::parse(name)?, port)
        };
        let port = port.map(parse_port).transpose()?;
        Ok(Self {
            name,
            port,
            text: text.to_owned(),
        })
    }
}

impl Origin {
    /// Whose page sends a request to `host`, by what its headers say. Sandboxed pages send `null`, and are
    /// like any other site's.
    pub(super) fn asks(headers: &HeaderMap, host: &Host, allowed: &[Self]) -> Asks {
        let mut sent = headers.get_all(ORIGIN).iter();
        let Some(value) = sent.next() else {
            // Reading needs no origin in some cases, but browsers say whose page it is.
            let elsewhere = headers
                .get("sec-fetch-site")
                .is_some_and(|site| site == "cross-site");
            return if elsewhere { Asks::Foreign } else { Asks::Own };
        };
        let origin = value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<Self>().ok());
        match origin {
            Some(_) | None if sent.next().is_some() => Asks::Foreign,
            Some(origin) if origin == host.origin() => Asks::Own,
            Some(origin) if allowed.contains(&origin) => Asks::Allowed(value.clone()),
            _ => Asks::Foreign,
        }
    }
}

/// Whose page sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asks {
    /// Our own, or none: programs say nothing.
    Own,
    /// One that the operator allows; its origin, as it was sent.
    Allowed(HeaderValue),
    /// Any other.
    Foreign,
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let not = || NotAnOrigin(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(not)?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => (Scheme::Https, HTTPS_PORT),
            "http" => (Scheme::Http, HTTP_PORT),
            _ => return Err(not()),
        };
        let host: Host = rest.parse().map_err(|_| not())?;
        Ok(Self {
            scheme,
            name: host.name,
            port: host.port.unwrap_or(default_port),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default_port) = match self.scheme {
            Scheme::Https => ("https", HTTPS_PORT),
            Scheme::Http => ("http", HTTP_PORT),
        };
        write!(f, "{scheme}://{}", self.name)?;
        if self.port != default_port {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl Name {
    fn parse(text: &str) -> Result<Self, BadHost> {
        if let Ok(address) = text.parse::<IpAddr>() {
            // IPv6 stands in brackets only.
            return if address.is_ipv4() {
                Ok(Self::Ip(address))
            } else {
                Err(BadHost)
            };
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self::Dns(text.to_ascii_lowercase()))
        } else {
            Err(BadHost)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Digits only, 1–65535; `+443`, which `u16` would read, is refused.
fn parse_port(text: &str) -> Result<u16, BadHost> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadHost);
    }
    text.parse().ok().filter(|port| *port > 0).ok_or(BadHost)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permits(host: &str, origins: &[&str], allowed: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        let allowed: Vec<Origin> = allowed
            .iter()
            .map(|origin| origin.parse().unwrap())
            .collect();
        Origin::asks(&headers, &host.parse().unwrap(), &allowed) != Asks::Foreign
    }

    #[test]
    fn without_an_origin_browsers_say_whose_page_it_is() {
        let host: Host = "call.example".parse().unwrap();
        for (site, expected) in [
            ("none", Asks::Own),
            ("same-origin", Asks::Own),
            ("same-site", Asks::Own),
            ("cross-site", Asks::Foreign),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", site.parse().unwrap());
            assert_eq!(Origin::asks(&headers, &host, &[]), expected, "{site}");
        }
    }

    #[test]
    fn a_page_that_is_allowed_is_told_from_our_own() {
        let host: Host = "call.example".parse().unwrap();
        let allowed = ["https://app.example".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
        let app: HeaderValue = "https://app.example".parse().unwrap();
        headers.insert(ORIGIN, app.clone());
        assert_eq!(Origin::asks(&headers, &host, &allowed), Asks::Allowed(app));
        headers.insert(ORIGIN, "https://call.example".parse().unwrap());
        assert_eq!(Origin::asks(&headers, &host, &allowed), Asks::Own);
    }

    #[test]
    fn our_own_pages_are_welcome_however_the_port_is_written() {
        assert!(permits("call.example", &["https://call.example"], &[]));
        assert!(permits("call.example:443", &["https://call.example"], &[]));
        assert!(permits("call.example", &["https://call.example:443"], &[]));
        assert!(permits(
            "Call.Example:8443",
            &["https://call.example:8443"],
            &[]
        ));
        assert!(permits(
            "[::1]:8443",
            &["https://[0:0:0:0:0:0:0:1]:8443"],
            &[]
        ));
        assert!(permits("192.0.2.1", &["https://192.0.2.1"], &[]));
    }

    #[test]
    fn other_pages_are_refused() {
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://call.example",
            "https://call.example:8443",
            "https://call.example.evil.example",
            "https://call.example@evil.example",
            "https://call.example/",
            "//call.example",
            "wss://call.example",
        ] {
            assert!(!permits("call.example", &[origin], &[]), "{origin}");
        }
        assert!(!permits(
            "call.example",
            &["https://call.example", "https://evil.example"],
            &[]
        ));
    }

    #[test]
    fn programs_without_an_origin_and_allowed_origins_are_welcome() {
        assert!(permits("call.example", &[], &[]));
        let allowed = ["http://localhost:3000", "https://app.example"];
        assert!(permits(
            "call.example",
            &["http://localhost:3000"],
            &allowed
        ));
        assert!(permits(
            "call.example",
            &["https://APP.example:443"],
            &allowed
        ));
        assert!(!permits("call.example", &["http://localhost"], &allowed));
        assert!(!permits("call.example", &["null"], &allowed));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":443",
            "a b",
            "a\r\nb",
            "user@host",
            "host/path",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "::1",
            "[::1",
            "[::1]443",
            "[host]",
            "[::1%25eth0]",
            "hö.example",
            "a:1:2",
            "\"",
            "<script>",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text:?}");
        }
        assert!("a".repeat(254).parse::<Host>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_a_host_reads_back_as_written(text in "\\PC{0,40}|[a-z0-9.:\\[\\]-]{0,40}") {
            if let Ok(host) = text.parse::<Host>() {
                let written = host.at_https_port(8443);
                let again: Host = written.parse().unwrap();
                prop_assert_eq!(&again.name, &host.name);
                prop_assert_eq!(again.port, Some(8443));
                prop_assert!(host.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
            let _ = text.parse::<Origin>();
        }
    }

    #[test]
    fn the_redirect_names_the_port_only_when_it_is_not_443() {
        let host: Host = "call.example:80".parse().unwrap();
        assert_eq!(host.at_https_port(443), "call.example");
        assert_eq!(host.at_https_port(8443), "call.example:8443");
        let host: Host = "[2001:DB8::1]".parse().unwrap();
        assert_eq!(host.at_https_port(8443), "[2001:db8::1]:8443");
    }
}
