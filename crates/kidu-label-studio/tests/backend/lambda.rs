//! An endpoint that is a Lambda function: the SDK's request, the function's own code.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use kidu_aws::{Aws, AwsSettings, lambda::LambdaFunction};
use kidu_label_studio::endpoint::LambdaTransport;
use kidu_lambda::{
    Function,
    source::{Evaluated, Source},
};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{json, value::RawValue};

use crate::support::{CLASSES, FORM, RUNTIME, Shelf, Studio, bundle, check_prediction, jpeg, json_of, listen};

/// What Lambda's `Invoke` does, over the real function.
async fn invoke(
    State(function): State<Function>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signed = headers.get("authorization").is_some_and(|a| a.to_str().unwrap().starts_with("AWS4-HMAC-SHA256"));
    assert!(signed, "{headers:?}");
    match name.as_str() {
        "kidu:live" => {
            let payload: Box<RawValue> = serde_json::from_slice(&body).unwrap();
            function.answer(LambdaEvent::new(payload, Context::default())).await.to_string().into_response()
        }
        "broken" => {
            let failed = json!({"errorType": "Runtime.OutOfMemory", "errorMessage": "no memory"}).to_string();
            ([("x-amz-function-error", "Unhandled")], failed).into_response()
        }
        _ => {
            let told = json!({"Type": "User", "Message": "Function not found"}).to_string();
            (StatusCode::NOT_FOUND, [("x-amzn-errortype", "ResourceNotFoundException")], told).into_response()
        }
    }
}

fn transport(url: &str, name: &str) -> Arc<LambdaTransport> {
    let aws = RUNTIME.block_on(Aws::load(&AwsSettings::emulator(url))).unwrap();
    Arc::new(LambdaTransport::new(LambdaFunction::new(&aws, name, Duration::from_secs(20)).unwrap()))
}

#[test]
fn a_function_predicts_and_its_faults_are_told() {
    let dir = tempfile::tempdir().unwrap();
    bundle(&dir.path().join("bundle"), &CLASSES);
    let function = Function::start(&Source::Folders(vec![dir.path().join("bundle")]), &Evaluated::default()).unwrap();
    let (listener, address) = listen();
    let router = Router::new().route("/2015-03-31/functions/{name}/invocations", post(invoke)).with_state(function);
    RUNTIME.spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}");
    let images = [("/a.jpg".to_owned(), jpeg(1)), ("/b.jpg".to_owned(), b"no image".to_vec())];
    let shelf = Shelf::start(images.into());
    let more = ["--allow-private", &shelf.host(), "--retries", "0"];
    let studio = Studio::start(&dir.path().join("state"), transport(&url, "kidu:live"), &more);
    let setup = json_of(&studio.post("/setup", &json!({"project": "1.1", "schema": FORM})));
    let version = setup["model_version"].as_str().unwrap();
    assert!(version.starts_with("mobilenetv2_100@"), "{version}");
    let results = studio.predict(&[shelf.url("/a.jpg"), shelf.url("/b.jpg")]);
    check_prediction(&results[0], version);
    assert_eq!(results[1], json!({}));
    for (name, reason) in [("broken", "Runtime.OutOfMemory: no memory"), ("missing", "aws lambda get-function")] {
        let studio = Studio::start(&dir.path().join(name), transport(&url, name), &more);
        let setup = studio.post("/setup", &json!({"project": "1.1", "schema": FORM}));
        assert!(setup.status == 503 && setup.text().contains(reason), "{name}: {}", setup.text());
        assert_eq!(studio.predict(&[shelf.url("/a.jpg")]), [json!({})]);
    }
}
