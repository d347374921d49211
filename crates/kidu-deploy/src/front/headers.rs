//! What of a request or an answer passes the front.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// The request's name in logs.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The number of the model version that answered.
pub(super) const VERSION: HeaderName = HeaderName::from_static(super::VERSION);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers of one connection, not of the message (RFC 9110, 7.6.1), and what a proxy answers itself.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// Removes the headers of one connection, with those that `connection` names.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Those are the message's whatever a client says.
        .filter(|name: &HeaderName| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Adds what the server learns from the front: who asks, under which name.
pub(super) fn announce(headers: &mut HeaderMap, peer: std::net::IpAddr, id: &str) {
    let chain = match headers.get(FORWARDED_FOR).and_then(|v| v.to_str().ok()) {
        Some(before) => format!("{before}, {peer}"),
        None => peer.to_string(),
    };
    for (name, text) in [(FORWARDED_FOR, chain.as_str()), (REQUEST_ID, id)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
}

/// The client's or the gateway's name of the request, or a new one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let plain = |id: &&str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=/+".contains(&b))
    };
    let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(plain);
    given.map_or_else(|| format!("{:016x}", rand::random::<u64>()), str::to_owned)
}

/// Whether a path is for the administrator of a server, who does not come through the front. However it is written: the
/// server may read it more generously than we do.
pub(super) fn is_admin(uri: &Uri) -> bool {
    // Twice, as something behind may decode what we pass on.
    let path = decode(&decode(uri.path().as_bytes()));
    let mut depth: Vec<Vec<u8>> = Vec::new();
    for segment in path.split(|b| matches!(b, b'/' | b'\\')) {
        match segment {
            b"" | b"." => {}
            b".." => drop(depth.pop()),
            other => depth.push(other.to_ascii_lowercase()),
        }
        // Also where it is left again.
        if depth.first().is_some_and(|first| first.split(|b| *b == b';').next() == Some(b"admin")) {
            return true;
        }
    }
    false
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        match (first, digits) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_of_the_connection_stay_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret, content-length"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic x"),
            ("expect", "100-continue"),
            ("content-length", "3"),
            ("content-type", "image/png"),
        ] {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "content-type"]);
    }

    #[test]
    fn who_asks_is_announced() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
        announce(&mut headers, "127.0.0.1".parse().unwrap(), "the-id");
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
        assert_eq!(headers["x-request-id"], "the-id");
        assert_eq!(request_id(&headers), "the-id");
        headers.insert("x-request-id", HeaderValue::from_static("two words"));
        assert_eq!(request_id(&headers).len(), 16);
    }

    #[test]
    fn the_administrator_is_found_however_written() {
        for path in [
            "/admin",
            "/admin/",
            "/admin/reload",
            "//admin/reload",
            "/./admin/x",
            "/a/../admin/x",
            "/%61dmin/reload",
            "/%2561dmin/reload",
            "/ADMIN/reload",
            "/a/..%2fadmin/reload",
            "/%5cadmin/reload",
            "/admin;x=1/reload",
            "/admin/../v1/predict",
            "http://other/admin/reload",
        ] {
            assert!(is_admin(&path.parse().unwrap()), "{path}");
        }
        for path in ["/", "/v1/predict", "/administrator", "/v1/admin", "/adm%69", "/%zz"] {
            assert!(!is_admin(&path.parse().unwrap()), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_decided(path in "/[ -~]{0,40}") {
            if let Ok(uri) = path.parse() {
                let _ = is_admin(&uri);
            }
        }
    }
}
