//! The headers that every answer carries: what our pages may load and do, and who may use them.

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::host::{Host, NotAnOrigin, Origin};

/// What the page needs is allowed to it; what it never needs is refused to whatever might get into it.
const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), \
     fullscreen=(self), picture-in-picture=(self), screen-wake-lock=(self), \
     geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=()";

/// A year, as browsers' preload lists ask for; other names of the domain are not ours to decide about.
const HSTS: &str = "max-age=31536000";

/// The port that browsers use when none is written, the only one a promise about the whole host makes sense on.
const HTTPS_PORT: u16 = 443;

/// Who may show our pages in a frame.
#[derive(Debug, Clone)]
pub(super) struct Security {
    frame_ancestors: String,
    nobody_frames: bool,
}

impl Security {
    /// `ancestors` are origins, or `*` for anybody; none means nobody.
    pub(super) fn new(ancestors: &[String]) -> Result<Self, NotAnOrigin> {
        let mut sources = Vec::new();
        for ancestor in ancestors {
            match ancestor.as_str() {
                "*" => sources.push("*".to_owned()),
                origin => sources.push(origin.parse::<Origin>()?.to_string()),
            }
        }
        let nobody_frames = sources.is_empty();
        let frame_ancestors = if nobody_frames {
            "'none'".to_owned()
        } else {
            sources.join(" ")
        };
        Ok(Self {
            frame_ancestors,
            nobody_frames,
        })
    }

    /// Adds the headers to an answer; what it says itself stays. `trusted_port` is the local port when the certificate is one that browsers accept.
    pub(super) fn add(
        &self,
        headers: &mut HeaderMap,
        host: Option<&Host>,
        trusted_port: Option<u16>,
    ) {
        if let Ok(policy) = HeaderValue::try_from(self.policy(host)) {
            headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
        }
        if self.nobody_frames {
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        if trusted_port == Some(HTTPS_PORT) {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
        }
        add_basic(headers);
        for (name, value) in [
            ("permissions-policy", PERMISSIONS),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            headers
                .entry(HeaderName::from_static(name))
                .or_insert(HeaderValue::from_static(value));
        }
    }

    fn policy(&self, host: Option<&Host>) -> String {
        // Browsers that are some years old do not count WebSockets to ourselves as 'self'.
        let sockets = host
            .map(|host| format!(" wss://{}", host.as_str()))
            .unwrap_or_default();
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{sockets}; \
             img-src 'self' data: blob:; media-src 'self' blob: mediastream:; font-src 'self'; \
             manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors {}",
            self.frame_ancestors
        )
    }
}

/// For answers in the clear, which are no pages.
pub(super) fn add_basic(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(ancestors: &[&str], host: Option<&str>, trusted_port: Option<u16>) -> HeaderMap {
        let ancestors: Vec<String> = ancestors.iter().map(|&text| text.to_owned()).collect();
        let host = host.map(|host| host.parse().unwrap());
        let mut headers = HeaderMap::new();
        Security::new(&ancestors)
            .unwrap()
            .add(&mut headers, host.as_ref(), trusted_port);
        headers
    }

    fn policy(headers: &HeaderMap) -> &str {
        headers[CONTENT_SECURITY_POLICY].to_str().unwrap()
    }

    #[test]
    fn a_page_may_load_only_from_us_and_run_nothing_written_inside_it() {
        let headers = headers(&[], Some("call.example:8443"), None);
        let policy = policy(&headers);
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(
            policy.contains("connect-src 'self' wss://call.example:8443;"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn only_a_trusted_certificate_on_443_promises_https_for_a_year() {
        assert!(headers(&[], None, Some(443)).contains_key(STRICT_TRANSPORT_SECURITY));
        assert!(!headers(&[], None, Some(8443)).contains_key(STRICT_TRANSPORT_SECURITY));
        assert!(!headers(&[], None, None).contains_key(STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn framing_is_refused_unless_the_operator_names_who_may() {
        let nobody = headers(&[], None, None);
        assert!(policy(&nobody).ends_with("frame-ancestors 'none'"));
        assert_eq!(nobody[X_FRAME_OPTIONS], "DENY");
        let some = headers(
            &["https://School.example", "http://localhost:3000"],
            None,
            None,
        );
        assert!(
            policy(&some).ends_with("frame-ancestors https://school.example http://localhost:3000")
        );
        assert!(!some.contains_key(X_FRAME_OPTIONS));
        assert!(Security::new(&["https://a.example; script-src *".to_owned()]).is_err());
    }
}
