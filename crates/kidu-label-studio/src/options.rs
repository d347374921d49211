//! The command line. Each option has an environment variable; secrets come from the environment or a file only.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgGroup, Args, Parser, ValueHint};
use kidu_fetch::{HostPattern, PrivateRule};
use kidu_telemetry::logs::LogOptions;

pub(crate) use crate::secrets::OWN_SECRETS;
pub use crate::secrets::Secrets;
use crate::{
    error::{BackendError, Result},
    training::Trigger,
};

/// Label Studio's ML backend: pre-annotates whole batches by an endpoint, and trains again on what annotators do.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kidu-label-studio",
    version,
    group = ArgGroup::new("what").args(["endpoint", "lambda"]).required(true),
    after_help = "Examples:
  kidu-label-studio --endpoint http://127.0.0.1:8080 --label-studio http://localhost:8081
  kidu-label-studio --lambda kidu-prod:live --basic-auth-user studio --host 0.0.0.0
  kidu-label-studio --endpoint http://127.0.0.1:8080 --train-after 50 --build-arg data.root=photos

Secrets are read from the environment, or from files named by options:
  KIDU_LABEL_STUDIO_TOKEN   legacy or personal access token of Label Studio (LABEL_STUDIO_API_KEY is read too)
  KIDU_BASIC_AUTH_PASSWORD  the password that Label Studio is given for this backend
  KIDU_WEBHOOK_SECRET       what event webhooks carry instead, in their path or header
  KIDU_ENDPOINT_TOKEN       sent to the endpoint as `Authorization: Bearer`

Exit codes: 0 ended in order, 1 failed, 2 usage or configuration."
)]
pub struct Options {
    /// What predicts.
    #[command(flatten)]
    pub endpoint: EndpointOptions,
    /// Where it listens, and whom it lets in.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Where images come from.
    #[command(flatten)]
    pub images: ImageOptions,
    /// When a new model is built.
    #[command(flatten)]
    pub training: TrainingOptions,
    /// What is logged.
    #[command(flatten)]
    pub log: LogOptions,
}

/// What predicts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Predictions")]
pub struct EndpointOptions {
    /// The endpoint: `kidu serve`, a function URL, API Gateway.
    #[arg(long, env = "KIDU_ENDPOINT", value_name = "URL", value_hint = ValueHint::Url)]
    pub endpoint: Option<String>,
    /// The endpoint is this Lambda function (name, name:alias or ARN), invoked with the usual AWS credentials.
    #[arg(long, env = "KIDU_LAMBDA", value_name = "NAME")]
    pub lambda: Option<String>,
    /// A file with the token for the endpoint.
    #[arg(long, env = "KIDU_ENDPOINT_TOKEN_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub endpoint_token_file: Option<PathBuf>,
    /// Seconds for one try at the endpoint.
    #[arg(long, env = "KIDU_ENDPOINT_TIMEOUT", value_name = "SECONDS", default_value_t = 30.0)]
    pub endpoint_timeout: f64,
    /// Images at the endpoint at a time, over all requests.
    #[arg(long, env = "KIDU_CONCURRENCY", value_name = "N", default_value_t = 8)]
    pub concurrency: usize,
    /// Tries after the first, at the endpoint and for images, for failures that may pass.
    #[arg(long, env = "KIDU_RETRIES", value_name = "N", default_value_t = 4)]
    pub retries: u32,
    /// Seconds for a whole batch; what is not done by then is left out. Label Studio gives up after 100.
    #[arg(long, env = "KIDU_DEADLINE", value_name = "SECONDS", default_value_t = 90.0)]
    pub deadline: f64,
    /// Bytes of predictions that are kept on disk; 0 keeps none.
    #[arg(long, env = "KIDU_CACHE_BYTES", value_name = "BYTES", default_value_t = 64 << 20)]
    pub cache_bytes: u64,
    /// Seconds between two looks at the endpoint's model [default: 5; 300 for a Lambda function].
    #[arg(long, env = "KIDU_MODEL_SECONDS", value_name = "SECONDS")]
    pub model_seconds: Option<f64>,
    /// The `<Choices>` tag that asks for the class, where a form has several.
    #[arg(long, env = "KIDU_FROM_NAME", value_name = "NAME")]
    pub from_name: Option<String>,
}

/// Where it listens, and whom it lets in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServerOptions {
    /// The address to listen on. 0.0.0.0 lets other machines in.
    #[arg(long, env = "KIDU_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, env = "KIDU_PORT", default_value_t = 9090)]
    pub port: u16,
    /// Write the port to this file once it is bound.
    #[arg(long, env = "KIDU_PORT_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub port_file: Option<PathBuf>,
    /// Everything lies below this path, as in /kidu.
    #[arg(long, env = "KIDU_PATH_PREFIX", value_name = "PATH")]
    pub path_prefix: Option<String>,
    /// The user that Label Studio is given for this backend; needs KIDU_BASIC_AUTH_PASSWORD.
    #[arg(long, env = "KIDU_BASIC_AUTH_USER", value_name = "NAME")]
    pub basic_auth_user: Option<String>,
    /// A file with the password.
    #[arg(long, env = "KIDU_BASIC_AUTH_PASSWORD_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub basic_auth_password_file: Option<PathBuf>,
    /// A file with the secret of event webhooks.
    #[arg(long, env = "KIDU_WEBHOOK_SECRET_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub webhook_secret_file: Option<PathBuf>,
    /// Most bytes of a request's body. A task takes 0.5 kB; with its image in a data URI as much as that.
    #[arg(long, env = "KIDU_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = 64 << 20)]
    pub max_body_bytes: usize,
    /// Most open connections; others wait to be taken.
    #[arg(long, env = "KIDU_MAX_CONNECTIONS", value_name = "N", default_value_t = 256)]
    pub max_connections: usize,
    /// Seconds that answers may take after SIGTERM, and a build that is asked to end.
    #[arg(long, env = "KIDU_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = 25.0)]
    pub drain_timeout: f64,
    /// The folder of events, builds, cached predictions and the model's name. One backend has it at a time.
    #[arg(long, env = "KIDU_STATE_DIR", value_name = "DIR", default_value = "label-studio-state", value_hint = ValueHint::DirPath)]
    pub state_dir: PathBuf,
}

/// Where images come from.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Images")]
pub struct ImageOptions {
    /// The Label Studio that uploads and storages belong to, as in `https://label.example.com`.
    #[arg(long, env = "KIDU_LABEL_STUDIO", value_name = "URL", value_hint = ValueHint::Url)]
    pub label_studio: Option<String>,
    /// A file with its token.
    #[arg(long, env = "KIDU_LABEL_STUDIO_TOKEN_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub label_studio_token_file: Option<PathBuf>,
    /// Ask only this host: example.com, example.com:8080 or *.example.com. May be repeated.
    #[arg(long, env = "KIDU_ALLOW_HOST", value_name = "HOST", value_delimiter = ',')]
    pub allow_host: Vec<HostPattern>,
    /// Read only this bucket. May be repeated.
    #[arg(long, env = "KIDU_ALLOW_BUCKET", value_name = "BUCKET", value_delimiter = ',')]
    pub allow_bucket: Vec<String>,
    /// Ask this host or network although it is private: minio:9000, 10.0.0.0/8 or all. May be repeated.
    #[arg(long, env = "KIDU_ALLOW_PRIVATE", value_name = "HOST|NET|all", value_delimiter = ',')]
    pub allow_private: Vec<PrivateRule>,
    /// A folder in which paths and Label Studio's local files may be read. May be repeated.
    #[arg(long, env = "KIDU_LOCAL_ROOT", value_name = "DIR", value_delimiter = ':', value_hint = ValueHint::DirPath)]
    pub local_root: Vec<PathBuf>,
    /// Read s3:// with our own AWS credentials, and ask Label Studio only for what they do not open.
    #[arg(long, env = "KIDU_S3")]
    pub s3: bool,
    /// Certificates (PEM) of authorities that are trusted besides the usual ones, for images and for the endpoint.
    #[arg(long, env = "KIDU_CA_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// The most bytes of an image.
    #[arg(long, env = "KIDU_MAX_BYTES", value_name = "BYTES", default_value_t = 20 << 20)]
    pub max_bytes: u64,
    /// Images fetched at a time.
    #[arg(long, env = "KIDU_FETCH_CONCURRENCY", value_name = "N", default_value_t = 8)]
    pub fetch_concurrency: usize,
    /// Seconds for one try of one image.
    #[arg(long, env = "KIDU_FETCH_TIMEOUT", value_name = "SECONDS", default_value_t = 20.0)]
    pub fetch_timeout: f64,
}

/// When a new model is built, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Training")]
pub struct TrainingOptions {
    /// New or changed annotations that start a build; 0: only "Start training" does.
    #[arg(long, env = "KIDU_TRAIN_AFTER", value_name = "N", default_value_t = 0)]
    pub train_after: usize,
    /// Seconds without a further annotation before a build starts.
    #[arg(long, env = "KIDU_DEBOUNCE", value_name = "SECONDS", default_value_t = 30.0)]
    pub debounce: f64,
    /// Seconds after which a build starts although annotations keep coming.
    #[arg(long, env = "KIDU_LONGEST_WAIT", value_name = "SECONDS", default_value_t = 900.0)]
    pub longest_wait: f64,
    /// Seconds of pause after a failed build, twice as long after each further one.
    #[arg(long, env = "KIDU_BUILD_PAUSE", value_name = "SECONDS", default_value_t = 600.0)]
    pub build_pause: f64,
    /// Seconds after which a build that has not ended is stopped with all its processes, and counts as failed.
    #[arg(long, env = "KIDU_BUILD_TIMEOUT", value_name = "SECONDS", default_value_t = 86_400.0)]
    pub build_timeout: f64,
    /// Events of this project of Label Studio count, and of no other. May be repeated [default: all].
    #[arg(long, env = "KIDU_ANNOTATE_PROJECT", value_name = "ID", value_delimiter = ',')]
    pub project: Vec<u64>,
    /// An argument of `kidu pipeline run`, as data.root=photos. May be repeated, and is passed on as it is; in the
    /// variable one a line. Without any, nothing is built.
    #[arg(
        long = "build-arg",
        env = "KIDU_BUILD_ARGS",
        value_name = "ARG",
        value_delimiter = '\n',
        allow_hyphen_values = true
    )]
    pub build_args: Vec<OsString>,
    /// The kidu command [default: beside this executable, else of the path].
    #[arg(long, env = "KIDU_BUILD_PROGRAM", value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub build_program: Option<PathBuf>,
}

impl Options {
    /// Settings that exclude each other, or that no backend can work with.
    ///
    /// # Errors
    /// [`BackendError::Setting`], naming the option.
    pub fn check(&self, secrets: &Secrets) -> Result<()> {
        let fail = |message: String| Err(BackendError::Setting(message));
        let (endpoint, images, training) = (&self.endpoint, &self.images, &self.training);
        let counts = [
            ("--concurrency", endpoint.concurrency),
            ("--fetch-concurrency", images.fetch_concurrency),
            ("--max-connections", self.server.max_connections),
            ("--max-body-bytes", self.server.max_body_bytes),
        ];
        if let Some((name, value)) = counts.iter().find(|(_, n)| !(1..=1 << 40).contains(n)) {
            return fail(format!("{name} is {value}; give at least 1"));
        }
        let times = [
            ("--endpoint-timeout", endpoint.endpoint_timeout, 0.05),
            ("--deadline", endpoint.deadline, 0.05),
            ("--model-seconds", endpoint.model_seconds.unwrap_or(1.0), 0.05),
            ("--fetch-timeout", images.fetch_timeout, 0.05),
            ("--drain-timeout", self.server.drain_timeout, 0.0),
            ("--debounce", training.debounce, 0.0),
            ("--longest-wait", training.longest_wait, 0.0),
            ("--build-pause", training.build_pause, 0.0),
            ("--build-timeout", training.build_timeout, 0.05),
        ];
        if let Some((name, value, least)) = times.iter().find(|(_, v, least)| !(*least..=604_800.0).contains(v)) {
            return fail(format!("{name} is {value}; give {least} to 604800 seconds"));
        }
        match (&self.server.basic_auth_user, &secrets.basic_auth_password) {
            (Some(_), None) => return fail("--basic-auth-user needs a password: set KIDU_BASIC_AUTH_PASSWORD".into()),
            (None, Some(_)) => return fail("a password without a user: give --basic-auth-user".into()),
            (Some(user), _) if user.is_empty() || user.contains(':') => {
                return fail("--basic-auth-user is empty or holds a colon".into());
            }
            _ => {}
        }
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        if let Some(secret) = &secrets.webhook_secret
            && (secret.len() < 16 || !secret.chars().all(usable))
        {
            return fail("KIDU_WEBHOOK_SECRET: give at least 16 letters, digits, '-', '_', '.' or '~'".into());
        }
        if training.train_after > 0 && training.build_args.is_empty() {
            return fail(
                "--train-after without --build-arg: say what to build, as in --build-arg data.root=photos".into(),
            );
        }
        self.prefix().map(|_| ())
    }

    /// The path that everything lies below: empty, or with a slash before and none behind.
    ///
    /// # Errors
    /// [`BackendError::Setting`] for what is no path.
    pub fn prefix(&self) -> Result<String> {
        let given = self.server.path_prefix.as_deref().unwrap_or_default().trim_matches('/');
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '/');
        if !given.chars().all(usable)
            || given.split('/').any(|part| part == ".." || part == ".")
            || given.contains("//")
        {
            return Err(BackendError::Setting("--path-prefix: write letters, digits and slashes, as in /kidu".into()));
        }
        Ok(if given.is_empty() { String::new() } else { format!("/{given}") })
    }

    /// When a build starts.
    pub fn trigger(&self) -> Trigger {
        let seconds = Duration::from_secs_f64;
        let t = &self.training;
        Trigger {
            annotations: t.train_after,
            debounce: seconds(t.debounce),
            longest: seconds(t.longest_wait.max(t.debounce)),
            after_failure: seconds(t.build_pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        let all = ["kidu-label-studio", "--endpoint", "http://h"].iter().chain(arguments);
        Options::try_parse_from(all).unwrap()
    }

    fn refusal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let options = parse(arguments);
        let get = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        options.check(&Secrets::read(&options, get).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn the_command_is_whole_and_every_option_has_its_variable() {
        Options::command().debug_assert();
        let with_value = |a: &&clap::Arg| a.get_long().is_some_and(|l| l != "help" && l != "version");
        for option in Options::command().get_arguments().filter(with_value) {
            let variable = option.get_env().unwrap_or_else(|| panic!("{option} has no variable"));
            assert!(variable.to_string_lossy().starts_with("KIDU_"), "{option}");
            assert!(option.get_help().is_some(), "{option}");
        }
    }

    #[test]
    fn an_endpoint_is_needed_and_one_only() {
        assert!(Options::try_parse_from(["x"]).is_err());
        assert!(Options::try_parse_from(["x", "--endpoint", "http://h", "--lambda", "f"]).is_err());
        let options = parse(&["--build-arg", "data.root=a,b", "--build-arg", "--json"]);
        assert_eq!(options.training.build_args, ["data.root=a,b", "--json"]);
        assert_eq!((options.server.host.is_loopback(), options.server.port), (true, 9090));
    }

    #[test]
    fn the_project_has_the_variable_of_kidu_annotate_not_that_of_the_registry() {
        let command = Options::command();
        let project = command.get_arguments().find(|a| a.get_long() == Some("project")).unwrap();
        // A build inherits the variables, and KIDU_PROJECT names the project of its registry.
        assert_eq!(project.get_env().unwrap(), "KIDU_ANNOTATE_PROJECT");
    }

    #[test]
    fn what_cannot_work_is_named() {
        assert!(refusal(&["--concurrency", "0"], &[]).contains("--concurrency"));
        assert!(refusal(&["--deadline", "0"], &[]).contains("--deadline"));
        assert!(refusal(&["--debounce", "NaN"], &[]).contains("--debounce"));
        assert!(refusal(&["--build-timeout", "0"], &[]).contains("--build-timeout"));
        assert!(refusal(&["--train-after", "5"], &[]).contains("--build-arg"));
        assert!(refusal(&["--basic-auth-user", "u"], &[]).contains("KIDU_BASIC_AUTH_PASSWORD"));
        assert!(refusal(&[], &[("KIDU_BASIC_AUTH_PASSWORD", "p")]).contains("--basic-auth-user"));
        assert!(refusal(&[], &[("KIDU_WEBHOOK_SECRET", "short")]).contains("16"));
        assert!(refusal(&["--path-prefix", "/a/../b"], &[]).contains("--path-prefix"));
        assert!(refusal(&["--path-prefix", "/{a}"], &[]).contains("--path-prefix"));
        assert_eq!(parse(&["--path-prefix", "a/b/"]).prefix().unwrap(), "/a/b");
        assert_eq!(parse(&["--path-prefix", "/"]).prefix().unwrap(), "");
    }
}
