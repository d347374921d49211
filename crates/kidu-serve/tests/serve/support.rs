//! Servers, models and pictures for the tests.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use image::{DynamicImage, ImageFormat, RgbImage};
use kidu_core::BundleManifest;
use kidu_serve::{
    Classifier, Loader, Model, Service, ServiceSettings,
    server::{self, ConnectionLimits, Shutdown},
};
use kidu_testing::HttpClient;
use tokio::sync::oneshot;

pub(crate) const CLASSES: [&str; 4] = ["forest", "glacier", "sea", "street"];
pub(crate) const SIZE: u32 = 64;

/// A picture that is not the same everywhere.
pub(crate) fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 3 + seed * 40) as u8, (y * 5) as u8, ((x ^ y) + seed * 17) as u8])
    })
}

pub(crate) fn encode(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    DynamicImage::ImageRgb8(image.clone()).write_to(&mut std::io::Cursor::new(&mut bytes), format).unwrap();
    bytes
}

pub(crate) fn jpeg(seed: u32) -> Vec<u8> {
    encode(&picture(90, 70, seed), ImageFormat::Jpeg)
}

/// A small bundle with made-up weights.
pub(crate) fn bundle(dir: &Path) -> kidu_core::Bundle {
    kidu_testing::bundle(dir, "mobilenetv2_100", SIZE, &CLASSES)
}

/// Takes its time; predicts the brightness of the first pixel's channels.
pub(crate) struct Slow {
    manifest: BundleManifest,
    per_image: Duration,
}

impl Classifier for Slow {
    fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    fn logits(&self, images: &[f32]) -> Result<Vec<Vec<f32>>, String> {
        let each = images.chunks(self.manifest.image.values());
        std::thread::sleep(self.per_image * each.len() as u32);
        Ok(each.map(|v| vec![v[0], v[v.len() / 3], v[v.len() - 1], 0.1]).collect())
    }
}

/// A loader of slow models, without a bundle on a disk.
pub(crate) fn slow(per_image: Duration) -> Loader {
    let dir = tempfile::tempdir().unwrap();
    let manifest = bundle(dir.path()).manifest().clone();
    Box::new(move || Ok(Model::new(Box::new(Slow { manifest: manifest.clone(), per_image }))))
}

pub(crate) fn limits() -> ConnectionLimits {
    ConnectionLimits {
        max_connections: 256,
        max_memory: 128 << 20,
        max_headers: 64,
        max_head: 16 << 10,
        head_timeout: Duration::from_secs(30),
        body_timeout: Duration::from_secs(30),
    }
}

/// A server in this process, ended with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<Service>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(settings: ServiceSettings, loader: Loader) -> Self {
        Self::start_with(settings, loader, limits())
    }

    pub(crate) fn start_with(settings: ServiceSettings, loader: Loader, limits: ConnectionLimits) -> Self {
        let service = Service::start(settings, loader).unwrap();
        service.reload().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let (told, address) = std::sync::mpsc::channel();
        let shared = Arc::clone(&service);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                let shutdown = Shutdown { delay: Duration::ZERO, drain: Duration::from_secs(20) };
                let end = async {
                    // Ended with the value or by it.
                    let _ = ended.await;
                    Ok::<(), ()>(())
                };
                server::serve(listener, shared, limits, shutdown, end).await.unwrap();
            });
        });
        Self { address: address.recv().unwrap(), service, end: Some(end), thread: Some(thread) }
    }

    pub(crate) fn of_bundle(dir: &Path) -> Self {
        let dir = dir.to_path_buf();
        Self::start(ServiceSettings::default(), Box::new(move || Model::open(&dir, 2)))
    }

    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::new(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end.take().map(|end| end.send(()));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// The real binary.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
    /// What follows the line that names the address.
    pub(crate) output: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(bundle: &Path, scratch: &Path, more: &[&str]) -> Self {
        let (log, port_file) = (scratch.join("log"), scratch.join("port"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_kidu-serve"))
            .env_clear()
            .args(["--bundle", bundle.to_str().unwrap(), "--port", "0", "--port-file", port_file.to_str().unwrap()])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let told = line.trim().strip_prefix("listening on http://");
        let told = told.unwrap_or_else(|| panic!("{line} {}", std::fs::read_to_string(&log).unwrap()));
        let address: SocketAddr = told.parse().unwrap();
        assert_eq!(std::fs::read_to_string(port_file).unwrap().trim(), address.port().to_string());
        let process = Self { child, address, log, output };
        process.wait_ready();
        process
    }

    fn wait_ready(&self) {
        let start = Instant::now();
        while self.client().get("/ready").unwrap().status != 200 {
            assert!(start.elapsed() < Duration::from_secs(30), "{}", self.logged());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::new(self.address)
    }

    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
