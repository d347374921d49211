//! Connections to checked addresses only.

use std::{
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{
    error::Result,
    options::FetchOptions,
    policy::{HostPattern, Policy},
    tls::secured,
};

/// Why no connection was made.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    /// The host resolves to an address that must not be asked.
    Private { host: String, ip: IpAddr },
    /// The name is not known.
    Resolve { host: String, reason: String },
    /// No address of the host answers.
    Connect { reason: String },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private { host, ip } => write!(f, "{host} is {ip}, a private address"),
            Self::Resolve { host, reason } => write!(f, "{host} cannot be resolved: {reason}"),
            Self::Connect { reason } => f.write_str(reason),
        }
    }
}

impl std::error::Error for Refused {}

/// Resolves a host, checks every address it has, and connects to the first that answers among those that may be asked.
/// Nobody resolves the name a second time, so that it cannot change its meaning in between.
#[derive(Clone)]
pub(crate) struct Connector {
    policy: Arc<Policy>,
    /// The host and port of the Label Studio, which the user named.
    trusted: Option<HostPattern>,
    timeout: Duration,
}

impl Connector {
    async fn connect(self, uri: Uri) -> std::result::Result<TokioIo<TcpStream>, Refused> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_string();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let lookup = async { tokio::net::lookup_host((host.as_str(), port)).await.map(Vec::from_iter) };
        let found: Result<std::io::Result<Vec<SocketAddr>>, _> = tokio::time::timeout(self.timeout, lookup).await;
        let addresses = match found {
            Ok(Ok(found)) => found,
            Ok(Err(e)) => return Err(Refused::Resolve { host, reason: e.to_string() }),
            Err(_) => return Err(Refused::Resolve { host, reason: "the resolver did not answer in time".into() }),
        };
        let trusted = self.trusted.as_ref().is_some_and(|p| *p == HostPattern::exactly(&host, port));
        let may = |a: &SocketAddr| trusted || self.policy.allows_address(&host, port, a.ip());
        // One private address among public ones is a trick: the whole host is refused.
        if let Some(bad) = addresses.iter().find(|a| !may(a)) {
            return Err(Refused::Private { host: format!("{}:{port}", bracketed(&host)), ip: bad.ip() });
        }
        let mut reason = "the host has no address".to_string();
        for address in addresses {
            match tokio::time::timeout(self.timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Requests are small; waiting for more to send helps nobody.
                    let _ = stream.set_nodelay(true);
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(e)) => reason = format!("cannot connect to {address}: {e}"),
                Err(_) => reason = format!("{address} did not answer within {:.1} s", self.timeout.as_secs_f64()),
            }
        }
        Err(Refused::Connect { reason })
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_string() }
}

type Connecting = Pin<Box<dyn Future<Output = std::result::Result<TokioIo<TcpStream>, Refused>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Refused;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        Box::pin(self.clone().connect(uri))
    }
}

/// The guarded connector under TLS.
pub(crate) fn guarded(options: &FetchOptions) -> Result<HttpsConnector<Connector>> {
    let trusted = options.label_studio.as_ref().map(|l| HostPattern::exactly(l.host(), l.port()));
    let connector = Connector { policy: Arc::new(options.policy.clone()), trusted, timeout: options.connect_timeout };
    secured(connector, options.ca_file.as_deref())
}
