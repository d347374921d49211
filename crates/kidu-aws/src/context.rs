//! What all services share: credentials, region, endpoint and HTTP client.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use kidu_core::store::{Result, StoreError};

use crate::runtime;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two bytes of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What is to differ from the environment. Passing faults are tried three times, or `AWS_MAX_ATTEMPTS`. Without anything the usual chain decides, as for the AWS command line:
/// environment variables, the profile of `~/.aws`, web identity, the role of the container or machine.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    region: Option<String>,
    profile: Option<String>,
    endpoint_url: Option<String>,
    patience: Option<Duration>,
    emulator: bool,
}

impl AwsSettings {
    /// The usual chain.
    pub fn from_environment() -> Self {
        Self::default()
    }

    /// An emulator such as moto that takes any credentials, at `http://host:port`.
    pub fn emulator(endpoint_url: impl Into<String>) -> Self {
        let region = Some("us-east-1".into());
        Self { region, endpoint_url: Some(endpoint_url.into()), emulator: true, ..Self::default() }
    }

    /// Another region than the chain's, such as `eu-central-1`.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Another profile of `~/.aws` than `AWS_PROFILE` or `default`.
    #[must_use]
    pub fn with_profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Another server than AWS itself, as `AWS_ENDPOINT_URL` names one.
    #[must_use]
    pub fn with_endpoint_url(mut self, endpoint_url: impl Into<String>) -> Self {
        self.endpoint_url = Some(endpoint_url.into());
        self
    }

    /// The longest that a call takes with all its attempts, for who asks whether a service answers at all. Otherwise a call may take
    /// as long as something arrives: files are as large as they are.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }
}

/// The settings of the SDK, read once and shared by all services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aws {
    sdk: SdkConfig,
}

impl Aws {
    /// Reads environment and profile. Credentials are fetched with the first request, not here.
    ///
    /// # Errors
    /// [`StoreError::Setup`] if `AWS_CA_BUNDLE` cannot be used.
    pub async fn load(settings: &AwsSettings) -> Result<Self> {
        let mut limits = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        if let Some(patience) = settings.patience {
            limits = limits.operation_timeout(patience);
        }
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client(tls()?))
            .timeout_config(limits.build());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if settings.emulator {
            loader = loader.credentials_provider(Credentials::new("emulator", "emulator", None, None, "emulator"));
        }
        Ok(Self { sdk: loader.load().await })
    }

    /// As [`Aws::load`], for code that is not asynchronous.
    ///
    /// # Errors
    /// Those of [`Aws::load`].
    pub fn load_blocking(settings: &AwsSettings) -> Result<Self> {
        runtime::block_on(Self::load(settings)).map_err(no_threads)?
    }

    /// The region that the chain gave.
    pub fn region(&self) -> Option<&str> {
        self.sdk.region().map(AsRef::as_ref)
    }

    #[cfg_attr(not(any(feature = "s3", feature = "lambda")), allow(dead_code, reason = "each service uses it"))]
    pub(crate) fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }
}

pub(crate) fn no_threads(e: std::io::Error) -> StoreError {
    StoreError::Setup { action: "reach", uri: "AWS".into(), reason: format!("the system gives no threads ({e})") }
}

/// HTTP over rustls with *ring*, through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name.
fn http_client(tls: TlsContext) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls.clone()).build()
    })
}

/// The system's certificates, and those of `AWS_CA_BUNDLE` (a PEM file), as the other SDKs do.
fn tls() -> Result<TlsContext> {
    let mut trusted = TrustStore::default();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let pem = std::fs::read(&path).map_err(|e| setup(format!("AWS_CA_BUNDLE: {}: {e}", path.display())))?;
        trusted.add_pem_certificate(pem);
    }
    TlsContext::builder().with_trust_store(trusted).build().map_err(|e| setup(format!("its certificates: {e}")))
}

fn setup(reason: String) -> StoreError {
    StoreError::Setup { action: "reach", uri: "AWS".into(), reason }
}
