//! Who is let in.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::options::Secrets;

/// The header that an event webhook may carry instead of a password.
pub(super) const WEBHOOK_SECRET: &str = "x-kidu-webhook-secret";

/// Compares what is sent with what is expected, both as hashes: neither content nor length shows in the time it takes.
#[derive(Clone)]
pub struct Auth {
    basic: Option<[u8; 32]>,
    webhook: Option<[u8; 32]>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("basic", &self.basic.is_some()).field("webhook", &self.webhook.is_some()).finish()
    }
}

impl Auth {
    /// What is expected of clients.
    pub fn new(user: Option<&str>, secrets: &Secrets) -> Self {
        let basic = user.zip(secrets.basic_auth_password.as_deref());
        Self {
            basic: basic.map(|(user, password)| hash(format!("{user}:{password}").as_bytes())),
            webhook: secrets.webhook_secret.as_deref().map(|s| hash(s.as_bytes())),
        }
    }

    /// Whether anything is expected.
    pub fn is_on(&self) -> bool {
        self.basic.is_some() || self.webhook.is_some()
    }

    /// Whether a request may do everything. Without a password everybody may.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        self.basic.is_none_or(|expected| same(&expected, &sent_credentials(headers).unwrap_or_default()))
    }

    /// Whether a request may tell of events: with the password, or with the webhook's secret in its path, in its header or
    /// as a password. Where neither is set, everybody may.
    ///
    /// Label Studio sends START_TRAINING with the backend's password and without a webhook's headers: a backend with a secret
    /// alone is connected with that as its password.
    pub(super) fn admits_event(&self, headers: &HeaderMap, in_path: Option<&str>) -> bool {
        let by_secret = self.webhook.is_some_and(|expected| {
            let header = headers.get(WEBHOOK_SECRET).map(|v| v.as_bytes());
            let sent = in_path.map(str::as_bytes).or(header).unwrap_or_default();
            let password = sent_credentials(headers).unwrap_or_default();
            let password = password.iter().position(|b| *b == b':').map_or(&[][..], |at| &password[at + 1..]);
            same(&expected, sent) || same(&expected, password)
        });
        by_secret || (self.basic.is_some() && self.admits(headers)) || !self.is_on()
    }
}

fn sent_credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(credentials)
}

/// `user:password` of a header `Basic ...`.
fn credentials(header: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest.trim()).ok()).flatten()
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn same(expected: &[u8; 32], sent: &[u8]) -> bool {
    expected.ct_eq(&hash(sent)).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn auth(password: Option<&str>, secret: Option<&str>) -> Auth {
        let secrets = Secrets {
            basic_auth_password: password.map(Into::into),
            webhook_secret: secret.map(Into::into),
            ..Secrets::default()
        };
        Auth::new(password.map(|_| "studio"), &secrets)
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_password_is_asked_of_everybody_and_the_secret_is_for_events() {
        let (right, none) = (with("authorization", "Basic c3R1ZGlvOmhvcnNl"), HeaderMap::new());
        let locked = auth(Some("horse"), None);
        assert!(locked.admits(&right) && locked.admits(&with("authorization", "basic c3R1ZGlvOmhvcnNl")));
        for wrong in ["", "Basic", "Basic c3R1ZGlvOmhvcnNf", "Bearer c3R1ZGlvOmhvcnNl", "Basic ???", "Basic "] {
            assert!(!locked.admits(&with("authorization", wrong)), "{wrong}");
        }
        assert!(!locked.admits(&none) && !locked.admits_event(&none, None) && locked.admits_event(&right, None));
        let both = auth(Some("horse"), Some("0123456789abcdef"));
        assert!(both.admits_event(&none, Some("0123456789abcdef")) && !both.admits_event(&none, Some("0123")));
        assert!(both.admits_event(&with(WEBHOOK_SECRET, "0123456789abcdef"), None));
        assert!(!both.admits(&with(WEBHOOK_SECRET, "0123456789abcdef")), "not for anything else");
        assert!(both.admits_event(&right, None), "START_TRAINING carries the password");
        let open = auth(None, None);
        assert!(open.admits(&none) && open.admits_event(&none, None) && !open.is_on());
        let secret_only = auth(None, Some("0123456789abcdef"));
        assert!(secret_only.admits(&none) && !secret_only.admits_event(&none, None));
        let basic = |text: &str| with("authorization", &format!("Basic {}", STANDARD.encode(text)));
        assert!(secret_only.admits_event(&basic("anybody:0123456789abcdef"), None), "START_TRAINING carries it so");
        for wrong in ["0123456789abcdef", "0123456789abcdef:", "anybody:", "anybody:0123", ":"] {
            assert!(!secret_only.admits_event(&basic(wrong), None), "{wrong}");
        }
    }
}
