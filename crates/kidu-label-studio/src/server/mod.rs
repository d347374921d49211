//! The server: sockets and signals around the routes that Label Studio calls.

mod app;
mod auth;
mod body;
mod connection;
mod page;
mod problem;
mod routes;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kidu_core::files;
use kidu_fetch::{FetchOptions, Fetcher, LabelStudio, Policy, Retry, Token};
use tokio::{net::TcpListener, signal::unix};

use self::{app::App, body::Bodies};
pub use self::{app::Backend, auth::Auth};
use crate::{
    batch::Batcher,
    cache::PredictionCache,
    endpoint::{Endpoint, HttpTransport, Transport},
    error::{BackendError, Result},
    metrics::Metrics,
    options::{OWN_SECRETS, Options, Secrets},
    training::{BuildLimits, LocalRunner, LoopJournal, Runner, Supervisor, TargetStorages},
    watch::ModelWatch,
};

/// Not more often than this is the endpoint asked for its model because Label Studio asked.
const LEAST_LOOK: Duration = Duration::from_millis(500);
const LEAST_LOOK_METERED: Duration = Duration::from_secs(15);

/// Runs the backend until SIGTERM or SIGINT. `announce` is called once, when the address is bound.
///
/// # Errors
/// [`BackendError`] when the address, the options or the state folder cannot be used.
pub fn run(options: &Options, secrets: &Secrets, announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("kidu-label-studio")
        .enable_all()
        .build()
        .map_err(|source| BackendError::System { what: "threads", source })?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let backend = Backend::new(options, secrets).await?;
        let (listener, address) = bind(options).await?;
        announce(address);
        if !options.server.host.is_loopback() && !backend.is_guarded() {
            tracing::warn!(%address, "anybody who reaches this address is let in; give --basic-auth-user or a secret --path-prefix");
        }
        backend.serve(listener, signals.end()).await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("ended");
    outcome
}

async fn bind(options: &Options) -> Result<(TcpListener, SocketAddr)> {
    let address = SocketAddr::new(options.server.host, options.server.port);
    let failed = |source| BackendError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if let Some(path) = &options.server.port_file {
        files::write_atomic(path, format!("{}\n", address.port()).as_bytes())?;
    }
    Ok((listener, address))
}

struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let on = |kind| unix::signal(kind).map_err(|source| BackendError::System { what: "signals", source });
        Ok(Self { terminate: on(unix::SignalKind::terminate())?, interrupt: on(unix::SignalKind::interrupt())? })
    }

    async fn end(&mut self) {
        let signal = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal, "asked to end");
    }
}

impl Backend {
    /// Sets everything up as the options say. Nothing listens yet, and nothing was asked of the endpoint.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn new(options: &Options, secrets: &Secrets) -> Result<Self> {
        options.check(secrets)?;
        let transport = transport(options, secrets).await?;
        let runner = local_runner(options, secrets)?.map(|r| Arc::new(r) as Arc<dyn Runner>);
        Self::with(options, secrets, transport, runner)
    }

    /// As [`Backend::new`], with a way to the endpoint and a runner of builds of one's own.
    ///
    /// # Errors
    /// [`BackendError`].
    pub fn with(
        options: &Options,
        secrets: &Secrets,
        transport: Arc<dyn Transport>,
        runner: Option<Arc<dyn Runner>>,
    ) -> Result<Self> {
        options.check(secrets)?;
        let dir = &options.server.state_dir;
        let journal = LoopJournal::open(dir)?;
        let metrics = Arc::new(Metrics::default());
        let retry = Retry { retries: options.endpoint.retries, ..Retry::default() };
        let timeout = Duration::from_secs_f64(options.endpoint.endpoint_timeout);
        let metered = transport.is_metered();
        let endpoint = Endpoint::new(transport, retry, timeout, Arc::clone(&metrics));
        let watch = ModelWatch::new(endpoint.clone(), dir, Arc::clone(&metrics));
        let batcher = Batcher::new(
            Fetcher::new(fetch_options(options, secrets)?)?,
            endpoint.clone(),
            PredictionCache::open(&dir.join("predictions"), options.endpoint.cache_bytes)?,
            watch.clone(),
            Arc::clone(&metrics),
            options.endpoint.concurrency,
        );
        let build = runner.as_ref().map(|r| r.describe());
        let supervisor =
            runner.map(|runner| Supervisor::new(journal.clone(), runner, options.trigger(), dir, Arc::clone(&metrics)));
        let app = App {
            auth: Auth::new(options.server.basic_auth_user.as_deref(), secrets),
            prefix: options.prefix()?,
            label_studio: options.images.label_studio.clone(),
            from_name: options.endpoint.from_name.clone(),
            projects: options.training.project.clone(),
            bodies: Bodies::new(options.server.max_body_bytes),
            deadline: Duration::from_secs_f64(options.endpoint.deadline),
            trigger: options.trigger(),
            build,
            endpoint,
            watch,
            batcher,
            journal,
            metrics,
            remarks: Default::default(),
            started: std::time::Instant::now(),
        };
        let (interval, least) = if metered { (300.0, LEAST_LOOK_METERED) } else { (5.0, LEAST_LOOK) };
        let interval = Duration::from_secs_f64(options.endpoint.model_seconds.unwrap_or(interval));
        Ok(Self {
            app: Arc::new(app),
            supervisor,
            look: (interval, least.min(interval)),
            max_connections: options.server.max_connections,
            drain: Duration::from_secs_f64(options.server.drain_timeout),
        })
    }
}

async fn transport(options: &Options, secrets: &Secrets) -> Result<Arc<dyn Transport>> {
    let EndpointParts { endpoint, lambda } = EndpointParts::of(options);
    match (endpoint, lambda) {
        (Some(url), _) => {
            let token = secrets.endpoint_token.as_deref();
            let ca_file = options.images.ca_file.as_deref();
            Ok(Arc::new(HttpTransport::trusting(url, token, options.endpoint.concurrency, ca_file)?))
        }
        (None, Some(name)) => lambda_transport(name, options).await,
        (None, None) => Err(BackendError::Setting("give --endpoint URL or --lambda NAME".into())),
    }
}

struct EndpointParts<'a> {
    endpoint: Option<&'a str>,
    lambda: Option<&'a str>,
}

impl<'a> EndpointParts<'a> {
    fn of(options: &'a Options) -> Self {
        Self { endpoint: options.endpoint.endpoint.as_deref(), lambda: options.endpoint.lambda.as_deref() }
    }
}

#[cfg(feature = "aws")]
async fn lambda_transport(name: &str, options: &Options) -> Result<Arc<dyn Transport>> {
    use kidu_aws::{Aws, AwsSettings, lambda::LambdaFunction};
    let aws = Aws::load(&AwsSettings::from_environment()).await;
    let aws = aws.map_err(|e| BackendError::Setting(format!("--lambda {name}: {e}")))?;
    let timeout = Duration::from_secs_f64(options.endpoint.endpoint_timeout);
    let function = LambdaFunction::new(&aws, name, timeout);
    let function = function.map_err(|e| BackendError::Setting(format!("--lambda: {e}")))?;
    Ok(Arc::new(crate::endpoint::LambdaTransport::new(function)))
}

#[cfg(not(feature = "aws"))]
async fn lambda_transport(name: &str, _: &Options) -> Result<Arc<dyn Transport>> {
    Err(BackendError::Setting(format!(
        "--lambda {name}: this kidu-label-studio was built without AWS; build it with the cargo feature 'aws'"
    )))
}

fn fetch_options(options: &Options, secrets: &Secrets) -> Result<FetchOptions> {
    let images = &options.images;
    let token = secrets.label_studio_token.as_deref().map(Token::from_text);
    let label_studio = images.label_studio.as_deref().map(|url| LabelStudio::new(url, token)).transpose()?;
    let policy = Policy {
        hosts: images.allow_host.clone(),
        buckets: images.allow_bucket.clone(),
        private: images.allow_private.clone(),
    };
    let try_timeout = Duration::from_secs_f64(images.fetch_timeout);
    Ok(FetchOptions {
        policy,
        label_studio,
        buckets: buckets(images.s3)?,
        local_roots: images.local_root.clone(),
        ca_file: images.ca_file.clone(),
        max_bytes: images.max_bytes,
        concurrency: images.fetch_concurrency,
        connect_timeout: Duration::from_secs(5).min(try_timeout),
        try_timeout,
        timeout: Duration::from_secs_f64(options.endpoint.deadline),
        retry: Retry { retries: options.endpoint.retries, ..Retry::default() },
        ..FetchOptions::default()
    })
}

#[cfg(feature = "aws")]
fn buckets(wanted: bool) -> Result<Option<Arc<dyn kidu_fetch::Buckets>>> {
    let open = |uri: &kidu_core::ObjectUri| match kidu_aws::S3Store::open(uri) {
        Ok(store) => Ok(Box::new(store) as Box<dyn kidu_core::ObjectStore>),
        Err(error) => Err(error.to_string()),
    };
    Ok(wanted.then(|| Arc::new(kidu_fetch::StoreBuckets::new(open)) as Arc<dyn kidu_fetch::Buckets>))
}

#[cfg(not(feature = "aws"))]
fn buckets(wanted: bool) -> Result<Option<Arc<dyn kidu_fetch::Buckets>>> {
    match wanted {
        false => Ok(None),
        true => Err(BackendError::Setting("--s3: this kidu-label-studio was built without AWS".into())),
    }
}

fn local_runner(options: &Options, secrets: &Secrets) -> Result<Option<LocalRunner>> {
    let training = &options.training;
    if training.build_args.is_empty() {
        return Ok(None);
    }
    // Only who has a token may have Label Studio write.
    let access = match (&options.images.label_studio, &secrets.label_studio_token) {
        (Some(url), Some(token)) => {
            let label_studio = Some(LabelStudio::new(url, Some(Token::from_text(token)))?);
            Some(FetchOptions { label_studio, ca_file: options.images.ca_file.clone(), ..FetchOptions::default() })
        }
        _ => None,
    };
    let beside = || {
        let exe = std::env::current_exe().ok()?;
        Some(exe.parent()?.join(format!("kidu{}", std::env::consts::EXE_SUFFIX))).filter(|kidu| kidu.is_file())
    };
    let program = training.build_program.clone().or_else(beside).unwrap_or_else(|| "kidu".into());
    let limits = BuildLimits {
        grace: Duration::from_secs_f64(options.server.drain_timeout),
        timeout: Duration::from_secs_f64(training.build_timeout),
    };
    let storages = TargetStorages::of(&training.build_args, access);
    let runner =
        LocalRunner::new(program, training.build_args.clone(), OWN_SECRETS.to_vec(), limits).with_storages(storages);
    // A build that reads annotations fetches uploads from where this backend fetches them.
    Ok(Some(match &options.images.label_studio {
        Some(url) => runner.with_variable("KIDU_LABEL_STUDIO", url),
        None => runner,
    }))
}
