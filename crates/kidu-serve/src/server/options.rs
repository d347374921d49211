//! The options of a server, each with its environment variable.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueHint};
use kidu_image::Limits;
use kidu_telemetry::logs::LogOptions;

use super::{ConnectionLimits, Shutdown};
use crate::{
    contract::RequestLimits,
    error::{Result, ServeError},
    queue::QueueSettings,
    service::ServiceSettings,
};

/// What is served, where, and within which limits.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    /// The bundle's folder, or a link to it.
    #[arg(long, env = "KIDU_BUNDLE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub bundle: PathBuf,
    /// The address to listen on. 0.0.0.0 lets other machines in.
    #[arg(long, env = "KIDU_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, env = "KIDU_PORT", default_value_t = 8080)]
    pub port: u16,
    /// Write the port to this file once it is bound.
    #[arg(long, env = "KIDU_PORT_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub port_file: Option<PathBuf>,
    /// Threads of decoding and of the network [default: one a core].
    #[arg(long, env = "KIDU_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Most requests that wait; more are answered with 429.
    #[arg(long, env = "KIDU_QUEUE", value_name = "N", default_value_t = QueueSettings::default().capacity)]
    pub queue: usize,
    /// Most images that are predicted together.
    #[arg(long, env = "KIDU_MAX_BATCH", value_name = "N", default_value_t = QueueSettings::default().max_batch)]
    pub max_batch: usize,
    /// Milliseconds that a batch waits for more requests.
    #[arg(long, env = "KIDU_BATCH_WAIT_MS", value_name = "MS", default_value_t = 0)]
    pub batch_wait_ms: u64,
    /// Milliseconds that a request may wait for its turn; then it is answered with 503.
    #[arg(long, env = "KIDU_DEADLINE_MS", value_name = "MS", default_value_t = 10_000)]
    pub deadline_ms: u64,
    /// Most images of a request.
    #[arg(long, env = "KIDU_MAX_IMAGES", value_name = "N", default_value_t = RequestLimits::default().max_images)]
    pub max_images: usize,
    /// Most bytes of a request's body.
    #[arg(long, env = "KIDU_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = RequestLimits::default().max_body)]
    pub max_body_bytes: usize,
    /// Most bytes of an encoded image.
    #[arg(long, env = "KIDU_MAX_BYTES", value_name = "BYTES", default_value_t = Limits::default().max_bytes)]
    pub max_bytes: usize,
    /// Most pixels of an image.
    #[arg(long, env = "KIDU_MAX_PIXELS", value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub max_pixels: u64,
    /// Most pixels of a side of an image.
    #[arg(long, env = "KIDU_MAX_SIDE", value_name = "N", default_value_t = Limits::default().max_side)]
    pub max_side: u32,
    /// Most open connections; others wait to be taken.
    #[arg(long, env = "KIDU_MAX_CONNECTIONS", value_name = "N", default_value_t = 512)]
    pub max_connections: usize,
    /// Most bytes of request bodies held at a time; more are answered with 429.
    #[arg(long, env = "KIDU_MAX_MEMORY_BYTES", value_name = "BYTES", default_value_t = 128 << 20)]
    pub max_memory_bytes: usize,
    /// Most headers of a request.
    #[arg(long, env = "KIDU_MAX_HEADERS", value_name = "N", default_value_t = 64)]
    pub max_headers: usize,
    /// Most bytes of a request's line and headers, at least 8192. Each connection keeps that much room.
    #[arg(long, env = "KIDU_MAX_HEAD_BYTES", value_name = "BYTES", default_value_t = 16 << 10)]
    pub max_head_bytes: usize,
    /// Seconds that a request's line and headers may take, and that a connection may be idle.
    #[arg(long, env = "KIDU_HEAD_TIMEOUT", value_name = "SECONDS", default_value_t = 30.0)]
    pub head_timeout: f64,
    /// Seconds that a request's body may take; also, up to 15, that a client may take nothing of an answer.
    #[arg(long, env = "KIDU_BODY_TIMEOUT", value_name = "SECONDS", default_value_t = 30.0)]
    pub body_timeout: f64,
    /// Seconds after SIGTERM in which connections are still taken, while `/ready` says no.
    #[arg(long, env = "KIDU_SHUTDOWN_DELAY", value_name = "SECONDS", default_value_t = 0.2)]
    pub shutdown_delay: f64,
    /// Seconds that answers may take after that.
    #[arg(long, env = "KIDU_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = 25.0)]
    pub drain_timeout: f64,
    /// End in order when standard input ends: a starter that holds the other end takes its server along, however it ends.
    #[arg(long, env = "KIDU_END_WITH_STDIN")]
    pub end_with_stdin: bool,
    /// Look every so many seconds whether the bundle, or the link to it, has changed, and take the new one into service.
    /// SIGHUP does so at once.
    #[arg(long, env = "KIDU_WATCH_SECONDS", value_name = "SECONDS")]
    pub watch_seconds: Option<f64>,
    /// An origin such as `https://example.com` whose pages may ask, without credentials; `*` for all. May be repeated.
    #[arg(long, env = "KIDU_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,
    /// Who sends this token from this machine may POST /admin/reload. Better given by the environment.
    #[arg(long, env = "KIDU_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Write the metrics of each request for a prediction to standard output, in CloudWatch's Embedded Metric Format.
    #[arg(long, env = "KIDU_EMF")]
    pub emf: bool,
    /// What is logged.
    #[command(flatten)]
    pub log: LogOptions,
}

impl ServeOptions {
    /// Settings that exclude each other, or that no server can work with.
    ///
    /// # Errors
    /// [`ServeError::Setting`], naming the option.
    pub fn check(&self) -> Result<()> {
        let fail = |message: String| Err(ServeError::Setting(message));
        let counts = [
            ("--threads", self.threads.unwrap_or(1)),
            ("--queue", self.queue),
            ("--max-batch", self.max_batch),
            ("--max-images", self.max_images),
            ("--max-connections", self.max_connections),
            ("--max-headers", self.max_headers),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, n)| *n == 0) {
            return fail(format!("{name} is 0; give at least 1"));
        }
        let times = [
            ("--head-timeout", self.head_timeout, 0.001),
            ("--body-timeout", self.body_timeout, 0.001),
            ("--shutdown-delay", self.shutdown_delay, 0.0),
            ("--drain-timeout", self.drain_timeout, 0.0),
            ("--watch-seconds", self.watch_seconds.unwrap_or(1.0), 0.01),
        ];
        if let Some((name, value, least)) = times.iter().find(|(_, v, least)| !(*least..=86_400.0).contains(v)) {
            return fail(format!("{name} is {value}; give {least} to 86400 seconds"));
        }
        if self.deadline_ms <= self.batch_wait_ms {
            return fail(format!(
                "--deadline-ms {} is not more than --batch-wait-ms {}: no request would be answered in time",
                self.deadline_ms, self.batch_wait_ms
            ));
        }
        if self.max_memory_bytes < self.max_body_bytes {
            return fail(format!(
                "--max-memory-bytes {} is less than --max-body-bytes {}: the largest body would never be taken",
                self.max_memory_bytes, self.max_body_bytes
            ));
        }
        if self.admin_token.as_ref().is_some_and(|token| token.len() < 16) {
            return fail("--admin-token is shorter than 16 characters; give a longer one".into());
        }
        match self.cors_origin.iter().find(|o| *o != "*" && !o.contains("://")) {
            Some(origin) => fail(format!("--cors-origin {origin} is no origin; give one such as https://example.com")),
            None => Ok(()),
        }
    }

    /// Limits, queue and times of the service.
    pub fn service(&self) -> ServiceSettings {
        let queue = QueueSettings {
            capacity: self.queue,
            max_batch: self.max_batch,
            batch_wait: Duration::from_millis(self.batch_wait_ms),
            threads: self.threads.unwrap_or(QueueSettings::default().threads),
        };
        let image = Limits { max_bytes: self.max_bytes, max_pixels: self.max_pixels, max_side: self.max_side };
        ServiceSettings {
            limits: RequestLimits { image, max_images: self.max_images, max_body: self.max_body_bytes },
            queue,
            deadline: Duration::from_millis(self.deadline_ms),
            cors_origins: self.cors_origin.clone(),
            admin_token: self.admin_token.clone(),
            emf: self.emf,
        }
    }

    /// Limits of the connections.
    pub fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            max_connections: self.max_connections,
            max_memory: self.max_memory_bytes,
            max_headers: self.max_headers,
            max_head: self.max_head_bytes,
            head_timeout: Duration::from_secs_f64(self.head_timeout),
            body_timeout: Duration::from_secs_f64(self.body_timeout),
        }
    }

    /// How it ends.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown {
            delay: Duration::from_secs_f64(self.shutdown_delay),
            drain: Duration::from_secs_f64(self.drain_timeout),
        }
    }
}
