//! TLS by rustls with ring, and an authority of the user's own.

use std::{
    io::{BufReader, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use kidu_fetch::{Address, FetchError, FetchOptions};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::server::{fetch, ok, options, read_request};

#[test]
fn a_certificate_is_checked_and_a_private_authority_can_be_named() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            if read_request(&mut BufReader::new(&mut tls)).is_some() {
                ok(b"over TLS")(&mut tls);
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, cert.pem()).unwrap();
    let address = Address::parse(&format!("https://localhost:{port}/a")).unwrap();
    let mut local = options(&[]);
    local.policy.private = vec!["localhost".parse().unwrap()];
    local.retry.retries = 0;
    let error = fetch(local.clone(), &address).unwrap_err();
    assert!(matches!(&error, FetchError::Connection { reason, .. } if reason.contains("certificate")), "{error}");
    local.ca_file = Some(ca_file);
    assert_eq!(fetch(local, &address).unwrap(), b"over TLS");
    let bad = dir.path().join("bad.pem");
    std::fs::write(&bad, "no certificate").unwrap();
    let options = FetchOptions { ca_file: Some(bad), ..FetchOptions::default() };
    assert!(matches!(kidu_fetch::Fetcher::new(options), Err(FetchError::Setup(m)) if m.contains("bad.pem")));
}
