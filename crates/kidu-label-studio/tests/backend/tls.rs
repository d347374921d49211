//! An endpoint behind TLS, with an authority that only the user knows.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
};

use kidu_label_studio::endpoint::{Ask, HttpTransport, Transport};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::support::{RUNTIME, model};

/// Tells its model to whoever believes its certificate, which is written to `ca_file`.
fn endpoint(ca_file: &Path) -> SocketAddr {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    std::fs::write(ca_file, cert.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut line = String::new();
            let mut reader = BufReader::new(&mut tls);
            // Who does not believe the certificate sends no request.
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                line.clear();
            }
            let body = model("3").to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = tls.write_all((head + &body).as_bytes());
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    address
}

#[test]
fn the_endpoints_certificate_is_checked_and_a_private_authority_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let url = format!("https://localhost:{}", endpoint(&ca_file).port());
    let ask = |transport: &HttpTransport| RUNTIME.block_on(transport.exchange(Ask::Model));
    let stranger = ask(&HttpTransport::new(&url, None, 1).unwrap()).unwrap_err();
    assert!(stranger.code == "no_connection" && stranger.message.contains("certificate"), "{stranger}");
    let known = HttpTransport::trusting(&url, None, 1, Some(&ca_file)).unwrap();
    let reply = ask(&known).unwrap();
    assert_eq!((reply.status, serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap()), (200, model("3")));
    let bad = dir.path().join("bad.pem");
    std::fs::write(&bad, "no certificate").unwrap();
    for file in [bad, dir.path().join("none.pem")] {
        let Err(error) = HttpTransport::trusting(&url, None, 1, Some(&file)) else { panic!("{}", file.display()) };
        assert!(error.is_usage() && error.to_string().contains("--ca-file"), "{error}");
    }
}
