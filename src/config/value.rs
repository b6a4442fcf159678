//! One value of text → what it means, or what is wrong with it.
//!
//! Every mistake is the rest of a sentence that begins with where the value was typed. It ends without a
//! full stop, and never quotes a secret.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::LogFormat;
use crate::api::{Creators, WebhookKey};
use crate::store::{Bucket, DatabaseUrl, FileType};
use crate::turn::{DefaultFamily, ExternalIp, FixedUser, PortRange, WORKERS_MAX};

/// A room for more people than this is a broadcast, which a mesh cannot carry.
const LARGEST_ROOM: usize = 1000;

/// Ports below belong to the system's services (RFC 6335 §6); a relay must not pose as one.
const FIRST_RELAY_PORT: u16 = 1024;

/// In characters (RFC 8489 §14.9: fewer than 128).
const LONGEST_REALM: usize = 127;

/// In bytes (RFC 8489 §14.3: fewer than 509).
const LONGEST_USERNAME: usize = 508;

/// Permissions and channels of an allocation are looked through one by one.
const MOST_PER_ALLOCATION: u16 = 1000;

/// Answers to strangers are paid for in whole milliseconds.
const MOST_ANSWERS: u32 = 1000;

/// What a rate is called that is none.
const UNLIMITED: &str = "unlimited";

/// What a rate may be shortened by.
const MULTIPLES: [(&str, u64); 3] = [("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];

/// In bytes, as the DNS has it (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 253;

/// In bytes (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// What sizes are counted in, in bytes.
const SIZES: [(char, u64); 4] = [
    ('K', 1 << 10),
    ('M', 1 << 20),
    ('G', 1 << 30),
    ('T', 1 << 40),
];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A hundred years: who means more means for ever.
const MOST_DAYS: u32 = 36_500;

/// A file or directory.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// `IP:PORT`, `[IPv6]:PORT`, or `:PORT` for every address of the machine.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let whole = match text.strip_prefix(':') {
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("[::]:{port}")
        }
        _ => text.to_owned(),
    };
    if let Ok(mut address) = whole.parse::<SocketAddr>() {
        // `::ffff:192.0.2.1` is how programs write an IPv4 address into an IPv6 field.
        if address.is_ipv6() && address.ip().to_canonical().is_ipv4() {
            address.set_ip(address.ip().to_canonical());
        }
        if address.ip().is_multicast() {
            return Err("nothing can listen on a multicast address".to_owned());
        }
        return Ok(address);
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            "an IPv6 address stands in brackets before its port, as in [{text}]:443"
        ));
    }
    if bare_ip(text).is_some() {
        return Err(format!("the port is missing, as in {text}:443"));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "a port alone is written :{text}, for every address of this machine"
        ));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if bare_ip(host).is_some() => Err(format!(
            "the port is a number from 0 to 65535, not {port:?}"
        )),
        Some((host, _)) if is_host(host) => {
            Err("an IP address is needed, not a name; [::] stands for every address".to_owned())
        }
        _ => Err("this is no address to listen on, such as [::]:443 or 127.0.0.1:8443".to_owned()),
    }
}

/// Ports cannot be shut by listing none.
pub(super) fn at_least_one(addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    if addresses.is_empty() {
        return Err("the list is empty; leave the setting out for its default".to_owned());
    }
    Ok(addresses)
}

/// `IP[/LOCAL]`, or `auto` (`None`).
pub(super) fn external_ip(text: &str) -> Result<Option<ExternalIp>, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    let (public, local) = match text.split_once('/') {
        Some((public, local)) => (public, Some(local)),
        None => (text, None),
    };
    let unicast = |text: &str, what: &str| {
        let ip = bare_ip(text).ok_or_else(|| {
            format!("{text:?} is no IP address; expected is IP, IP/LOCAL-IP or auto")
        })?;
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || broadcast {
            return Err(format!("{ip} cannot be the {what} address of one machine"));
        }
        Ok(ip)
    };
    if local.is_some_and(|local| local.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(
            "after the slash stands this machine's own address behind a one-to-one NAT, \
                    not the length of a prefix"
                .to_owned(),
        );
    }
    let public = unicast(public, "public")?;
    let local = local.map(|local| unicast(local, "local")).transpose()?;
    if local.is_some_and(|local| local.is_ipv4() != public.is_ipv4()) {
        return Err("both addresses must be IPv4, or both IPv6".to_owned());
    }
    Ok(Some(ExternalIp { public, local }))
}

/// At most one address for IPv4 and one for IPv6; `auto` means none.
pub(super) fn one_per_family(ips: Vec<Option<ExternalIp>>) -> Result<Vec<ExternalIp>, String> {
    let given: Vec<ExternalIp> = ips.iter().copied().flatten().collect();
    if !given.is_empty() && given.len() < ips.len() {
        return Err("auto cannot stand beside an address".to_owned());
    }
    for (family, is) in [("IPv4", true), ("IPv6", false)] {
        if given.iter().filter(|ip| ip.public.is_ipv4() == is).count() > 1 {
            return Err(format!("there can be one {family} address only"));
        }
    }
    Ok(given)
}

/// `MIN-MAX`.
pub(super) fn port_range(text: &str) -> Result<PortRange, String> {
    let (min, max) = text
        .split_once('-')
        .ok_or_else(|| "two ports with a dash between are needed, as in 49152-65535".to_owned())?;
    let port = |text: &str| {
        text.trim()
            .parse::<u16>()
            .map_err(|_| format!("{text:?} is no port, a number from {FIRST_RELAY_PORT} to 65535"))
    };
    let (min, max) = (port(min)?, port(max)?);
    if min < FIRST_RELAY_PORT {
        return Err(format!("relay ports start at {FIRST_RELAY_PORT} or above"));
    }
    if max < min {
        return Err(format!(
            "the first port is above the last; did you mean {max}-{min}?"
        ));
    }
    Ok(PortRange { min, max })
}

/// `ADDRESS/BITS`, or one address.
pub(super) fn cidr(text: &str) -> Result<IpNet, String> {
    let net = match bare_ip(text) {
        Some(ip) => IpNet::from(ip),
        None => IpNet::from_str(text).map_err(|_| {
            "this is no range of addresses, such as 10.0.0.0/8 or fd00::/8".to_owned()
        })?,
    };
    // Which of the two was meant decides who can be reached: nobody should have to guess.
    if net.addr() != net.network() {
        return Err(format!(
            "the address has bits beyond its prefix; write {} for the range or {} for the address",
            net.trunc(),
            net.addr()
        ));
    }
    match net {
        IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some() && net.prefix_len() >= 96 => {
            Err("peers are compared by their IPv4 address, so write the range as IPv4".to_owned())
        }
        net => Ok(net),
    }
}

/// `NAME:PASSWORD`, split at the first colon.
pub(super) fn fixed_user(text: &str) -> Result<FixedUser, String> {
    let (name, password) = text
        .split_once(':')
        .ok_or_else(|| "a user is written NAME:PASSWORD, and one has no colon".to_owned())?;
    if name.is_empty() {
        return Err("a user is written NAME:PASSWORD, and one name is empty".to_owned());
    }
    if name.len() > LONGEST_USERNAME {
        return Err(format!(
            "a user's name is longer than {LONGEST_USERNAME} bytes"
        ));
    }
    if name.chars().any(char::is_control) || password.chars().any(char::is_control) {
        return Err("a user's name or password has a control character".to_owned());
    }
    if password.is_empty() {
        return Err(format!("the password of {name:?} is empty"));
    }
    Ok(FixedUser {
        name: name.to_owned(),
        password: password.to_owned(),
    })
}

/// One password for each name.
pub(super) fn distinct_names(users: Vec<FixedUser>) -> Result<Vec<FixedUser>, String> {
    let mut names = BTreeSet::new();
    for user in &users {
        if !names.insert(&user.name) {
            return Err(format!("the user {:?} is given twice", user.name));
        }
    }
    Ok(users)
}

/// Anything that is not empty.
pub(super) fn secret(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the secret is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("the secret has a control character; it must be one line of text".to_owned());
    }
    Ok(text.to_owned())
}

/// The realm of long-term credentials.
pub(super) fn realm(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the realm is empty".to_owned());
    }
    if text.chars().count() > LONGEST_REALM {
        return Err(format!(
            "the realm is longer than {LONGEST_REALM} characters"
        ));
    }
    if text
        .chars()
        .any(|letter| letter.is_control() || letter == '"' || letter == '\\')
    {
        return Err("the realm has a quote, a backslash or a control character".to_owned());
    }
    Ok(text.to_owned())
}

/// How many people a room holds.
pub(super) fn capacity(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|people| (1..=LARGEST_ROOM).contains(people))
        .ok_or_else(|| format!("a room holds 1 to {LARGEST_ROOM} people, a whole number"))
}

/// A limit that nothing works without.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&limit| limit >= 1)
        .ok_or_else(|| "a limit is a whole number, at least 1".to_owned())
}

/// How many allocations there may be of something.
pub(super) fn allocations(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|&count| count >= 1)
        .ok_or_else(|| "allocations are counted by a whole number, at least 1".to_owned())
}

/// How many permissions or channels one allocation may have.
pub(super) fn per_allocation(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=MOST_PER_ALLOCATION).contains(count))
        .ok_or_else(|| {
            format!("an allocation has room for 1 to {MOST_PER_ALLOCATION}, a whole number")
        })
}

/// How many answers per second a stranger is given.
pub(super) fn answers(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=MOST_ANSWERS).contains(count))
        .ok_or_else(|| format!("strangers get 1 to {MOST_ANSWERS} answers a second"))
}

/// So much per second; `None` is without limit.
pub(super) fn rate(text: &str) -> Result<Option<u64>, String> {
    if text.eq_ignore_ascii_case(UNLIMITED) {
        return Ok(None);
    }
    let shortened = MULTIPLES.iter().find_map(|(sign, by)| {
        let digits = text.strip_suffix(sign)?;
        Some((digits, *by))
    });
    let (digits, by) = shortened.unwrap_or((text, 1));
    // Not `u64::from_str` alone, which takes a plus sign.
    let number = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(by))
        .filter(|&rate| rate >= 1)
        .map(Some)
        .ok_or_else(|| {
            format!(
                "a rate is a whole number per second, such as 500, 250k, 40M or 1G, or {UNLIMITED}"
            )
        })
}

/// A rate as it would be typed.
pub(super) fn typed_rate(rate: Option<u64>) -> String {
    let Some(rate) = rate else {
        return UNLIMITED.to_owned();
    };
    let shortened = MULTIPLES.iter().find(|(_, by)| rate.is_multiple_of(*by));
    match shortened {
        Some((sign, by)) => format!("{}{sign}", rate / by),
        None => rate.to_string(),
    }
}

/// How many threads relay.
pub(super) fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|count: &NonZeroUsize| count.get() <= WORKERS_MAX)
        .ok_or_else(|| format!("1 to {WORKERS_MAX} threads can relay"))
}

/// Which relayed address a client gets that asks for no family: `ipv4` or `client`.
pub(super) fn default_family(text: &str) -> Result<DefaultFamily, String> {
    match text.to_ascii_lowercase().as_str() {
        "ipv4" => Ok(DefaultFamily::Ipv4First),
        "client" => Ok(DefaultFamily::LikeClient),
        _ => Err(
            "relays are of ipv4 where the server has it, or of the client's own family: \
                  ipv4 or client"
                .to_owned(),
        ),
    }
}

/// Whether newcomers may read what was written before they came: `all` or `present`.
pub(super) fn history(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "all" => Ok(true),
        "present" => Ok(false),
        _ => Err("older chat is read by all, or by those present when it was written".to_owned()),
    }
}

/// Who may make rooms that are kept: `anyone` or `key`.
pub(super) fn creators(text: &str) -> Result<Creators, String> {
    match text.to_ascii_lowercase().as_str() {
        "anyone" => Ok(Creators::Anyone),
        "key" => Ok(Creators::Key),
        _ => Err("kept rooms are made by anyone, or by programs with a key".to_owned()),
    }
}

pub(super) fn shown_creators(who: Creators) -> &'static str {
    match who {
        Creators::Anyone => "anyone",
        Creators::Key => "key",
    }
}

/// How often something may happen.
pub(super) fn how_often(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| "how often is a whole number, at least 1".to_owned())
}

/// Where another program hears of events.
pub(super) fn webhook_url(text: &str) -> Result<String, String> {
    const FORM: &str = "expected is an address such as https://app.example.org/calls";
    let url = url::Url::parse(text).map_err(|error| format!("{FORM}: {error}"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(FORM.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(format!("{FORM}, without a password and without a #"));
    }
    Ok(url.to_string())
}

/// `whsec_` and a key of 24 to 64 bytes in Base64, as Standard Webhooks has it.
pub(super) fn webhook_secret(text: &str) -> Result<WebhookKey, String> {
    WebhookKey::parse(text)
        .ok_or_else(|| "this is not whsec_ followed by 24 to 64 bytes in Base64".to_owned())
}

/// The address of a PostgreSQL database.
pub(super) fn database_url(text: &str) -> Result<DatabaseUrl, String> {
    DatabaseUrl::parse(text)
}

/// The address of an S3-compatible bucket, its key included.
pub(super) fn bucket(text: &str) -> Result<Bucket, String> {
    Bucket::parse(text)
}

/// A number of bytes, or of KiB, MiB, GiB or TiB with `K`, `M`, `G` or `T` behind it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, letter)) if letter.is_ascii_alphabetic() => {
            let unit = SIZES
                .iter()
                .find(|(name, _)| *name == letter.to_ascii_uppercase());
            (
                text.get(..at).unwrap_or_default(),
                unit.map(|(_, unit)| *unit),
            )
        }
        _ => (text, Some(1)),
    };
    let bytes = number.trim().parse::<u64>().ok().zip(unit);
    bytes
        .and_then(|(number, unit)| number.checked_mul(unit))
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .ok_or_else(|| "a size is a whole number of bytes, or one such as 500M or 2G".to_owned())
}

/// A size as it would be typed.
pub(super) fn shown_size(bytes: u64) -> String {
    let unit = SIZES
        .iter()
        .rev()
        .find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// A number of days, or `forever` (`None`).
pub(super) fn keep(text: &str) -> Result<Option<Duration>, String> {
    if text.eq_ignore_ascii_case("forever") {
        return Ok(None);
    }
    text.strip_suffix(['d', 'D'])
        .unwrap_or(text)
        .parse::<u32>()
        .ok()
        .filter(|days| (1..=MOST_DAYS).contains(days))
        .map(|days| Some(DAY * days))
        .ok_or_else(|| format!("it is a number of days from 1 to {MOST_DAYS}, or forever"))
}

/// How fast files may come in, in bytes per second.
pub(super) fn upload_rate(text: &str) -> Result<u64, String> {
    const SLOWEST: u64 = 64 * 1024;
    match size(text)? {
        rate @ (0 | SLOWEST..) => Ok(rate),
        _ => Err(
            "it is 0, or at least 64K a second: an upload slower than that never ends".to_owned(),
        ),
    }
}

/// A kind of files, or all of a family.
pub(super) fn file_type(text: &str) -> Result<FileType, String> {
    text.parse().map_err(str::to_owned)
}

/// A time to keep something as it would be typed.
pub(super) fn shown_keep(time: Option<Duration>) -> String {
    match time {
        Some(time) => format!("{}d", time.as_secs() / DAY.as_secs()),
        None => "forever".to_owned(),
    }
}

/// `text` or `json`.
pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text.to_ascii_lowercase().as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("log lines are text or json".to_owned()),
    }
}

/// A name in the DNS, lower-cased, without a final dot.
pub(super) fn domain(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the name is empty".to_owned());
    }
    // What surrounds a name when it is copied from the address bar.
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = after_scheme
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    if bare_ip(host).is_some() {
        return Err(
            "this is an address, not a name; addresses need no setting to be reached, and \
                    --external-ip names them to others"
                .to_owned(),
        );
    }
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if without_port != text && is_host(without_port) {
        return Err(format!(
            "a name alone is needed, without scheme, port or path: {without_port}"
        ));
    }
    if text.starts_with("*.") {
        return Err("each name stands for itself, wildcards are for certificates".to_owned());
    }
    if !text.is_ascii() {
        return Err("write the name in its ASCII form, which begins with xn--".to_owned());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if !is_host(&name) {
        return Err("this is no domain name, such as call.example.org".to_owned());
    }
    Ok(name)
}

/// An origin as browsers write it (RFC 6454 §6.2): scheme, host, and the port unless it is the scheme's own.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Err("every origin is named for itself; * would let any site connect".to_owned());
    }
    if text == "null" {
        return Err("null is what every sandboxed page says, so it is always refused".to_owned());
    }
    let malformed = || {
        "an origin is a scheme, a host and perhaps a port, such as \
                        https://app.example.org"
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
    let scheme = scheme.to_ascii_lowercase();
    let may_be_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !may_be_scheme {
        return Err(malformed().to_owned());
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        return Err(format!("an origin has no path: {scheme}://{authority}"));
    }
    if authority.contains('@') {
        return Err("an origin names no user".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse::<u16>().ok().filter(|&port| port != 0);
            (
                host,
                Some(port.ok_or_else(|| "its port is a number from 1 to 65535".to_owned())?),
            )
        }
        _ => (authority, None),
    };
    if !host.is_ascii() {
        return Err("write the host in its ASCII form, which begins with xn--".to_owned());
    }
    let host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(ip) => {
            let ip: Ipv6Addr = ip
                .parse()
                .map_err(|_| format!("[{ip}] is no IPv6 address"))?;
            format!("[{ip}]")
        }
        None if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) || is_host(host) => {
            host.to_ascii_lowercase()
        }
        None => return Err(malformed().to_owned()),
    };
    let default_port = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    match port.filter(|_| port != default_port) {
        Some(port) => Ok(format!("{scheme}://{host}:{port}")),
        None => Ok(format!("{scheme}://{host}")),
    }
}

/// An address without a port; brackets around IPv6 are fine. IPv4 in IPv6 clothes is undressed.
fn bare_ip(text: &str) -> Option<IpAddr> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let ip: IpAddr = inner.parse().ok()?;
    (inner == text || ip.is_ipv6()).then(|| ip.to_canonical())
}

/// Whether `text` can name a host: labels of letters, digits, `-` and `_`, the last not a number.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= LONGEST_HOST
        && text.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;

    use proptest::prelude::*;

    use super::*;

    /// Each text means what stands beside it.
    fn mean<T: Display>(parse: fn(&str) -> Result<T, String>, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            match parse(text) {
                Ok(value) => assert_eq!(value.to_string(), *expected, "{text:?}"),
                Err(words) => panic!("{text:?}: {words}"),
            }
        }
    }

    /// Each text is a mistake, and the sentence about it holds the words beside it.
    fn mistaken<T>(parse: fn(&str) -> Result<T, String>, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            match parse(text) {
                Ok(_) => panic!("{text:?} was accepted"),
                Err(words) => {
                    assert!(words.contains(expected), "{text:?}: {words}");
                    assert!(
                        !words.ends_with('.'),
                        "the caller ends the sentence: {words}"
                    );
                }
            }
        }
    }

    #[test]
    fn addresses_to_listen_on() {
        mean(
            socket_address,
            &[
                ("[::]:443", "[::]:443"),
                ("0.0.0.0:0", "0.0.0.0:0"),
                (":8443", "[::]:8443"),
                ("[2001:db8::1]:80", "[2001:db8::1]:80"),
                ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ],
        );
        mistaken(
            socket_address,
            &[
                ("", "no address to listen on"),
                ("443", ":443"),
                ("::", "[::]:443"),
                ("127.0.0.1", "127.0.0.1:443"),
                ("[::1]", "[::1]:443"),
                ("127.0.0.1:65536", "65535"),
                ("127.0.0.1:", "65535"),
                ("127.0.0.1:-1", "65535"),
                ("localhost:443", "not a name"),
                ("https://0.0.0.0:443", "no address to listen on"),
                ("256.0.0.1:443", "no address to listen on"),
                ("224.0.0.1:3478", "multicast"),
                ("[ff02::1]:3478", "multicast"),
                (":", "no address to listen on"),
            ],
        );
    }

    #[test]
    fn external_addresses() {
        let shown =
            |text: &str| external_ip(text).map(|ip| ip.map(|ip| (ip.public.to_string(), ip.local)));
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        assert_eq!(shown("auto"), Ok(None));
        assert_eq!(
            shown("198.51.100.7"),
            Ok(Some(("198.51.100.7".to_owned(), None)))
        );
        assert_eq!(
            shown("[2001:db8::7]"),
            Ok(Some(("2001:db8::7".to_owned(), None)))
        );
        assert_eq!(shown("127.0.0.1"), Ok(Some(("127.0.0.1".to_owned(), None))));
        assert_eq!(
            shown("198.51.100.7/10.0.0.4"),
            Ok(Some(("198.51.100.7".to_owned(), Some(ip("10.0.0.4")))))
        );
        mistaken(
            external_ip,
            &[
                ("", "no IP address"),
                ("call.example.org", "no IP address"),
                ("198.51.100.7/24", "not the length of a prefix"),
                ("198.51.100.7/", "not the length of a prefix"),
                ("198.51.100.7/::1", "both IPv6"),
                ("198.51.100.7:3478", "no IP address"),
                ("0.0.0.0", "public address"),
                ("198.51.100.7/0.0.0.0", "local address"),
                ("255.255.255.255", "public address"),
                ("224.0.0.1", "public address"),
            ],
        );
    }

    #[test]
    fn one_external_address_per_family() {
        let all = |texts: &[&str]| {
            one_per_family(
                texts
                    .iter()
                    .map(|text| external_ip(text).unwrap())
                    .collect(),
            )
        };
        assert_eq!(all(&["auto"]), Ok(Vec::new()));
        assert_eq!(all(&["198.51.100.7", "2001:db8::7"]).unwrap().len(), 2);
        assert!(
            all(&["198.51.100.7", "198.51.100.8"])
                .unwrap_err()
                .contains("IPv4")
        );
        assert!(
            all(&["2001:db8::7", "2001:db8::8"])
                .unwrap_err()
                .contains("IPv6")
        );
        assert!(all(&["auto", "198.51.100.7"]).unwrap_err().contains("auto"));
    }

    #[test]
    fn ranges_of_ports() {
        assert_eq!(
            port_range("1024-65535"),
            Ok(PortRange {
                min: 1024,
                max: 65535
            })
        );
        assert_eq!(
            port_range("5000-5000"),
            Ok(PortRange {
                min: 5000,
                max: 5000
            })
        );
        mistaken(
            port_range,
            &[
                ("", "two ports"),
                ("5000", "two ports"),
                ("5000:6000", "two ports"),
                ("1023-2000", "start at 1024"),
                ("0-0", "start at 1024"),
                ("6000-5000", "did you mean 5000-6000?"),
                ("5000-65536", "no port"),
                ("5000-", "no port"),
                ("-5000", "no port"),
                ("5000-6000-7000", "no port"),
            ],
        );
    }

    #[test]
    fn ranges_of_addresses() {
        mean(
            cidr,
            &[
                ("10.0.0.0/8", "10.0.0.0/8"),
                ("fd00::/8", "fd00::/8"),
                ("0.0.0.0/0", "0.0.0.0/0"),
                ("192.0.2.1", "192.0.2.1/32"),
                ("::1", "::1/128"),
            ],
        );
        mistaken(
            cidr,
            &[
                ("", "no range"),
                ("10.0.0.0/33", "no range"),
                ("10.0.0/8", "no range"),
                ("10.0.0.0/255.0.0.0", "no range"),
                ("private", "no range"),
                ("10.0.0.5/8", "10.0.0.0/8"),
                ("fd00::1/8", "fd00::/8"),
                ("::ffff:10.0.0.0/104", "as IPv4"),
            ],
        );
    }

    #[test]
    fn fixed_users_keep_their_secret() {
        let user = fixed_user("kim:pass:word").unwrap();
        assert_eq!(
            (user.name.as_str(), user.password.as_str()),
            ("kim", "pass:word")
        );
        for text in [
            "hush",
            ":hush",
            "kim:",
            "kim:hu\nsh",
            &format!("{}:hush", "k".repeat(509)),
        ] {
            let words = fixed_user(text).unwrap_err();
            assert!(!words.contains("hu"), "{words}");
        }
        let users = vec![user.clone(), user];
        assert_eq!(
            distinct_names(users),
            Err("the user \"kim\" is given twice".to_owned())
        );
    }

    #[test]
    fn secrets_realms_and_numbers() {
        assert_eq!(secret("hush hush").as_deref(), Ok("hush hush"));
        mistaken(
            secret,
            &[("", "empty"), (" ", "empty"), ("a\nb", "one line")],
        );
        assert_eq!(
            realm(&"r".repeat(127)).as_deref(),
            Ok("r".repeat(127).as_str())
        );
        mistaken(
            realm,
            &[("", "empty"), ("a\"b", "quote"), (&"r".repeat(128), "127")],
        );
        mean(capacity, &[("1", "1"), ("1000", "1000")]);
        for text in ["", "0", "1001", "-1", "ten", "1.5", "99999999999999999999"] {
            mistaken(capacity, &[(text, "1 to 1000")]);
        }
        mean(limit, &[("1", "1"), ("5000", "5000")]);
        mistaken(
            limit,
            &[
                ("0", "at least 1"),
                ("-1", "at least 1"),
                ("", "at least 1"),
            ],
        );
        mean(allocations, &[("1", "1"), ("4294967295", "4294967295")]);
        for text in ["", "0", "-1", "many", "4294967296"] {
            mistaken(allocations, &[(text, "at least 1")]);
        }
        mean(per_allocation, &[("1", "1"), ("1000", "1000")]);
        mean(answers, &[("1", "1"), ("1000", "1000")]);
        for text in ["", "0", "1001", "65536", "4294967296"] {
            mistaken(per_allocation, &[(text, "1 to 1000")]);
            mistaken(answers, &[(text, "1 to 1000")]);
        }
        mean(workers, &[("1", "1"), ("254", "254")]);
        mistaken(workers, &[("0", "1 to 254"), ("255", "1 to 254")]);
        mean(default_family, &[("ipv4", "ipv4"), ("Client", "client")]);
        mistaken(default_family, &[("", "ipv4 or client"), ("6", "ipv4 or")]);
        mean(history, &[("all", "true"), ("Present", "false")]);
        mistaken(history, &[("", "read by all"), ("some", "read by all")]);
        mean(log_format, &[("text", "text"), ("JSON", "json")]);
        mistaken(log_format, &[("", "text or json"), ("xml", "text or json")]);
        mistaken(path, &[("", "empty")]);
    }

    #[test]
    fn rates() {
        for (typed, means, shown) in [
            ("1", Some(1), "1"),
            ("1500", Some(1_500), "1500"),
            ("250k", Some(250_000), "250k"),
            ("62500k", Some(62_500_000), "62500k"),
            ("40M", Some(40_000_000), "40M"),
            ("2000M", Some(2_000_000_000), "2G"),
            (
                "18446744073709551615",
                Some(u64::MAX),
                "18446744073709551615",
            ),
            ("Unlimited", None, "unlimited"),
        ] {
            assert_eq!(rate(typed), Ok(means), "{typed}");
            assert_eq!(typed_rate(means), shown);
            assert_eq!(rate(shown), Ok(means), "what is shown can be typed");
        }
        for text in [
            "",
            "0",
            "k",
            "0k",
            "-1",
            "+1",
            "1.5M",
            "10 M",
            "1m",
            "5K",
            "none",
            "18446744073709551616",
            "18446744073709551615k",
        ] {
            mistaken(
                rate,
                &[(text, "such as 500, 250k, 40M or 1G, or unlimited")],
            );
        }
    }

    #[test]
    fn domains() {
        mean(
            domain,
            &[
                ("call.example.org", "call.example.org"),
                ("Call.Example.ORG.", "call.example.org"),
                ("localhost", "localhost"),
                ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ],
        );
        mistaken(
            domain,
            &[
                ("", "empty"),
                ("https://call.example.org/r/tea", "path: call.example.org"),
                ("call.example.org:443", "path: call.example.org"),
                ("call.example.org/", "path: call.example.org"),
                ("*.example.org", "wildcards"),
                ("bücher.example", "xn--"),
                ("198.51.100.7", "an address"),
                ("[2001:db8::1]", "an address"),
                ("a..b", "no domain name"),
                ("-a.example", "no domain name"),
                ("a b.example", "no domain name"),
                ("a,b", "no domain name"),
                ("1.2.3", "no domain name"),
                (&format!("{}.example", "a".repeat(64)), "no domain name"),
                (&"a.".repeat(130), "no domain name"),
            ],
        );
    }

    #[test]
    fn origins() {
        mean(
            origin,
            &[
                ("https://app.example.org", "https://app.example.org"),
                ("HTTPS://App.Example.org:443/", "https://app.example.org"),
                ("http://localhost:3000", "http://localhost:3000"),
                ("http://192.0.2.1:80", "http://192.0.2.1"),
                ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
                ("capacitor://localhost", "capacitor://localhost"),
            ],
        );
        mistaken(
            origin,
            &[
                ("", "an origin is"),
                ("*", "named for itself"),
                ("null", "always refused"),
                ("app.example.org", "an origin is"),
                ("localhost:3000", "an origin is"),
                ("https://", "an origin is"),
                (
                    "https://app.example.org/page",
                    "no path: https://app.example.org",
                ),
                ("https://app.example.org?x", "no path"),
                ("https://kim@app.example.org", "no user"),
                ("https://app.example.org:0", "port"),
                ("https://app.example.org:x", "port"),
                ("https://[::1", "port"),
                ("https://*.example.org", "an origin is"),
                ("1https://a.example", "an origin is"),
            ],
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String) {
            let _ = (socket_address(&text), external_ip(&text), port_range(&text), cidr(&text));
            let _ = (domain(&text), origin(&text), capacity(&text), fixed_user(&text));
        }

        #[test]
        fn what_was_normalised_stays_as_it_is(text in "[a-zA-Z]{1,5}://[a-zA-Z0-9.-]{1,20}(:[0-9]{1,5})?/?") {
            if let Ok(once) = origin(&text) {
                prop_assert_eq!(origin(&once), Ok(once));
            }
        }
    }
}
