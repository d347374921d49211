//! Public tools as clients; see `tests/peers/serve_contract.py`.

use std::{path::Path, process::Command};

use crate::support::{self, Process, jpeg};

#[test]
fn public_tools_find_no_fault() {
    let test = "public_tools_find_no_fault";
    let modules = ["openapi_spec_validator", "schemathesis", "prometheus_client", "requests"];
    let Some(python) = kidu_testing::peer_python(test, &modules) else { return };
    let dir = tempfile::tempdir().unwrap();
    support::bundle(&dir.path().join("bundle"));
    let image = dir.path().join("image.jpg");
    std::fs::write(&image, jpeg(1)).unwrap();
    let process = Process::start(&dir.path().join("bundle"), dir.path(), &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/serve_contract.py");
    let output = Command::new(python)
        .current_dir(dir.path())
        .arg(script)
        .args([&format!("http://{}", process.address), image.to_str().unwrap(), "40"])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    println!("{out}");
}
