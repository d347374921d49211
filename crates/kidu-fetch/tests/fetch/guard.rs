//! No way into the machine's own network.

use kidu_fetch::{Address, FetchError, FetchOptions, Policy};

use crate::server::{Server, fetch, ok, options, redirect};

fn refused(options: FetchOptions, url: &str) -> FetchError {
    fetch(options, &Address::parse(url).unwrap()).unwrap_err()
}

#[test]
fn local_addresses_are_refused_in_every_spelling() {
    let server = Server::start(|_, _| ok(b"secret"));
    let port = server.at.port();
    for host in
        ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "017700000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
    {
        let error = refused(FetchOptions::default(), &format!("http://{host}:{port}/a"));
        assert!(matches!(error, FetchError::PrivateAddress { .. }), "{host}: {error}");
    }
    let error = refused(FetchOptions::default(), "http://169.254.169.254/latest/meta-data/");
    assert!(error.to_string().contains("--allow-private 169.254.169.254:80"), "{error}");
    assert!(server.asked().is_empty(), "nothing was asked");
}

#[test]
fn a_redirect_to_a_private_address_is_refused() {
    let inside = Server::start(|_, _| ok(b"secret"));
    let port = inside.at.port();
    for target in [format!("http://127.0.0.1:{port}/a"), format!("http://localhost:{port}/a")] {
        let to = target.clone();
        let outside = Server::start(move |_, _| redirect(&to));
        let error = fetch(options(&[&outside]), &outside.address("/a")).unwrap_err();
        assert!(matches!(error, FetchError::PrivateAddress { .. }), "{target}: {error}");
        assert_eq!(outside.asked().len(), 1, "not tried again");
    }
    assert!(inside.asked().is_empty(), "nothing was asked");
}

#[test]
fn only_listed_hosts_are_asked_also_after_a_redirect() {
    let other = Server::start(|_, _| ok(b"other"));
    let to = other.url("/a").replace("127.0.0.1", "localhost");
    let server = Server::start(move |asked, _| if asked.path == "/go" { redirect(&to) } else { ok(b"image") });
    let listed = FetchOptions {
        policy: Policy {
            hosts: vec!["127.0.0.1".parse().unwrap()],
            private: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            ..Policy::default()
        },
        ..options(&[])
    };
    assert_eq!(fetch(listed.clone(), &server.address("/a")).unwrap(), b"image");
    let error = fetch(listed.clone(), &server.address("/go")).unwrap_err();
    assert!(matches!(&error, FetchError::HostNotAllowed { host, .. } if host == "localhost"), "{error}");
    assert!(matches!(refused(listed, "http://example.com/a"), FetchError::HostNotAllowed { .. }));
    assert!(other.asked().is_empty());
}

#[test]
fn a_name_that_nobody_knows_is_named() {
    let error = refused(options(&[]), "http://no-such-host.invalid/a");
    assert!(matches!(&error, FetchError::Resolve { host, .. } if host == "no-such-host.invalid"), "{error}");
}
