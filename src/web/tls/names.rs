//! The names a certificate of our own is made for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A name or an address in a certificate (RFC 5280 §4.2.1.6, subjectAltName).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SanName {
    /// A DNS name in lower case, `*.` in front allowed; other scripts in their `xn--` form.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// The text is neither an address nor a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a DNS name")]
pub struct NotAName(String);

impl FromStr for SanName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Ip(ip));
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let labels = name.strip_prefix("*.").unwrap_or(&name);
        // RFC 1035 §2.3.4 for the lengths.
        if labels.len() <= 253 && labels.split('.').all(is_label) {
            Ok(Self::Dns(name))
        } else {
            Err(NotAName(text.to_owned()))
        }
    }
}

impl fmt::Display for SanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

impl From<IpAddr> for SanName {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

/// Letters, digits and hyphens within; the underscore is what host names get away with.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        assert_eq!("::1".parse(), Ok(SanName::Ip("::1".parse().unwrap())));
        assert_eq!(
            "Call.Example.".parse(),
            Ok(SanName::Dns("call.example".to_owned()))
        );
        assert_eq!(
            "*.example".parse(),
            Ok(SanName::Dns("*.example".to_owned()))
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "bücher.example",
            "a/b",
            "a:443",
            &"a".repeat(64),
        ] {
            assert!(text.parse::<SanName>().is_err(), "{text}");
        }
    }
}
