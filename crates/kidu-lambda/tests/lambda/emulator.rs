//! The real `cargo lambda watch`, whose front makes events of HTTP requests as a function URL does.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kidu_testing::HttpClient;
use serde_json::{Value, json};

use crate::runtime_api::{bootstrap, bundle, expected, jpeg};

/// Ended with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_front_of_cargo_lambda_is_answered() {
    // The package has no module of its own; this is the one that it depends on.
    let Some(python) = kidu_testing::peer_python("the_front_of_cargo_lambda_is_answered", &["ziglang"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    // It wants to stand in a package, and starts nothing of it.
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("src/main.rs"), "fn main() {}\n").unwrap();
    let package = "[package]\nname = \"function\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(dir.path().join("Cargo.toml"), package).unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let emulator = Command::new(python.with_file_name("cargo-lambda"))
        .args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1", "--invoke-port"])
        .arg(port.to_string())
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.path().join("emulator")).unwrap())
        .spawn();
    let _emulator = Process(emulator.unwrap());
    let begin = Instant::now();
    while TcpStream::connect(address).is_err() {
        let said = || fs::read_to_string(dir.path().join("emulator")).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not listen: {}", said());
        thread::sleep(Duration::from_millis(50));
    }
    let bundle = bundle(&dir.path().join("bundle"));
    let api = format!("http://{address}/.rt");
    let bundle_dir = bundle.dir().to_str().unwrap();
    let _function = Process(bootstrap(&api, "_", &dir.path().join("log"), &[("KIDU_BUNDLE", bundle_dir)]));

    let image = jpeg(1);
    let want = json!([expected(&bundle, &image)["probabilities"]]);
    let mut client = HttpClient::new(address);
    let body = |answer: &kidu_testing::Answer| -> Value { serde_json::from_slice(&answer.body).unwrap() };
    let answer = client.get("/lambda-url/_/health").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The image itself, which the front hands on in base64, and JSON.
    let answer = client.post("/lambda-url/_/", "image/jpeg", &image).unwrap();
    assert_eq!((answer.status, body(&answer)), (200, want.clone()));
    let request = json!({"image": STANDARD.encode(&image)}).to_string();
    let answer = client.post("/", "application/json", request.as_bytes()).unwrap();
    assert_eq!((answer.status, body(&answer)), (200, want.clone()));
    let answer = client.post("/lambda-url/_/", "image/gif", b"GIF89a").unwrap();
    assert_eq!((answer.status, body(&answer)["error"]["code"].as_str()), (415, Some("unsupported_media_type")));
    // A direct call.
    let answer = client.post("/2015-03-31/functions/_/invocations", "application/json", request.as_bytes()).unwrap();
    assert_eq!((answer.status, body(&answer)), (200, want));
}
