//! `kidu doctor --aws`: do credentials, region and places in S3 work?

use std::time::{SystemTime, UNIX_EPOCH};

use kidu_aws::{Aws, AwsSettings};
use kidu_core::store::{ObjectUri, PutOptions, StoreError};

use super::Check;
use crate::stores;

/// What is written into a place and removed again.
const PROBE: &[u8] = b"kidu doctor --aws\n";

/// Region and credentials, then each place.
pub(super) fn checks(places: &[ObjectUri]) -> Vec<Check> {
    let aws = match Aws::load_blocking(&AwsSettings::from_environment()) {
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
            checks.push(broken("aws credentials", error));
            // Every other answer would be the same one.
            return checks;
        }
    }
    checks.extend(places.iter().flat_map(place));
    checks.push(quotas());
    checks
}

/// Lists a place, writes a small object into it, reads and removes it.
fn place(uri: &ObjectUri) -> Vec<Check> {
    let name = |what: &str| format!("{what} {uri}");
    let store = match stores::open_store(uri) {
        Ok(store) => store,
        Err(error) => return vec![broken(&name("open"), error)],
    };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let key = format!(".kidu-doctor-{}-{seconds}", std::process::id());
    let mut checks = Vec::new();
    let mut check = |what: &str, detail: &str, outcome: Result<(), StoreError>| {
        checks.push(match outcome {
            Ok(()) => Check { name: name(what), ok: true, detail: detail.into() },
            Err(error) => broken(&name(what), error),
        });
    };
    check("list", "s3:ListBucket", store.list("").next().transpose().map(drop));
    let written = store.put_bytes(&key, PROBE, &PutOptions::default()).map(drop);
    let is_written = written.is_ok();
    check("write", "s3:PutObject", written);
    if is_written {
        check("read", "s3:GetObject", store.get(&key, 1 << 10).map(drop));
        check("remove", "s3:DeleteObject", store.delete(&key));
    }
    checks
}

/// What cannot be asked for with the calls that Kidu makes, said rather than left out.
fn quotas() -> Check {
    let detail = "not looked at: in the console under Service Quotas, or `aws service-quotas list-service-quotas \
                  --service-code sagemaker` (spot training, processing) and `--service-code lambda` (concurrent executions)";
    Check { name: "aws quotas".into(), ok: true, detail: detail.into() }
}

fn broken(name: &str, reason: impl ToString) -> Check {
    Check { name: name.into(), ok: false, detail: reason.to_string() }
}
