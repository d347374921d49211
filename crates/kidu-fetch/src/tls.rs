//! TLS as every client of ours speaks it: rustls with ring, HTTP/1.1.

use std::{path::Path, sync::Arc};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer, pki_types::pem::PemObject};

use crate::error::{FetchError, Result};

/// A connector for `http` and `https` over one that makes the connections. Servers are believed by Mozilla's authorities
/// and by those of `ca_file` (PEM).
///
/// # Errors
/// [`FetchError::Setup`] for a file that holds no certificates.
pub fn secured<C>(connections: C, ca_file: Option<&Path>) -> Result<HttpsConnector<C>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| FetchError::Setup(format!("TLS cannot be set up: {e}")))?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    Ok(https.wrap_connector(connections))
}

/// Mozilla's authorities, and the user's own.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(file) = ca_file else { return Ok(roots) };
    let bad = |reason: String| {
        FetchError::Setup(format!("--ca-file {}: {reason}; it takes certificates as PEM", file.display()))
    };
    let mut found = 0;
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| bad(format!("cannot be read: {e}")))? {
        let certificate = certificate.map_err(|e| bad(format!("is not PEM: {e}")))?;
        roots.add(certificate).map_err(|e| bad(format!("holds a certificate that cannot be used: {e}")))?;
        found += 1;
    }
    if found == 0 { Err(bad("holds no certificate".into())) } else { Ok(roots) }
}
