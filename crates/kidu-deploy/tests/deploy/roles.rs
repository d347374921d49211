//! What the processes of the tests do. Without their variables these tests do nothing.

use std::{
    env, fs,
    io::{Read, Write},
    path::PathBuf,
    time::Duration,
};

use clap::Parser;
use kidu_core::{Bundle, BundleManifest};
use kidu_deploy::{DeploySettings, Supervision};
use kidu_serve::{
    Classifier, Model, Service,
    server::{self, ServeOptions},
};
use kidu_telemetry::logs::{self, LogFormat, LogLevel, LogOptions};

/// The variable with the file that says what to supervise.
pub(crate) const SUPERVISION: &str = "DEPLOY_TEST_SUPERVISION";
/// The variable with a server's arguments, one a line.
pub(crate) const SERVER: &str = "DEPLOY_TEST_SERVER";
/// The variable with the folder of planted faults; without it a server is the real one.
pub(crate) const FAULTS: &str = "DEPLOY_TEST_FAULTS";

#[test]
#[ignore = "a process of other tests"]
fn supervisor() {
    let Ok(file) = env::var(SUPERVISION) else { return };
    let value: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let settings: DeploySettings = serde_json::from_value(value["settings"].clone()).unwrap();
    logs::install(&LogOptions { log_level: LogLevel::Info, log_format: LogFormat::Json });
    let supervision = Supervision {
        settings,
        registry: value["registry"].as_str().unwrap().into(),
        group: "scenes".into(),
        executable: env::current_exe().unwrap(),
        environment: vec![],
    };
    kidu_deploy::run(&supervision, |addresses| {
        writeln!(std::io::stderr(), "production {} staging {}", addresses.production, addresses.staging).unwrap();
    })
    .unwrap();
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: ServeOptions,
}

#[test]
#[ignore = "a process of other tests"]
fn server() {
    let Ok(arguments) = env::var(SERVER) else { return };
    let options = Line::parse_from(std::iter::once("server").chain(arguments.lines())).options;
    logs::install(&options.log);
    match env::var_os(FAULTS) {
        None => server::run(&options, |_| {}).unwrap(),
        Some(dir) => faulty(&options, dir.into()),
    }
}

/// Predicts without a network, and does what the file `ENVIRONMENT-VERSION` of the folder says: `error`, `slow MS`,
/// `wait` (for a file `….go`), `hang`, `die`; with `load MS` it takes its time to start. The file `….begun` is written before it is slow or waits.
struct Faulty {
    manifest: BundleManifest,
    file: PathBuf,
}

impl Classifier for Faulty {
    fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    fn logits(&self, images: &[f32]) -> Result<Vec<Vec<f32>>, String> {
        let fault = fs::read_to_string(&self.file).unwrap_or_default();
        match fault.trim().split_once(' ').unwrap_or((fault.trim(), "")) {
            ("error", _) => return Err("planted".into()),
            ("slow", ms) => {
                fs::write(self.file.with_extension("begun"), "").unwrap();
                std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
            }
            ("wait", _) => {
                fs::write(self.file.with_extension("begun"), "").unwrap();
                while !self.file.with_extension("go").exists() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            ("hang", _) => std::thread::sleep(Duration::from_secs(60)),
            ("die", _) => std::process::abort(),
            _ => {}
        }
        let n = images.len() / self.manifest.image.values();
        Ok(vec![(0..self.manifest.classes.len()).map(|i| i as f32).collect(); n])
    }
}

fn faulty(options: &ServeOptions, faults: PathBuf) {
    let file = faults.join(options.port_file.as_ref().unwrap().file_stem().unwrap());
    let manifest = Bundle::open(&options.bundle).unwrap().manifest().clone();
    let fault = fs::read_to_string(&file).unwrap_or_default();
    let patience = fault.trim().strip_prefix("load ").map_or(0, |ms| ms.parse().unwrap());
    let loader = move || Ok(Model::new(Box::new(Faulty { manifest: manifest.clone(), file: file.clone() })));
    let service = Service::start(options.service(), Box::new(loader)).unwrap();
    std::thread::sleep(Duration::from_millis(patience));
    service.reload().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        kidu_core::files::write_atomic(options.port_file.as_ref().unwrap(), port.as_bytes()).unwrap();
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            let _ = ended.send(());
        });
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let end = async {
            tokio::select! {
                _ = end => {}
                _ = term.recv() => {}
            }
            Ok::<(), ()>(())
        };
        server::serve(listener, service, options.connections(), options.shutdown(), end).await.unwrap();
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
}
