//! What an operator may set about the HTTP API.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

/// Everything an operator may set about the HTTP API.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Who may make rooms that are kept.
    pub create: Creators,
    /// How often strangers may ask.
    pub limits: LimitSettings,
    /// Who is told of what happens.
    pub webhooks: WebhookSettings,
}

/// Which other programs are told of what happens.
#[derive(Debug, Clone, Default)]
pub struct WebhookSettings {
    /// Where they listen: `https` or `http`.
    pub urls: Vec<String>,
    /// Signs what they are told; nobody is told anything without.
    pub key: Option<WebhookKey>,
}

/// Signs what other programs are told (Standard Webhooks 1.0). Never printed.
#[derive(Clone)]
pub struct WebhookKey(pub(super) hmac::Key);

impl WebhookKey {
    /// Reads `whsec_` and 24 to 64 bytes in Base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64)
            .contains(&bytes.len())
            .then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(hidden)")
    }
}

/// Who may make rooms that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Creators {
    /// Whoever can reach the server, within the limits.
    #[default]
    Anyone,
    /// Programs with an API key that has the scope `rooms:write`.
    Key,
}

/// How often may be asked, by address (IPv6: the /64) and by person. Programs with an API key are
/// bound by `requests_per_minute` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests of any kind, per minute and address.
    pub requests_per_minute: NonZeroU32,
    /// Rooms made, per hour and address.
    pub rooms_per_hour: NonZeroU32,
    /// Invitations made, per hour, address and person.
    pub invites_per_hour: NonZeroU32,
    /// Passwords set, per hour, address and person.
    pub passwords_per_hour: NonZeroU32,
    /// Uploads begun, per hour, address and person.
    pub uploads_per_hour: NonZeroU32,
    /// Bytes taken in of files, per second and address; 0 is any number.
    pub upload_rate: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        const fn number(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            // Twenty a second: an upload in pieces of some MiB on a fast line, and a page beside it.
            requests_per_minute: number(1200),
            // A class of thirty in which everyone makes a room.
            rooms_per_hour: number(30),
            // A link for each guest of a large meeting.
            invites_per_hour: number(200),
            // Each costs the server as much as a guess does.
            passwords_per_hour: number(30),
            // An office in which everyone sends photos.
            uploads_per_hour: number(500),
            // Faster than nearly every line, and calls on the same machine need the rest of it.
            upload_rate: 50 * 1024 * 1024,
        }
    }
}
