//! Load on a server, and what it costs: start to first prediction, latency, throughput, memory, overhead.
//!
//! `cargo run --release -p kidu-serve --example load -- --server target/release/kidu-serve --bundle DIR IMAGE...`
//!
//! With `--overload 2` then twice as many requests a second as it has answered, without waiting for answers; with
//! `--end-at N` the server gets SIGTERM before the N-th of them.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod open;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Parser;
use kidu_testing::{Answer, HttpClient, memory_of, percentiles};
use serde_json::json;

/// Measure a server.
#[derive(Parser)]
struct Options {
    /// The server's binary.
    #[arg(long, default_value = "target/release/kidu-serve")]
    server: PathBuf,
    /// The bundle.
    #[arg(long)]
    bundle: PathBuf,
    /// Clients at a time, each with one connection.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Requests in all.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// How many cold starts are measured.
    #[arg(long, default_value_t = 9)]
    starts: usize,
    /// Send so many times as many requests a second as were answered, whether or not answers come.
    #[arg(long)]
    overload: Option<f64>,
    /// Requests of the overload.
    #[arg(long, default_value_t = 10_000)]
    overload_requests: usize,
    /// Send the server SIGTERM before this request of the overload.
    #[arg(long)]
    end_at: Option<usize>,
    /// More options for the server.
    #[arg(long, value_delimiter = ' ', allow_hyphen_values = true)]
    with: Vec<String>,
    /// JPEG files.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

const MIB: f64 = 1_048_576.0;

struct Server {
    child: Child,
    address: SocketAddr,
    started: Instant,
}

impl Server {
    fn start(options: &Options) -> Self {
        let started = Instant::now();
        let mut child = Command::new(&options.server)
            .arg("--bundle")
            .arg(&options.bundle)
            .args(["--port", "0", "--log-level", "error"])
            .args(&options.with)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { child, address, started }
    }

    /// Of `/proc`: resident now and at most, in MiB.
    fn memory(&self) -> (f64, f64) {
        let (now, most) = memory_of(self.child.id());
        (now as f64 / MIB, most as f64 / MIB)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn told(label: &str, values: Vec<f64>) {
    println!("{label:<44} {}", percentiles(values));
}

/// What the server spent in decoding and in the network, in ms.
fn inside(answer: &Answer) -> f64 {
    let timing = answer.header("server-timing").unwrap_or_default();
    timing
        .split(',')
        .filter(|part| !part.trim().starts_with("queue"))
        .map(|part| part.split_once("dur=").unwrap().1.parse::<f64>().unwrap())
        .sum()
}

fn main() {
    let options = Options::parse();
    let images: Vec<Vec<u8>> = options.images.iter().map(|path| fs::read(path).unwrap()).collect();
    let json: Vec<Vec<u8>> = images
        .iter()
        .map(|i| json!({"image": format!("data:image/jpeg;base64,{}", STANDARD.encode(i))}).to_string().into_bytes())
        .collect();

    let mut cold = Vec::new();
    for _ in 0..options.starts.max(1) {
        let server = Server::start(&options);
        loop {
            let answer = HttpClient::new(server.address).post("/v1/predict", "application/json", &json[0]).unwrap();
            if answer.status == 200 {
                break;
            }
            thread::sleep(Duration::from_micros(200));
        }
        cold.push(server.started.elapsed().as_secs_f64() * 1e3);
    }
    told("start of the process to the first prediction", cold);

    let server = Server::start(&options);
    let mut client = HttpClient::new(server.address);
    let mut ask = |kind: &str, body: &[u8]| {
        let start = Instant::now();
        let answer = client.post("/v1/predict", kind, body).unwrap();
        (start.elapsed().as_secs_f64() * 1e3, answer)
    };
    while ask("application/json", &json[0]).1.status != 200 {
        thread::sleep(Duration::from_millis(1));
    }
    for (label, kind, bodies) in
        [("one by one, base64 in JSON", "application/json", &json), ("one by one, image bytes", "image/jpeg", &images)]
    {
        let (mut whole, mut overhead) = (Vec::new(), Vec::new());
        for i in 0..(options.requests / 4).max(50) {
            let (took, answer) = ask(kind, &bodies[i % bodies.len()]);
            assert_eq!(answer.status, 200, "{}", answer.text());
            overhead.push(took - inside(&answer));
            whole.push(took);
        }
        told(label, whole);
        told("  of it base64, JSON, queue, HTTP and client", overhead);
    }
    println!("{:<44} {:.0} MiB resident, {:.0} at most", "memory after that", server.memory().0, server.memory().1);

    let next = AtomicUsize::new(0);
    let (latencies, statuses) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<u16, usize>::new()));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..options.clients {
            scope.spawn(|| {
                let mut client = HttpClient::new(server.address);
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= options.requests {
                        return;
                    }
                    let start = Instant::now();
                    let answer = client.post("/v1/predict", "application/json", &json[i % json.len()]).unwrap();
                    let took = start.elapsed().as_secs_f64() * 1e3;
                    *statuses.lock().unwrap().entry(answer.status).or_default() += 1;
                    if answer.status == 200 {
                        latencies.lock().unwrap().push(took);
                    }
                }
            });
        }
    });
    let took = start.elapsed().as_secs_f64();
    let latencies = latencies.into_inner().unwrap();
    let capacity = latencies.len() as f64 / took;
    println!(
        "{} requests of {} clients: {:?}, {capacity:.0} predictions a second",
        options.requests,
        options.clients,
        statuses.into_inner().unwrap(),
    );
    told("  those answered", latencies);
    println!("{:<44} {:.0} MiB resident, {:.0} at most", "memory after that", server.memory().0, server.memory().1);
    if let Some(times) = options.overload {
        overload(&options, server, &json, capacity * times);
    }
}

fn overload(options: &Options, mut server: Server, bodies: &[Vec<u8>], rate: f64) {
    let plan = open::Plan { address: server.address, bodies, requests: options.overload_requests, rate };
    let (process, samples) = (server.child.id().to_string(), Mutex::new(Vec::new()));
    let outcome = open::drive(&plan, |i| {
        if options.end_at == Some(i) {
            assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        }
        if options.end_at.is_none() && i.is_multiple_of((plan.requests / 5).max(1)) {
            samples.lock().unwrap().push((i, server.memory().0));
        }
    });
    let open::Outcome { statuses, not_connected, crossed, broken, late, took, .. } = &outcome;
    println!("{} requests at {rate:.0} a second, in {took:.1} s: {statuses:?}", plan.requests);
    println!("  the latest was sent {late:.0} ms late");
    for (label, values) in [("  those answered", &outcome.answered), ("  those refused", &outcome.refused)] {
        if !values.is_empty() {
            told(label, values.clone());
        }
    }
    if options.end_at.is_some() {
        let ended = server.child.wait().unwrap();
        println!("  SIGTERM: {ended}; {not_connected} came too late to connect");
    } else {
        for (i, memory) in samples.into_inner().unwrap() {
            println!("  memory before request {i:<20} {memory:.0} MiB resident");
        }
        let (now, most) = server.memory();
        println!("{:<44} {now:.0} MiB resident, {most:.0} at most", "memory after that");
    }
    println!("  {} lost, {crossed} crossed with the end of an idle connection", broken.len());
    broken.iter().take(3).for_each(|why| println!("    {why}"));
}
