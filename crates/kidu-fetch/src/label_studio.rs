//! A Label Studio: its address, its two kinds of token, and the paths that lead to images.

use std::{
    fmt,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use crate::{
    address::shown_url,
    error::{FetchError, Result},
    http_get::{Credentials, Http},
};

/// How long an access token lives if it does not say so itself: what Label Studio gives.
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// An access token is renewed so long before its end, or at half its life if that is shorter.
const MARGIN: Duration = Duration::from_secs(60);
/// The most bytes of an answer with a token.
const TOKEN_BYTES: u64 = 64 << 10;

/// A Label Studio and how to be let in.
#[derive(Clone, Debug)]
pub struct LabelStudio {
    base: Url,
    token: Option<Token>,
}

/// What Label Studio knows a user by. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// A legacy token, sent as it is. Off by default in new organisations.
    Legacy(String),
    /// A personal access token: exchanged for access tokens that live for 300 s.
    Personal(String),
}

impl Token {
    /// The kind of a token by its form: a personal access token is a JSON web token (three parts, `eyJ..`).
    pub fn from_text(text: &str) -> Self {
        let text = text.trim();
        if text.starts_with("eyJ") && text.split('.').count() == 3 {
            Self::Personal(text.into())
        } else {
            Self::Legacy(text.into())
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy(_) => "Legacy(..)",
            Self::Personal(_) => "Personal(..)",
        })
    }
}

impl LabelStudio {
    /// A Label Studio by its address, as in `https://label.example.com` or `http://host:8080/studio`.
    ///
    /// # Errors
    /// [`FetchError::Address`] for what is no http or https URL with a host.
    pub fn new(base: &str, token: Option<Token>) -> Result<Self> {
        let bad = |reason: String| FetchError::Address { address: base.chars().take(80).collect(), reason };
        let mut url = Url::parse(base.trim()).map_err(|e| {
            bad(format!("is not the URL of a Label Studio ({e}); write http://HOST:PORT or https://HOST"))
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(bad("is not the URL of a Label Studio; write http://HOST:PORT or https://HOST".into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Address {
                address: shown_url(&url),
                reason: "carries a user name; give a token instead".into(),
            });
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { base: url, token })
    }

    /// Its address, without token.
    pub fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.base.port_or_known_default().unwrap_or(80)
    }

    /// Whether a URL has its scheme, host and port.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// The URL of a path and query on it. A path that begins with the base's own is taken as it is.
    pub(crate) fn url_of(&self, path: &str) -> Url {
        let prefix = self.base.path().trim_end_matches('/');
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        let whole = match path.strip_prefix(prefix) {
            Some(rest) if prefix.is_empty() || rest.starts_with('/') => path.to_string(),
            _ => format!("{prefix}{path}"),
        };
        let mut url = self.base.clone();
        url.set_path(&whole);
        url.set_query(query);
        url
    }

    /// Where a task's object is handed out: a redirect to a presigned URL, or the bytes.
    pub(crate) fn presign_url(&self, task: u64, uri: &str) -> Url {
        let mut url = self.url_of(&format!("/tasks/{task}/presign/"));
        url.query_pairs_mut().append_pair("fileuri", &URL_SAFE.encode(uri));
        url
    }
}

/// A Label Studio in use: its access token, renewed when needed.
pub(crate) struct Session {
    pub(crate) server: LabelStudio,
    access: Mutex<Option<Access>>,
}

/// An access token and when it was got.
#[derive(Clone)]
struct Access {
    token: String,
    since: Instant,
    life: Duration,
}

impl Access {
    fn is_fresh(&self, now: Instant) -> bool {
        let margin = MARGIN.min(self.life / 2);
        now.saturating_duration_since(self.since) < self.life.saturating_sub(margin)
    }
}

impl Session {
    pub(crate) fn new(server: LabelStudio) -> Self {
        Self { server, access: Mutex::new(None) }
    }

    /// What lets in now; `None` without a token. Several callers at once renew the token once.
    pub(crate) async fn credentials(&self, http: &Http) -> Result<Option<Credentials>> {
        let value = match &self.server.token {
            None => return Ok(None),
            Some(Token::Legacy(token)) => format!("Token {token}"),
            Some(Token::Personal(refresh)) => {
                let mut access = self.access.lock().await;
                match access.as_ref().filter(|a| a.is_fresh(Instant::now())) {
                    Some(access) => format!("Bearer {}", access.token),
                    None => {
                        let new = self.renew(http, refresh).await?;
                        let value = format!("Bearer {}", new.token);
                        *access = Some(new);
                        value
                    }
                }
            }
        };
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| self.failed("the token has characters that no token has".into()))?;
        value.set_sensitive(true);
        Ok(Some(Credentials { origin: self.server.base.origin(), value }))
    }

    /// Forgets the access token that was refused, unless another has taken its place. Says whether a new try makes
    /// sense.
    pub(crate) async fn forget(&self, refused: &Credentials) -> bool {
        if !matches!(self.server.token, Some(Token::Personal(_))) {
            return false;
        }
        let mut access = self.access.lock().await;
        if access.as_ref().is_some_and(|a| refused.value.as_bytes() == format!("Bearer {}", a.token).as_bytes()) {
            *access = None;
        }
        true
    }

    /// Exchanges the personal access token.
    async fn renew(&self, http: &Http, refresh: &str) -> Result<Access> {
        let since = Instant::now();
        let body = json!({ "refresh": refresh }).to_string().into_bytes();
        let url = self.server.url_of("/api/token/refresh/");
        let answer = match http.post(&url, body, TOKEN_BYTES).await {
            Ok(answer) => answer,
            Err(FetchError::Status { status: status @ 400..=403, .. }) => {
                return Err(self.failed(format!("it was refused ({status})")));
            }
            Err(other) if other.is_transient() => return Err(other),
            Err(other) => return Err(self.failed(other.to_string())),
        };
        let value: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let token = value["access"].as_str().ok_or_else(|| self.failed("the answer holds no token".into()))?;
        Ok(Access { token: token.into(), since, life: life_of(token).unwrap_or(USUAL_LIFE) })
    }

    fn failed(&self, reason: String) -> FetchError {
        FetchError::Token { server: shown_url(&self.server.base), reason }
    }
}

/// How long a JSON web token lives: its `exp` less its `iat`, so that the clocks need not agree.
fn life_of(token: &str) -> Option<Duration> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let seconds = claims["exp"].as_u64()?.checked_sub(claims["iat"].as_u64()?)?;
    (1..=86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_apart_and_never_shown() {
        assert!(matches!(Token::from_text(" eyJhbGciOi.eyJ0b2tl.c2ln\n"), Token::Personal(_)));
        let legacy = Token::from_text("0123456789abcdef0123456789abcdef01234567");
        assert!(matches!(legacy, Token::Legacy(_)));
        let server = LabelStudio::new("http://h:8080", Some(legacy)).unwrap();
        assert!(!format!("{server:?}").contains("0123"));
    }

    #[test]
    fn paths_are_joined_below_the_base() {
        let url = |base: &str, path: &str| LabelStudio::new(base, None).unwrap().url_of(path).to_string();
        assert_eq!(url("http://h:8080", "/data/upload/1/a b.jpg"), "http://h:8080/data/upload/1/a%20b.jpg");
        assert_eq!(url("http://h/ls/", "/data/upload/1/a.jpg"), "http://h/ls/data/upload/1/a.jpg");
        assert_eq!(url("http://h/ls/", "/ls/data/upload/1/a.jpg"), "http://h/ls/data/upload/1/a.jpg");
        assert_eq!(url("http://h", "/tasks/3/resolve/?fileuri=x"), "http://h/tasks/3/resolve/?fileuri=x");
        let server = LabelStudio::new("http://h", None).unwrap();
        let presign = server.presign_url(3, "s3://src/raw/glacier/glacier_0.jpg").to_string();
        assert_eq!(presign, "http://h/tasks/3/presign/?fileuri=czM6Ly9zcmMvcmF3L2dsYWNpZXIvZ2xhY2llcl8wLmpwZw%3D%3D");
        for bad in ["h:8080", "ftp://h", "http://u:p@h", ""] {
            assert!(LabelStudio::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_access_token_is_renewed_before_its_end() {
        let since = Instant::now();
        let access = |life| Access { token: String::new(), since, life: Duration::from_secs(life) };
        let after = |s| since + Duration::from_secs(s);
        assert!(access(300).is_fresh(after(239)) && !access(300).is_fresh(after(240)));
        assert!(access(10).is_fresh(after(4)) && !access(10).is_fresh(after(5)));
    }

    #[test]
    fn the_life_is_in_the_token() {
        let token = |claims: &str| format!("e.{}.s", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(life_of(&token(r#"{"exp":1300,"iat":1000}"#)), Some(USUAL_LIFE));
        assert_eq!(life_of(&token(r#"{"exp":1000,"iat":1300}"#)), None);
        assert_eq!(life_of("opaque"), None);
    }
}
