//! More than the server can do, and changes while it does it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kidu_serve::{Model, ServiceSettings, queue::QueueSettings};
use serde_json::Value;

use crate::support::{self, Server, jpeg, slow};

fn settings(capacity: usize, deadline: Duration) -> ServiceSettings {
    let queue = QueueSettings { capacity, max_batch: 4, threads: 2, ..QueueSettings::default() };
    ServiceSettings { queue, deadline, ..ServiceSettings::default() }
}

/// Asks from several connections; how often each status came. Every request is answered, or the test fails.
fn storm(server: &Server, clients: usize, each: usize) -> BTreeMap<u16, usize> {
    let statuses = Mutex::new(BTreeMap::new());
    let image = jpeg(2);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..each {
                    let answer = client.post("/", "image/jpeg", &image).unwrap();
                    assert!(!answer.body.is_empty());
                    *statuses.lock().unwrap().entry(answer.status).or_insert(0) += 1;
                }
            });
        }
    });
    statuses.into_inner().unwrap()
}

#[test]
fn twice_the_capacity_gives_answers_or_429_and_nothing_else() {
    let server = Server::start(settings(4, Duration::from_secs(30)), slow(Duration::from_millis(2)));
    // 4 wait and up to 4 are predicted: 16 clients are twice that.
    let statuses = storm(&server, 16, 60);
    assert_eq!(statuses.values().sum::<usize>(), 16 * 60);
    assert!(statuses.keys().all(|s| [200, 429].contains(s)), "{statuses:?}");
    assert!(statuses[&200] > 0 && statuses.get(&429) > Some(&0), "{statuses:?}");
    let metrics = server.client().get("/metrics").unwrap().text();
    assert!(metrics.contains(&format!("kidu_images_total {}\n", statuses[&200])), "{metrics}");
}

#[test]
fn who_waits_too_long_is_told_so() {
    let server = Server::start(settings(64, Duration::from_millis(500)), slow(Duration::from_millis(200)));
    let statuses = storm(&server, 16, 2);
    assert!(statuses.keys().all(|s| [200, 503].contains(s)), "{statuses:?}");
    assert!(statuses.get(&503) > Some(&0) && statuses.get(&200) > Some(&0), "{statuses:?}");
}

#[test]
fn requests_that_wait_go_together() {
    let server = Server::start(settings(64, Duration::from_secs(30)), slow(Duration::from_millis(50)));
    storm(&server, 8, 4);
    let metrics = server.client().get("/metrics").unwrap().text();
    let count = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|l| l.strip_prefix(&format!("kidu_batch_images_{name} ")));
        line.unwrap().parse().unwrap()
    };
    assert_eq!(count("sum"), 32.0);
    assert!(count("count") < 24.0, "{} batches for 32 images", count("count"));
}

#[test]
fn nobody_computes_for_clients_that_have_gone() {
    /// Says when it begins, and goes on when it is told to.
    struct Gated(kidu_core::BundleManifest, Arc<Gate>);
    type Gate = Mutex<(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>)>;
    impl kidu_serve::Classifier for Gated {
        fn manifest(&self) -> &kidu_core::BundleManifest {
            &self.0
        }
        fn logits(&self, images: &[f32]) -> Result<Vec<Vec<f32>>, String> {
            let gate = self.1.lock().unwrap();
            gate.0.send(()).unwrap();
            gate.1.recv().unwrap();
            Ok(vec![vec![0.0; 4]; images.len() / self.0.image.values()])
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let manifest = support::bundle(dir.path()).manifest().clone();
    let ((begins, begun), (go, told)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let gate = Arc::new(Mutex::new((begins, told)));
    let loader = move || Ok(Model::new(Box::new(Gated(manifest.clone(), Arc::clone(&gate)))));
    let server = Server::start(settings(64, Duration::from_secs(30)), Box::new(loader));
    let image = jpeg(1);
    let ask = || {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", image.len());
        std::io::Write::write_all(&mut stream, &[head.as_bytes(), &image].concat()).unwrap();
        stream
    };
    let reach = |name: &str, wanted: u32| {
        let start = Instant::now();
        loop {
            let metrics = server.client().get("/metrics").unwrap().text();
            let value = metrics.lines().find_map(|l| l.strip_prefix(name)).unwrap();
            if value.trim().parse::<u32>().unwrap() == wanted {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{metrics}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // One is computed, the others wait and go.
    let first = ask();
    begun.recv_timeout(Duration::from_secs(20)).unwrap();
    let others: Vec<_> = (0..5).map(|_| ask()).collect();
    reach("kidu_queue_length ", 5);
    drop((first, others));
    // The one who asks for this is there, too.
    reach("kidu_connections ", 1);
    go.send(()).unwrap();
    reach("kidu_abandoned_total ", 5);
    assert!(begun.try_recv().is_err(), "nothing else was begun");
}

#[test]
fn a_panic_of_a_classifier_is_an_error_of_one_batch() {
    struct Bomb(kidu_core::BundleManifest);
    impl kidu_serve::Classifier for Bomb {
        fn manifest(&self) -> &kidu_core::BundleManifest {
            &self.0
        }
        fn logits(&self, images: &[f32]) -> Result<Vec<Vec<f32>>, String> {
            assert!(images[0] < 1.0, "a planted fault");
            if images[0] < -1.0 { Err("a planted reason".into()) } else { Ok(vec![vec![0.0; 4]]) }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let manifest = support::bundle(dir.path()).manifest().clone();
    let server =
        Server::start(ServiceSettings::default(), Box::new(move || Ok(Model::new(Box::new(Bomb(manifest.clone()))))));
    let grey =
        |v: u8| support::encode(&image::RgbImage::from_pixel(64, 64, image::Rgb([v; 3])), image::ImageFormat::Png);
    for (value, status) in [(255, 500), (120, 200), (0, 500), (120, 200)] {
        let answer = server.client().post("/", "image/png", &grey(value)).unwrap();
        assert_eq!(answer.status, status, "{value}: {}", answer.text());
        assert!(!answer.text().contains("planted"), "the reason is for the log");
    }
}

#[test]
fn a_new_model_is_taken_into_service_under_load_without_a_lost_request() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    let first = support::bundle(&one);
    let second = kidu_testing::bundle(&two, "mobilenetv2_100", support::SIZE, &["a", "b", "c"]);
    let versions = [first.manifest().version().to_owned(), second.manifest().version().to_owned()];
    assert_ne!(versions[0], versions[1]);
    let turn = Arc::new(AtomicUsize::new(0));
    let which = Arc::clone(&turn);
    let loader = Box::new(move || {
        let dir = if which.load(Ordering::SeqCst).is_multiple_of(2) { &one } else { &two };
        Model::open(dir, 2)
    });
    let server = Server::start(settings(64, Duration::from_secs(30)), loader);
    let stop = AtomicBool::new(false);
    let seen = Mutex::new(BTreeMap::<String, usize>::new());
    std::thread::scope(|scope| {
        for i in 0..6 {
            let (server, stop, seen, versions) = (&server, &stop, &seen, &versions);
            scope.spawn(move || {
                let (mut client, image) = (server.client(), jpeg(i));
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.post("/v1/predict", "image/jpeg", &image).unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let value: Value = serde_json::from_slice(&answer.body).unwrap();
                    let version = value["model"]["version"].as_str().unwrap().to_owned();
                    // The classes are those of the model that is named.
                    let classes = value["predictions"][0]["probabilities"].as_object().unwrap().len();
                    assert_eq!(classes, if version == versions[0] { 4 } else { 3 });
                    assert!(answer.header("x-kidu-model").unwrap().ends_with(&version));
                    *seen.lock().unwrap().entry(version).or_default() += 1;
                }
            });
        }
        for i in 1..=6 {
            std::thread::sleep(Duration::from_millis(100));
            turn.store(i, Ordering::SeqCst);
            server.service.reload().unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(seen.lock().unwrap().len(), 2, "{seen:?}");
}
