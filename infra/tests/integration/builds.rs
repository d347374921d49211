//! The commands of builds, which otherwise CodeBuild alone runs.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::{Value, json};

/// All commands of a stack's builds.
fn commands(stack: &str) -> Vec<String> {
    let assembly = crate::synthesised();
    let mut found = Vec::new();
    for (_, project) in assembly.stack(stack).unwrap().template.resources_of("AWS::CodeBuild::Project") {
        let text = project.pointer("/Properties/Source/BuildSpec").unwrap().as_str().unwrap();
        let specification: Value = serde_json::from_str(text).unwrap();
        for phase in specification["phases"].as_object().unwrap().values() {
            let commands = phase["commands"].as_array().unwrap().iter();
            found.extend(commands.map(|c| c.as_str().unwrap().to_string()));
        }
    }
    assert!(!found.is_empty(), "{stack} has no builds");
    found
}

fn all() -> Vec<String> {
    [commands("model-build"), commands("model-deploy")].concat()
}

/// CodeBuild hands on texts from a command to the next, but no arrays, functions, options, traps or folders.
#[test]
fn no_command_needs_more_than_texts_of_those_before() {
    for command in all() {
        for mark in ["=(", "[@]}", "() {", "set -", "trap ", "shopt "] {
            assert!(!command.contains(mark), "'{mark}' in {command}");
        }
        assert!(!command.starts_with("cd ") && !command.starts_with("function "), "{command}");
    }
}

/// As text, `--query` is applied to each page, and a list of several pages gives several lines.
#[test]
fn lists_are_not_read_as_text() {
    for command in all().iter().filter(|c| c.contains(" list-")) {
        assert!(command.contains("--output json"), "{command}");
    }
}

/// SageMaker and Lambda refuse an index, which attestations make of an image, and SageMaker OCI manifests too.
#[test]
fn images_are_single_and_in_the_format_of_docker() {
    let built: Vec<String> = all().into_iter().filter(|c| c.contains("Dockerfile")).collect();
    assert_eq!(built.len(), 2, "{built:?}");
    for command in built {
        let one = "docker buildx build --provenance=false --output type=docker --platform linux/amd64 ";
        assert!(command.contains(one), "{command}");
    }
}

/// Runs the commands whose text holds one of the marks in one shell, as an `aws` that says `answer` and writes down its
/// arguments is there. Gives the arguments of the last call and what the shell printed.
fn run(commands: &[String], marks: &[&str], variables: &[(&str, &str)], answer: &str) -> (Vec<String>, String) {
    let dir = tempfile::tempdir().unwrap();
    let stub = dir.path().join("aws");
    fs::write(&stub, "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$CALLED\"\nprintf '%s' \"$ANSWER\"\n").unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    let called = dir.path().join("called");
    let chosen: Vec<&str> =
        commands.iter().map(String::as_str).filter(|c| marks.iter().any(|mark| c.contains(mark))).collect();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(chosen.join("\n")).env("PATH", path).env("CALLED", &called).env("ANSWER", answer);
    let out = shell.envs(variables.iter().copied()).output().unwrap();
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    let arguments = fs::read_to_string(&called).unwrap().lines().map(str::to_string).collect();
    (arguments, String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The words are those of the machine of a build: `jq` is there.
fn has_jq() -> bool {
    let there = Command::new("jq").arg("--version").output().is_ok();
    assert!(there || std::env::var("CI").as_deref() != Ok("true"), "there is no jq");
    there
}

#[test]
fn a_start_for_new_data_names_it_and_says_that_it_is_new() {
    if !has_jq() {
        eprintln!("a_start_for_new_data_names_it_and_says_that_it_is_new: skipped, there is no jq");
        return;
    }
    let commands = commands("model-build");
    let start = |dataset: &str, annotations: &str| {
        let variables = [
            ("PROJECT", "kidu"),
            ("COMMIT", "c1"),
            ("EXECUTION", "e1"),
            ("INPUT_DATASET", dataset),
            ("ANNOTATIONS", annotations),
        ];
        let (arguments, _) = run(&commands, &["start-pipeline-execution"], &variables, "");
        assert_eq!(arguments[..4], ["sagemaker", "start-pipeline-execution", "--pipeline-name", "kidu-build"]);
        let after = |option: &str| arguments.iter().skip_while(|a| *a != option).nth(1).unwrap().clone();
        assert_eq!(after("--client-request-token").len(), 64);
        serde_json::from_str::<Value>(&after("--pipeline-parameters")).unwrap()
    };
    // A commit alone changes the image, by which SageMaker's cache knows.
    assert_eq!(start("default", "default"), json!([]));
    let stamp = json!({"Name": "DataStamp", "Value": "e1"});
    // Keys may hold what shells and short forms would read otherwise.
    let dataset = "s3://raw/dataset/a, b's $c.zip";
    assert_eq!(start(dataset, "default"), json!([{"Name": "InputDatasetZip", "Value": dataset}, stamp]));
    assert_eq!(start("default", "s3://new/"), json!([{"Name": "Annotations", "Value": "s3://new/"}, stamp]));
}

#[test]
fn without_an_approved_model_nothing_is_deployed() {
    if !has_jq() {
        eprintln!("without_an_approved_model_nothing_is_deployed: skipped, there is no jq");
        return;
    }
    let mut commands = commands("model-deploy");
    commands.push("echo \"deployed $PACKAGE\"".into());
    let marks = ["PACKAGE=", "-z \"$PACKAGE\"", "deployed $PACKAGE"];
    let said = |answer: &str| run(&commands, &marks, &[("PROJECT", "kidu")], answer).1;
    assert_eq!(
        said("\"arn:aws:sagemaker:r:1:model-package/kidu/3\"\n"),
        "deployed arn:aws:sagemaker:r:1:model-package/kidu/3\n"
    );
    for none in ["null\n", ""] {
        assert!(said(none).starts_with("no model of the group kidu is approved"), "{none}");
    }
}

/// What the stages would be deployed with, where each has these parameters of its own; or what is said when that fails.
fn stages(staging: &str, production: &str) -> Result<[Value; 2], String> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("cdk.out")).unwrap();
    let write: Vec<String> =
        commands("model-deploy").into_iter().filter(|c| c.contains("cdk.out/$stage.json")).collect();
    assert_eq!(write.len(), 1, "{write:?}");
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(&write[0]).current_dir(dir.path());
    shell.envs([
        ("PROJECT", "kidu"),
        ("MODEL", "s3://artifacts/kidu/e1/train/j/output/model.tar.gz"),
        ("BUNDLE", "b1"),
        ("REPOSITORY", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/kidu/lambda"),
        ("DIGEST", "sha256:d1"),
        ("KEY", "key"),
        ("TOPIC", "topic"),
        ("FOUNDATION", "kidu"),
        ("RESERVED_CONCURRENCY", "-1"),
    ]);
    let out = shell.env("STAGING_PARAMETERS", staging).env("PRODUCTION_PARAMETERS", production).output().unwrap();
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(["staging", "production"].map(|stage| {
        let text = fs::read_to_string(dir.path().join(format!("cdk.out/{stage}.json"))).unwrap();
        let content: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(content.as_object().unwrap().len(), 1, "{content}");
        content["Parameters"].clone()
    }))
}

#[test]
fn stages_keep_parameters_of_their_own() {
    if !has_jq() {
        eprintln!("stages_keep_parameters_of_their_own: skipped, there is no jq");
        return;
    }
    let common = |stage: &str| {
        json!({
            "SageMakerProjectName": "kidu",
            "StageName": stage,
            "ModelBinaryLocation": "s3://artifacts/kidu/e1/train/j/output/model.tar.gz",
            "BundleSha256": "b1",
            "ImageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/kidu/lambda@sha256:d1",
            "Architecture": "x86_64",
            "KmsKeyArn": "key",
            "AlertsTopicArn": "topic",
            "Installation": "kidu",
            "ReservedConcurrency": "-1",
        })
    };
    assert_eq!(stages("{}", "{}"), Ok([common("staging"), common("production")]));
    // What the run itself has found and built stays: staging tests what production gets.
    let own = r#"{"Authorization": "AWS_IAM", "ReservedConcurrency": "20", "ImageUri": "other", "StageName": "staging", "CorsOrigins": "it's, $HOME"}"#;
    let mut production = common("production");
    production["Authorization"] = json!("AWS_IAM");
    production["ReservedConcurrency"] = json!("20");
    production["CorsOrigins"] = json!("it's, $HOME");
    assert_eq!(stages("{ }", own), Ok([common("staging"), production]));

    for wrong in ["{MemorySize}", r#"{"MemorySize": 3008}"#, r#"{"A": {}}"#, "{} {}"] {
        let told = stages(wrong, "{}").unwrap_err();
        assert!(told.contains("StagingParameters of model-deploy is no JSON object of texts"), "{wrong}: {told}");
        assert!(stages("{}", wrong).unwrap_err().contains("ProductionParameters of model-deploy"), "{wrong}");
    }
    // Other forms of JSON do not come so far.
    let assembly = crate::synthesised();
    let template = &assembly.stack("model-deploy").unwrap().template;
    for name in ["StagingParameters", "ProductionParameters"] {
        let (_, parameter) = template.section("Parameters").find(|(known, _)| *known == name).unwrap();
        assert_eq!((&parameter["Default"], &parameter["AllowedPattern"]), (&json!("{}"), &json!("^\\{[\\s\\S]*\\}$")));
    }
}

/// Builds need synthesis alone: without AWS's SDK it compiles in a fraction of the time.
#[test]
fn templates_are_made_without_the_sdk() {
    let synthesis: Vec<String> = all().into_iter().filter(|c| c.contains("-- synth")).collect();
    assert_eq!(synthesis.len(), 2, "{synthesis:?}");
    for command in synthesis {
        assert!(command.contains("--package kidu-infra --no-default-features -- synth"), "{command}");
    }
}
