//! `kidu doctor --aws`: do credentials, region and places in S3 work?

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use kidu_aws::{Aws, AwsSettings, S3Store};
use kidu_core::store::{FolderStore, ObjectStore, ObjectUri, PutOptions, StoreError};

use super::Check;

/// What is written into a place and removed again.
const PROBE: &[u8] = b"kidu doctor --aws\n";
/// The longest that a call takes with all its attempts: a service that answers does so in less, and who asks waits.
const PATIENCE: Duration = Duration::from_secs(6);

/// Region and credentials, then each place, all of them at once.
pub(super) fn checks(places: &[ObjectUri]) -> Vec<Check> {
    let aws = match Aws::load_blocking(&AwsSettings::from_environment().with_patience(PATIENCE)) {
        Ok(aws) => aws,
        Err(error) => return vec![broken("aws", error)],
    };
    let region = match aws.region() {
        Some(region) => Check { name: "aws region".into(), ok: true, detail: region.into() },
        None => broken("aws region", "none; set AWS_REGION, or `region` of the profile in ~/.aws/config"),
    };
    let mut checks = vec![region];
    match aws.identity() {
        Ok(who) => {
            let detail = format!("{} in account {}", who.arn, who.account);
            checks.push(Check { name: "aws credentials".into(), ok: true, detail });
        }
        Err(error) => {
            checks.push(broken("aws credentials", told(error)));
            // Every other answer would be the same one.
            return checks;
        }
    }
    let aws = &aws;
    thread::scope(|scope| {
        let looks: Vec<_> = places.iter().map(|uri| scope.spawn(move || place(aws, uri))).collect();
        for (look, uri) in looks.into_iter().zip(places) {
            checks.extend(
                look.join().unwrap_or_else(|_| vec![broken(&format!("open {uri}"), "the check itself failed")]),
            );
        }
    });
    checks.push(quotas());
    checks
}

/// Lists a place, writes a small object into it, reads and removes it. Where nobody answers, nothing more is asked of it.
fn place(aws: &Aws, uri: &ObjectUri) -> Vec<Check> {
    let name = |what: &str| format!("{what} {uri}");
    let store = match open(aws, uri) {
        Ok(store) => store,
        Err(error) => return vec![broken(&name("open"), error)],
    };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let key = format!(".kidu-doctor-{}-{seconds}", std::process::id());
    // What is done, the permission that it takes, and the call.
    type Step<'a> = (&'static str, &'static str, &'a dyn Fn() -> Result<(), StoreError>);
    let steps: [Step<'_>; 4] = [
        ("list", "s3:ListBucket", &|| store.list("").next().transpose().map(drop)),
        ("write", "s3:PutObject", &|| store.put_bytes(&key, PROBE, &PutOptions::default()).map(drop)),
        ("read", "s3:GetObject", &|| store.get(&key, 1 << 10).map(drop)),
        ("remove", "s3:DeleteObject", &|| store.delete(&key)),
    ];
    let mut checks = Vec::new();
    for (what, detail, step) in steps {
        match step() {
            Ok(()) => checks.push(Check { name: name(what), ok: true, detail: detail.into() }),
            Err(error) => {
                // A place that gives no answer gives none to the next call, and what was not written cannot be read.
                let last = what == "write" || (what == "list" && error.is_transient());
                checks.push(broken(&name(what), told(error)));
                if last {
                    break;
                }
            }
        }
    }
    checks
}

fn open(aws: &Aws, uri: &ObjectUri) -> Result<Box<dyn ObjectStore>, StoreError> {
    Ok(match uri {
        ObjectUri::Path(path) => Box::new(FolderStore::open(path)?),
        ObjectUri::S3 { .. } => Box::new(S3Store::open_with(aws, uri)?),
    })
}

/// What cannot be asked for with the calls that Kidu makes, said rather than left out.
fn quotas() -> Check {
    let detail = "not looked at: in the console under Service Quotas, or `aws service-quotas list-service-quotas \
                  --service-code sagemaker` (spot training, processing) and `--service-code lambda` (concurrent executions)";
    Check { name: "aws quotas".into(), ok: true, detail: detail.into() }
}

/// An error, where it is that nobody answers with what to look at: there is no use in trying again later.
fn told(error: StoreError) -> String {
    match error {
        StoreError::Transient { reason, .. } => format!(
            "no answer ({reason}; {} s are given here); look at the network, the proxy (HTTPS_PROXY, NO_PROXY) and the endpoint \
             (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3); nothing more was asked",
            PATIENCE.as_secs()
        ),
        other => other.to_string(),
    }
}

fn broken(name: &str, reason: impl ToString) -> Check {
    Check { name: name.into(), ok: false, detail: reason.to_string() }
}
