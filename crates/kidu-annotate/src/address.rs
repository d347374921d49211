//! Addresses of backends as people may see them.

/// An address without a user name and without the path, which may be what lets callers in; `end` is put behind it.
pub(crate) fn shown(url: &str, end: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = if path.trim_matches('/').is_empty() { "" } else { "/..." };
    format!("{scheme}://{host}{path}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_passwords_nor_secret_paths_are_shown() {
        assert_eq!(shown("http://127.0.0.1:9090/", ""), "http://127.0.0.1:9090");
        assert_eq!(shown("http://127.0.0.1:9090", "/webhook"), "http://127.0.0.1:9090/webhook");
        assert_eq!(
            shown("https://u:p@ss@backend.example.com/s3cret", "/webhook"),
            "https://backend.example.com/.../webhook"
        );
        for url in ["http://h/s3cret", "http://s3cret@h", "http://u:s3cret@h/", "http://h?s3cret", "http://h/#s3cret"] {
            assert!(!shown(url, "").contains("s3cret"), "{url}");
        }
    }
}
