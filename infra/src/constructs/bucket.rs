//! A bucket as every bucket should be.

use crate::{
    aws::{Bucket, BucketPolicy},
    core::{Construct, Expr, Handle, PolicyDocument, Scope, Statement, object},
};

/// A private, encrypted, versioned bucket that answers over TLS only and tells the event bus of changes.
pub struct SecureBucket {
    /// Its name.
    pub name: Expr,
    /// The key it is encrypted with; without one, S3's own. (Logs can be delivered only to buckets with S3's own.)
    pub key_arn: Option<Expr>,
    /// The bucket its access logs go to, and the folder there.
    pub logs: Option<(Expr, &'static str)>,
    /// Who else may do what with it, given its ARN.
    pub grants: fn(Expr) -> Vec<Statement>,
    /// Whether the event bus hears of its objects.
    pub events: bool,
    /// After how many days old versions go.
    pub old_versions_days: i64,
    /// Prefixes whose objects go after so many days.
    pub expiring: Vec<(&'static str, &'static str, i64)>,
}

impl Construct for SecureBucket {
    type Made = Handle<Bucket>;

    fn build(self, scope: &Scope) -> Handle<Bucket> {
        let mut bucket = Bucket::new()
            .bucket_name(self.name.clone())
            .bucket_encryption(self.encryption())
            .public_access_block_configuration(object! {
                "BlockPublicAcls" => true,
                "BlockPublicPolicy" => true,
                "IgnorePublicAcls" => true,
                "RestrictPublicBuckets" => true,
            })
            .ownership_controls(object! { "Rules" => [object! { "ObjectOwnership" => "BucketOwnerEnforced" }] })
            .versioning_configuration(object! { "Status" => "Enabled" })
            .lifecycle_configuration(object! { "Rules" => self.rules() });
        if let Some((to, prefix)) = &self.logs {
            bucket = bucket.logging_configuration(object! {
                "DestinationBucketName" => to.clone(),
                "LogFilePrefix" => *prefix,
            });
        }
        if self.events {
            bucket = bucket.notification_configuration(object! {
                "EventBridgeConfiguration" => object! { "EventBridgeEnabled" => true },
            });
        }
        let bucket = scope.add("Bucket", bucket).retained();
        let bucket = match self.logs {
            Some(_) => bucket,
            None => bucket.accept_finding("CKV_AWS_18", "this is the bucket that the others log to"),
        };
        policy(scope, &bucket, (self.grants)(bucket.arn()));
        bucket
    }
}

impl SecureBucket {
    fn encryption(&self) -> Expr {
        let rule = match &self.key_arn {
            None => object! { "ServerSideEncryptionByDefault" => object! { "SSEAlgorithm" => "AES256" } },
            Some(key) => object! {
                "ServerSideEncryptionByDefault" => object! {
                    "SSEAlgorithm" => "aws:kms",
                    "KMSMasterKeyID" => key,
                },
                // One data key for many objects: KMS is asked, and paid, a hundredth as often.
                "BucketKeyEnabled" => true,
            },
        };
        object! { "ServerSideEncryptionConfiguration" => [rule] }
    }

    fn rules(&self) -> Vec<Expr> {
        let mut rules = vec![object! {
            "Id" => "old-versions",
            "Status" => "Enabled",
            "NoncurrentVersionExpiration" => object! { "NoncurrentDays" => self.old_versions_days },
            "AbortIncompleteMultipartUpload" => object! { "DaysAfterInitiation" => 7 },
        }];
        rules.extend(self.expiring.iter().map(|(id, prefix, days)| {
            object! {
                "Id" => *id,
                "Status" => "Enabled",
                "Prefix" => *prefix,
                "ExpirationInDays" => *days,
            }
        }));
        rules
    }
}

fn policy(scope: &Scope, bucket: &Handle<Bucket>, grants: Vec<Statement>) {
    let everything = [bucket.arn(), Expr::sub_with("${arn}/*", [("arn", bucket.arn())])];
    let tls_only = Statement::deny("TlsOnly", ["s3:*"]).to(object! { "AWS" => "*" }).on(everything).when(
        "Bool",
        "aws:SecureTransport",
        "false",
    );
    let policy = PolicyDocument::new([tls_only].into_iter().chain(grants));
    scope.add("Policy", BucketPolicy::new().bucket(bucket).policy_document(policy));
}
